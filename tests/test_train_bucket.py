"""Two hosts that train into a bucket: two processes, each with a disk of its own, as one run.

On gs:// only: several processes into s3:// are refused.
"""

import json
import pathlib
import re
import signal
import subprocess

import jax
import numpy as np
import pytest
from storage_servers import get, make_bucket, names
from test_train_processes import finish, lines, start, wait_for_step
from train_fixtures import make_corpus, tiny_config, tiny_model

from data_gen.errors import UserError
from smt_jax import checkpoint, preemption, workdir
from smt_jax.train import train


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
  return make_corpus(tmp_path_factory.mktemp('corpus'))


@pytest.fixture
def compiled(tmp_path):
  """Compiled programs are shared by the runs of this process."""
  before = jax.config.jax_compilation_cache_dir
  jax.config.update('jax_compilation_cache_dir', str(tmp_path / 'compiled'))
  yield
  jax.config.update('jax_compilation_cache_dir', before)


ON_A_HOST = """
import os, sys
os.environ['SMT_STORAGE_CACHE'] = os.path.join({folder!r}, os.environ['PROCESS_ID'])
sys.argv.append('--workdir={url}')
"""


def config_of(corpus, **changes):
  return tiny_config(corpus, model=tiny_model(num_hidden_layers=1), **changes)  # most of the time is compilation


def start_hosts(config, url: str, folder: pathlib.Path) -> list[subprocess.Popen]:
  """Two hosts of a device each; the copies of host i lie in FOLDER/i, its messages in FOLDER/hosts.i.log."""
  return start(config, folder / 'hosts', 2, 1, ON_A_HOST.format(folder=str(folder), url=url))


@pytest.mark.slow
def test_two_hosts_are_stopped_and_one_goes_on(stores, corpus, compiled, tmp_path, monkeypatch):
  config = config_of(corpus, **{'checkpoint.every_steps': 4})
  assert train(config, tmp_path / 'straight').status == 'finished'
  url = f'{make_bucket(stores, "gs")}/run'
  running = start_hosts(config, url, tmp_path)
  wait_for_step(running, tmp_path / '0' / 'write' / url.replace('://', '/'), 5)
  running[1].send_signal(signal.SIGTERM)
  assert finish(running) == [preemption.RESTART_CODE] * 2, (tmp_path / 'hosts.0.log').read_text()
  stopped = checkpoint.latest_step(url)
  assert 5 <= stopped < 16
  assert len(get(f'{url}/metrics.jsonl').splitlines()) == stopped

  monkeypatch.setenv('SMT_STORAGE_CACHE', str(tmp_path / 'one'))
  assert train(config, url).status == 'finished'
  assert checkpoint.steps(url) == sorted({4, 8, 12, 16, stopped})[-2:]  # the last two are kept
  ours, theirs = [json.loads(x) for x in get(f'{url}/metrics.jsonl').splitlines()], lines(tmp_path / 'straight')
  assert [r['checksum'] for r in ours] == [r['checksum'] for r in theirs]
  np.testing.assert_allclose([r['loss'] for r in ours], [r['loss'] for r in theirs], rtol=1e-5)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_on_two_hosts(stores, corpus, tmp_path):
  """At a first start, when only one of them has made the folder of the copies."""
  url = f'{make_bucket(stores, "gs")}/run'
  config = config_of(corpus, **{'optimizer.learning_rate': 1e30, 'optimizer.warmup_fraction': 0.0,
                                'optimizer.clip_norm': 0.0, 'optimizer.schedule': 'constant'})
  assert finish(start_hosts(config, url, tmp_path)) == [1, 1]
  said = [(tmp_path / f'hosts.{i}.log').read_text() for i in range(2)]
  assert 'Traceback' not in said[0] + said[1]
  step = int(re.search(r'error: step (\d+): loss .* are not both finite; the checkpoint', said[0])[1])
  assert step > 1 and checkpoint.steps(url) == [step - 1]
  assert checkpoint.read_meta(url, step - 1)['step'] == step - 1
  assert len(get(f'{url}/metrics.jsonl').splitlines()) == step - 1
  records = []
  for i in range(2):
    file = f'{url}/not_finite.{step}.{i}.txt'
    assert f'records of the step (all in {file}): ' in said[i]
    records.append(set(get(file).decode().split()))
    assert records[i] and all(name in said[i] for name in records[i])
  assert records[0] != records[1]
  assert {'config.json', 'tokenizer/tokenizer.json'} <= set(names(url))


def test_a_record_that_cannot_be_kept_is_a_warning(tmp_path, monkeypatch, caplog):
  class Full:
    def push_file(self, name):
      raise UserError(f'gs://bucket/run/{name}: cannot be written')

  place = workdir.Workdir(tmp_path / 'run')
  assert place.keep('x.txt', ['a', 'b']) == str(tmp_path / 'run' / 'x.txt') and not caplog.text
  assert (tmp_path / 'run' / 'x.txt').read_text() == 'a\nb\n'
  (tmp_path / 'run' / 'folder').mkdir()
  assert place.keep('folder', ['a']) is None and 'run/folder: not kept' in caplog.text
  monkeypatch.setattr(place, '_mirror', Full())
  assert place.keep('y.txt', ['a']) == str(tmp_path / 'run' / 'y.txt') and 'gs://bucket/run/y.txt' in caplog.text
