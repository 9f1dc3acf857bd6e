"""Configurations: recipes, overrides, files, and one line for every mistake."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import pytest

from data_gen.errors import UserError
from launch import config_flag
from smt_jax.config import TrainConfig, from_dict, to_dict, validate

ROOT = pathlib.Path(__file__).parent.parent
GOOD = {'data': 'd', 'replay': 'r', 'tokenizer': 't'}


def good(**changes) -> TrainConfig:
  config = TrainConfig(**GOOD)
  for path, value in changes.items():
    target = config
    *parents, name = path.split('.')
    for parent in parents:
      target = getattr(target, parent)
    setattr(target, name, value)
  return config


def test_json_round_trip():
  config = good(**{'mix.ratios': {'qa': 2.0}, 'model.eos_token_id': (1, 2), 'model.rope_scaling': {'rope_type': 'x'}})
  assert from_dict(TrainConfig, json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize('values, message', [
    ({'sed': 1}, r'config\.sed: unknown key; known are .*seed'),
    ({'optimizer': {'lr': 1}}, r'config\.optimizer\.lr: unknown key'),
    ({'seed': 'one'}, r"config\.seed: expected int, found 'one'"),
    ({'seed': True}, r'config\.seed: expected int, found True'),
    ({'mix': 3}, r'config\.mix: expected an object, found int'),
    ({'mix': {'ratios': {'qa': 'much'}}}, r"config\.mix\.ratios\.qa: expected float, found 'much'"),
    ({'model': {'eos_token_id': 3}}, r'config\.model\.eos_token_id: expected tuple, found 3'),
])
def test_json_that_is_no_configuration(values, message):
  with pytest.raises(UserError, match=message):
    from_dict(TrainConfig, values)


@pytest.mark.parametrize('changes, message', [
    ({'data': ''}, r"--config\.data='': expected a folder"),
    ({'replay': ''}, r"--config\.replay='': expected a packed replay folder, or --config\.mix\.replay_fraction=0"),
    ({'tokenizer': ''}, r"--config\.tokenizer='': expected a tokenizer folder"),
    ({'init': 'x'}, r"--config\.tokenizer='t': expected nothing"),
    ({'optimizer.schedule': 'cosin'}, r"schedule='cosin': expected one of cosine, linear, constant"),
    ({'optimizer.learning_rate': 0.0}, r'learning_rate=0\.0: expected a value above 0'),
    ({'optimizer.warmup_fraction': 1.5}, r'warmup_fraction=1\.5: expected a share'),
    ({'step.loss_chunks': -1}, r'step\.loss_chunks=-1: expected a value of 0 or above'),
    ({'checkpoint.every_steps': -1}, r'checkpoint\.every_steps=-1: expected a value of 0 or above'),
    ({'log.eval_every_steps': -1}, r'log\.eval_every_steps=-1: expected a value of 0 or above'),
    ({'optimizer.b2': 1.0}, r'optimizer\.b2=1\.0: expected'),
    ({'mix.ratios': {}}, r'mix\.ratios=\{\}: expected weights'),
    ({'mix.ratios': {'qa': -1.0}}, r'expected weights of 0 or more'),
    ({'mix.replay_fraction': 1.0}, r'replay_fraction=1\.0: expected a share'),
    ({'mix.batch_size': 6, 'step.accumulation_steps': 4}, r'accumulation_steps=4: expected a divisor of batch_size=6'),
    ({'model.num_key_value_heads': 4}, r'num_key_value_heads=4: expected a divisor of num_attention_heads=6'),
    ({'token_budget': -1}, r'token_budget=-1: expected'),
    ({'epochs': 0.0}, r'epochs=0\.0: expected'),
    ({'mesh.data': 0}, r'--config\.mesh: .*sizes must be 1 or more'),
    ({'mesh.data': -1}, r'--config\.mesh: .*at most one of them -1'),
    ({'checkpoint.keep_best': 1}, r'keep_best=1: expected 0, or --config\.log\.eval_every_steps above 0'),
    ({'log.every_steps': 0}, r'log\.every_steps=0: expected a value above 0'),
])
def test_impossible_values_are_one_line(changes, message):
  with pytest.raises(UserError, match=message):
    validate(good(**changes))


def test_a_good_configuration_passes():
  assert validate(good()) == good()


@pytest.mark.parametrize('recipe', [
    'debug.py', 'world.py', 'world.py:base', 'world.py:smt', 'world.py:qa', 'world.py:documents', 'quality.py',
    'quality.py:qwen8b', 'quality.py:large_batch'])
def test_recipes_are_valid(recipe):
  config = config_flag.load(str(ROOT / 'configs' / recipe))
  for name, value in GOOD.items():
    setattr(config, name, value)
  assert validate(config)


def test_the_papers_step():
  config = config_flag.load(str(ROOT / 'configs/quality.py:llama8b'))
  assert (config.mix.batch_size, config.mix.sequence_length, config.epochs) == (16, 2048, 2.0)
  assert dataclasses.asdict(config.optimizer) | {
      'learning_rate': 5e-6, 'schedule': 'cosine', 'weight_decay': 0.01, 'b1': 0.9, 'b2': 0.999,
  } == dataclasses.asdict(config.optimizer)
  assert config.mix.replay_fraction == 0.1 and config.optimizer.nu_dtype == config.step.param_dtype == 'float32'


@pytest.mark.parametrize('argument, message', [
    ('configs/absent.py', 'no such file'),
    ('absent.json', 'no such file'),
    ('configs/world.py:nope', 'expected one of base, smt'),
    ('configs/debug.py:nope', 'has no variants'),
    ('configs', r'expected configs/FILE\.py'),
])
def test_a_config_that_is_not_there(argument, message, monkeypatch):
  monkeypatch.chdir(ROOT)
  with pytest.raises(UserError, match=message):
    config_flag.load(argument)


def launch(*flags: str, **env) -> subprocess.CompletedProcess:
  return subprocess.run([sys.executable, '-m', 'launch.train', *flags], cwd=ROOT, capture_output=True, text=True,
                        env=os.environ | env, check=False)


@pytest.mark.parametrize('flags, expected', [
    (['--config=configs/debug.py', '--config.optimizer.learning_rat=1'],
     'config.optimizer has no field "learning_rat"; did you mean learning_rate?'),
    (['--config=configs/debug.py', '--config.seed=x'], '--config.seed=x'),
    (['--config=configs/world.py:other'], 'expected one of base, smt, qa, documents'),
    (['--config.seed=1'], 'config.seed'),
    ([], '--config: expected configs/FILE.py[:variant] or WORKDIR/config.json'),
    (['--config=configs/debug.py', '--config.mix.ratios=1'], 'set its keys one by one'),
    (['--config=configs/debug.py', '--config.mix.ratios.qa=0', '--config.mix.ratios.document=0',
      '--config.data=d', '--config.replay=r'], 'expected weights of 0 or more, one of them above 0'),
])
def test_mistakes_on_the_command_line(flags, expected, tmp_path):
  done = launch('--workdir', str(tmp_path / 'run'), *flags)
  assert done.returncode in (1, 2), done.stderr
  assert len(done.stderr.strip().splitlines()) == 1 and expected in done.stderr, done.stderr
  assert not (tmp_path / 'run').exists()


def test_no_workdir():
  done = launch('--config=configs/debug.py')
  assert (done.returncode, done.stderr) == (1, 'error: --workdir: expected a folder for the run\n')
