"""Stages as processes: order by need, several at a time, nothing twice, failures in their own words."""

import json
import os

import pytest

from data_gen.errors import UserError
from launch import jobs, stages
from launch.jobs import Stage


def world(folder, seed, needs=()):
  return Stage(f'world {seed}', ('prepare', '--benchmark=world', f'--source=study:seed={seed},documents=1',
                                 f'--out={folder / str(seed)}'), folder / str(seed) / 'documents.jsonl', needs)


def test_stages_wait_for_what_they_need_and_run_once(tmp_path, capfd):
  first, second = world(tmp_path, 1), world(tmp_path, 2)
  third = Stage('tokenizer', ('train_tokenizer', f'--source={tmp_path}/*/documents.jsonl', '--vocab_size=300',
                              f'--out={tmp_path / "tok"}'), tmp_path / 'tok' / 'tokenizer.json',
                (first.makes, second.makes))
  assert jobs.run([third, first, second], tmp_path / 'logs', 2) == 3
  said = capfd.readouterr().out
  assert said.index('world 1: done') < said.index('[1/3] tokenizer') and said.index('world 2: done') > 0
  logs = sorted(p.name for p in (tmp_path / 'logs').iterdir())
  assert logs == ['01_tokenizer.log', '02_world_1.log', '03_world_2.log']
  assert jobs.run([third, first, second], tmp_path / 'logs', 2) == 0
  first.makes.unlink()
  assert jobs.run([third, first, second], tmp_path / 'logs', 1) == 1


def test_a_failing_stage_says_why_and_keeps_what_is_done(tmp_path, capfd):
  bad = Stage('a wrong world', ('prepare', '--benchmark=world', '--source=study:facts=3-2', f'--out={tmp_path / "x"}'),
              tmp_path / 'x' / 'documents.jsonl')
  with pytest.raises(UserError, match=r'stage "a wrong world" failed .*02_a_wrong_world\.log'):
    jobs.run([world(tmp_path, 1), bad, world(tmp_path, 3, None)], tmp_path / 'logs')
  assert 'error: world: facts=(3, 2): expected a range within' in capfd.readouterr().err
  assert (tmp_path / '1' / 'documents.jsonl').exists() and not (tmp_path / '3').exists()


def test_a_folder_holds_one_experiment(tmp_path):
  stages.run_all([world(tmp_path, 1)], tmp_path / 'out', {'seed': 1})
  with pytest.raises(UserError, match=r'experiment\.json: this folder holds an experiment with other settings'):
    stages.run_all([world(tmp_path, 1)], tmp_path / 'out', {'seed': 2})
  assert json.loads((tmp_path / 'out' / 'experiment.json').read_text()) == {'seed': 1}


def test_the_quickstart_knows_its_own_files(tmp_path):
  made = stages.quickstart(tmp_path, 0, stages.SHORT)
  paths = {stage.makes for stage in made}
  assert len(paths) == len(made) == 16
  assert all(set(stage.needs) <= paths for stage in made if stage.needs is not None)


@pytest.mark.skipif(not hasattr(os, 'sched_setaffinity'), reason='cores cannot be assigned here')
def test_stages_at_once_share_the_cores(tmp_path):
  before = os.sched_getaffinity(0)
  jobs.run([world(tmp_path, 1), world(tmp_path, 2)], tmp_path / 'logs', 2)
  assert os.sched_getaffinity(0) == before
