"""Several processes as one run, on CPU devices and localhost."""

import json
import os
import pathlib
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
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
  return make_corpus(tmp_path_factory.mktemp('corpus'))


def start(config, out: pathlib.Path, processes: int, devices_each: int) -> list[subprocess.Popen]:
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
          [sys.executable, '-m', 'launch.train', f'--config={path}', f'--workdir={out}', '--compilation_cache='],
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


def test_all_processes_leave_a_damaged_checkpoint(one, corpus, tmp_path):
  out = tmp_path / 'run'
  config = tiny_config(corpus, **{'checkpoint.every_steps': 2, 'checkpoint.asynchronous': True})
  running = start(config, out, 2, 2)
  wait_for_step(running, out, 7)
  running[0].send_signal(signal.SIGTERM)
  assert finish(running) == [preemption.RESTART_CODE] * 2
  newest = checkpoint.latest_step(out)
  for path in (out / 'checkpoints' / str(newest) / 'params').rglob('d/*'):
    path.write_bytes(b'short')
  assert finish(start(config, out, 2, 2)) == [0, 0]
  assert (out / 'checkpoints' / f'{newest}.damaged').exists()
  np.testing.assert_allclose([r['loss'] for r in lines(out)], [r['loss'] for r in one], rtol=1e-5)


def test_a_sequence_cut_over_two_processes(one, corpus, tmp_path):
  out = tmp_path / 'run'
  assert finish(start(tiny_config(corpus, **{'mesh.fsdp': 1, 'mesh.context': 2}), out, 2, 1)) == [0, 0]
  np.testing.assert_allclose([r['loss'] for r in lines(out)], [r['loss'] for r in one], rtol=1e-5)
