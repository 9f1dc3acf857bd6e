"""Suite `decode`: the engine's generation with random weights in bfloat16, beside transformers' `generate`.

Decode tokens/s leave the prefill out. The ceiling is what memory bandwidth allows at that batch and mean context:
every step reads all weights once and every row's keys and values once. Prefill MFU: (2 x matmul parameters without the
output matrix + 2 x layers x heads x head_dim x length) FLOPs a prompt token over the dense bfloat16 peak. Host share:
the part of the time outside of calls of the device's programs and of waiting for what they give.
"""

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from smt_jax import chips, metrics
from smt_jax.benchmarks import common
from smt_jax.chips import Chip, chip_of
from smt_jax.config import MeshConfig, ModelConfig, StepConfig, TrainConfig
from smt_jax.generation.batcher import Batcher, Job
from smt_jax.generation.engine import Engine
from smt_jax.generation.sampling import Sampling
from smt_jax.mesh import make_mesh
from smt_jax.state import fresh_weights, make_setup

DEFINITION = (__doc__ or '').split('\n\n')[-1].replace('\n', ' ').strip()
COLUMNS = ['who', 'what', 'rows', 'prompt_tokens', 'new_tokens', 'per_second', 'end_to_end_per_second', 'ceiling',
           'of_ceiling', 'prefill_per_second', 'prefill_mfu', 'seconds', 'host_share']


def random_engine(model: ModelConfig, attention: str = 'auto') -> Engine:
  """An engine over random bfloat16 weights on one device."""
  config = TrainConfig(model=model, mesh=MeshConfig(fsdp=1), step=StepConfig(param_dtype='bfloat16'))
  setup = make_setup(config, make_mesh(config.mesh, jax.devices()[:1]), 1)
  return Engine(nnx.merge(setup.graphdef, fresh_weights(setup)), compute_dtype=jnp.bfloat16,
                attention=attention)


def prompts(model: ModelConfig, lengths: list[int], seed: int = 0) -> list[list[int]]:
  rng = np.random.default_rng(seed)
  return [rng.integers(0, model.vocab_size, n).tolist() for n in lengths]


def ceiling(chip: Chip | None, model: ModelConfig, rows: int, context: float) -> float | None:
  """Tokens/s at which a decode step is as fast as memory can be read; None on unknown devices."""
  weights = 2 * (metrics.matmul_parameters(model) + model.vocab_size * model.hidden_size)
  cache = 2 * 2 * model.num_hidden_layers * model.num_key_value_heads * model.head_dim
  return rows * chip.bandwidth / (weights + rows * context * cache) if chip else None


def prefill_mfu(chip: Chip | None, model: ModelConfig, tokens_per_second: float, length: int) -> float | None:
  matmul = metrics.matmul_parameters(model) - model.vocab_size * model.hidden_size
  attention = 2 * model.num_hidden_layers * model.num_attention_heads * model.head_dim * length
  return tokens_per_second * (2 * matmul + attention) / chip.flops if chip else None


def measure(engine: Engine, *, rows: int = 0, prompt_tokens: int = 1024, new_tokens: int = 512) -> common.Row:
  """One batch of prompts of one length, greedy, end tokens ignored.

  Args:
    rows: prompts; 0: as many as the engine decodes at once.
  """
  rows = rows or engine.batch_size(prompt_tokens + new_tokens)
  batch = prompts(engine.config, [prompt_tokens] * rows)

  def prefilled() -> tuple[Batcher, float]:
    batcher = engine.batcher(rows)
    for prompt in batch:
      batcher.submit(Job(prompt, Sampling(max_new_tokens=new_tokens, ignore_eos=True)))
    begun = time.perf_counter()
    batcher.let_in()
    batcher.wait()
    return batcher, time.perf_counter() - begun

  batcher, _ = prefilled()
  batcher.step()
  while batcher.busy and not batcher.whole:  # a cache that grows compiles a program for every size
    batcher.step()
  del batcher
  batcher, prefill = prefilled()
  before, begun = batcher.waited, time.perf_counter()
  while batcher.busy:
    batcher.step()
  seconds = time.perf_counter() - begun
  chip = chip_of(jax.devices()[0].device_kind)
  limit = ceiling(chip, engine.config, rows, prompt_tokens + new_tokens / 2)
  speed = rows * new_tokens / seconds
  return {'who': 'smt-jax', 'what': 'one batch', 'rows': rows, 'prompt_tokens': prompt_tokens,
          'new_tokens': new_tokens, 'per_second': speed,
          'end_to_end_per_second': rows * new_tokens / (seconds + prefill),
          'ceiling': limit, 'of_ceiling': speed / limit if limit else None, 'seconds': seconds + prefill,
          'prefill_per_second': rows * prompt_tokens / prefill,
          'prefill_mfu': prefill_mfu(chip, engine.config, rows * prompt_tokens / prefill, prompt_tokens),
          'host_share': 1 - (batcher.waited - before) / seconds}


def measure_questions(engine: Engine, *, questions: int, shortest: int = 150, longest: int = 450,
                      new_tokens: int = 256) -> common.Row:
  """Closed-book questions of an evaluation: prompts of mixed length, all budgets used, sampled as evaluation does.

  A quarter of them goes first, timed apart: it compiles the programs.
  """
  rng = np.random.default_rng(1)
  batch = prompts(engine.config, rng.integers(shortest, longest + 1, questions).tolist())
  begun = time.perf_counter()
  engine.generate(batch[::4], Sampling(max_new_tokens=new_tokens, ignore_eos=True))
  first = time.perf_counter() - begun
  before, begun = engine.waited, time.perf_counter()
  engine.generate(batch, Sampling(max_new_tokens=new_tokens, ignore_eos=True))
  seconds = time.perf_counter() - begun
  return {'who': 'smt-jax', 'what': f'{questions} questions', 'rows': engine.rows,
          'prompt_tokens': f'{shortest} to {longest}', 'new_tokens': new_tokens, 'seconds': seconds,
          'end_to_end_per_second': questions * new_tokens / seconds, 'quarter_and_compiling_seconds': first,
          'host_share': 1 - (engine.waited - before) / seconds}


def run(out: str | os.PathLike[str], *, preset: str = 'llama8b', layers: int = 0, rows: int = 0,
        prompt_tokens: int = 1024, new_tokens: int = 512, questions: int = 0, attention: str = 'auto',
        peer_python: str = '', peer_timeout: float = 900, peer_arguments: tuple[str, ...] = ()) -> str:
  """Measures the peer, then ours; writes OUT/decode.json and OUT/decode.md; returns the table.

  Args:
    rows: prompts of the batch; 0: the engine's own choice.
    questions: also so many closed-book questions from first to last; 0: none.

  Raises:
    UserError: an unknown preset, a peer that fails.
  """
  chips.reserve_memory()
  model = common.preset(preset, layers)
  found = []

  def report() -> str:
    whole = {'machine': common.machine(), 'definition': DEFINITION}
    return common.write_report(out, 'decode', whole, found, COLUMNS)
  if peer_python:
    found += common.run_peer(peer_python, 'hf_generate.py', [
        f'--preset={preset}', f'--layers={model.num_hidden_layers}', f'--prompt={prompt_tokens}', *peer_arguments],
        peer_timeout)
    report()  # a later failure loses nothing that was measured
  engine = random_engine(model, attention)
  found.append(measure(engine, rows=rows, prompt_tokens=prompt_tokens, new_tokens=new_tokens))
  report()
  if questions:
    found.append(measure_questions(engine, questions=questions))
  return report()
