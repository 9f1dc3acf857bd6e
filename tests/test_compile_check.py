"""The TPU compiler on a machine without TPUs."""

import os
import pathlib
import subprocess
import sys

import pytest

from smt_jax import hlo

ROOT = pathlib.Path(__file__).parent.parent
SMALL = ['--config.model.vocab_size=1024', '--config.model.hidden_size=256', '--config.model.intermediate_size=512',
         '--config.model.num_attention_heads=8', '--config.model.num_key_value_heads=8', '--config.model.head_dim=32',
         '--config.model.num_hidden_layers=2', '--config.step.scan_layers=True']


def test_collectives_are_counted_with_their_loops():
  program = '''
%body (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %g = f32[16,4]{1,0} all-gather(%x), channel_id=1, replica_groups=[2,4]<=[8], dimensions={0}
}
%cond (p: (s32[], f32[8])) -> pred[] {
  %c = s32[] constant(10)
}
ENTRY %main (a: f32[8]) -> f32[8] {
  %w = (s32[], f32[8]) while(%t), condition=%cond, body=%body
  %r = bf16[1000]{0} all-reduce(%y), channel_id=2, replica_groups={{0,1},{2,3}}, to_apply=%add
}
'''
  found = hlo.collective_bytes(program, 8)
  assert found == {'all-gather': 10 * 16 * 4 * 4 * 3 / 4, 'all-reduce': 2 * 2000 / 2}


@pytest.mark.slow
def test_a_small_step_for_sixteen_chips():
  pytest.importorskip('libtpu')
  run = subprocess.run(
      [sys.executable, '-m', 'launch.compile_check', '--config=configs/pods.py:v5p_16', '--topology=v5p:2x2x4', *SMALL],
      cwd=ROOT, capture_output=True, text=True, timeout=590, env=os.environ | {'XLA_FLAGS': ''})
  assert run.returncode == 0, run.stderr
  assert 'slice v5p-32, 16 chips (compiled' in run.stdout
  for word in ('weights', 'temporaries', 'all-gather', 'MFU is at most'):
    assert word in run.stdout
