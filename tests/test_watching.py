"""What a run shows of itself beside its logs: TensorBoard, a profile, Weights & Biases, saves by the clock."""

import importlib.util
import os
import pathlib

import pytest
from train_fixtures import make_corpus, tiny_config

from data_gen.errors import UserError
from smt_jax import checkpoint
from smt_jax.train import train


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
  return make_corpus(tmp_path_factory.mktemp('corpus'))


def test_tensorboard_a_profile_and_saves_by_the_clock(corpus, tmp_path):
  """The clock is always past `every_minutes` here, and asked at every fourth step."""
  config = tiny_config(corpus, **{'log.tensorboard': True, 'log.profile_at_step': 3, 'log.eval_every_steps': 8,
                                  'checkpoint.every_minutes': 1e-9, 'checkpoint.keep_last': 9})
  assert train(config, tmp_path).status == 'finished'
  assert checkpoint.steps(tmp_path) == [4, 8, 12, 16]
  board = tmp_path / 'tensorboard'
  assert list(board.rglob('*.xplane.pb'))
  events = b''.join(p.read_bytes() for p in board.glob('events.out.tfevents.*'))
  for name in (b'train/loss', b'train/loss_by_kind/qa', b'validation/loss_by_kind/document', b'train/grad_norm',
               b'train/param_norm', b'timing/tokens_per_second', b'timing/input_wait_seconds', b'timing/memory_bytes'):
    assert name in events, name


@pytest.mark.skipif(importlib.util.find_spec('wandb') is not None, reason='wandb is installed')
def test_wandb_that_is_not_installed(corpus, tmp_path):
  with pytest.raises(UserError, match=r"wandb_project=demo: needs the package wandb: pip install 'smt-jax\[wandb\]'"):
    train(tiny_config(corpus, **{'log.wandb_project': 'demo'}), tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_wandb_offline(corpus, tmp_path, monkeypatch):
  pytest.importorskip('wandb')
  monkeypatch.setenv('WANDB_MODE', 'offline')
  monkeypatch.setenv('WANDB_SILENT', 'true')
  assert train(tiny_config(corpus, **{'log.wandb_project': 'demo'}), tmp_path / 'run').status == 'finished'
  (written,) = (tmp_path / 'run').rglob('*.wandb')
  content = pathlib.Path(written).read_bytes()
  assert b'train/loss' in content and b'timing/tokens_per_second' in content
  assert os.environ['WANDB_MODE'] == 'offline'
