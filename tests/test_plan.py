"""Estimates of a step on machines that are not here: what it takes, and what is refused."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import types

import pytest

from configs import pods, quality
from data_gen.errors import UserError
from smt_jax import attention_cudnn, compile_check, fitting, memory
from smt_jax.benchmarks import common
from smt_jax.benchmarks.train import Variant
from smt_jax.chips import CHIPS, parse_topology
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


@pytest.mark.parametrize('state, layers, gpus, rows, remat, chunks, compiled', [  # of docs/scaling.md: on H200s
    ('default', 32, 1, 5, 'products', 5, 132.42e9), ('default+packed', 32, 1, 5, 'products', 5, 137.86e9),
    ('default', 32, 1, 4, 'products', 4, 124.8e9), ('bf16', 32, 1, 8, 'products', 8, 102.8e9),
    ('default+packed', 32, 1, 16, 'full', 16, 136.825 * GIB),
    ('default', 32, 4, 16, 'none', 4, 75.5e9), ('default', 32, 4, 16, 'none', 1, 78.1e9),
    ('default', 32, 2, 8, 'none', 1, 98.2e9),
    ('default', 4, 1, 4, 'products', 4, 29.0e9), ('default+packed', 4, 1, 4, 'products', 4, 35.7e9),
    ('default', 32, 1, 5, 'products', 0, 133e9), ('bf16', 32, 1, 8, 'products', 0, 103e9),
    ('bf16', 32, 1, 12, 'products', 0, 133e9), ('default', 32, 4, 16, 'none', 0, 77.1e9),
])
def test_the_estimate_agrees_with_what_a_gpu_compiler_said(state, layers, gpus, rows, remat, chunks, compiled,
                                                           monkeypatch):
  """Chunks: those of the loss, of which programs had more before long ones were allowed; 0: as many as now."""
  monkeypatch.setattr(attention_cudnn, 'rows_a_call', lambda rows, *_: rows)  # they were compiled before groups
  model = dataclasses.replace(common.preset('llama8b'), num_hidden_layers=layers)
  config, topology = Variant(state).config(model, rows, 2048, remat, 'auto'), parse_topology(f'h200:{gpus}')
  config.step.loss_chunks = chunks
  found = memory.estimate(fitting.described(config, topology), remat, topology.chip.memory, topology.chip)
  assert found.total == pytest.approx(compiled, rel=0.03 if config.mix.document_masking else 0.1)


@pytest.mark.parametrize('state, layers, rows, remat, most_runs, compiled', [
    ('default+packed', 32, 16, 'full', 32, 121.825 * GIB), ('default+packed', 32, 5, 'products', 12, 134.35e9),
    ('bf16+packed', 32, 12, 'products', 11, 133.94e9), ('default+packed', 8, 16, 'full', 32, 52.0 * GIB),
    ('default+packed', 8, 16, 'full', 14, 50.1 * GIB),
])
def test_the_estimate_of_packed_rows_whose_data_are_known(state, layers, rows, remat, most_runs, compiled):
  """The rest of docs/scaling.md: in groups, with as many slots as the fullest row has runs."""
  model = dataclasses.replace(common.preset('llama8b'), num_hidden_layers=layers)
  config, topology = Variant(state).config(model, rows, 2048, remat, 'auto'), parse_topology('h200:1')
  setup = dataclasses.replace(fitting.described(config, topology), most_runs=most_runs)
  found = memory.estimate(setup, remat, topology.chip.memory, topology.chip)
  assert found.total == pytest.approx(compiled, rel=0.03)


def test_slots_take_memory_where_cudnn_has_them():
  def setup(**changes):
    config = quality.get_config('llama8b')
    for name, value in changes.items():
      part = config.mix if hasattr(config.mix, name) else config.step
      setattr(part, name, value)
    return fitting.described(config, parse_topology('h200:1'))

  def packed(chip, most_runs=None, **changes):
    return memory.packed_bytes(dataclasses.replace(setup(**changes), most_runs=most_runs), CHIPS.get(chip))

  slot = 2048 * 32 * 128 * (4 + 2 + 2)  # tokens, heads, width; queries, keys, values
  row = 32 * slot
  assert packed('h200') == packed('h200', 32) == packed('h200', 99) == 8 * row  # in groups of an eighth of the memory
  assert packed('h200', 12) == 16 * 12 * slot and packed('h200', 1) == 16 * 2 * slot  # all at once
  assert packed('h100', 32) == 4 * row and packed('h100') == 8 * 18 * slot  # data of 18 would let 8 rows go at once
  assert memory.hungriest_runs(setup(), CHIPS['h100']) == 18 and memory.hungriest_runs(setup(), CHIPS['h200']) == 32
  assert packed('h200', accumulation_steps=4) == 4 * row
  assert packed('h200', document_masking=False) == packed('h200', attention='xla') == 0
  assert packed('a100') == packed('v5p') == packed('') == packed('h200', compute_dtype='float32') == 0


def test_a_kernel_that_takes_less_is_named_before_what_changes_the_run():
  """The slots of one row of 8,192 tokens take 32 GiB, which XLA's attention does without."""
  config, one = quality.get_config('llama8b'), parse_topology('h200:1')
  assert fitting.check(config, one).fits  # the paper's step
  config.mix.batch_size, config.mix.sequence_length = 4, 8192
  with pytest.raises(UserError, match=r'does not fit.*estimate: --config\.step\.attention=xla$'):
    fitting.check(config, one)
  config.step.attention = 'xla'
  assert fitting.check(config, one).fits


