"""What a run will take, by arithmetic."""

import json
import pathlib
import subprocess
import sys

import pytest

from configs import pods, quality
from smt_jax import planning
from smt_jax.chips import CHIPS

ROOT = pathlib.Path(__file__).parent.parent


def test_the_papers_run():
  config = quality.get_config('llama8b')
  assert planning.parameters(config.model) == pytest.approx(8.03e9, rel=1e-3)
  tokens = planning.training_tokens(config, 700_000_000)
  assert tokens == pytest.approx(2 * 700e6 / 0.9, rel=1e-6)
  # 46.6 GFLOP a token: 12,100 tokens/s on one H200 are 57% of its peak
  hours = planning.device_hours(config, tokens, CHIPS['h200'], 0.57)
  assert tokens / hours / 3600 == pytest.approx(12_100, rel=0.01)
  assert planning.checkpoint_bytes(config) == pytest.approx(3 * 10 * 8.03e9, rel=1e-2)


def test_checkpoints_of_adapters_are_those_of_the_weights_in_half_precision():
  config = pods.get_config('h100_1')
  adapters = 32 * 64 * (2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 14336))
  assert planning.checkpoint_bytes(config) == pytest.approx(3 * (2 * 8.03e9 + 10 * adapters), rel=1e-2)


@pytest.mark.parametrize('price', ['1', '1,2,3,4', '1,-2', 'a,b'])
def test_prices_that_are_none(price):
  ran = subprocess.run(
      [sys.executable, '-m', 'launch.plan', '--config=configs/quality.py:llama8b', '--documents=d.jsonl',
       '--tokenizer=t', f'--price={price}'], cwd=ROOT, capture_output=True, text=True)
  assert ran.returncode == 1 and f'--price={price}: expected PROMPT,OUTPUT' in ran.stderr


def test_a_budget_goes_before_epochs():
  config = quality.get_config('llama8b')
  config.token_budget = 1000
  assert planning.training_tokens(config, 10**9) == 1000


def test_break_even():
  assert planning.break_even(100.0, 0.001) == pytest.approx(100_000)
  assert planning.break_even(100.0, 0.0) == float('inf')


def test_the_program(tmp_path, replay_tokenizer):
  documents = tmp_path / 'documents.jsonl'
  documents.write_text(json.dumps({'id': 'a', 'title': 'A', 'text': 'The mill ran until evening. ' * 50}) + '\n')
  ran = subprocess.run(
      [sys.executable, '-m', 'launch.plan', '--config=configs/quality.py:llama8b', f'--documents={documents}',
       f'--tokenizer={replay_tokenizer}', '--tokens_per_method=20000', '--methods=qa', '--price=1,2'],
      cwd=ROOT, capture_output=True, text=True)
  assert ran.returncode == 0, ran.stderr
  assert 'training: 44,444 tokens' in ran.stdout and 'even after' in ran.stdout
  assert '$0.00' not in ran.stdout.split('training')[0]
