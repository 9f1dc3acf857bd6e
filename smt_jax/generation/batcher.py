"""Continuous batching: a fixed number of slots, refilled as continuations end.

The host looks at the batch every few tokens: it takes away what has ended (end tokens, budgets, stop strings) and
lets waiting prompts in, the short ones first. What a sample becomes depends on its prompt, seed and number alone.
"""

import collections
import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smt_jax.attention import reads_cache_fused
from smt_jax.generation import decode
from smt_jax.generation.sampling import Sampling, row_key
from smt_jax.generation.shapes import Shapes


@dataclasses.dataclass
class Completion:
  """One continuation. `ids` and `logprobs` are without the end token; `text` ends before a stop string."""
  ids: list[int]
  text: str
  finish_reason: str  # 'stop': end token or stop string; 'length': budget or the model's positions used up
  logprobs: list[float]


@dataclasses.dataclass(eq=False)
class Job:
  """One sample of one prompt on its way through the batch."""
  prompt: list[int]
  sampling: Sampling
  sample: int = 0
  budget: int = 0  # most new tokens; set on submission
  ids: list[int] = dataclasses.field(default_factory=list)
  logprobs: list[float] = dataclasses.field(default_factory=list)
  text: str = ''
  cut: bool = False  # the text ends before a stop string
  finish_reason: str | None = None
  end_id: int | None = None  # the end token that came, which is not among `ids`

  @property
  def completion(self) -> Completion:
    assert self.finish_reason is not None
    return Completion(self.ids, self.text, self.finish_reason, self.logprobs)


