"""The engine: prompts to continuations and sequences to log-probabilities, with one model and few compiled programs."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from data_gen.errors import UserError
from smt_jax.generation import scoring, shapes
from smt_jax.generation.alternatives import Alternatives, alternatives
from smt_jax.generation.batcher import Batcher, Completion, Job
from smt_jax.generation.decode import Program
from smt_jax.generation.sampling import Sampling
from smt_jax.mesh import batch_parts
from smt_jax.model import Transformer

_CPU_CACHE_BYTES = 2**30
_DEVICE_CACHE_SHARE = 0.8  # of the memory that the weights leave


@dataclasses.dataclass(frozen=True)
class Progress:
  """How far a call has come. `tokens` were generated (or read, when scoring) in `seconds`."""
  done: int
  total: int
  tokens: int
  seconds: float

  @property
  def tokens_per_second(self) -> float:
    return self.tokens / max(self.seconds, 1e-9)

  @property
  def eta_seconds(self) -> float:
    return self.seconds / self.done * (self.total - self.done) if self.done else float('inf')


Report = Callable[[Progress], None]


class Engine:
  """Generates with and scores by one model.

  Args:
    model: from `loading.load`; its parameters stay where they are.
    mesh: the mesh over which the parameters are sharded; rows are cut over data and fsdp, heads over tensor.
    eos_ids: end tokens; None: those of the model's configuration.
    pad_id: fills rows; no result depends on it.
    tokenizer: makes texts and finds stop strings; None: token ids alone.
    compute_dtype: of activations and cache; None: the parameters' dtype. Float32 is computed in full float32.
    max_batch: most rows decoded at once; 0: as many as the memory holds, up to 64 on a CPU and 512 elsewhere.
    attention: kernel for whole rows, see `attention.dot_product_attention`.

  Raises:
    UserError: an end token outside the vocabulary; a mesh that cuts the sequence.
  """

  def __init__(self, model: Transformer, *, mesh: jax.sharding.Mesh | None = None,
               eos_ids: Sequence[int] | None = None, pad_id: int | None = None, tokenizer: Any = None,
               compute_dtype: Any = None, max_batch: int = 0, attention: str = 'auto'):
    self.config = model.config
    self.tokenizer = tokenizer
    eos = self.config.eos_token_id if eos_ids is None else eos_ids
    for token in eos:
      if not 0 <= token < self.config.vocab_size:
        raise UserError(f'end token {token}: expected 0 to {self.config.vocab_size - 1}')
    if mesh is not None and mesh.shape.get('context', 1) > 1:
      raise UserError('the context axis of the mesh cannot be used for generation; make it 1')
    graph, state = nnx.split(model)
    dtype = jnp.dtype(compute_dtype if compute_dtype is not None else model.embedding_VD[...].dtype)
    if any(x.dtype != dtype for x in jax.tree.leaves(state)):
      state = jax.jit(functools.partial(jax.tree.map, lambda x: x.astype(dtype)))(state)  # once, not at every step
    on_cpu = next(iter(model.embedding_VD[...].devices())).platform == 'cpu'
    self._weights = state
    self.eos_ids = tuple(sorted(set(eos)))
    self._program = Program(graph, dtype, attention, self.eos_ids, pad_id or 0, mesh)
    parts = batch_parts(mesh) if mesh is not None else 1
    self._shapes = dataclasses.replace(shapes.CPU if on_cpu else shapes.ACCELERATOR, parts=parts)
    self._max_batch = max_batch or (64 if on_cpu else 512)
    self._on_cpu = on_cpu
    self.waited = 0.0  # the batchers' `waited`, over all calls of `generate`
    self.rows = 0  # rows decoded at once in the last call of `generate`

  def generate(self, prompts: Sequence[list[int]], sampling: Sampling, *, tokenizer: Any = None,
               progress: Report | None = None) -> list[list[Completion]]:
    """`sampling.n` continuations of every prompt, in order.

    A continuation depends on its prompt, `sampling` and its number alone, not on the prompts beside it.

    Raises:
      UserError: parameters out of range; an empty prompt, one longer than the model's positions or with an id outside
        the vocabulary; stop strings without a tokenizer.
    """
    sampling.validate()
    tokenizer = tokenizer if tokenizer is not None else self.tokenizer
    if sampling.stop and tokenizer is None:
      raise UserError('stop strings need a tokenizer, and the checkpoint has none')
    jobs = []
    for i, prompt in enumerate(prompts):
      self.check(prompt, f'prompt {i}', room=1)
      prompt = list(prompt)
      jobs.append([Job(prompt, sampling, sample) for sample in range(sampling.n)])
    waiting = sorted((job for of_prompt in jobs for job in of_prompt), key=lambda job: len(job.prompt))
    if waiting:
      self._run(waiting, tokenizer, progress)
    return [[job.completion for job in of_prompt] for of_prompt in jobs]

  def _run(self, jobs: list[Job], tokenizer: Any, progress: Report | None) -> None:
    longest = max(len(job.prompt) + min(job.sampling.max_new_tokens, self.config.max_position_embeddings)
                  for job in jobs)
    batcher = self.batcher(min(len(jobs), self.batch_size(longest)), tokenizer)
    self.rows = batcher.rows
    for job in jobs:
      batcher.submit(job)
    begun, done = time.monotonic(), 0
    while batcher.busy:
      done += len(batcher.step())
      if progress is not None:
        tokens = sum(len(job.ids) for job in jobs)
        progress(Progress(done, len(jobs), tokens, time.monotonic() - begun))
    self.waited += batcher.waited

  def batcher(self, rows: int, tokenizer: Any = None, steps: int = 0) -> Batcher:
    """A running batch of at least `rows` slots, to which jobs can be added at any time (for a server).

    Args:
      steps: tokens decoded between two looks at the batch; 0: the engine's own number.
    """
    sizes = dataclasses.replace(self._shapes, steps=steps) if steps else self._shapes
    return Batcher(self._program, self._weights, sizes, sizes.slots(rows),
                   self.config.max_position_embeddings, tokenizer if tokenizer is not None else self.tokenizer)

  def batch_size(self, length: int) -> int:
    """How many rows of `length` tokens are decoded at once: what the memory holds, at most `max_batch`."""
    c, dtype = self.config, self._program.compute_dtype
    places = self._shapes.length(min(length, c.max_position_embeddings))
    row = 2 * c.num_hidden_layers * c.num_key_value_heads * c.head_dim * places * dtype.itemsize
    room = _CPU_CACHE_BYTES
    if not self._on_cpu:
      devices = self._program.mesh.devices.flat if self._program.mesh is not None else jax.local_devices()[:1]
      free = [s['bytes_limit'] - s['bytes_in_use'] for d in devices if (s := d.memory_stats())]
      room = int(_DEVICE_CACHE_SHARE * min(free) * len(free)) if free else 8 * 2**30
    return self._shapes.slots_within(max(1, min(self._max_batch, room // row)))

  def logprobs(self, sequences: Sequence[list[int]], *, progress: Report | None = None) -> list[np.ndarray]:
    """Natural-log probability of every token but the first given those before it: float32 [n - 1] a sequence.

    Raises:
      UserError: an empty sequence, one longer than the model's positions or with an id outside the vocabulary.
    """
    for i, sequence in enumerate(sequences):
      self.check(sequence, f'sequence {i}')
    items = [(list(s[:1]), [list(s[1:])]) for s in sequences]
    return [scores[0] for scores in self._score(items, progress)]

  def alternatives(self, sequences: Sequence[list[int]], count: int = 1) -> list[Alternatives]:
    """Log-probabilities along whole sequences with the `count` most likely tokens at every place.

    Raises:
      UserError: as `logprobs`.
    """
    for i, sequence in enumerate(sequences):
      self.check(sequence, f'sequence {i}')
    return alternatives(self._program, self._weights, self._shapes, sequences, min(count, self.config.vocab_size))

  def option_logprobs(self, prompt_ids: list[int], options_ids: Sequence[list[int]]) -> list[np.ndarray]:
    """Log-probabilities of the tokens of each option as a continuation of the prompt: float32 [len(option)]."""
    return self.score_options([prompt_ids], [options_ids])[0]

  def score_options(self, prompts: Sequence[list[int]], options: Sequence[Sequence[list[int]]], *,
                    progress: Report | None = None) -> list[list[np.ndarray]]:
    """`option_logprobs` for many prompts at once, each with its own options; a prompt is read once for all of them.

    Raises:
      UserError: as `logprobs`; also where prompt and option together exceed the model's positions.
    """
    for i, (prompt, of_prompt) in enumerate(zip(prompts, options, strict=True)):
      for number, option in enumerate(of_prompt):
        if not len(option):
          raise UserError(f'prompt {i}, option {number}: is empty')
        self.check([*prompt, *option], f'prompt {i} with option {number}')
      self.check(prompt, f'prompt {i}')
    return self._score([(list(p), [list(o) for o in of]) for p, of in zip(prompts, options)], progress)

  def _score(self, items: list[scoring.Item], progress: Report | None) -> list[list[np.ndarray]]:
    begun = time.monotonic()

    def report(done: int, tokens: int) -> None:
      if progress is not None:
        progress(Progress(done, len(items), tokens, time.monotonic() - begun))
    return scoring.score(self._program, self._weights, self._shapes, items, report)

  def check(self, ids: Sequence[int], what: str, room: int = 0) -> None:
    """Raises UserError where the model cannot read these ids (and `room` more)."""
    if not len(ids):
      raise UserError(f'{what}: is empty, expected one token at least')
    if len(ids) + room > self.config.max_position_embeddings:
      raise UserError(f'{what}: has {len(ids)} tokens, but the model has '
                      f'{self.config.max_position_embeddings} positions'
                      + (f' and {room} is needed for an answer' if room else ''))
    if not 0 <= min(ids) <= max(ids) < self.config.vocab_size:
      bad = next(i for i in ids if not 0 <= i < self.config.vocab_size)
      raise UserError(f'{what}: token id {bad} is outside the vocabulary of {self.config.vocab_size}')


@functools.partial(jax.jit, static_argnums=(0, 3))
def _logits(graph: nnx.GraphDef, state: Any, ids_BT: jax.Array, dtype: Any) -> jax.Array:
  with Program(graph, dtype).context():
    return nnx.merge(graph, state)(ids_BT, compute_dtype=dtype)


def logits(model: Transformer, ids_BT: Any, *, compute_dtype: Any = 'float32') -> jax.Array:
  """Next-token logits, float32 [B, T, V]. Rows without padding; see `Engine` for prompts of mixed length."""
  graph, state = nnx.split(model)
  return _logits(graph, state, jnp.asarray(ids_BT, jnp.int32), jnp.dtype(compute_dtype))
