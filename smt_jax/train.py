"""The training loop: resolve, restore, step, log, evaluate, save.

Every decision about values is made in the pure functions of step.py; here they are called in order and their results
are read one step late, so that the device never waits for the host.
"""

import contextlib
import dataclasses
import importlib.util
import logging
import os
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from tqdm import tqdm

from data_gen.errors import UserError
from data_gen.jsonl import exclusive, write_json
from smt_jax import checkpoint, distributed, initial, lora, metrics, optim, preemption, workdir, xla_flags
from smt_jax.config import TrainConfig, validate
from smt_jax.data.layout import SOURCES
from smt_jax.data.mix import Mix
from smt_jax.feed import Fed, check_rows, feed, place, record_names
from smt_jax.mesh import make_mesh
from smt_jax.state import Setup, TrainState, init_state, make_setup
from smt_jax.step import make_eval_step, make_param_norm, make_train_step

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Result:
  """How a call of `train` ended.

  Attributes:
    status: 'finished', 'already finished' or 'preempted' (saved; run again to go on).
    step: updates done.
    tokens: real tokens trained on.
    loss: mean training loss (nats) of the last step that was run, None if none was.
  """
  status: str
  step: int
  tokens: int
  loss: float | None = None


def train(config: TrainConfig, out: str | os.PathLike[str]) -> Result:
  """Runs or goes on with one training run in the work directory `out`.

  Raises:
    UserError: an impossible configuration, a work directory of another run, data that do not fit the tokenizer, a loss
      that is not finite (the message names step and records; the checkpoint from before it is kept).
  """
  validate(config)
  if config.log.wandb_project and importlib.util.find_spec('wandb') is None:
    raise UserError(f'--config.log.wandb_project={config.log.wandb_project}: needs the package wandb: '
                    "pip install 'smt-jax[wandb]'")
  place = workdir.Workdir(out)
  start = initial.resolve(config)
  config = start.config
  workdir.check_owner(place.local, config)
  mesh = make_mesh(config.mesh)
  check_rows(config, mesh)
  share = distributed.row_share(mesh, config.mix.batch_size)
  mix = Mix.open(config.data, config.replay, config.mix, seed=config.seed, process_index=share[0],
                 process_count=share[1])
  start.check_data(mix)
  _check_held_out(config, mix)
  total = mix.steps_for(config.token_budget, config.epochs)
  if checkpoint.latest_step(place.root) == total:
    _write_mix(place, mix, total)  # what a kill between the last checkpoint and the end left out
    place.seal()
    return Result('already finished', total, checkpoint.read_meta(place.root, total)['tokens'])
  setup = make_setup(config, mesh, len(SOURCES), most_runs=mix.most_runs())
  with _owned(place.local), preemption.watch() as preempted:
    if jax.process_index() == 0:
      workdir.claim(place.local, config, start.tokenizer)
    # the inner two inside: closing a checkpointer waits for the other processes, which may wait for this one
    with (contextlib.closing(_checkpointer(place.root, setup)) as checkpointer, distributed.leaving_together(),
          out_of_memory_in_a_line()):
      state, meta = _first_state(checkpointer, start, setup)
      _log.info('training from step %d to %d', meta['step'], total)
      result = _Run(setup, mix, total, place, checkpointer, share, state, meta).go(preempted)
    if result.status == 'finished':
      _write_mix(place, mix, total)
    place.seal()
  return result


def _write_mix(place: workdir.Workdir, mix: Mix, total: int) -> None:
  if jax.process_index() == 0 and not (place.local / 'mix.json').exists():
    write_json(place.local / 'mix.json', mix.report(total))


def _check_held_out(config: TrainConfig, mix: Mix) -> None:
  if not config.log.eval_every_steps or mix.held_out_kinds():
    return
  if config.checkpoint.keep_best:
    raise UserError(f'--config.checkpoint.keep_best={config.checkpoint.keep_best}: {config.data} has no held-out rows; '
                    'pack with --held_out above 0')
  _log.warning('%s has no held-out rows (launch.pack --held_out): nothing is evaluated during the run', config.data)


def _checkpointer(root: str, setup: Setup) -> checkpoint.Checkpointer:
  def merge(state: TrainState) -> nnx.State:
    return lora.merged(setup.config.lora, state.params, state.frozen)

  return checkpoint.Checkpointer(root, setup.config.checkpoint, merge if setup.config.lora.rank else None)


