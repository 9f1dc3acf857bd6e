"""Whole runs: resumed to the byte, stopped and killed, and what is refused before anything is written."""

import dataclasses
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from flax import nnx
from train_fixtures import make_corpus, make_tokenizer, tiny_config, tiny_model

from configs import models
from data_gen.errors import UserError
from smt_jax import checkpoint, preemption
from smt_jax.config import MeshConfig, TrainConfig, to_dict
from smt_jax.data.mix import Mix
from smt_jax.data.pack import pack
from smt_jax.mesh import make_mesh
from smt_jax.model import abstract
from smt_jax.state import make_setup
from smt_jax.train import Result, out_of_memory_in_a_line, train

ROOT = pathlib.Path(__file__).parent.parent
STEPS = 16


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
  return make_corpus(tmp_path_factory.mktemp('corpus'))


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
  """Compiled programs are shared by the runs of this file."""
  folder = tmp_path_factory.mktemp('compiled')
  before = jax.config.jax_compilation_cache_dir
  jax.config.update('jax_compilation_cache_dir', str(folder))
  yield folder
  jax.config.update('jax_compilation_cache_dir', before)


@pytest.fixture(scope='module')
def config(corpus, cache):
  return tiny_config(corpus, **{'checkpoint.every_steps': 4, 'log.eval_every_steps': 8})


@pytest.fixture(scope='module')
def straight(config, tmp_path_factory):
  out = tmp_path_factory.mktemp('straight')
  result = train(config, out)
  assert result.status == 'finished'
  return out, result


def lines(out, split='train'):
  rows = [json.loads(line) for line in (out / 'metrics.jsonl').read_text().splitlines()]
  return [r for r in rows if r['split'] == split]


def final_weights(out):
  like = nnx.state(abstract(tiny_model()), nnx.Param)
  return jax.tree.leaves(checkpoint.restore_params(out, checkpoint.latest_step(out), like))


def test_a_run_leaves_what_it_promises(straight, config):
  out, result = straight
  promised = {'config.json', 'tokenizer', 'checkpoints', 'metrics.jsonl', 'timing.jsonl', 'mix.json'}
  assert promised <= set(os.listdir(out))
  rows = lines(out)
  assert [r['step'] for r in rows] == list(range(1, result.step + 1))
  assert rows[-1]['tokens'] == result.tokens >= config.token_budget
  assert rows[-1]['loss'] == result.loss < rows[0]['loss'] - 0.5
  assert checkpoint.latest_step(out) == result.step
  held_out = lines(out, 'validation')
  assert [r['step'] for r in held_out] == [8, 16] and set(held_out[0]['loss_by_kind']) == {'qa', 'document'}
  timing = [json.loads(line) for line in (out / 'timing.jsonl').read_text().splitlines()]
  assert [t['step'] for t in timing] == [4, 8, 12, 16] and all(t['tokens_per_second'] > 0 for t in timing)
  resolved = json.loads((out / 'config.json').read_text())
  assert resolved['model']['vocab_size'] == 320 and resolved['model']['eos_token_id'] == [0]


def test_losses_by_kind_add_up(straight):
  for row in lines(straight[0]):
    total = sum(row['loss_by_kind'][k] * n for k, n in row['loss_tokens'].items())
    np.testing.assert_allclose(total / sum(row['loss_tokens'].values()), row['loss'], rtol=1e-6)


def test_the_mix_that_was_seen_is_reported(straight):
  out, result = straight
  mix = json.loads((out / 'mix.json').read_text())
  assert mix['tokens'] == result.tokens and mix['steps'] == result.step
  assert mix['sources']['replay']['tokens'] == pytest.approx(0.1 * mix['tokens'], abs=40)


def test_a_finished_run_says_so(straight, config):
  before = (straight[0] / 'metrics.jsonl').read_bytes()
  again = train(config, straight[0])
  assert again == Result('already finished', straight[1].step, straight[1].tokens)
  assert (straight[0] / 'metrics.jsonl').read_bytes() == before


def test_what_a_kill_at_the_very_end_left_out_is_made_up_for(straight, config):
  mix = (straight[0] / 'mix.json').read_bytes()
  (straight[0] / 'mix.json').unlink()
  assert train(config, straight[0]).status == 'already finished'
  assert (straight[0] / 'mix.json').read_bytes() == mix


def test_programs_are_made_for_the_fullest_row_of_the_data(corpus, tmp_path, monkeypatch):
  made: list[int | None] = []

  def remembered(*args, **kwargs):
    setup = make_setup(*args, **kwargs)
    made.append(setup.most_runs)
    return setup
  monkeypatch.setattr('smt_jax.train.make_setup', remembered)
  config = tiny_config(corpus, token_budget=1)
  train(config, tmp_path / 'run')
  mix = Mix.open(config.data, config.replay, config.mix, seed=config.seed)
  assert made == [mix.most_runs()]


