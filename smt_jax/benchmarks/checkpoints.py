"""Suite `checkpoint`: what saving costs the steps, how fast a checkpoint is read, how long a restart takes.

Stall: how much longer the steps took from an asynchronous save until it was on disk than as many steps of median
length; a step is sent while the one before it runs, as in training. Read: bytes of the checkpoint over the time of
restoring it, fingerprints included, beside the same files read plainly by eight threads just before; both after the
page cache was asked to forget them. Restart: from the start of a process to the end of its first step, compiled
programs cached, without the reading of the checkpoint.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time
from typing import Any

import jax
import numpy as np
import psutil

from data_gen.errors import UserError
from smt_jax import chips, xla_flags
from smt_jax.benchmarks import common
from smt_jax.benchmarks.train import Loop, Variant, random_rows
from smt_jax.checkpoint import Checkpointer, folder
from smt_jax.config import CheckpointConfig, TrainConfig
from smt_jax.data.layout import SOURCES
from smt_jax.data.rows import most_runs
from smt_jax.feed import place
from smt_jax.mesh import make_mesh
from smt_jax.state import Setup, make_setup
from smt_jax.step import make_train_step

DEFINITION = (__doc__ or '').split('\n\n')[-1].replace('\n', ' ').strip()
COLUMNS = ['what', 'gb', 'seconds', 'gb_per_second', 'of_disk', 'longest_step', 'first_step']
_RATE = np.float32(1e-5)
_BLOCK = 16 * 2**20


def run(out: str | os.PathLike[str], *, preset: str = 'llama8b', layers: int = 0, sequence_length: int = 2048,
        rows: int = 4, variant: str = 'default', remat: str = 'auto', steps: int = 20) -> str:
  """Saves in one process and restarts in another; writes OUT/checkpoint.json and OUT/checkpoint.md; returns the table.

  OUT must have room for one checkpoint, which is removed at the end.

  Args:
    rows: sequences a device.
    variant: the state and rows, as in suite `train`.
    steps: steps timed before the save.

  Raises:
    UserError: an unknown preset or variant; a part that fails, with its last line.
  """
  out = pathlib.Path(out)
  work, cache = out / 'work', out / 'compiled'
  shutil.rmtree(work, ignore_errors=True)
  arguments = [f'--preset={preset}', f'--layers={layers}', f'--length={sequence_length}', f'--rows={rows}',
               f'--variant={variant}', f'--remat={remat}', f'--steps={steps}', f'--work={work}', f'--cache={cache}']
  found: list[common.Row] = []
  try:
    for part in ('save', 'restart'):
      found += _part(part, arguments)
  finally:
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(cache, ignore_errors=True)
  machine, rows_found = found[0]['machine'], [row for row in found if 'what' in row]
  return common.write_report(out, 'checkpoint', {'machine': machine, 'definition': DEFINITION}, rows_found, COLUMNS)


def _part(name: str, arguments: list[str]) -> list[common.Row]:
  """A part in a process of its own: a restart must start from nothing."""
  done = subprocess.run([sys.executable, '-m', __name__, name, *arguments], stdout=subprocess.PIPE, text=True,
                        check=False)
  if done.returncode:
    raise UserError(f'checkpoint: the part "{name}" failed, as said above')
  return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]


class _Program:
  """The real training step, compiled (or taken from the cache), with its batch."""

  def __init__(self, config: TrainConfig, packed: bool):
    mesh = make_mesh(config.mesh)
    host = random_rows(config.model, config.mix.batch_size, config.mix.sequence_length, packed)
    self.setup: Setup = make_setup(config, mesh, len(SOURCES), most_runs=most_runs(host['segment_ids']))
    self.batch = place({k: x[None] for k, x in host.items()}, mesh, lead=1)
    lowered = make_train_step(self.setup).lower(self.setup.shapes, self.batch, _RATE)
    self.step: Any = xla_flags.compile_with(lowered, xla_flags.options(jax.default_backend(), mesh.size))


def save(program: _Program, work: pathlib.Path, steps: int) -> list[common.Row]:
  """Times steps, then steps during an asynchronous save of the state."""
  loop = Loop(program.step, program.setup, program.batch)
  loop.run(3 + steps)
  usual = statistics.median(np.diff(loop.ends[2:]).tolist())
  checkpointer = Checkpointer(work, CheckpointConfig(asynchronous=True))
  begun = time.perf_counter()
  checkpointer.prepare(loop.state)
  prepared = time.perf_counter() - begun
  loop.run_to_the_end(1)
  loop.ends = [begun := time.perf_counter()]
  checkpointer.save(1, loop.state, {'tokens': 0})
  held = time.perf_counter() - begun
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    written = pool.submit(lambda: (checkpointer.wait(), time.perf_counter())[1])
    while len(loop.ends) < 3 or not written.done():
      loop.run(1)
  loop.run_to_the_end(0)
  during = [*loop.ends[2:], time.perf_counter()]  # the first that was read had ended before the save
  seconds = written.result() - begun
  checkpointer.close()
  size = _size(folder(work) / '1') / 1e9
  return [{'what': 'step', 'seconds': usual},
          {'what': 'before the first step: what saves need', 'seconds': prepared},
          {'what': 'save: the call alone', 'gb': size, 'seconds': held},
          {'what': f'save: stall over {len(during)} steps', 'gb': size,
           'seconds': during[-1] - begun - len(during) * usual,
           'longest_step': float(max(np.diff([begun, *during])))},
          {'what': 'save: until it is on disk', 'gb': size, 'seconds': seconds, 'gb_per_second': size / seconds}]


def restart(program: _Program, work: pathlib.Path, started: float) -> list[common.Row]:
  """Restores into a process that holds nothing but the compiled step, and takes one step."""
  before = time.time() - started
  where = folder(work) / '1'
  size = _size(where) / 1e9
  disk = _read_plainly(where)
  _forget(where)
  begun = time.perf_counter()
  checkpointer = Checkpointer(work, CheckpointConfig())
  restored = checkpointer.restore(program.setup.shapes)
  assert restored is not None
  state = jax.block_until_ready(restored[0])
  read = time.perf_counter() - begun
  begun = time.perf_counter()
  checkpointer.prepare(state)
  jax.block_until_ready(program.step(state, program.batch, _RATE)[1])
  first = time.perf_counter() - begun
  checkpointer.close()
  return [{'what': 'read: plainly, eight threads', 'gb': size, 'seconds': disk, 'gb_per_second': size / disk},
          {'what': 'read: restored and verified', 'gb': size, 'seconds': read, 'gb_per_second': size / read,
           'of_disk': disk / read},
          {'what': 'restart: process to first step, without reading', 'seconds': before + first,
           'first_step': first}]


def _files(where: os.PathLike[str]) -> list[pathlib.Path]:
  return [p for p in pathlib.Path(where).rglob('*') if p.is_file()]


def _size(where: os.PathLike[str]) -> int:
  return sum(p.stat().st_size for p in _files(where))


def _forget(where: os.PathLike[str]) -> None:
  """Asks the page cache to forget the files, so that reading them reads the disk."""
  for path in _files(where):
    with open(path, 'rb') as f:
      os.fsync(f.fileno())
      os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read_plainly(where: os.PathLike[str]) -> float:
  _forget(where)

  def read(path: pathlib.Path) -> None:
    buffer = bytearray(_BLOCK)
    with open(path, 'rb', buffering=0) as f:
      while f.readinto(buffer):
        pass
  begun = time.perf_counter()
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    list(pool.map(read, _files(where)))
  return time.perf_counter() - begun


def main() -> None:
  """One part, as JSON lines."""
  p = argparse.ArgumentParser()
  p.add_argument('part', choices=['save', 'restart'])
  for name in ('preset', 'variant', 'remat', 'work', 'cache'):
    p.add_argument(f'--{name}')
  for name in ('layers', 'length', 'rows', 'steps'):
    p.add_argument(f'--{name}', type=int)
  a = p.parse_args()
  started = psutil.Process().create_time()
  chips.reserve_memory()
  jax.config.update('jax_compilation_cache_dir', a.cache)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  variant = Variant(a.variant)
  config = variant.config(common.preset(a.preset, a.layers), a.rows * jax.device_count(), a.length, a.remat, 'auto')
  program = _Program(config, variant.packed)
  work = pathlib.Path(a.work).absolute()
  found = save(program, work, a.steps) if a.part == 'save' else restart(program, work, started)
  for row in [{'machine': common.machine()}, *found]:
    print(json.dumps(row), flush=True)


if __name__ == '__main__':
  main()
