"""Sizes of what is compiled: few of them, so that little is compiled, and close enough above what is needed."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Shapes:
  """How lengths and row counts are rounded up.

  Attributes:
    smallest: least length.
    per_octave: lengths between a power of two and the next (1: powers of two alone).
    row_factor: row counts are powers of this.
    slot_step: the running batch, compiled once, may also have any multiple of this (0: none).
    prefill_tokens: most tokens in one prefill or scoring batch, padding included (one row at least).
    steps: tokens decoded between two looks at the batch from the host.
    parts: into how many parts the mesh cuts the rows.
  """
  smallest: int = 64
  per_octave: int = 2
  row_factor: int = 4
  slot_step: int = 0
  prefill_tokens: int = 8192
  steps: int = 32
  parts: int = 1

  def length(self, n: int) -> int:
    """The smallest allowed length of at least `n`."""
    if n <= self.smallest:
      return self.smallest
    octave = 2 ** (n - 1).bit_length() // 2
    step = max(1, octave // self.per_octave)
    return octave + math.ceil((n - octave) / step) * step

  def rows(self, n: int) -> int:
    """The smallest allowed number of rows of at least `n`."""
    rows = 1
    while rows < n:
      rows *= self.row_factor
    return _up(rows, self.parts)

  def slots(self, n: int) -> int:
    """The smallest allowed size of a running batch with room for `n`."""
    rows = self.rows(n)
    return min(rows, _up(_up(n, self.slot_step), self.parts)) if 0 < self.slot_step < n else rows

  def slots_within(self, n: int) -> int:
    """The largest allowed size of a running batch of at most `n`; one row a part at least."""
    rows = self._power_within(n)
    if self.slot_step:
      rows = max(rows, n // self.slot_step * self.slot_step)
    return max(self.parts, rows // self.parts * self.parts)

  def rows_that_fit(self, length: int) -> int:
    """How many rows of a length one prefill batch may have: an allowed number."""
    return self.rows(self._power_within(self.prefill_tokens // length))

  def _power_within(self, n: int) -> int:
    rows = 1
    while rows * self.row_factor <= n:
      rows *= self.row_factor
    return rows


def _up(n: int, step: int) -> int:
  return math.ceil(n / step) * step


ACCELERATOR = Shapes(smallest=256, per_octave=4, row_factor=2, slot_step=64, prefill_tokens=32768)
CPU = Shapes()
