"""A reader that is a model on this machine, through the generation engine."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smt_jax.data import render
from smt_jax.eval.parsing import RUN_ON
from smt_jax.eval.prompts import REPLY_START
from smt_jax.eval.reader import Messages, OptionScore, Reply, Sampling
from smt_jax.generation.batcher import Job
from smt_jax.generation.engine import Engine
from smt_jax.generation.sampling import Sampling as EngineSampling

_PLAIN_STOP = (RUN_ON,)  # where a base model's reply has run on into a question of its own
_AHEAD = 4  # samples submitted for every row of the batch


class LocalReader:
  """Answers with an `Engine`.

  Args:
    engine: the model.
    tokenizer: its tokenizer; prompts are rendered by its chat template, as in training.
    plain: leave the chat template unused (base models are always rendered plainly).
  """

  def __init__(self, engine: Engine, tokenizer: Any, plain: bool = False):
    self._engine, self._tokenizer = engine, tokenizer
    self._plain = plain or not tokenizer.chat_template
    self._known: dict[str, np.ndarray] = {}
    self.max_positions: int | None = engine.config.max_position_embeddings

  def prompt_text(self, messages: Messages) -> str:
    if not self._plain:
      return render.prompt_text(self._tokenizer, messages)
    return self._tokenizer.apply_chat_template(
        list(messages), chat_template=render.PLAIN_TEMPLATE, tokenize=False, add_generation_prompt=True)

  def rendering(self, messages: Messages) -> dict[str, Any]:
    """What the model was really given, once: template, end tokens, stop strings and one prompt's token ids."""
    template = render.PLAIN_TEMPLATE if self._plain else render.chat_template(self._tokenizer)
    return {'plain': self._plain, 'chat_template_sha256': hashlib.sha256(template.encode()).hexdigest(),
            'end_ids': list(self._engine.eos_ids), 'stop': list(_PLAIN_STOP if self._plain else ()),
            'prompt_ids': self._ids(messages).tolist()}

  def prompt_tokens(self, prompts: Sequence[Messages], options: Sequence[Sequence[str]] | None = None) -> list[int]:
    if options is None:
      return [len(self._ids(p)) for p in prompts]
    split = [self._split(p, o) for p, o in zip(prompts, options, strict=True)]
    return [len(head) + max(len(tail) for tail in tails) for head, tails in split]

  def complete(self, prompts: Sequence[Messages], keys: Sequence[str], sampling: Sampling,
               done: Callable[[int, list[Reply]], None]) -> None:
    del keys  # the engine seeds every sample by its prompt's tokens
    wanted = EngineSampling(
        max_new_tokens=sampling.max_new_tokens, temperature=sampling.temperature, top_p=sampling.top_p,
        n=sampling.samples, seed=sampling.seed, stop=_PLAIN_STOP if self._plain else ()).validate()
    encoded = [self._ids(p) for p in prompts]
    self._known.clear()
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    longest = len(encoded[order[-1]]) + wanted.max_new_tokens
    rows = min(len(encoded) * wanted.n, self._engine.batch_size(longest))
    batcher = self._engine.batcher(rows, self._tokenizer)
    owners: dict[int, int] = {}
    finished: dict[int, list[Job]] = {}
    next_prompt = 0
    while next_prompt < len(order) or batcher.busy:
      while next_prompt < len(order) and len(owners) < _AHEAD * rows:  # not all at once: long prompts take memory
        i = order[next_prompt]
        ids = encoded[i].tolist()
        self._engine.check(ids, f'prompt {i}', room=1)
        for sample in range(wanted.n):
          job = Job(ids, wanted, sample)
          owners[id(job)] = i
          batcher.submit(job)
        next_prompt += 1
      for job in batcher.step():
        i = owners.pop(id(job))
        of_prompt = finished.setdefault(i, [])
        of_prompt.append(job)
        if len(of_prompt) == wanted.n:
          of_prompt = sorted(finished.pop(i), key=lambda j: j.sample)
          done(i, [Reply(j.completion.text, j.completion.finish_reason, len(j.ids)) for j in of_prompt])

  def option_scores(self, prompts: Sequence[Messages], options: Sequence[Sequence[str]],
                    done: Callable[[int, list[OptionScore]], None]) -> None:
    if not prompts:
      return
    split = [self._split(p, o) for p, o in zip(prompts, options, strict=True)]
    order = sorted(range(len(split)), key=lambda i: len(split[i][0]))
    longest = max(len(head) + max(map(len, tails)) for head, tails in split)
    at_once = max(8, self._engine.batch_size(longest) // 2)  # prompts between two appearances in the log
    for start in range(0, len(order), at_once):
      block = order[start:start + at_once]
      scores = self._engine.score_options([split[i][0] for i in block], [split[i][1] for i in block])
      for i, of_prompt in zip(block, scores, strict=True):
        done(i, [OptionScore(float(logprobs.sum(dtype='float64')), len(logprobs)) for logprobs in of_prompt])

  def _ids(self, messages: Messages) -> np.ndarray:
    """Ids of a prompt, int32; kept between counting them and reading them."""
    text = self.prompt_text(messages)
    if text not in self._known:
      self._known[text] = np.array(self._encode([text])[0], np.int32)
    return self._known[text]

  def _split(self, messages: Messages, options: Sequence[str]) -> tuple[list[int], list[list[int]]]:
    """Ids of the prompt up to and with "Answer:", and of each option after it, tokenized as one text."""
    head = self.prompt_text(messages) + (' ' if self._plain else '') + REPLY_START
    prompt, *full = self._encode([head, *(f'{head} {option}' for option in options)])
    common = min(_shared(prompt, ids) for ids in full)
    common = min(common, *(len(ids) - 1 for ids in full))  # every option has a token of its own to score
    return full[0][:common], [ids[common:] for ids in full]

  def _encode(self, texts: Sequence[str]) -> list[list[int]]:
    with contextlib.suppress(AttributeError):
      self._tokenizer.backend_tokenizer.no_truncation()
    return self._tokenizer(list(texts), add_special_tokens=False)['input_ids'] if texts else []


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
  """Length of the common start."""
  for i, (x, y) in enumerate(zip(a, b)):
    if x != y:
      return i
  return min(len(a), len(b))
