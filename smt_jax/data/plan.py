"""Second stage of packing: which piece of which record goes into which row. Pure functions of lengths.

A plan is int64 [segments, 4], ordered by row: row, record (index into the lengths given), first token, tokens.
"""

import heapq
from collections.abc import Sequence

import numpy as np

WINDOW = 512  # rows that first-fit keeps open


def concat_then_split(lengths: np.ndarray, order: np.ndarray, row_length: int) -> np.ndarray:
  """Records end to end, cut into rows: no token lost, no padding but in the last row.

  Args:
    lengths: int64 [n], tokens by record.
    order: int64 [n], the order in which records are laid.
    row_length: tokens a row holds.
  """
  lengths = lengths[order]
  ends = np.cumsum(lengths)
  total = int(ends[-1]) if len(ends) else 0
  begins = np.unique(np.concatenate([ends - lengths, np.arange(0, total, row_length)]))
  sizes = np.diff(np.append(begins, total))
  which = np.searchsorted(ends, begins, side='right')
  return np.stack([begins // row_length, order[which], begins - (ends - lengths)[which], sizes], axis=1)


def first_fit(lengths: np.ndarray, order: np.ndarray, row_length: int, window: int = WINDOW) -> np.ndarray:
  """Records whole, each in the first open row with room; one longer than a row gives full rows and a remainder.

  At most `window` rows are open: the fullest is closed when another is needed.
  """
  segments: list[tuple[int, int, int, int]] = []
  free = np.zeros(window, np.int64)  # room in the open rows; 0: no row there
  rows = np.zeros(window, np.int64)
  count = 0
  for record, length in zip(order.tolist(), lengths[order].tolist()):
    start = 0
    while length - start > row_length:
      segments.append((count, record, start, row_length))
      count += 1
      start += row_length
    size = length - start
    slot = int(np.argmax(free >= size))
    if free[slot] < size:
      slot = int(np.argmin(free))
      free[slot], rows[slot] = row_length, count
      count += 1
    segments.append((int(rows[slot]), record, start, size))
    free[slot] -= size
  return _by_row(segments)


def stacked(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Two plans as one: the second's rows come after the first's."""
  if not len(first) or not len(second):
    return first if len(first) else second
  return np.concatenate([first, second + [first[-1, 0] + 1, 0, 0, 0]])


def by_group(lengths: np.ndarray, splittable: np.ndarray, groups: np.ndarray, order: np.ndarray,
             row_length: int) -> np.ndarray:
  """Rows that hold records of one group (source document) only, each in the group's own mixture.

  The whole ones (QAs) are dealt out evenly over the group's rows; the splittable ones (documents) then fill every row,
  cut where it ends. QAs come first in a row: behind its document, a QA would be answered by looking it up, which
  teaches nothing (contextual shadowing), wherever attention is not confined to segments.

  Args:
    lengths: int64 [n], tokens by record.
    splittable: bool [n], may be cut at the end of a row.
    groups: int64 [n], the group of each record.
    order: int64 [n], order of records inside their groups, and of the groups by their first record.
    row_length: tokens a row holds.
  """
  members: dict[int, list[int]] = {}
  for record in order.tolist():
    members.setdefault(int(groups[record]), []).append(record)
  segments: list[tuple[int, int, int, int]] = []
  count = 0
  for group in members.values():
    whole = [r for r in group if not splittable[r]]
    cut = [r for r in group if splittable[r]]
    rows = _deal(lengths, whole, -(-int(lengths[group].sum()) // row_length), row_length)
    _fill(lengths, cut, rows, row_length)
    for row in rows:
      segments += [(count, *piece) for piece in row]
      count += bool(row)
  return _by_row(segments)


Pieces = list[tuple[int, int, int]]  # record, first token, tokens


def _deal(lengths: np.ndarray, records: Sequence[int], n_rows: int, row_length: int) -> list[Pieces]:
  """Deals records into the row with the most room (more rows where none has enough)."""
  rows: list[Pieces] = [[] for _ in range(n_rows)]
  heap = [(-row_length, i) for i in range(n_rows)]
  for record in records:
    start, length = 0, int(lengths[record])
    while start < length:
      size = min(length - start, row_length)
      if not heap or -heap[0][0] < size:
        heapq.heappush(heap, (-row_length, len(rows)))
        rows.append([])
      room, i = heap[0]
      rows[i].append((record, start, size))
      heapq.heapreplace(heap, (room + size, i))
      start += size
  return rows


def _fill(lengths: np.ndarray, records: Sequence[int], rows: list[Pieces], row_length: int) -> None:
  """Lays records end to end into the room that rows have left, in place."""
  i, room = -1, 0
  for record in records:
    start, length = 0, int(lengths[record])
    while start < length:
      while room == 0:
        i += 1
        if i == len(rows):
          rows.append([])
        room = row_length - sum(size for _, _, size in rows[i])
      size = min(room, length - start)
      rows[i].append((record, start, size))
      start, room = start + size, room - size


def _by_row(segments: Sequence[tuple[int, int, int, int]]) -> np.ndarray:
  table = np.array(segments, np.int64).reshape(-1, 4)
  return table[np.argsort(table[:, 0], kind='stable')]
