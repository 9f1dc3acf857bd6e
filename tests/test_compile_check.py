"""The TPU compiler on a machine without TPUs."""

import os
import pathlib
import subprocess
import sys

import pytest

from smt_jax import hlo, hlo_cost

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


PRODUCT_IN_A_LOOP = '''
%fused (p0: f32[10,64,32], p1: s32[], p2: f32[8,64]) -> f32[8,32] {
  %p0 = f32[10,64,32]{2,1,0} parameter(0)
  %p1 = s32[] parameter(1)
  %p2 = f32[8,64]{1,0} parameter(2)
  %zero = s32[] constant(0)
  %slice = f32[1,64,32]{2,1,0} dynamic-slice(%p0, %p1, %zero, %zero), dynamic_slice_sizes={1,64,32}
  %flat = f32[64,32]{1,0} bitcast(%slice)
  ROOT %product = f32[8,32]{1,0} convolution(%p2, %flat), dim_labels=bf_io->bf
}
%body (state: (s32[], f32[10,64,32], f32[8,64])) -> (s32[], f32[10,64,32], f32[8,64]) {
  %state = (s32[], f32[10,64,32]{2,1,0}, f32[8,64]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %w = f32[10,64,32]{2,1,0} get-tuple-element(%state), index=1
  %x = f32[8,64]{1,0} get-tuple-element(%state), index=2
  %y = f32[8,32]{1,0} fusion(%w, %i, %x), kind=kOutput, calls=%fused
  %near = f32[8,32]{1,0:T(8,128)S(1)} copy(%y)
}
%cond (state: (s32[], f32[10,64,32], f32[8,64])) -> pred[] {
  %limit = s32[] constant(10)
}
ENTRY %main (a: f32[10,64,32], b: f32[8,64]) -> f32[8,32] {
  %loop = (s32[], f32[10,64,32]{2,1,0}, f32[8,64]{1,0}) while(%start), condition=%cond, body=%body
}
'''


def test_products_and_memory_are_counted_with_their_loops():
  """Of the stacked weights a turn reads one slice; a copy into on-chip memory reads only."""
  found = hlo_cost.costs(PRODUCT_IN_A_LOOP)
  assert found['flops'] == 10 * 2 * 8 * 64 * 32
  turn = 4 * (64 * 32 + 8 * 64 + 8 * 32) + 4 * 8 * 32  # slice, x and y; y again. The scalar index: 4 bytes
  assert found['bytes'] == 10 * (turn + 4)


def test_counts_are_the_compilers_where_there_is_no_loop():
  """A real program of this machine's compiler: its own count of a product and of an update in place."""
  import jax
  import jax.numpy as jnp
  def step(a, b, c):
    return jax.lax.dynamic_update_slice(c, (a @ b).astype(jnp.float32)[None], (3, 0, 0))
  shapes = (jnp.zeros((256, 512)), jnp.zeros((512, 128)), jnp.zeros((16, 256, 128)))
  compiled = jax.jit(step, donate_argnums=2).lower(*shapes).compile()
  found, theirs = hlo_cost.costs(compiled.as_text()), compiled.cost_analysis()
  assert found['flops'] == 2 * 256 * 512 * 128
  assert found['bytes'] == pytest.approx(theirs['bytes accessed'], rel=0.05)
