"""Several processes as one run, on CPU devices and localhost."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from train_fixtures import make_corpus, tiny_config

from smt_jax import checkpoint, preemption
from smt_jax.config import to_dict

ROOT = pathlib.Path(__file__).parent.parent
RUN = '\nimport runpy; runpy.run_module("launch.train", run_name="__main__", alter_sys=True)'
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
  return make_corpus(tmp_path_factory.mktemp('corpus'))


def start(config, out: pathlib.Path, processes: int, devices_each: int, before: str = '') -> list[subprocess.Popen]:
  """Starts launch.train in so many processes, each of which runs the Python of `before` first."""
  path = out.parent / f'{out.name}.json'
  path.write_text(json.dumps(to_dict(config)))
  with socket.socket() as s:
    s.bind(('localhost', 0))
    port = s.getsockname()[1]
  running = []
  for i in range(processes):
    env = os.environ | {'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': ' '.join([
        f'--xla_force_host_platform_device_count={devices_each}', '--xla_backend_optimization_level=0'])}
    if processes > 1:
      env |= {'COORDINATOR_ADDRESS': f'localhost:{port}', 'NUM_PROCESSES': str(processes), 'PROCESS_ID': str(i)}
    with open(out.parent / f'{out.name}.{i}.log', 'a') as log:
      running.append(subprocess.Popen(
          [sys.executable, '-c', before + RUN, f'--config={path}', f'--workdir={out}', '--compilation_cache='],
          cwd=ROOT, env=env, stdout=log, stderr=log))
  return running


def finish(running: list[subprocess.Popen], timeout: float = 300) -> list[int]:
  try:
    return [process.wait(timeout) for process in running]
  finally:
    for process in running:
      process.kill()


def lines(out: pathlib.Path) -> list[dict]:
  path = out / 'metrics.jsonl'
  return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for_step(running: list[subprocess.Popen], out: pathlib.Path, step: int) -> None:
  deadline = time.monotonic() + 300
  while len(lines(out)) < step and all(p.poll() is None for p in running) and time.monotonic() < deadline:
    time.sleep(0.02)


@pytest.fixture(scope='module')
def one(corpus, tmp_path_factory):
  """The straight run of one process with four devices."""
  out = tmp_path_factory.mktemp('one') / 'run'
  assert finish(start(tiny_config(corpus), out, 1, 4)) == [0]
  return lines(out)


def test_two_processes_equal_one(one, corpus, tmp_path):
  out = tmp_path / 'run'
  config = tiny_config(corpus, **{'checkpoint.every_steps': 2})
  running = start(config, out, 2, 2)
  wait_for_step(running, out, 5)
  running[1].send_signal(signal.SIGTERM)  # one of them is asked to stop: both stop, at the same step
  assert finish(running) == [preemption.RESTART_CODE] * 2
  assert 0 < checkpoint.latest_step(out) < 16
  assert finish(start(config, out, 1, 4)) == [0]  # the rest on one
  ours = lines(out)
  assert [r['checksum'] for r in ours] == [r['checksum'] for r in one]
  np.testing.assert_allclose([r['loss'] for r in ours], [r['loss'] for r in one], rtol=1e-5)


def test_a_process_that_dies_takes_the_others_with_it(corpus, tmp_path):
  out = tmp_path / 'run'
  running = start(tiny_config(corpus, **{'checkpoint.every_steps': 1}), out, 2, 1)
  wait_for_step(running, out, 3)
  running[1].kill()
  died = time.monotonic()
  codes = finish(running, timeout=120)
  assert codes[0] not in (0, preemption.RESTART_CODE) and time.monotonic() - died < 60
  assert checkpoint.latest_step(out) >= 2


def test_a_mistake_ends_all_of_them(corpus, tmp_path):
  out = tmp_path / 'run'
  assert all(finish(start(tiny_config(corpus, data='/absent'), out, 2, 1), timeout=120))
  assert '/absent' in (tmp_path / 'run.0.log').read_text()
  assert 'Traceback' not in (tmp_path / 'run.0.log').read_text()


def test_a_signal_before_a_time_limit_saves_and_stops_all(corpus, tmp_path):
  """SLURM sends SIGUSR1 to every task."""
  out = tmp_path / 'run'
  running = start(tiny_config(corpus, **{'checkpoint.every_steps': 1}), out, 2, 1)
  wait_for_step(running, out, 3)
  for process in running:
    process.send_signal(signal.SIGUSR1)
  assert finish(running) == [preemption.RESTART_CODE] * 2
  assert 3 <= checkpoint.latest_step(out) < 16


SLOW_RENAME = """
import os, time
rename = os.rename
def slowly(source, target, **how):
  time.sleep('.damaged' in str(target))
  rename(source, target, **how)
