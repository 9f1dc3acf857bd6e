"""Training on buckets: data and start from there, logs and checkpoints to there, resumed anywhere."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
from storage_servers import get, names, put
from train_fixtures import make_corpus, tiny_config

from data_gen import storage
from data_gen.errors import UserError
from smt_jax import checkpoint, loading, preemption
from smt_jax.train import train


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
  return make_corpus(tmp_path_factory.mktemp('corpus'))


@pytest.fixture(scope='module')
def straight(corpus, tmp_path_factory):
  out = tmp_path_factory.mktemp('straight')
  assert train(config_of(corpus), out).status == 'finished'
  return out


def config_of(corpus, **changes):
  return tiny_config(corpus, **{'checkpoint.every_steps': 4, 'log.eval_every_steps': 8, 'mesh.fsdp': 2, 'mesh.data': 4,
                                **changes})


def upload(folder: pathlib.Path, url: str) -> None:
  for path in folder.rglob('*'):
    if path.is_file():
      put(f'{url}/{path.relative_to(folder).as_posix()}', path.read_bytes())


def stop_after(step: int, monkeypatch) -> None:
  monkeypatch.setattr(preemption.Preemption, 'reached', lambda self, at: at == step)


def test_a_run_on_a_bucket_equals_a_local_one(bucket, corpus, straight, tmp_path, monkeypatch):
  """From packed rows and a tokenizer there; stopped, and taken up by a machine on whose disk nothing lies."""
  upload(corpus, f'{bucket}/corpus')
  config, out = config_of(f'{bucket}/corpus'), f'{bucket}/runs/one'
  stop_after(6, monkeypatch)
  assert train(config, out).status == 'preempted'
  assert checkpoint.steps(out) == [4, 6]
  assert len(get(f'{out}/metrics.jsonl').splitlines()) == 6
  monkeypatch.undo()
  monkeypatch.setenv('SMT_STORAGE_CACHE', str(tmp_path))
  assert train(config, out).status == 'finished'
  assert get(f'{out}/metrics.jsonl') == (straight / 'metrics.jsonl').read_bytes()
  assert checkpoint.steps(out) == [12, 16]
  assert {'config.json', 'mix.json', 'timing.jsonl', 'tokenizer/tokenizer.json'} <= set(names(out))
  assert json.loads(get(f'{out}/config.json'))['data'] == f'{bucket}/corpus/data'  # as named, for other machines
  assert train(config, out).status == 'already finished'

  shutil.rmtree(tmp_path)
  model, tokenizer = loading.load(out)
  assert loading.find(out).name == f'{out}@16' and tokenizer is not None
  assert loading.expand(f'{out}@all') == [f'{out}@12', f'{out}@16']
  for ours, theirs in zip(jax.tree.leaves(model), jax.tree.leaves(loading.load(straight)[0]), strict=True):
    np.testing.assert_array_equal(ours, theirs)
  staged = {p.parts[-2] for p in tmp_path.rglob('read/**/params/*')}
  assert 'params' in staged and not list(tmp_path.rglob('read/**/opt_state'))  # the weights alone


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_there(bucket, corpus, straight, monkeypatch, caplog, tmp_path):
  config, out = config_of(corpus), f'{bucket}/run'
  stop_after(8, monkeypatch)
  train(config, out)
  monkeypatch.undo()
  monkeypatch.setenv('SMT_STORAGE_CACHE', str(tmp_path))
  for name in names(f'{out}/checkpoints/8/opt_state'):
    if '/d/' in f'/{name}':
      put(f'{out}/checkpoints/8/opt_state/{name}', b'short')
  assert train(config, out).status == 'finished'
  assert 'checkpoints/8 is damaged and set aside' in caplog.text
  assert get(f'{out}/metrics.jsonl') == (straight / 'metrics.jsonl').read_bytes()


def test_one_step_of_several(bucket, corpus, straight):
  upload(straight, f'{bucket}/run')
  upload(straight / 'checkpoints' / '12' / 'params', f'{bucket}/run/checkpoints/14/params')  # half written
  assert checkpoint.steps(f'{bucket}/run') == [12, 16]
  assert loading.find(f'{bucket}/run').step == 16 and loading.find(f'{bucket}/run@12').step == 12
  with pytest.raises(UserError, match='/run: no checkpoint of step 9; there are: 12, 16'):
    loading.find(f'{bucket}/run@9')
  with pytest.raises(UserError, match='/absent: no such checkpoint folder'):
    loading.find(f'{bucket}/absent')


def test_a_run_of_another_configuration(bucket, corpus, monkeypatch):
  stop_after(1, monkeypatch)
  train(config_of(corpus), f'{bucket}/run')
  before = names(bucket)
  with pytest.raises(UserError, match='holds a run of another configuration: seed is 0 there and 7 here'):
    train(config_of(corpus, seed=7), f'{bucket}/run')
  assert names(bucket) == before


def test_no_bucket_is_refused_before_anything_is_computed(bucket, corpus):
  with pytest.raises(UserError, match='-absent/run: '):
    train(config_of(corpus), f'{bucket}-absent/run')


def test_listing_a_local_folder_is_unchanged(straight):
  assert storage.listdir(straight / 'checkpoints') == ['12', '16']