def test_rows_cut_along_the_sequence(straight, corpus, tmp_path):
  result = train(tiny_config(corpus, **{'mesh.fsdp': 4, 'mesh.context': 2, 'log.eval_every_steps': 8}), tmp_path)
  assert result.status == 'finished'
  for split in ('train', 'validation'):
    np.testing.assert_allclose([r['loss'] for r in lines(tmp_path, split)],
                               [r['loss'] for r in lines(straight[0], split)], rtol=1e-5)


def test_without_held_out_rows_nothing_is_evaluated(corpus, tmp_path, caplog):
  data = tmp_path / 'data'
  pack([f'{corpus}/data.jsonl'], f'{corpus}/tokenizer', data, 32)
  changes = {'data': str(data), 'token_budget': 900, 'log.eval_every_steps': 2}
  assert train(tiny_config(corpus, **changes), tmp_path / 'run').status == 'finished'
  assert not lines(tmp_path / 'run', 'validation') and 'has no held-out rows' in caplog.text
  with pytest.raises(UserError, match=r'keep_best=1: .* has no held-out rows; pack with --held_out above 0'):
    train(tiny_config(corpus, **changes, **{'checkpoint.keep_best': 1}), tmp_path / 'other')


def test_the_best_are_the_best_of_what_was_evaluated(corpus, tmp_path):
  train(tiny_config(corpus, **{'checkpoint.keep_best': 1, 'checkpoint.keep_last': 1, 'checkpoint.every_steps': 3,
                               'log.eval_every_steps': 4}), tmp_path)
  losses = {r['step']: r['loss'] for r in lines(tmp_path, 'validation')}
  assert set(checkpoint.steps(tmp_path)) == {min(losses, key=lambda step: losses[step]), STEPS}


def test_out_of_memory_is_one_line():
  with pytest.raises(UserError, match=r'device memory does not suffice .*remat=full'), out_of_memory_in_a_line():
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes')
  with pytest.raises(jax.errors.JaxRuntimeError), out_of_memory_in_a_line():
    raise jax.errors.JaxRuntimeError('INTERNAL: other')


def test_a_large_state_is_not_kept_whole_by_accident():
  config = TrainConfig(model=models.llama8b(), mesh=MeshConfig(data=4, fsdp=-1, context=2))
  with pytest.raises(UserError, match=r'weights and moments, \d+ GiB, would lie whole on each of 8 devices'):
    make_setup(config, make_mesh(config.mesh), 3)
  config.step.whole_state = True
  make_setup(config, make_mesh(config.mesh), 3)


def stop_after(step: int, monkeypatch) -> None:
  monkeypatch.setattr(preemption.Preemption, 'reached', lambda self, at: at == step)


@pytest.mark.parametrize('stops', [(5, 8), pytest.param((1, 2, 15), marks=pytest.mark.slow)])
def test_resumed_equals_straight_to_the_byte(stops, straight, config, tmp_path, monkeypatch):
  for step in stops:
    stop_after(step, monkeypatch)
    assert train(config, tmp_path).status == 'preempted'
    assert checkpoint.latest_step(tmp_path) == step
  monkeypatch.undo()
  assert train(config, tmp_path) == straight[1]
  assert (tmp_path / 'metrics.jsonl').read_bytes() == (straight[0] / 'metrics.jsonl').read_bytes()
  for a, b in zip(final_weights(tmp_path), final_weights(straight[0])):
    np.testing.assert_array_equal(a, b)


def test_replayed_steps_overwrite_their_lines(straight, config, tmp_path, monkeypatch):
  """Killed after step 6 with the last checkpoint of step 4, and in the middle of a line."""
  stop_after(6, monkeypatch)
  train(config, tmp_path)
  monkeypatch.undo()
  (tmp_path / 'checkpoints' / '6').rename(tmp_path / 'gone')
  with open(tmp_path / 'metrics.jsonl', 'a') as f:
    f.write('{"step": 7, "split": "tr')
  train(config, tmp_path)
  assert (tmp_path / 'metrics.jsonl').read_bytes() == (straight[0] / 'metrics.jsonl').read_bytes()


