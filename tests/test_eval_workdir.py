"""A work directory as checkpoint: every step evaluated, with its step, seed and training tokens; a base tokenizer
without a chat template is rendered plainly."""

import json

import pytest
from train_fixtures import make_corpus, tiny_config

from data_gen.jsonl import read_jsonl, write_jsonl
from data_gen.schema import Question, to_row
from launch import evaluation
from launch.evaluate import config_values
from smt_jax.eval.report import write_report
from smt_jax.eval.report.arms import group
from smt_jax.eval.runs import find_runs
from smt_jax.train import train


@pytest.mark.slow
def test_every_step_of_a_work_directory(tmp_path):
  corpus = make_corpus(tmp_path / 'corpus')
  config = tiny_config(corpus, **{'model.max_position_embeddings': 512, 'checkpoint.every_steps': 8,
                                  'checkpoint.keep_last': 9, 'seed': 7})
  train(config, tmp_path / 'work')
  question = Question('q0', (), 'g0', 'where sat the cat', ('mat', 'mill', 'river', 'sack'), 0)
  write_jsonl(tmp_path / 'questions.jsonl', [to_row(question)])
  values = config_values(
      benchmark='quality', questions=str(tmp_path / 'questions.jsonl'), arm='tiny', out=str(tmp_path / 'out'),
      checkpoint=f'{tmp_path}/work@all', max_new_tokens=8, scoring='letter')
  results = evaluation.run(values)
  meta = {r['step']: r['training_tokens'] for r in results}
  assert len(results) >= 2 and sorted(meta) == [r['step'] for r in results]
  assert list(meta.values()) == sorted(set(meta.values())) and all(r['seed'] == 7 for r in results)
  rows = {row['step']: row['tokens'] for _, row in read_jsonl(tmp_path / 'work' / 'metrics.jsonl')
          if row['split'] == 'train'}
  assert all(rows[step] == tokens for step, tokens in meta.items())
  item = json.loads((tmp_path / 'out' / f'step_{results[0]["step"]}' / 'items.jsonl').read_text().splitlines()[0])
  assert item['prompt'].startswith('Question: where sat the cat') and item['prompt'].endswith('\nAnswer:')
  runs = find_runs(str(tmp_path / 'out'))
  assert len(group(runs)) == len(results)
  write_report(runs, tmp_path / 'report')
  assert (tmp_path / 'report' / 'scaling.svg').exists()  # accuracy over training tokens, step by step
