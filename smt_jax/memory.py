"""An estimate of a step's memory, without compiling it: what remat='auto' goes by, and what planning prints.

The state's bytes are exact. The rest counts what must be alive at once: the compute copy of the weights, gathered
layers, and the largest of these moments: the loss, with all activations that the policy keeps; the end of the backward
pass, with all gradients; and the attention's backward pass of the last layer or of the first, where cuDNN takes memory
by the slot for packed rows. docs/scaling.md holds it against a GPU compiler's own figures.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from smt_jax import attention_cudnn
from smt_jax.chips import Chip, chip_of
from smt_jax.config import ModelConfig
from smt_jax.loss import chunk_bytes, chunk_count
from smt_jax.mesh import batch_parts
from smt_jax.state import Setup

POLICIES = ('none', 'products', 'attention', 'full')
USABLE = 0.92  # of a device's memory; the rest is fragmentation and the libraries' own


@dataclasses.dataclass(frozen=True)
class Estimate:
  """Bytes on one device at the fullest moment; what is not alive then is 0 or what is left of it."""
  state: int
  compute_weights: int
  gradients: int
  gathered: int
  loss: int
  activations: int
  attention: int

  @property
  def total(self) -> int:
    return sum(dataclasses.astuple(self))


def local_bytes(tree: Any, dtype: Any = None, matrices_only: bool = False) -> int:
  """Bytes on one device of a tree of sharded shapes, in their own dtype or another."""
  return sum(math.prod(x.sharding.shard_shape(x.shape)) * (jnp.dtype(dtype) if dtype else x.dtype).itemsize
             for x in jax.tree.leaves(tree) if x.ndim > 1 or not matrices_only)


def kept_elements(model: ModelConfig, policy: str, tensor: int = 1, scan: bool = False) -> float:
  """Activations that one layer keeps of one token for the backward pass, in elements.

  Args:
    scan: a loop over the layers, which keeps what it would elsewhere fuse into its use: halves of the feed-forward and
      float32 norms.
  """
  D, F = model.hidden_size, model.intermediate_size / tensor
  if policy == 'none' and scan:
    return kept_elements(model, policy, tensor) + 3 * D + 2.25 * F  # two compilations by libtpu
  heads, keys = (n * model.head_dim / tensor for n in (model.num_attention_heads, model.num_key_value_heads))
  return {'none': 6 * D + 3 * heads + 4 * keys + 3 * F, 'products': 2 * (D + heads + keys + F),
          'attention': D + heads + 2 * F, 'full': D}[policy]


def packed_bytes(setup: Setup, chip: Chip | None) -> int:
  """What cuDNN's backward pass of packed rows takes beside its operands on one device, 0 where it does not run.

  Where the data are not known, what it takes at most: fewer slots may let more rows go at once.
  """
  return _packed(setup, chip)[0]


def hungriest_runs(setup: Setup, chip: Chip | None) -> int:
  """For which most runs of a row (`Setup.most_runs`) cuDNN takes the most, of those for which it has slots."""
  return _packed(dataclasses.replace(setup, most_runs=None), chip)[1]


def _packed(setup: Setup, chip: Chip | None) -> tuple[int, int]:
  """Bytes, and the slots a row that take them."""
  config, model, mesh = setup.config, setup.config.model, setup.mesh
  dtype = jnp.dtype(config.step.compute_dtype)
  if (chip is None or chip.platform != 'gpu' or chip.name == 'a100' or not config.mix.document_masking
      or config.step.attention == 'xla' or dtype.itemsize != 2 or mesh.shape['context'] > 1):
    return 0, attention_cudnn.slots(config.mix.sequence_length)  # XLA's attention, or whole rows
  rows, T = config.mix.batch_size // config.step.accumulation_steps // batch_parts(mesh), config.mix.sequence_length
  H, K = (n // mesh.shape['tensor'] for n in (model.num_attention_heads, model.num_key_value_heads))

  def taken(slots: int) -> int:
    row = attention_cudnn.row_bytes(T, H, K, model.head_dim, slots)
    return row * attention_cudnn.rows_a_call(rows, row, chip.memory)
  most = attention_cudnn.slots(T, setup.most_runs)
  return max((taken(slots), slots) for slots in ([most] if setup.most_runs else range(2, most + 1)))


def estimate(setup: Setup, policy: str, available: float, chip: Chip | None = None) -> Estimate:
  """The memory of the step of `setup` under a remat policy of `POLICIES`, on devices of `available` bytes.

  Args:
    chip: what the devices of the mesh stand for; None: what they are.
  """
  config, model, mesh = setup.config, setup.config.model, setup.mesh
  compute = jnp.dtype(config.step.compute_dtype)
  tensor = mesh.shape['tensor']
  tokens = (config.mix.batch_size // config.step.accumulation_steps // batch_parts(mesh)
            * config.mix.sequence_length // mesh.shape['context'])
  trained, shapes = setup.shapes.params, setup.shapes
  layer = local_bytes(setup.weights, compute) * mesh.shape['fsdp'] / model.num_hidden_layers
  columns = model.vocab_size // tensor
  chunk = math.ceil(tokens / chunk_count(tokens, columns, config.step.loss_chunks, chunk_bytes(available)))
  token = tokens * compute.itemsize
  kept = int(kept_elements(model, policy, tensor, config.step.scan_layers) * model.num_hidden_layers * token)
  again = 0 if policy == 'none' else int(kept_elements(model, 'none', tensor) * token)  # of one layer
  gradients = local_bytes(trained, compute)
  accumulates = config.step.accumulation_steps > 1
  accumulated = local_bytes(trained, jnp.float32) if accumulates else 0
  loss = model.hidden_size * columns * (4 + compute.itemsize * (mesh.shape['fsdp'] > 1)) + 8 * chunk * columns
  head = model.hidden_size * columns * compute.itemsize // mesh.shape['fsdp']  # the first gradient that there is
  packed = packed_bytes(setup, chip or chip_of(mesh.devices.flat[0].device_kind))
  first, last = kept + max(loss + again, head + packed), gradients + max(again, packed)
  at_loss = first > last  # activations go as gradients come
  in_attention = head + packed > loss + again if at_loss else packed > again  # a layer's feed-forward is gone by then
  cast = not (trained is setup.weights and config.step.param_dtype == compute.name)
  copies = cast + (accumulates and config.step.scan_layers)  # a loop over layers stacks them in every micro-batch
  return Estimate(
      state=local_bytes((shapes.params, shapes.opt_state, shapes.frozen)),
      compute_weights=copies * local_bytes(trained, compute, matrices_only=True),
      gradients=accumulated + (0 if at_loss and not accumulates else gradients),
      gathered=int(2 * layer) if mesh.shape['fsdp'] > 1 else 0,
      loss=0 if not at_loss else head if in_attention else loss,
      activations=(kept if at_loss else 0) + (0 if in_attention else again),
      attention=packed if in_attention else 0)


def remat_policy(setup: Setup) -> str:
  """What `step.remat` says; for 'auto' the policy that recomputes least and still fits, 'full' where none seems to.

  Devices whose memory is unknown (CPUs) recompute nothing.
  """
  if setup.config.step.remat != 'auto':
    return setup.config.step.remat
  return 'none' if setup.device_memory is None else least_recomputing(setup, setup.device_memory)


def least_recomputing(setup: Setup, available: float, chip: Chip | None = None) -> str:
  """The policy that recomputes least and fits into `available` bytes a device; 'full' where none seems to.

  Args:
    chip: as for `estimate`.
  """
  return next((p for p in POLICIES if estimate(setup, p, available, chip).total <= USABLE * available), 'full')
