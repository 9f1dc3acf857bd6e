"""The suites run whole on a tiny model; the definitions behind their figures agree with figures known elsewhere."""

import importlib.util
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from train_fixtures import make_corpus

from data_gen.errors import UserError
from smt_jax import xla_flags
from smt_jax.benchmarks import checkpoints, common, decode, inputs, trace, train
from smt_jax.chips import CHIPS
from smt_jax.metrics import flops_per_token


def read(folder, suite):
  found = json.loads((folder / f'{suite}.json').read_text())
  assert found['machine']['devices'] == jax.device_count()
  assert (folder / f'{suite}.md').read_text().count('\n|') == 2 + len(found['rows'])
  return found['rows']


def test_train_suite(tmp_path):
  train.run(tmp_path, preset='tiny', layers=1, sequence_length=64, rows=1, variants=('default+packed',), steps=3)
  (row,) = read(tmp_path, 'train')
  assert row['timed'] == 3 and row['rows'] == jax.device_count()
  assert np.isfinite(row['loss'])
  np.testing.assert_allclose(row['per_second'] * row['seconds_median'], 64, rtol=1e-6)  # tokens a device and step
  assert row['per_second_p10'] <= row['per_second'] <= row['per_second_p90']


def test_decode_suite(tmp_path):
  decode.run(tmp_path, preset='tiny', layers=1, rows=3, prompt_tokens=20, new_tokens=40, questions=0)
  (row,) = read(tmp_path, 'decode')
  assert row['rows'] == 3 and 0 <= row['host_share'] <= 1
  np.testing.assert_allclose(row['end_to_end_per_second'] * row['seconds'], 3 * 40, rtol=1e-6)
  assert row['end_to_end_per_second'] < row['per_second']


@pytest.mark.slow
def test_checkpoint_suite(tmp_path):
  checkpoints.run(tmp_path, preset='tiny', layers=1, sequence_length=64, rows=1, steps=2)
  rows = {row['what']: row for row in read(tmp_path, 'checkpoint')}
  assert len(rows) == 8 and all(row['seconds'] > 0 for what, row in rows.items() if 'stall' not in what)
  size = rows['read: restored and verified']['gb']
  assert 1e-4 < size < 1e-2 and rows['save: until it is on disk']['gb'] == size
  assert sorted(p.name for p in tmp_path.iterdir()) == ['checkpoint.json', 'checkpoint.md']


@pytest.mark.slow
def test_checkpoint_suite_says_that_a_part_failed(tmp_path):
  with pytest.raises(UserError, match='the part "save" failed'):
    checkpoints.run(tmp_path, preset='huge')


def test_input_suite(tmp_path):
  corpus = make_corpus(tmp_path / 'corpus')
  inputs.run(tmp_path, str(corpus / 'data'), str(corpus / 'replay'), rows=4, steps=5)
  (row,) = read(tmp_path, 'input')
  assert row['steps'] == 5 and 0 < row['tokens_per_second'] <= row['positions_per_second']


def test_rows_are_like_packed_ones():
  rows = train.random_rows(common.preset('tiny'), 3, 256, packed=True, mean=40)
  ids, positions, labels = rows['segment_ids'], rows['positions'], rows['labels']
  first = np.diff(ids, prepend=0, axis=1) != 0
  assert (first.sum(axis=1) > 2).all() and (np.diff(ids, axis=1) >= 0).all()
  assert (positions[first] == 0).all() and (positions[~first] > 0).all()
  inside = ~np.roll(first, -1, axis=1)
  assert (labels[~inside] == -100).all()
  np.testing.assert_array_equal(labels[inside], np.roll(rows['tokens'], -1, axis=1)[inside])


def test_definitions_agree_with_published_figures():
  model = common.preset('llama8b')
  assert flops_per_token(model, 2048) == pytest.approx(46.6e9, rel=2e-3)
  h200 = CHIPS['h200']
  assert decode.ceiling(h200, model, 128, 1024) == pytest.approx(18_500, rel=5e-3)
  assert decode.ceiling(h200, model, 512, 1024) == pytest.approx(29_000, rel=5e-3)
  assert decode.prefill_mfu(h200, model, 44_774, 1024) == pytest.approx(0.644, abs=1e-3)


def test_spread():
  found = common.spread([1.0, 2.0, 3.0], 6)
  assert found['per_second'] == 3 and 2 <= found['per_second_p10'] < 3 < found['per_second_p90'] <= 6


def profile(*streams: list[tuple[str, int, int]]):
  """A trace of one GPU: (kernel, begin, end) in ms by stream, beside the host and an idle GPU."""
  names = sorted({name for events in streams for name, *_ in events})

  def block(field: str, *parts: str) -> str:
    return f'{field} {{ {" ".join(parts)} }}'

  lines = [block('lines', f'name: "Stream #{i}(Compute)"', *(
      block('events', f'metadata_id: {names.index(name)}', f'offset_ps: {begin * 10**9}',
            f'duration_ps: {(end - begin) * 10**9}') for name, begin, end in events))
           for i, events in enumerate(streams)]
  known = [block('event_metadata', f'key: {i}', block('value', f'id: {i}', f'name: "{name}"'))
           for i, name in enumerate(names)]
  text = block('planes', 'name: "/host:CPU"') + block('planes', 'name: "/device:GPU:1"') + block(
      'planes', 'name: "/device:GPU:0"', *lines, block('lines', 'name: "XLA Ops"'), *known)
  data = jax.profiler.ProfileData
  return data.from_serialized_xspace(data.text_proto_to_serialized_xspace(text))


