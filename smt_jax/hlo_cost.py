"""FLOPs and bytes of device memory of one run of a compiled program, loops counted; XLA's own count takes a loop once.

FLOPs are those of matrix products (dot, and convolution, as which TPUs write them). Bytes: what every kernel reads and
writes of arrays in main memory; a slice of a larger array counts with its own size, an update in place with the
update's, and arrays that the compiler keeps in on-chip memory (`S(1)` in their layout) not at all. Custom kernels
(attention) count with their operands and results, and without FLOPs.
"""

import itertools
import math
import re
from collections.abc import Iterator

from smt_jax.hlo import WIDTHS, Instruction, computations, trip_count

_ARRAY = re.compile(r'(\w+)\[([\d,]*)\](?:\{([^{}]*)\})?')
_NO_TRAFFIC = {'parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast', 'while', 'conditional', 'call',
               'after-all', 'partition-id', 'replica-id', 'iota', 'opt-barrier', 'add-dependency'}
_NO_KERNEL = re.compile(r'custom_call_target="(?:AllocateBuffer|AsyncCollective\w+|AssumeGatherIndicesInBound|'
                        r'ConcatBitcast)"')
_SLICES = {'dynamic-slice', 'slice', 'gather'}
_CALLS = re.compile(r'(?:body|to_apply|called_computation)=%?([\w.\-]+)|'
                    r'(?:called_computations|branch_computations)=\{([^}]*)\}')
Bodies = dict[str, list[Instruction]]


def costs(text: str) -> dict[str, float]:
  """{'flops', 'bytes'} of one device in one run of an optimised program."""
  bodies, entry = computations(text)
  total = {'flops': 0.0, 'bytes': 0.0}
  for name, trips in _executed(bodies, entry, 1):
    table = {i.name: i for i in bodies[name]}
    for instruction in bodies[name]:
      total['bytes'] += trips * _traffic(bodies, table, instruction)
      total['flops'] += trips * _flops(bodies, table, instruction)
  return total


def _executed(bodies: Bodies, name: str, trips: int) -> Iterator[tuple[str, int]]:
  """The computations that run as control flow (not the insides of fusions and reductions), and how often each."""
  if name not in bodies:
    return
  yield name, trips
  for i in bodies[name]:
    if i.op not in ('while', 'conditional', 'call') and not i.op.startswith('async-start'):
      continue
    inside = trips * trip_count(bodies, i.rest) if i.op == 'while' else trips
    for match in _CALLS.finditer(i.rest):
      for called in (match[1] or match[2]).replace('%', '').split(','):
        yield from _executed(bodies, called.strip(), inside)


def operands(instruction: Instruction) -> list[str]:
  """Names of what an instruction takes, in order."""
  depth = itertools.accumulate(((c == '(') - (c == ')') for c in instruction.rest), initial=1)
  end = next((at for at, open_ in enumerate(depth) if open_ == 0), len(instruction.rest))
  return re.findall(r'%([\w.\-]+)', instruction.rest[:end])


def memory_bytes(shape: str) -> int:
  """Bytes of the arrays of a shape that lie in main memory."""
  return sum(_elements(dims) * WIDTHS[dtype] for dtype, dims, layout in _ARRAY.findall(shape)
             if dtype in WIDTHS and 'S(1)' not in layout)


def _elements(dims: str) -> int:
  return math.prod(int(d) for d in dims.split(',') if d)


def _traffic(bodies: Bodies, table: dict[str, Instruction], i: Instruction) -> float:
  if i.op in _NO_TRAFFIC or i.op.endswith('-done') or i.op.startswith('async') or _NO_KERNEL.search(i.rest):
    return 0.0
  taken = [table[name].shape if name in table else '' for name in operands(i)]
  if i.op in _SLICES:
    return 2.0 * memory_bytes(i.shape)
  if i.op == 'dynamic-update-slice':
    return 2.0 * memory_bytes(taken[1])
  if i.op.endswith('-start'):  # its result holds its operands too
    return float(memory_bytes(i.shape))
  body = _inside(bodies, i)
  if not body:
    return float(memory_bytes(i.shape) + sum(map(memory_bytes, taken)))
  total = float(_written(bodies, body, body[-1], memory_bytes(i.shape)))
  for parameter in (j for j in body if j.op == 'parameter'):
    whole = memory_bytes(taken[_number(parameter)]) if _number(parameter) < len(taken) else 0
    total += min(whole, _read(bodies, body, parameter.name, whole))
  return total