@pytest.mark.slow
def test_another_number_of_devices_keeps_the_record_order(straight, config, tmp_path, monkeypatch):
  """8 -> 4 -> 8 devices: identical rows, losses within 1e-5."""
  stop_after(4, monkeypatch)
  train(config, tmp_path)
  stop_after(8, monkeypatch)
  fewer = jax.devices()[:4]
  with monkeypatch.context() as patch:
    from smt_jax import mesh
    patch.setattr(mesh.jax, 'devices', lambda *a: fewer)
    train(config, tmp_path)
  monkeypatch.undo()
  train(config, tmp_path)
  ours, theirs = lines(tmp_path), lines(straight[0])
  assert [r['checksum'] for r in ours] == [r['checksum'] for r in theirs]
  np.testing.assert_allclose([r['loss'] for r in ours], [r['loss'] for r in theirs], rtol=1e-5)


@pytest.mark.parametrize('changes, message', [
    ({'seed': 7}, 'holds a run of another configuration: seed is 0 there and 7 here'),
    ({'optimizer.learning_rate': 1e-4}, r'optimizer\.learning_rate is 0\.01 there and 0\.0001 here'),
    ({'mix.ratios': {'qa': 1.0}}, r'mix\.ratios\.document is 1\.0 there and None here'),
])
def test_a_work_directory_of_another_configuration(changes, message, straight, corpus, config):
  other = tiny_config(corpus, **{'checkpoint.every_steps': 4, 'log.eval_every_steps': 8, **changes})
  before = (straight[0] / 'config.json').read_bytes()
  with pytest.raises(UserError, match=message):
    train(other, straight[0])
  assert (straight[0] / 'config.json').read_bytes() == before


def test_inputs_may_lie_under_another_path(straight, corpus, tmp_path):
  elsewhere = shutil.copytree(corpus, tmp_path / 'elsewhere')
  config = tiny_config(elsewhere, **{'checkpoint.every_steps': 4, 'log.eval_every_steps': 8})
  assert train(config, straight[0]).status == 'already finished'
  with open(elsewhere / 'replay' / 'pack.json', 'a') as f:
    f.write(' ')
  with pytest.raises(UserError, match=r"replay is '.*' there and '.*elsewhere/replay' here"):
    train(config, straight[0])


def test_what_does_not_change_the_run_may_differ(straight, corpus):
  other = tiny_config(corpus, **{'checkpoint.keep_last': 5, 'log.every_steps': 3, 'mesh.data': 2, 'step.remat': 'full',
                               'step.accumulation_steps': 2, 'mesh.fsdp': 2, 'mesh.tensor': 2})
  assert train(other, straight[0]).status == 'already finished'