class Batcher:
  """Slots on the device and the jobs in them.

  Args:
    tokenizer: makes texts and finds stop strings; None: ids alone.
    rows: slots; an allowed number of `shapes`.
  """

  def __init__(self, program: decode.Program, weights: decode.Weights, shapes: Shapes, rows: int, positions: int,
               tokenizer: Any = None):
    self._program, self._weights, self._shapes = program, weights, shapes
    self._positions, self._tokenizer = positions, tokenizer
    self._waiting: collections.deque[Job] = collections.deque()
    self._jobs: list[Job | None] = [None] * rows
    self._places = 0  # of the cache; it is made with the first job, and grows
    self._slots: Any = None
    with program.context():  # a fused kernel reads no more than it must; otherwise the cache starts short and grows
      self.whole = reads_cache_fused(program.compute_dtype, program.model(weights).config.head_dim,
                                      program.attention)
    self.waited = 0.0  # seconds in calls of the device's programs (compiling included) and waiting for what they give

  def submit(self, job: Job) -> None:
    """Queues a job; its prompt has a token at least and leaves room for one more."""
    job.budget = min(job.sampling.max_new_tokens, self._positions - len(job.prompt))
    self._waiting.append(job)

  def cancel(self, job: Job) -> None:
    """Takes a job out, wherever it is."""
    if job in self._waiting:
      self._waiting.remove(job)
    if job in self._jobs:
      self._release([self._jobs.index(job)])

  @property
  def rows(self) -> int:
    """How many slots there are."""
    return len(self._jobs)

  @property
  def busy(self) -> bool:
    return bool(self._waiting) or any(job is not None for job in self._jobs)

  def step(self) -> list[Job]:
    """Lets jobs in, decodes some tokens for all, and returns the jobs that have ended."""
    self.let_in()
    running = [job for job in self._jobs if job is not None]
    if not running:
      return []
    self._make_room(max(len(j.prompt) + min(len(j.ids) + self._shapes.steps, j.budget) for j in running))
    begun = time.perf_counter()  # on GPUs a program with a loop runs while it is called
    self._slots, tokens, logprobs = decode.decode(
        self._program, self._weights, self._slots, self._shapes.steps,
        random=any(j.sampling.temperature > 0 for j in running),
        filtered=any(j.sampling.top_p < 1 or j.sampling.top_k > 0 for j in running))
    tokens, logprobs = jax.device_get((tokens, logprobs))
    self.waited += time.perf_counter() - begun
    ended = []
    for slot, job in enumerate(self._jobs):
      if job is not None:
        self._take(job, tokens[slot], logprobs[slot])
        if job.finish_reason is not None:
          ended.append(slot)
    jobs = [job for slot in ended if (job := self._jobs[slot]) is not None]
    self._release(ended)
    return jobs

  def wait(self) -> None:
    """Until the device has done all that it was given (for measuring)."""
    jax.block_until_ready(self._slots)

  def let_in(self) -> None:
    """Prefills waiting jobs into free slots, where enough of them are free."""
    free = [slot for slot, job in enumerate(self._jobs) if job is None]
    enough = min(len(self._waiting), max(1, len(self._jobs) // 4))
    if self._slots is None and self._waiting:
      first = list(self._waiting)[:len(self._jobs)]
      if self.whole:
        self._make_room(max(len(job.prompt) + job.budget for job in self._waiting))
      else:
        self._make_room(max(len(job.prompt) + min(self._shapes.steps, job.budget) for job in first))
    while self._waiting and (len(free) >= enough or len(free) == len(self._jobs)):
      group = self._next_group(len(free))
      self._admit(group, free[:len(group)])
      free = free[len(group):]
      enough = 1

  def _next_group(self, most: int) -> list[Job]:
    """Jobs from the head of the queue whose prompts are prefilled together."""
    group, prompts = [self._waiting.popleft()], 1
    length = self._shapes.length(len(group[0].prompt) - 1)
    while self._waiting and len(group) < most:
      job = self._waiting[0]
      new = job.prompt is not group[-1].prompt
      longer = max(length, self._shapes.length(len(job.prompt) - 1))
      if longer > 2 * length or (new and prompts + 1 > self._shapes.rows_that_fit(longer)):
        break
      group.append(self._waiting.popleft())
      length, prompts = longer, prompts + new
    return group

  def _admit(self, group: list[Job], slots: list[int]) -> None:
    source, prompts = [], []
    for i, job in enumerate(group):
      if i == 0 or job.prompt is not group[i - 1].prompt:
        prompts.append(job.prompt)
      source.append(len(prompts) - 1)
    T = self._shapes.length(max(len(p) for p in prompts) - 1)
    tokens_PT = np.full((self._shapes.rows(len(prompts)), T), self._program.pad, np.int32)
    for row, prompt in zip(tokens_PT, prompts):
      row[:len(prompt) - 1] = prompt[:-1]
    self._make_room(T)
    rows = self._shapes.rows(len(group))
    nowhere = [len(self._jobs)] * (rows - len(group))
    new = {
        'token': (np.int32, [j.prompt[-1] for j in group]),
        'length': (np.int32, [len(j.prompt) - 1 for j in group]),
        'made': (np.int32, [0] * len(group)),
        'budget': (np.int32, [j.budget for j in group]),
        'active': (bool, [True] * len(group)),
        'keys': (np.uint32, [row_key(j.sampling.seed, j.prompt, j.sample) for j in group]),
        'temperature': (np.float32, [j.sampling.temperature for j in group]),
        'top_p': (np.float32, [j.sampling.top_p for j in group]),
        'top_k': (np.int32, [j.sampling.top_k for j in group]),
        'ignore_eos': (bool, [j.sampling.ignore_eos for j in group]),
    }
    values = {name: _filled(np.asarray(of_jobs, dtype), rows) for name, (dtype, of_jobs) in new.items()}
    sources = np.asarray(source + [0] * len(nowhere), np.int32)
    begun = time.perf_counter()
    self._slots = decode.admit(self._program, self._weights, self._slots, tokens_PT, sources,
                               np.asarray(slots + nowhere, np.int32), values)
    self.waited += time.perf_counter() - begun
    for slot, job in zip(slots, group):
      self._jobs[slot] = job

  def _make_room(self, places: int) -> None:
    if self._slots is None:
      self._places = self._shapes.length(places)
      self._slots = decode.empty_slots(self._program, self._weights, len(self._jobs), self._places)
    elif places > self._places:
      self._places = self._shapes.length(places)
      self._slots = decode.grow(self._slots, self._places)

  def _release(self, slots: list[int]) -> None:
    for slot in slots:
      self._jobs[slot] = None
    if slots:
      still = np.asarray([job is not None for job in self._jobs])
      self._slots = dataclasses.replace(self._slots, active=self._slots.active & jnp.asarray(still))

  def _take(self, job: Job, tokens: np.ndarray, logprobs: np.ndarray) -> None:
    """Adds the tokens of one chunk to a job; sets its finish reason where it has ended."""
    before = len(job.ids)
    for token, logprob in zip(tokens.tolist(), logprobs.tolist()):
      if token < 0:
        break
      if token in self._program.eos and not job.sampling.ignore_eos:
        job.finish_reason, job.end_id = 'stop', token
        break
      job.ids.append(token)
      job.logprobs.append(logprob)
    if job.finish_reason is None and len(job.ids) >= job.budget:
      job.finish_reason = 'length'
    if self._tokenizer is None:
      return
    if job.sampling.stop:
      self._cut_at_stop(job, before)
    if job.finish_reason is not None and not job.cut:
      job.text = self._decode(job.ids)

  def _cut_at_stop(self, job: Job, before: int) -> None:
    """Looks for the first stop string; the ids are cut after the token that completes it, the text before it."""
    if not any(stop in self._decode(job.ids) for stop in job.sampling.stop):
      return
    for end in range(before + 1, len(job.ids) + 1):
      text = self._decode(job.ids[:end])
      found = [at for stop in job.sampling.stop if (at := text.find(stop)) >= 0]
      if found:
        job.text, job.cut, job.finish_reason, job.end_id = text[:min(found)], True, 'stop', None
        del job.ids[end:], job.logprobs[end:]
        return

  def _decode(self, ids: list[int]) -> str:
    return self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def _filled(values: np.ndarray, rows: int) -> np.ndarray:
  return np.concatenate([values, np.zeros((rows - len(values), *values.shape[1:]), values.dtype)])
