"""Reads compiled programs: which collectives a device runs in a step, loops counted.

XLA's own cost analysis counts the body of a loop once, so the text of the optimised program is walked instead.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

COLLECTIVES = ('all-gather', 'all-reduce', 'reduce-scatter', 'all-to-all', 'collective-permute')
WIDTHS = {'pred': 1, 's8': 1, 'u8': 1, 's16': 2, 'u16': 2, 'f16': 2, 'bf16': 2, 's32': 4, 'u32': 4, 'f32': 4, 's64': 8,
          'u64': 8, 'f64': 8}
_HEADER = re.compile(r'^(ENTRY )?%?([\w.\-]+) \(.*\{$')
_INSTRUCTION = re.compile(r'^\s*(?:ROOT )?%?([\w.\-]+) = (.*?) ([\w\-]+)\((.*)$')
_CALLED = re.compile(r'(?:body|to_apply|calls|called_computation)=%?([\w.\-]+)|'
                     r'(?:called_computations|branch_computations)=\{([^}]*)\}')


class Instruction(NamedTuple):
  """One line of a program; `rest` are operands and attributes."""
  name: str
  shape: str
  op: str
  rest: str


def computations(text: str) -> tuple[dict[str, list[Instruction]], str]:
  """All computations of a program by name, and the name of the entry."""
  bodies: dict[str, list[Instruction]] = {}
  entry = current = ''
  for line in text.splitlines():
    header = _HEADER.match(line)
    if header:
      current = header[2]
      bodies[current] = []
      entry = current if header[1] else entry
    elif current and (found := _INSTRUCTION.match(line)):
      bodies[current].append(Instruction(*found.groups()))
  return bodies, entry


def collective_bytes(text: str, devices: int) -> dict[str, float]:
  """Bytes that one device sends in one run of a compiled program, by kind of collective.

  Ring algorithms: of n devices each sends (n - 1) / n of what an all-gather puts out or a reduce-scatter takes in, and
  twice that for an all-reduce. `devices`: of the whole program.
  """
  bodies, entry = computations(text)
  total: dict[str, float] = {}
  seen: set[tuple[str, str]] = set()  # one collective may be cut into stages that share its channel
  for kind, size, channel, trips in _walk(bodies, entry, 1, devices):
    if channel and (kind, channel) in seen:
      continue
    seen.add((kind, channel))
    total[kind] = total.get(kind, 0.0) + size * trips
  return total


def _walk(bodies: dict[str, list[Instruction]], name: str, trips: int,
          devices: int) -> Iterator[tuple[str, float, str, int]]:
  for _, shape, op, rest in bodies.get(name, ()):
    kind = op.removesuffix('-start')
    if kind in COLLECTIVES:
      channel = re.search(r'channel_id=(\d+)', rest)
      yield kind, _sent(kind, op, shape, rest, devices), channel[1] if channel else '', trips
    inside = trips * trip_count(bodies, rest) if op == 'while' else trips
    for match in _CALLED.finditer(rest):
      for called in (match[1] or match[2]).replace('%', '').split(','):
        yield from _walk(bodies, called.strip(), inside, devices)


def trip_count(bodies: dict[str, list[Instruction]], rest: str) -> int:
  """How often a loop runs: as the compiler notes it, else the constant that its condition compares with."""
  known = re.search(r'knowntrip_count\D*(\d+)', rest)
  if known:
    return int(known[1])
  condition = re.search(r'condition=%?([\w.\-]+)', rest)
  limits = [int(m[1]) for _, shape, op, args in bodies.get(condition[1], ()) if op == 'constant' and 's32' in shape
            and (m := re.match(r'(\d+)\)', args))] if condition else []
  return max(limits, default=1)


def _sent(kind: str, op: str, shape: str, rest: str, devices: int) -> float:
  sizes = [_bytes(t, dims) for t, dims in re.findall(r'(\w+)\[([\d,]*)\]', shape) if t in WIDTHS]
  if not sizes:
    return 0.0
  size = max(sizes) if op.endswith('-start') else sum(sizes)  # a start returns its operands too
  if kind == 'collective-permute':
    return float(size)
  n = _group_size(rest) or devices
  if kind == 'reduce-scatter' and not op.endswith('-start'):
    size *= n
  return (2 if kind == 'all-reduce' else 1) * size * (n - 1) / n


def _bytes(dtype: str, dims: str) -> int:
  size = WIDTHS[dtype]
  for d in dims.split(','):
    size *= int(d) if d else 1
  return size


def _group_size(rest: str) -> int:
  """Devices of one group, from replica_groups={{0,1},...}, [groups,size]<=..., or mesh['a'=2,'b'=8] {'a'};
  0 where all devices are one group."""
  listed = re.search(r'replica_groups=\{\{([\d,]+)\}', rest)
  if listed:
    return len(listed[1].split(','))
  iota = re.search(r'replica_groups=\[\d+,(\d+)\]', rest)
  if iota:
    return int(iota[1])
  mesh = re.search(r"replica_groups=mesh\[([^\]]*)\]\s*\{([^}]*)\}", rest)
  if mesh:
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", mesh[1]))
    n = 1
    for axis in re.findall(r"'(\w+)'", mesh[2]):
      n *= int(sizes[axis])
    return n
  return 0