@pytest.mark.parametrize('changes, message', [
    ({'mix.batch_size': 12}, r'batch_size=12: .* a micro-batch has 12 rows, expected a multiple of the 8 parts'),
    ({'mesh.fsdp': 1, 'mesh.context': 3, 'mesh.data': 1}, 'context=3 = 3, but there are 8 devices'),
    ({'mesh.tensor': 3}, 'does not divide the 8 devices'),
    ({'mesh.fsdp': 1, 'mesh.tensor': 8}, r'kv_heads" of size 2 is not divisible by mesh axis tensor=8'),
    ({'mix.sequence_length': 64}, 'rows of 32 tokens, but --config.mix.sequence_length=64'),
    ({'model': tiny_model(vocab_size=64)}, r'vocab_size=64: the tokenizer has \d+ ids'),
    ({'data': '/absent'}, '/absent'),
    ({'tokenizer': '/absent'}, '/absent: no such tokenizer folder'),
    ({'tokenizer': '', 'init': '/absent'}, '/absent: no such checkpoint folder'),
])
def test_refused_before_anything_is_written(changes, message, corpus, tmp_path):
  with pytest.raises(UserError, match=message):
    train(tiny_config(corpus, **changes), tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_rows_of_another_tokenizer(corpus, tmp_path):
  other = make_tokenizer(tmp_path / 'other', ' quite another vocabulary')
  with pytest.raises(UserError, match=r'packed with another tokenizer than that of --config\.tokenizer='):
    train(tiny_config(corpus, tokenizer=str(other)), tmp_path / 'run')


def test_going_on_from_a_checkpoint(straight, corpus, tmp_path):
  config = tiny_config(corpus, **{'init': f'{straight[0]}@{STEPS}', 'tokenizer': '', 'token_budget': 900,
                                  'optimizer.learning_rate': 1e-5, 'model': tiny_model(hidden_size=999)})
  result = train(config, tmp_path)
  assert lines(tmp_path)[0]['loss'] < straight[1].loss + 0.3  # not the loss of fresh weights
  resolved = json.loads((tmp_path / 'config.json').read_text())
  assert resolved['model']['hidden_size'] == 16 and result.step == 4


def test_a_loss_that_is_not_finite_names_step_and_records(straight, corpus, tmp_path):
  config = tiny_config(corpus, **{'optimizer.learning_rate': 1e30, 'optimizer.warmup_fraction': 0.0,
                                  'optimizer.clip_norm': 0.0, 'optimizer.schedule': 'constant'})
  with pytest.raises(UserError, match=r'step (\d+): loss .* not both finite; the checkpoint of step \d+ is from before '
                                      r'it; records of the step \(all in (.*)\): .*(qa|document)-\d+') as error:
    train(config, tmp_path)
  step = int(str(error.value).split('step ')[1].split(':')[0])
  named = (tmp_path / f'not_finite.{step}.0.txt').read_text().split()
  assert len(named) == len(set(named)) and all(name in str(error.value) for name in named[:20])
  assert checkpoint.steps(tmp_path) == [step - 1]
  assert len(lines(tmp_path)) == step - 1
  assert all(np.isfinite(w).all() for w in final_weights(tmp_path))


def test_only_one_process_at_a_time(config, tmp_path, straight):
  from data_gen.jsonl import exclusive
  with exclusive(tmp_path), pytest.raises(UserError, match='another process is working on this folder'):
    train(config, tmp_path)


def start(config, out: pathlib.Path, cache: pathlib.Path, **options) -> subprocess.Popen:
  path = out.parent / f'{out.name}.json'
  path.write_text(json.dumps(to_dict(config)))
  return subprocess.Popen(
      [sys.executable, '-m', 'launch.train', f'--config={path}', f'--workdir={out}', f'--compilation_cache={cache}'],
      cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def saving_often(config):
  """A save takes longer than a step: there is time to hit the run in its middle, while it writes in the background."""
  return dataclasses.replace(config, checkpoint=dataclasses.replace(config.checkpoint, every_steps=1,
                                                                    asynchronous=True))


def wait_for_lines(process: subprocess.Popen, out: pathlib.Path, n: int) -> None:
  path = out / 'metrics.jsonl'
  while process.poll() is None and (not path.exists() or path.read_bytes().count(b'\n') < n):
    time.sleep(0.01)


@pytest.mark.slow
def test_killed_and_terminated_and_run_again(straight, config, cache, tmp_path):
  """kill -9, then SIGTERM, then to the end: the metrics are the straight run's, byte for byte."""
  out = tmp_path / 'run'
  process = start(saving_often(config), out, cache)
  wait_for_lines(process, out, 4)
  process.kill()
  assert process.wait() == -signal.SIGKILL
  process = start(saving_often(config), out, cache)
  wait_for_lines(process, out, 7)
  process.send_signal(signal.SIGTERM)
  stdout, stderr = process.communicate()
  assert process.returncode == preemption.RESTART_CODE, stderr
  stopped = int(stdout.split('preempted at step ')[1].split()[0])
  assert checkpoint.latest_step(out) == stopped < STEPS
  process = start(config, out, cache)
  stdout, stderr = process.communicate()
  assert process.returncode == 0 and 'finished at step 16' in stdout, stderr
  assert (out / 'metrics.jsonl').read_bytes() == (straight[0] / 'metrics.jsonl').read_bytes()


@pytest.mark.slow
def test_a_disk_that_fills_up_during_a_save(straight, config, cache, tmp_path):
  """No file may outgrow 20 kB: metrics fit, a checkpoint does not."""
  out = tmp_path / 'run'
  full = start(config, out, cache, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)))
  _, stderr = full.communicate()
  assert full.returncode == 1 and 'error: ' in stderr and 'the checkpoint could not be written' in stderr
  assert checkpoint.steps(out) == []
  assert start(config, out, cache).wait() == 0
  assert (out / 'metrics.jsonl').read_bytes() == (straight[0] / 'metrics.jsonl').read_bytes()


def wait_for_text(process: subprocess.Popen, text: str) -> None:
  for line in process.stderr:
    if text in line:
      return


@pytest.mark.slow
def test_killed_at_twenty_random_moments(straight, config, cache, tmp_path):
  """While it starts, restores, compiles, steps and saves, and once as it ends; nearly all must find it running."""
  out, rng = tmp_path / 'run', random.Random(0)
  hit, starting = 0, 0.0
  for kill in range(20):
    begun = time.monotonic()
    process = start(saving_often(config), out, cache)
    if kill % 5 == 2:
      time.sleep(rng.uniform(0.3, 1.1) * starting)
    else:
      wait_for_text(process, 'training from step')
      starting = time.monotonic() - begun
      wait_for_lines(process, out, STEPS if kill == 19 else kill * (STEPS - 4) // 19)
      time.sleep(rng.random() * 0.2)
    hit += process.poll() is None and kill < 19
    process.kill()
    process.communicate()
  assert hit >= 18
  assert start(saving_often(config), out, cache).wait() == 0
  assert (out / 'metrics.jsonl').read_bytes() == (straight[0] / 'metrics.jsonl').read_bytes()
