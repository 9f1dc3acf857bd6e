"""Estimates of a step on machines that are not here: what it takes, and what is refused."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from configs import pods, quality
from data_gen.errors import UserError
from smt_jax import fitting, memory
from smt_jax.benchmarks import common
from smt_jax.benchmarks.train import Variant
from smt_jax.chips import parse_topology
from smt_jax.config import MeshConfig

ROOT = pathlib.Path(__file__).parent.parent
GIB = 2**30


def estimate(variant: str, topology: str = '', **changes):
  config = pods.get_config(variant)
  for path, value in changes.items():
    parent, _, name = path.rpartition('.')
    setattr(getattr(config, parent), name, value)
  return fitting.check(config, parse_topology(topology or pods.PRESETS[variant].topology))


QUICK = ('h100_1', 'h200_1', 'h100_4_large')


@pytest.mark.parametrize('variant', [pytest.param(v, marks=[] if v in QUICK else pytest.mark.slow)
                                     for v in pods.PRESETS if v.startswith('h')])
def test_every_gpu_preset_fits_and_says_that_it_is_an_estimate(variant):
  found = estimate(variant)
  assert found.fits and found.how == 'estimate' and 'ESTIMATE' in fitting.lines(found)[0]
  assert found.batch_size == (128 if variant.endswith('large') else 16)


def test_state_is_counted_to_the_byte():
  parameters = 8_030_261_248  # Llama 3.1 8B
  found = estimate('h200_4')
  assert found.memory['weights'] * 4 == pytest.approx(4 * parameters, rel=1e-4)  # norms lie whole on every device
  assert found.memory['optimizer'] * 4 == pytest.approx((4 + 2) * parameters, rel=1e-4)  # float32 nu, bfloat16 mu
  assert found.collective_bytes['all-gather'] == pytest.approx(2 * 2 * parameters * 3 / 4, rel=1e-3)


_CHUNKS_OF_1_GIB = 32 * GIB  # so much memory has a device whose loss goes in chunks as these programs' did


@pytest.mark.parametrize('state, rows, remat, compiled', [  # bytes of programs compiled on an H200: docs/scaling.md
    ('default', 5, 'products', 132.42e9), ('default+packed', 5, 'products', 137.86e9), ('bf16', 8, 'products', 102.8e9),
    ('default', 16, 'full', 136.825 * GIB),
])
def test_the_estimate_agrees_with_what_a_gpu_compiler_said(state, rows, remat, compiled):
  config = Variant(state).config(common.preset('llama8b'), rows, 2048, remat, 'auto')
  assert memory.estimate(fitting.described(config, parse_topology('h200:1')), remat, _CHUNKS_OF_1_GIB).total == (
      pytest.approx(compiled, rel=0.1))


def test_the_change_that_is_named_makes_it_fit():
  with pytest.raises(UserError, match='does not fit') as e:
    estimate('h100_4', **{'step.remat': 'none', 'mix.batch_size': 64})
  named = str(e.value).rpartition('estimate: ')[2]
  changes = dict(flag.removeprefix('--config.').split('=') for flag in named.split())
  changes = {path: int(v) if v.isdigit() else v for path, v in changes.items()}
  assert changes
  assert estimate('h100_4', **({'step.remat': 'none', 'mix.batch_size': 64} | changes)).fits


def test_what_no_setting_makes_fit():
  config = quality.get_config('llama8b')
  with pytest.raises(UserError, match=r'h100:1: the step does not fit.*lora.rank=64'):
    fitting.check(config, parse_topology('h100:1'))


@pytest.mark.parametrize('changes,message', [
    ({'mix.batch_size': 18}, 'micro-batch has 18 rows'),
    ({'mesh.fsdp': 3}, '3 does not|= 3, but there are 4 devices'),
    ({'mesh.fsdp': 1, 'mesh.tensor': 4, 'model.num_key_value_heads': 2}, 'not divisible'),
    ({'step.remat': 'some'}, r'--config.step.remat'),
])
def test_impossible_steps(changes, message):
  with pytest.raises(UserError, match=message):
    estimate('h200_4', **changes)


@pytest.mark.parametrize('text', ['v7:4', 'v5p', 'v5p:4x4', 'h200:0', 'v5e:ax4', ''])
def test_topologies_that_are_none(text):
  with pytest.raises(UserError, match='--topology='):
    parse_topology(text)


@pytest.mark.parametrize('text,name,chips', [('v5p:4x8x8', 'v5p-512', 256), ('v5e:4x4', 'v5e-16', 16),
                                             ('v4:2x2x2', 'v4-16', 8), ('h200:4', 'h200:4', 4)])
def test_slices_are_named_as_they_are_sold(text, name, chips):
  topology = parse_topology(text)
  assert (topology.name, topology.chips) == (name, chips)


def test_presets_fill_their_machines():
  for name, preset in pods.PRESETS.items():
    topology, config = parse_topology(preset.topology), pods.get_config(name)
    assert MeshConfig(1, config.mesh.fsdp, config.mesh.tensor, config.mesh.context) == config.mesh
    assert config.mesh.fsdp * config.mesh.tensor * config.mesh.context == topology.chips == int(name.split('_')[1])


def command(*flags: str) -> subprocess.CompletedProcess:
  env = os.environ | {'XLA_FLAGS': ''}
  return subprocess.run([sys.executable, '-m', 'launch.compile_check', *flags], cwd=ROOT, capture_output=True,
                        text=True, env=env, timeout=300)


def test_the_program_prints_and_keeps_results(tmp_path):
  out = tmp_path / 'checks.jsonl'
  run = command('--preset=h200_8_large', f'--out={out}')
  assert run.returncode == 0, run.stderr
  assert 'slice h200:8, 8 chips (ESTIMATE' in run.stdout
  row = json.loads(out.read_text())
  assert row['name'] == 'h200_8_large' and row['chips'] == 8 and row['memory']['weights'] > 3 * GIB


def test_a_step_that_does_not_fit_ends_with_one_line():
  run = command('--config=configs/quality.py:llama8b', '--topology=h100:1')
  assert run.returncode == 1 and run.stderr.count('\n') == 1
  assert 'does not fit' in run.stderr and '--config.lora.rank=64' in run.stderr