def _inside(bodies: Bodies, i: Instruction) -> list[Instruction]:
  """The computation of a fusion; empty: it is none."""
  called = re.search(r'calls=%?([\w.\-]+)', i.rest) if i.op == 'fusion' else None
  return bodies.get(called[1], []) if called else []


def _number(parameter: Instruction) -> int:
  return int(parameter.rest.partition(')')[0])


def _read(bodies: Bodies, body: list[Instruction], name: str, whole: int) -> int:
  """Bytes that a fusion reads of one of its values: of slices their size, of an array updated in place nothing."""
  users: dict[str, list[Instruction]] = {}
  for i in body:
    for taken in operands(i):
      users.setdefault(taken, []).append(i)
  aliases, total = _aliases({i.name: i for i in body}, name), 0
  for user in _through_bitcasts(users, name):
    within = _inside(bodies, user)
    if user.op in _SLICES:
      total += _size(user.shape)
    elif within:  # fusions hold fusions
      places = [at for at, taken in enumerate(operands(user)) if taken in aliases]
      total += sum(_read(bodies, within, j.name, whole) for j in within if j.op == 'parameter' and _number(j) in places)
    elif not (user.op == 'dynamic-update-slice' and operands(user)[0] in aliases):
      return whole
  return total


def _through_bitcasts(users: dict[str, list[Instruction]], name: str) -> Iterator[Instruction]:
  for user in users.get(name, ()):
    if user.op == 'bitcast':
      yield from _through_bitcasts(users, user.name)
    else:
      yield user


def _aliases(table: dict[str, Instruction], name: str) -> set[str]:
  """Names under which a value goes: itself and its bitcasts."""
  found = {name}
  for i in table.values():  # operands stand before their users
    if i.op == 'bitcast' and operands(i)[0] in found:
      found.add(i.name)
  return found


def _written(bodies: Bodies, body: list[Instruction], root: Instruction, whole: int) -> int:
  """Bytes that a fusion writes: of an array updated in place the update."""
  table = {i.name: i for i in body}
  while root.op == 'bitcast' and operands(root)[0] in table:
    root = table[operands(root)[0]]
  if root.op == 'dynamic-update-slice' and operands(root)[1] in table:
    return min(whole, _size(table[operands(root)[1]].shape))
  if within := _inside(bodies, root):
    return _written(bodies, within, within[-1], whole)
  if root.op == 'tuple':
    parts = [table[name] for name in operands(root) if name in table]
    return min(whole, sum(_written(bodies, body, part, memory_bytes(part.shape)) for part in parts))
  return whole


def _size(shape: str) -> int:
  return sum(_elements(dims) * WIDTHS[dtype] for dtype, dims, _ in _ARRAY.findall(shape) if dtype in WIDTHS)


def _flops(bodies: Bodies, table: dict[str, Instruction], i: Instruction) -> float:
  if body := _inside(bodies, i):
    return sum(_flops(bodies, {j.name: j for j in body}, j) for j in body)
  if i.op not in ('dot', 'convolution'):
    return 0.0
  left, right = (_dims(table[name].shape) for name in operands(i)[:2])
  out = math.prod(_dims(i.shape))
  if i.op == 'dot':
    axes = re.search(r'lhs_contracting_dims=\{([\d,]*)\}', i.rest)
    return 2.0 * out * math.prod(left[int(a)] for a in axes[1].split(',') if a) if axes else 2.0 * out
  labels = re.search(r'dim_labels=(\w+)_(\w+)->(\w+)', i.rest)
  if labels is None:
    return 0.0
  kernel, result = labels[2], labels[3]
  contracted = right[kernel.index('i')]
  for axis in (c for c in kernel if c.isdigit()):  # a further contracted axis, or (more than one place) a batch axis
    contracted *= right[kernel.index(axis)] if _dims(i.shape)[result.index(axis)] == 1 else 1
  return 2.0 * out * contracted


def _dims(shape: str) -> list[int]:
  found = _ARRAY.search(shape)
  return [int(d) for d in found[2].split(',') if d] if found else []