def test_where_a_step_spends_its_time():
  [(name, events)] = trace.gpus(profile(
      [('gemm_7', 0, 10), ('gemm_8', 10, 20), ('loop_fusion', 30, 40)],
      [('ncclDevKernel_AllGather', 15, 24), ('MemcpyP2P', 22, 26)]))
  assert name == '/device:GPU:0'
  found = trace.breakdown(events, steps=2)
  assert found == {'span_ms': 20, 'computing_ms': 15, 'communicating_ms': 5.5, 'exposed_ms': 3, 'idle_ms': 2,
                   'kernels': {'gemm': 10, 'loop_fusion': 5, 'ncclDevKernel_AllGather': 4.5, 'MemcpyP2P': 2}}


def test_a_trace_without_gpus_says_nothing(tmp_path):
  train.run(tmp_path, preset='tiny', layers=1, sequence_length=64, rows=1, variants=('default',), steps=1, traced=True,
            options={'xla_gpu_enable_triton_gemm': None})
  (row,) = read(tmp_path, 'train')
  assert 'idle_ms' not in row and 'idle_ms' in (tmp_path / 'train.md').read_text()


def test_compiler_settings_as_text():
  assert xla_flags.parse(['a=True', 'b=false', 'c=-3', 'd=COLLECTIVES_PEER_MEMORY', 'e=']) == {
      'a': True, 'b': False, 'c': -3, 'd': 'COLLECTIVES_PEER_MEMORY', 'e': None}
  with pytest.raises(UserError, match="compiler setting 'a': expected NAME=VALUE"):
    xla_flags.parse(['a'])


def test_unknown_compiler_settings_are_left_out():
  lowered = jax.jit(lambda x: x + 1).lower(1.0)
  program = xla_flags.compile_with(lowered, {'xla_of_another_time': True, 'xla_gpu_enable_triton_gemm': False})
  assert program(1.0) == 2
  with pytest.raises(jax.errors.JaxRuntimeError):
    lowered.compile(compiler_options={'xla_of_another_time': True})


@pytest.mark.parametrize('change, named', [
    ({'preset': 'huge'}, '--preset=huge'), ({'layers': -1}, '--layers=-1'), ({'variants': ('fp8',)}, '--variants=fp8'),
    ({'peer_python': '/no/such/python'}, '--peer_python=/no/such/python: no such program'),
])
def test_mistakes(tmp_path, change, named):
  with pytest.raises(UserError, match=named):
    train.run(tmp_path, **({'preset': 'tiny'} | change))
  assert not (tmp_path / 'train.json').exists()


@pytest.mark.slow
def test_a_peer_that_fails_is_quoted(tmp_path):
  with pytest.raises(UserError, match=r'hf_train\.py failed: '):
    train.run(tmp_path, preset='tiny', peer_python=sys.executable, peer_arguments=('--nonsense=1',))


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec('torch'), reason='torch is not installed')
@pytest.mark.parametrize('script, flags', [
    ('hf_train.py', ['--layers=1', '--sequence=32', '--rows=1', '--ways=plain', '--steps=2', '--warmup=1']),
    ('hf_train.py', ['--layers=1', '--sequence=32', '--rows=1', '--ways=keep', '--steps=2', '--warmup=1',
                     '--processes=2']),
    ('hf_generate.py', ['--layers=1', '--prompt=8', '--rows=2', '--new_tokens=3']),
])
def test_peers(script, flags):
  (row,) = common.run_peer(sys.executable, script, ['--preset=tiny', *flags], timeout=300)
  assert row['per_second'] > 0 and row['who'].startswith('transformers')


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec('torch'), reason='torch is not installed')
def test_a_way_that_fails_takes_no_other_with_it():
  flags = ['--preset=tiny', '--layers=1', '--sequence=32', '--rows=1', '--steps=2', '--warmup=1']
  (row,) = common.run_peer(sys.executable, 'hf_train.py', [*flags, '--ways=liger,plain'], timeout=300)
  assert row['who'] == 'transformers (plain)'
  with pytest.raises(UserError, match='left out: liger with 1 rows: ModuleNotFoundError'):
    common.run_peer(sys.executable, 'hf_train.py', [*flags, '--ways=liger', '--rows=1,1'], timeout=300)


def test_command_names_a_wrong_suite():
  done = subprocess.run([sys.executable, '-m', 'launch.benchmark', '--suite=speed', '--out=x'], capture_output=True,
                        text=True, check=False)
  assert done.returncode == 2 and 'suite' in done.stderr and done.stderr.count('\n') == 1