def _first_state(checkpointer: checkpoint.Checkpointer, start: initial.Start,
                 setup: Setup) -> tuple[TrainState, dict[str, Any]]:
  """The state that the loop starts from and the meta that goes with it: the newest checkpoint's, or the beginning's."""
  restored = checkpointer.restore(setup.shapes)
  if restored is None:
    return init_state(setup, start.weights(setup)), {'step': 0, 'tokens': 0}
  state, meta = restored
  if setup.config.lora.rank:  # adapters belong to the weights that the run began with
    state = dataclasses.replace(state, frozen=start.weights(setup))
  return state, meta


def _owned(out: pathlib.Path) -> contextlib.AbstractContextManager[None]:
  return exclusive(out) if jax.process_index() == 0 else contextlib.nullcontext()


@contextlib.contextmanager
def out_of_memory_in_a_line() -> Iterator[None]:
  """A device's memory that does not suffice as a UserError that says what would take less."""
  try:
    yield
  except jax.errors.JaxRuntimeError as e:
    text = ' '.join(str(e).split())
    if 'RESOURCE_EXHAUSTED' not in text and 'out of memory' not in text.lower():
      raise
    raise UserError(f'device memory does not suffice ({text[:160]}); less is taken by --config.step.remat=full, more '
                    '--config.step.accumulation_steps or more devices: launch.compile_check says what fits') from e


class _Pending(NamedTuple):
  """A step that was sent to the device and whose metrics were not read yet."""
  step: int
  metrics: dict[str, jax.Array]
  record_ids: np.ndarray
  wait: float  # seconds the host waited for its input


_NAMES = 20  # records that a message names; a file has all