os.rename = slowly
"""


def test_all_processes_leave_a_damaged_checkpoint(one, corpus, tmp_path):
  """Its step is saved again, by all, though the first of them is slow to set the damaged one aside."""
  out = tmp_path / 'run'
  config = tiny_config(corpus, **{'checkpoint.every_steps': 1, 'checkpoint.asynchronous': True})
  running = start(config, out, 2, 2)
  wait_for_step(running, out, 7)
  running[0].send_signal(signal.SIGTERM)
  assert finish(running) == [preemption.RESTART_CODE] * 2
  newest = checkpoint.latest_step(out)
  for path in (out / 'checkpoints' / str(newest) / 'params').rglob('d/*'):
    path.write_bytes(b'short')
  assert finish(start(config, out, 2, 2, SLOW_RENAME)) == [0, 0]
  assert (out / 'checkpoints' / f'{newest}.damaged').exists()
  np.testing.assert_allclose([r['loss'] for r in lines(out)], [r['loss'] for r in one], rtol=1e-5)


NO_MEMORY = """
import os
from smt_jax import metrics
if os.environ['PROCESS_ID'] == '1':
  step, calls = metrics.Clock.step, []
  def fails(*arguments):
    calls.append(1)
    if len(calls) == 3:
      import jax
      raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 byte')
    return step(*arguments)
  metrics.Clock.step = fails
"""


@pytest.mark.parametrize('failure', ['no memory on one device', 'a damaged shard'])
def test_a_failure_of_one_process_ends_all(failure, corpus, tmp_path):
  """The others wait for it in the middle of a step."""
  copy, before, said = shutil.copytree(corpus, tmp_path / 'corpus'), NO_MEMORY, 'device memory does not suffice'
  if failure == 'a damaged shard':
    (shard,) = (copy / 'data/document/1.0.0').glob('document-train*')
    content = bytearray(shard.read_bytes())
    for i in range(2000, 6000):  # the rows are in the first 8 kB
      content[i] ^= 0x55
    shard.write_bytes(content)
    before, said = '', f'{shard}: row'
  running = start(tiny_config(copy), tmp_path / 'run', 2, 1, before)
  while all(p.poll() is None for p in running):
    time.sleep(0.1)
  ended = time.monotonic()
  assert not {0, preemption.RESTART_CODE} & set(finish(running, timeout=120)) and time.monotonic() - ended < 60
  assert any(said in (tmp_path / f'run.{i}.log').read_text() for i in range(2))


def test_processes_agree_on_the_least_memory(tmp_path):
  script = """
import os
from smt_jax import distributed
distributed.initialize()
print(distributed.least(10 + int(os.environ['PROCESS_ID'])), distributed.agree(os.environ['PROCESS_ID'] == '1'))
"""
  with socket.socket() as s:
    s.bind(('localhost', 0))
    port = s.getsockname()[1]
  running = [subprocess.Popen(
      [sys.executable, '-c', script], cwd=ROOT, text=True, stdout=subprocess.PIPE,
      env=os.environ | {'JAX_PLATFORMS': 'cpu', 'COORDINATOR_ADDRESS': f'localhost:{port}', 'NUM_PROCESSES': '2',
                        'PROCESS_ID': str(i)}) for i in range(2)]
  assert [p.communicate(timeout=120)[0].splitlines()[-1] for p in running] == ['10 False'] * 2


def test_a_sequence_cut_over_two_processes(one, corpus, tmp_path):
  out = tmp_path / 'run'
  assert finish(start(tiny_config(corpus, **{'mesh.fsdp': 1, 'mesh.context': 2}), out, 2, 1)) == [0, 0]
  np.testing.assert_allclose([r['loss'] for r in lines(out)], [r['loss'] for r in one], rtol=1e-5)
