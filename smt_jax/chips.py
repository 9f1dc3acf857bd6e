"""What the accelerators can do, and how their slices are named. Figures are the vendors' data sheets."""

import dataclasses
import math
import os

from data_gen.errors import UserError


@dataclasses.dataclass(frozen=True)
class Chip:
  """One accelerator chip.

  Attributes:
    name: 'v5p', 'h200', ...
    platform: 'tpu' or 'gpu'.
    flops: dense bfloat16 FLOP/s.
    memory: usable bytes of device memory; of a GPU's, the part that `reserve_memory` lets JAX have.
    bandwidth: bytes/s of device memory.
    link: bytes/s that a chip can send to its neighbours inside a slice or host, all links together.
    cores: cores a chip that its slice names count (v4 and v5p count cores, not chips).
  """
  name: str
  platform: str
  flops: float
  memory: float
  bandwidth: float
  link: float
  cores: int = 1


GIB = 2**30
_GPU = 0.96


def reserve_memory() -> None:
  """Lets JAX have nearly all of a GPU's memory, where it takes 75% by itself; to be called before a device is used.

  Without effect where the user has said how much (`XLA_PYTHON_CLIENT_MEM_FRACTION`).
  """
  os.environ.setdefault('XLA_PYTHON_CLIENT_MEM_FRACTION', str(_GPU))


CHIPS = {chip.name: chip for chip in (
    Chip('v4', 'tpu', 275e12, 31.75 * GIB, 1.2e12, 300e9, 2),
    Chip('v5e', 'tpu', 197e12, 15.75 * GIB, 0.82e12, 200e9),
    Chip('v5p', 'tpu', 459e12, 95.74 * GIB, 2.77e12, 600e9, 2),
    Chip('v6e', 'tpu', 918e12, 31.25 * GIB, 1.64e12, 448e9),
    Chip('a100', 'gpu', 312e12, _GPU * 79 * GIB, 2.04e12, 300e9),
    Chip('h100', 'gpu', 989e12, _GPU * 79 * GIB, 3.35e12, 450e9),
    Chip('h200', 'gpu', 989e12, _GPU * 140 * GIB, 4.8e12, 450e9),
    Chip('b200', 'gpu', 2250e12, _GPU * 178 * GIB, 8e12, 900e9),
)}

_KINDS = {'v5 lite': 'v5e', 'v5litepod': 'v5e', 'v6 lite': 'v6e', 'v5p': 'v5p', 'v5e': 'v5e', 'v6e': 'v6e', 'v5': 'v5p',
          'v4': 'v4', 'h200': 'h200', 'h100': 'h100', 'a100': 'a100', 'b200': 'b200'}


def chip_of(device_kind: str) -> Chip | None:
  """The chip that JAX calls `device_kind` ('TPU v5 lite', 'NVIDIA H200', ...); None where it is not known."""
  kind = device_kind.lower()
  return next((CHIPS[name] for part, name in _KINDS.items() if part in kind), None)


@dataclasses.dataclass(frozen=True)
class Topology:
  """A slice of TPUs ('v5p:4x4x8') or a host of GPUs ('h200:4')."""
  chip: Chip
  shape: tuple[int, ...]

  @property
  def chips(self) -> int:
    return math.prod(self.shape)

  @property
  def name(self) -> str:
    """The name under which the cloud sells it: v5p-256 for 128 chips, v5e-16 for 16."""
    return f'{self.chip.name}-{self.chips * self.chip.cores}' if self.chip.platform == 'tpu' else str(self)

  def __str__(self) -> str:
    return f'{self.chip.name}:{"x".join(map(str, self.shape))}'


def parse_topology(text: str) -> Topology:
  """'v5p:4x8x8' or 'h200:4'.

  Raises:
    UserError: an unknown chip or a shape that the chip does not come in.
  """
  name, _, sizes = text.partition(':')
  if name not in CHIPS or not all(s.isdigit() and int(s) for s in sizes.split('x')):
    raise UserError(f'--topology={text}: expected CHIP:SHAPE as in v5p:4x8x8, v5e:4x4 or h200:4; chips are '
                    f'{", ".join(CHIPS)}')
  topology = Topology(CHIPS[name], tuple(int(s) for s in sizes.split('x')))
  dimensions = {'v4': 3, 'v5p': 3, 'v5e': 2, 'v6e': 2}.get(name, 1)
  if len(topology.shape) != dimensions:
    raise UserError(f'--topology={text}: a {name} topology has {dimensions} dimension' + 's' * (dimensions > 1))
  return topology