class _Run:
  """One process's pass through the loop, from the state of `step` to the end or a request to stop."""

  def __init__(self, setup: Setup, mix: Mix, total: int, place: workdir.Workdir, checkpointer: checkpoint.Checkpointer,
               share: tuple[int, int], state: TrainState, meta: dict[str, Any]):
    self.setup, self.mix, self.total, self.place = setup, mix, total, place
    self.checkpointer, self.share, self.state = checkpointer, share, state
    self.config = setup.config
    self.start, self.tokens = meta['step'], meta['tokens']
    self.pending: _Pending | None = None
    self.loss: float | None = None
    self.held_out = self.config.log.eval_every_steps > 0 and bool(mix.held_out_kinds())
    self.held_out_loss: tuple[int, float] | None = None  # of which step
    self.main = jax.process_index() == 0
    # Several CPU devices share one thread pool, in which the collectives of two steps in flight can deadlock.
    self.lockstep = jax.default_backend() == 'cpu' and jax.device_count() > 1
    self.clock = metrics.Clock(self.config)
    self.schedule = optim.learning_rate(self.config.optimizer, total)
    self.evaluator, self.param_norm = make_eval_step(setup), make_param_norm(setup)

  def go(self, preempted: preemption.Preemption) -> Result:
    """Steps until the end; reads the metrics of each step once the next one is on its way."""
    config = self.config
    train_step, saved_at, step, stop = None, time.monotonic(), self.start, False
    inputs = feed(self.mix.batches(step), self.setup.mesh, config.step.accumulation_steps, self.share)
    with self._outputs(), contextlib.closing(inputs):
      while step < self.total and not stop:
        before = time.perf_counter()
        fed = next(inputs)
        wait = time.perf_counter() - before
        train_step = train_step or self._compiled(fed)
        logged = (step + 1) % config.log.every_steps == 0
        norms = {'param_norm': self.param_norm(self.state.params)} if logged else {}  # of the weights before the step
        if self.lockstep:
          jax.block_until_ready(norms)
        with self._profiled(step + 1):
          self.state, values = train_step(self.state, fed.batch, np.float32(self.schedule(step)))
        self._read()
        step += 1
        self.pending = _Pending(step, values | norms, fed.record_ids, wait)
        if self.lockstep:
          self._read()
        stop = preempted.reached(step)
        last = step == self.total
        evaluated = self.held_out and (step % config.log.eval_every_steps == 0 or last)
        if evaluated:
          self._evaluate(step)
        if last or stop or (evaluated and config.checkpoint.keep_best) or self._due(step, saved_at):
          self._save(step, wait=last or stop)
          saved_at = time.monotonic()
    return Result('finished' if step == self.total else 'preempted', step, self.tokens, self.loss)

  @contextlib.contextmanager
  def _outputs(self) -> Iterator[None]:
    self.log = metrics.RunLog(self.place.local, self.config.log, self.start) if self.main else None
    self.bar = tqdm(total=self.total, initial=self.start, unit='step', disable=not self.main, dynamic_ncols=True,
                    mininterval=0.5 if sys.stderr.isatty() else 10)
    try:
      yield
    finally:
      self.bar.close()
      if self.log:
        self.log.close()

  def _compiled(self, fed: Fed) -> Any:
    """The step's program, compiled ahead (and what a save runs) so that its time is known and counts for no step."""
    before = time.perf_counter()
    lowered = make_train_step(self.setup).lower(self.state, fed.batch, np.float32(0))
    program = xla_flags.compile_with(lowered, xla_flags.options(jax.default_backend(), self.setup.mesh.size))
    self.checkpointer.prepare(self.state)
    self.clock.compile_seconds = time.perf_counter() - before
    return program

  @contextlib.contextmanager
  def _profiled(self, step: int) -> Iterator[None]:
    """A trace of this step from its beginning to its end on the device, where it is asked for."""
    if not self.main or step != self.config.log.profile_at_step:
      yield
      return
    jax.block_until_ready(self.state)
    with jax.profiler.trace(str(self.place.local / 'tensorboard')):
      yield
      jax.block_until_ready(self.state)

  def _due(self, step: int, saved_at: float) -> bool:
    config = self.config.checkpoint
    if config.every_steps and step % config.every_steps == 0:
      return True
    if not config.every_minutes or step % self.config.log.every_steps:
      return False  # the clock is asked at logged steps only: hosts have to agree on its answer
    return distributed.agree(time.monotonic() - saved_at >= 60 * config.every_minutes)

  def _read(self) -> None:
    """Waits for the pending step's metrics and logs them."""
    pending, self.pending = self.pending, None
    if pending is None:
      return
    values = jax.device_get(pending.metrics)
    if not values['ok']:
      self._stop(pending, values)
    self.tokens += int(values['tokens'])
    row = metrics.train_row(pending.step, values, SOURCES, self.tokens, self.schedule(pending.step - 1))
    self.loss = row['loss']
    self.clock.step(int(values['tokens']), pending.wait)
    if self.log:
      self.log.metrics(row)
    if pending.step % self.config.log.every_steps == 0 or pending.step == self.total:
      timing = self.clock.row(pending.step)
      speed = timing.get('tokens_per_second', 0)
      self.bar.set_postfix_str(f'loss {self.loss:.3f}, {speed:,.0f} tokens/s', refresh=False)
      if self.log:
        self.log.timing(timing)
    self.bar.update(1)

  def _stop(self, pending: _Pending, values: dict[str, np.ndarray]) -> None:
    """Keeps the state from before a step whose loss or gradient is not finite, and ends the run."""
    self._save(pending.step - 1, wait=True)  # before anything that may fail on one process: a save waits for all
    names = record_names(pending.record_ids, self.mix.record_id)
    where = self.place.keep(f'not_finite.{pending.step}.{jax.process_index()}.txt', names)
    with contextlib.suppress(Exception):  # the first process to leave ends the others, which may still be uploading
      distributed.everywhere(True)
    loss = metrics.loss_row(values, SOURCES)['loss']
    shown = ', '.join(names[:_NAMES]) + (f' and {len(names) - _NAMES} more' if len(names) > _NAMES else '')
    raise UserError(f'step {pending.step}: loss {loss} and gradient norm {values["grad_norm"]} are not both finite; '
                    f'the checkpoint of step {pending.step - 1} is from before it; records of the step'
                    f'{f" (all in {where})" if where else ""}: {shown}')

  def _save(self, step: int, wait: bool) -> None:
    self._read()
    with self.clock.paused():
      if self.log:
        self.log.sync()
      self.place.seal()
      meta = {'tokens': self.tokens, 'total_steps': self.total}  # grain's position is made from the step (Mix.batches)
      measured, loss = self.held_out_loss or (step, None)
      self.checkpointer.save(step, self.state, meta, loss if measured == step else None)
      if wait or self.place.waits:
        self.checkpointer.wait()
        self.place.seal()

  def _evaluate(self, step: int) -> None:
    """Losses by kind on held-out rows."""
    self._read()
    with self.clock.paused():
      sums: dict[str, Any] = {}
      for kind in self.mix.held_out_kinds():
        for rows in self.mix.held_out_batches(kind, self.config.log.eval_rows):
          found = jax.device_get(self.evaluator(
              self.state.params, self.state.frozen, place(rows, self.setup.mesh, self.share[1])))
          sums = {k: sums.get(k, 0) + v for k, v in found.items()}
      row = metrics.loss_row(sums, SOURCES)
      self.held_out_loss = step, row['loss']
      if self.log:
        self.log.metrics({'step': step, 'split': 'validation', **row, 'tokens': self.tokens})