def here(monkeypatch, *kinds: str) -> None:
  devices = [types.SimpleNamespace(platform='cpu' if k == 'cpu' else 'gpu', device_kind=k, id=i)
             for i, k in enumerate(kinds)]
  monkeypatch.setattr(compile_check.jax, 'devices', lambda platform=None: devices)


@pytest.mark.parametrize('kinds, topology, compiles', [
    (['NVIDIA H200'], 'h200:1', True), (['NVIDIA H200'] * 4, 'h200:2', True),
    (['NVIDIA H100 80GB HBM3'] * 4, 'h200:4', False),
    (['NVIDIA H200'], 'h200:4', False), (['NVIDIA H100 80GB HBM3', 'NVIDIA H200'], 'h200:1', True),
    (['cpu'] * 8, 'h200:1', False), (['cpu'], 'v5e:4x4', True), (['NVIDIA unknown'], 'h200:1', False),
])
def test_the_compiler_is_asked_where_these_very_gpus_are(monkeypatch, kinds, topology, compiles):
  here(monkeypatch, *kinds)
  asked = parse_topology(topology)
  assert compile_check.compiles_here(asked) == compiles
  if compiles and asked.chip.platform == 'gpu':
    found = compile_check.devices_of(asked)
    assert len(found) == asked.chips and all('H200' in d.device_kind for d in found)
  elif not compiles:
    with pytest.raises(UserError, match='of that kind'):
      compile_check.devices_of(asked)


def test_gpus_of_another_kind_do_not_keep_one_from_an_estimate(monkeypatch):
  cpus, gpu = fitting.jax.devices(), types.SimpleNamespace(platform='gpu', device_kind='NVIDIA H100 80GB HBM3')
  monkeypatch.setattr(fitting.jax, 'devices', lambda platform=None: cpus if platform == 'cpu' else [gpu])
  found = estimate('h200_4')
  assert found.fits and found.how == 'estimate'


def test_the_change_that_is_named_makes_it_fit():
  with pytest.raises(UserError, match='does not fit') as e:
    estimate('h100_4', **{'step.remat': 'none', 'mix.batch_size': 64})
  named = str(e.value).rpartition('estimate: ')[2]
  changes = dict(flag.removeprefix('--config.').split('=') for flag in named.split())
  changes = {path: int(v) if v.isdigit() else v for path, v in changes.items()}
  assert changes
  assert estimate('h100_4', **({'step.remat': 'none', 'mix.batch_size': 64} | changes)).fits


def test_adapters_are_named_where_all_weights_do_not_fit():
  config = quality.get_config('llama8b')
  with pytest.raises(UserError, match=r'h100:1: the step does not fit.*lora.rank=64'):
    fitting.check(config, parse_topology('h100:1'))


def test_what_no_setting_makes_fit():
  """The number of chips that is named would do."""
  config = pods.get_config('h100_1')
  config.model.num_hidden_layers, config.mesh.fsdp = 200, -1
  with pytest.raises(UserError, match=r'no setting makes it fit: take about 4 chips$'):
    fitting.check(config, parse_topology('h100:1'))
  assert fitting.check(config, parse_topology('h100:4')).fits


@pytest.mark.parametrize('remat', ['auto', 'none'])
def test_what_the_compiler_refused_is_not_the_advice(monkeypatch, remat):
  """Also where it does not say how much it would take, and the estimate took it to fit."""
  def refuse(config, topology):
    raise compile_check.DoesNotFit(0)
  config, two = pods.get_config('h200_4'), parse_topology('h200:2')
  config.mesh.fsdp, config.step.remat = 2, remat
  config.mix.batch_size = 8
  assert fitting.estimated(config, two).remat == 'none' and fitting.estimated(config, two).fits
  monkeypatch.setattr(compile_check, 'compiles_here', lambda topology: True)
  monkeypatch.setattr(compile_check, 'check', refuse)
  with pytest.raises(UserError, match=r'more than there is a device \(compiled\)') as e:
    fitting.check(config, two)
  assert 'remat=none' not in str(e.value) and str(e.value).endswith('--config.step.remat=products')


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
