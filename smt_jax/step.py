"""The training step: pure functions of a state and a batch.

Dims: A micro-batches of a step, B rows of a micro-batch, T time, K kinds of row.

A step weighs every loss token alike: losses are summed, and divided by the number of loss tokens of the whole step over
all devices and micro-batches. So accumulation and sharding change the memory a step takes and nothing else.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from smt_jax import memory, optim
from smt_jax.loss import summed_cross_entropy, sums_by_kind
from smt_jax.mesh import batch_sharding, replicated, use_rules
from smt_jax.state import Setup, TrainState

Tree = Any
Batch = dict[str, jax.Array]  # int32 [A, B, T]: tokens, labels, segment_ids, positions, record_ids;
# int32 [A, B]: kinds, row (place of the row in the step's order)
ROW_FIELDS = ('tokens', 'labels', 'segment_ids', 'positions', 'record_ids')


def make_train_step(setup: Setup) -> Callable[[TrainState, Batch, float], tuple[TrainState, dict[str, jax.Array]]]:
  """The jitted step of a state, a batch and a learning rate. It consumes (donates) the state it is given.

  Its metrics are device arrays: `loss_sum`, `loss_tokens`, `rows` [K] and `tokens` (int32 counts of the step),
  `grad_norm`, `checksum` (uint32 of the rows in their order, the same on any number of devices and hosts), `ok`.
  """
  step = functools.partial(train_step, setup)
  rows = batch_sharding(setup.mesh, lead=1)
  kinds = jax.NamedSharding(setup.mesh, jax.P(*rows.spec[:2]))
  batch = dict.fromkeys(ROW_FIELDS, rows) | {'kinds': kinds, 'row': kinds}
  return jax.jit(step, donate_argnums=0, in_shardings=(setup.shardings, batch, replicated(setup.mesh)),
                 out_shardings=(setup.shardings, replicated(setup.mesh)))


def make_param_norm(setup: Setup) -> Callable[[nnx.State], jax.Array]:
  """Jitted norm of what is trained; apart from the step, where XLA folds it into the update, every time."""
  return jax.jit(optim.global_norm, in_shardings=(setup.shardings.params,), out_shardings=replicated(setup.mesh))


def train_step(setup: Setup, state: TrainState, batch: Batch,
               learning_rate: jax.Array) -> tuple[TrainState, dict[str, jax.Array]]:
  """One update; `make_train_step` jits it."""
  with use_rules(setup.mesh):
    sums, gradients = _gradients(setup, state, batch)
    grad_norm = optim.global_norm(gradients)
    ok = state.ok & jnp.isfinite(grad_norm) & jnp.all(jnp.isfinite(sums['loss_sum']))
    with jax.named_scope('optimizer'):
      updates, opt_state = setup.optimizer.update(gradients, state.opt_state, state.params)
      params = optim.apply_updates(state.params, updates, learning_rate, state.step)
      keep = lambda new, old: jnp.where(ok, new, old)  # noqa: E731
      new = TrainState(state.step + ok, ok, jax.tree.map(keep, params, state.params),
                       jax.tree.map(keep, opt_state, state.opt_state), state.frozen)
    metrics = sums | {
        'tokens': jnp.sum(batch['segment_ids'] > 0),
        'grad_norm': grad_norm,
        'checksum': checksum(batch),
        'ok': ok,
    }
  return new, metrics


def _gradients(setup: Setup, state: TrainState, batch: Batch) -> tuple[dict[str, jax.Array], Tree]:
  """Sums of the step and the gradient of its mean loss, with respect to what is trained, in compute dtype."""
  compute = compute_params(setup, state.params)
  scale = 1 / jnp.maximum(jnp.sum(batch['labels'] >= 0), 1).astype(jnp.float32)

  def loss(params: nnx.State, micro: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
    total, sums = forward(setup, params, state.frozen, micro)
    return total * scale, sums

  gradient = jax.grad(loss, has_aux=True)
  if setup.config.step.accumulation_steps == 1:
    gradients, sums = gradient(compute, jax.tree.map(lambda x: x[0], batch))
    return sums, gradients

  def accumulate(carry: Tree, micro: Batch) -> tuple[Tree, None]:
    gradients, sums = gradient(compute, micro)
    added = jax.tree.map(lambda a, b: a + b.astype(a.dtype), carry, (gradients, sums))
    return added, None

  micro = jax.tree.map(lambda x: x[0], batch)
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.promote_types(x.dtype, jnp.float32)
                                           if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype),
                       jax.eval_shape(gradient, compute, micro))
  cuts = setup.shapes.params
  zeros = (jax.tree.map(lambda z, s: jax.lax.with_sharding_constraint(z, s.sharding), zeros[0], cuts), zeros[1])
  (gradients, sums), _ = jax.lax.scan(accumulate, zeros, batch)
  return sums, gradients


def compute_params(setup: Setup, params: nnx.State) -> nnx.State:
  """Matrices in the compute dtype, still cut as the master weights are; norm scales stay as they are.

  The cast comes before the layers so that devices exchange weights in compute dtype, half the bytes of float32.
  """
  dtype = jnp.dtype(setup.config.step.compute_dtype)

  def one(p: jax.Array, shape: jax.ShapeDtypeStruct) -> jax.Array:
    if p.ndim < 2 or p.dtype == dtype:
      return p
    return jax.lax.with_sharding_constraint(p.astype(dtype), shape.sharding)

  return jax.tree.map(one, params, setup.shapes.params)


def forward(setup: Setup, params: nnx.State, frozen: nnx.State,
            micro: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
  """Summed loss (nats) of [B, T] rows and its parts by kind: `loss_sum`, `loss_tokens`, `rows`, each [K]."""
  step = setup.config.step
  masked = setup.config.mix.document_masking
  dtype = jnp.dtype(step.compute_dtype)
  model = nnx.merge(setup.graphdef, params, frozen)
  hidden_BTD = model.hidden(
      micro['tokens'],
      positions_BT=micro['positions'] if masked else None,  # without the mask a row is one text
      segment_ids_BT=micro['segment_ids'] if masked else None, most_runs=setup.most_runs,
      compute_dtype=dtype, attention=step.attention, remat=memory.remat_policy(setup),
      scan=step.scan_layers)
  with jax.named_scope('loss'):
    total, nll_BT = summed_cross_entropy(hidden_BTD, model.unembedding_DV().astype(dtype), micro['labels'],
                                         chunks=step.loss_chunks, mesh=setup.mesh)
    sums = sums_by_kind(nll_BT, micro['labels'], micro['kinds'], setup.n_kinds)
    sums['rows'] = jnp.sum(micro['kinds'][:, None] == jnp.arange(setup.n_kinds), axis=0)
  return total, sums


def make_eval_step(setup: Setup) -> Callable[[nnx.State, nnx.State, Batch], dict[str, jax.Array]]:
  """Jitted sums by kind ([K]: `loss_sum`, `loss_tokens`, `rows`) of params, frozen and [B, T] rows, not trained on."""
  def step(params: nnx.State, frozen: nnx.State, micro: Batch) -> dict[str, jax.Array]:
    with use_rules(setup.mesh):
      return forward(setup, compute_params(setup, params), frozen, micro)[1]

  rows = batch_sharding(setup.mesh)
  batch = dict.fromkeys(ROW_FIELDS, rows) | {'kinds': jax.NamedSharding(setup.mesh, jax.P(*rows.spec[:1]))}
  cuts = setup.shardings
  return jax.jit(step, in_shardings=(cuts.params, cuts.frozen, batch), out_shardings=replicated(setup.mesh))


def checksum(batch: Batch) -> jax.Array:
  """uint32 hash of tokens and labels in their order; integer arithmetic, so no sharding can change it."""
  def mixed(x: jax.Array, salt: int) -> jax.Array:
    x = (x.astype(jnp.uint32) + jnp.uint32(salt)) * jnp.uint32(0x9E3779B1)
    return (x ^ (x >> 15)) * jnp.uint32(0x85EBCA77)

  T = batch['tokens'].shape[-1]
  place_ABT = mixed(batch['row'][..., None] * T + jnp.arange(T), 1) | 1
  content_ABT = mixed(batch['tokens'], 2) ^ mixed(batch['labels'], 3)
  return jnp.sum(content_ABT * place_ABT, dtype=jnp.uint32)
