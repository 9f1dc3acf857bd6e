"""Readers for the evaluation: our engine on a checkpoint, or any OpenAI-compatible endpoint."""

import asyncio
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from data_gen.errors import UserError
from data_gen.generators.base import Generator, Request
from data_gen.generators.base import Sampling as RequestSampling
from data_gen.generators.lifecycle import opened
from smt_jax.eval.reader import Messages, OptionScore, Reply, Sampling


def local_reader(path: str, *, dtype: str = '', plain: bool = False, tensor: int = 1, max_batch: int = 0) -> Any:
  """A `LocalReader` on a checkpoint argument, its weights sharded over all devices where there are several.

  Raises:
    UserError: what `smt_jax.loading.load` refuses; a checkpoint without a tokenizer; `tensor` that does not divide.
  """
  import jax

  from smt_jax import loading
  from smt_jax.config import MeshConfig
  from smt_jax.eval.local import LocalReader
  from smt_jax.generation.engine import Engine
  from smt_jax.generation.text import end_ids
  from smt_jax.mesh import make_mesh
  accelerators = jax.device_count() > 1 and jax.devices()[0].platform != 'cpu'
  mesh = make_mesh(MeshConfig(data=-1, fsdp=1, tensor=tensor)) if accelerators or tensor > 1 else None
  model, tokenizer = loading.load(path, dtype=dtype or None, mesh=mesh)
  if tokenizer is None:
    raise UserError(f'--checkpoint={path}: has no tokenizer, which an evaluation needs')
  engine = Engine(model, mesh=mesh, eos_ids=end_ids(model, tokenizer), tokenizer=tokenizer, max_batch=max_batch)
  return LocalReader(engine, tokenizer, plain)


class EndpointReader:
  """A model behind a generator (`data_gen.generators`), `max_concurrency` requests at once.

  The endpoint counts tokens and knows its limits itself; log-probabilities of given texts cannot be had from it.
  """
  max_positions: int | None = None

  def __init__(self, generator: Generator, max_concurrency: int = 64):
    self._generator, self._max_concurrency = generator, max_concurrency

  def prompt_tokens(self, prompts: Sequence[Messages], options: Sequence[Sequence[str]] | None = None) -> list[int]:
    return [0] * len(prompts)

  def prompt_text(self, messages: Messages) -> str:
    return '\n\n'.join(f'{m["role"]}: {m["content"]}' for m in messages)

  def rendering(self, messages: Messages) -> dict[str, Any]:
    return {}  # the endpoint renders

  def complete(self, prompts: Sequence[Messages], keys: Sequence[str], sampling: Sampling,
               done: Callable[[int, list[Reply]], None]) -> None:
    asyncio.run(self._complete(prompts, sampling, done))

  async def _complete(self, prompts: Sequence[Messages], sampling: Sampling,
                      done: Callable[[int, list[Reply]], None]) -> None:
    waiting = iter(enumerate(prompts))
    parameters = RequestSampling(sampling.temperature, sampling.top_p, sampling.max_new_tokens)

    async def ask(messages: Messages, sample: int) -> Reply:
      response = await self._generator.generate(Request('evaluate', tuple(messages), {}, parameters, sample))
      if response.finish_reason.startswith('failed'):  # the endpoint's fault is no wrong answer of the model
        raise UserError(f'the endpoint gave no answer to a question ({response.finish_reason}); what was answered is '
                        'kept, run the same command again to go on')
      known = response.finish_reason == 'length' or response.finish_reason.startswith('refused')
      return Reply(response.text, response.finish_reason if known else 'stop',
                   response.usage.get('completion_tokens', 0))

    async def work() -> None:
      for i, messages in waiting:  # shared by all workers: each takes the next prompt that nobody has
        done(i, list(await asyncio.gather(*(ask(messages, s) for s in range(sampling.samples)))))

    workers = min(max(1, self._max_concurrency // sampling.samples), len(prompts))
    with tempfile.TemporaryDirectory() as folder:  # the evaluation keeps a log of its own
      async with opened(self._generator, pathlib.Path(folder)):
        try:
          async with asyncio.TaskGroup() as group:
            for _ in range(workers):
              group.create_task(work())
        except BaseExceptionGroup as e:  # the first failure stopped the others; it is the one to report
          raise e.exceptions[0] from None

  def option_scores(self, prompts: Sequence[Messages], options: Sequence[Sequence[str]],
                    done: Callable[[int, list[OptionScore]], None]) -> None:
    raise UserError('--scoring=logprob: an endpoint gives no log-probabilities of given texts; '
                    'expected a --checkpoint, or --scoring=letter')


def endpoint_reader(base_url: str, model: str, *, max_concurrency: int = 64, **hosted: Any) -> EndpointReader:
  """A reader on an endpoint; the key comes from the environment.

  Args:
    hosted: further settings of the hosted generator, e.g. `api_key_env`, `max_cost_usd`.

  Raises:
    UserError: no model named; what the hosted generator refuses.
  """
  from data_gen.generators.factory import make_generator
  if not model:
    raise UserError(f'--model: expected the name of a model at {base_url}')
  hosted |= {'base_url': base_url, 'model': model, 'max_concurrency': max_concurrency}
  return EndpointReader(make_generator('openai', seed=0, offline={}, hosted=hosted), max_concurrency)
