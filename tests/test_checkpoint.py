"""Checkpoints: whole or unused, restored bit for bit and under other meshes."""

import errno
import gc
import json
import pathlib
import resource

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from train_fixtures import devices, tiny_config, tiny_model

from data_gen.errors import UserError
from smt_jax import checkpoint, snapshot
from smt_jax.config import CheckpointConfig
from smt_jax.mesh import make_mesh
from smt_jax.state import init_state, make_setup


def make(n_devices=2, **changes):
  config = tiny_config(**changes)
  return make_setup(config, make_mesh(config.mesh, devices(n_devices)), 4)


@pytest.fixture(scope='module')
def setup():
  return make()


@pytest.fixture(scope='module')
def state(setup):
  return init_state(setup)


def at(state, step):
  """The state as if `step` updates had been done: weights that tell steps apart."""
  params = jax.tree.map(lambda x: x + step, state.params)
  return type(state)(jnp.int32(step), state.ok, params, state.opt_state, state.frozen)


def save(folder, state, steps, **options):
  checkpointer = checkpoint.Checkpointer(folder, CheckpointConfig(**options))
  for step, loss in steps.items():
    checkpointer.save(step, at(state, step), {'tokens': 10 * step}, loss)
  checkpointer.wait()
  return checkpointer


def equal(a, b):
  return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def biggest_file(folder: pathlib.Path) -> pathlib.Path:
  return max((p for p in folder.rglob('*') if p.is_file()), key=lambda p: p.stat().st_size)


def test_restored_bit_for_bit_in_the_background_too(tmp_path, setup, state):
  checkpointer = save(tmp_path, state, {3: None, 7: None}, asynchronous=True)
  assert checkpoint.steps(tmp_path) == [3, 7] and checkpoint.latest_step(tmp_path) == 7
  restored, meta = checkpointer.restore(setup.shapes)
  assert meta['step'] == 7 and meta['tokens'] == 70
  assert equal(restored, at(state, 7))
  for ours, wanted in zip(jax.tree.leaves(restored), jax.tree.leaves(setup.shapes)):
    assert ours.sharding.is_equivalent_to(wanted.sharding, ours.ndim)


@pytest.mark.parametrize('room', [1e12, 0], ids=['copied on the devices', 'no room for a copy'])
def test_a_state_that_is_gone_once_the_save_has_returned(room, tmp_path, setup, state, monkeypatch):
  """As it is when the next step takes its buffers; the copies go when they are written."""
  monkeypatch.setattr(snapshot, 'free', lambda device: room)
  checkpointer = checkpoint.Checkpointer(tmp_path, CheckpointConfig())
  checkpointer.prepare(state)
  before = len(jax.live_arrays())
  for step in (1, 2):  # the second waits for the first
    passing = jax.tree.map(lambda x: x.copy(), at(state, step))
    checkpointer.save(step, passing, {})
    jax.tree.map(lambda x: x.delete(), passing)
  checkpointer.wait()
  del passing
  gc.collect()
  assert len(jax.live_arrays()) == before
  for step in (2, 1):
    wanted = at(state, step).params
    assert equal(checkpoint.restore_params(tmp_path, step, setup.shapes.params), wanted)


class Accelerator:
  """A device whose memory is at its fullest while there is a copy of the state beside the step."""
  platform = 'gpu'

  def __init__(self, limit: int):
    self.limit, self.peak = limit, 60

  def memory_stats(self):
    return {'bytes_limit': self.limit, 'peak_bytes_in_use': self.peak}


def test_a_copy_is_made_only_where_every_device_has_room(state, monkeypatch):
  arrays = checkpoint.flatten(state.params)
  accelerators = [Accelerator(100), Accelerator(100)]
  monkeypatch.setattr(snapshot, '_bytes_by_device', lambda arrays: dict.fromkeys(accelerators, 30))
  snapshots = snapshot.Snapshots()
  for _ in range(2):
    copies = snapshots.take(arrays)
    assert copies is not None and equal(copies, arrays)
    assert all(copies[k].sharding == x.sharding for k, x in arrays.items())
    accelerators[0].peak = 90  # the copy itself
  accelerators[1].limit = 91
  assert snapshot.Snapshots().take(arrays) is None


def test_what_a_copy_takes_of_each_device(state):
  found = snapshot._bytes_by_device(checkpoint.flatten(state.params))
  assert set(found) == set(devices(2))
  matrices = sum(x.nbytes for x in jax.tree.leaves(state.params) if x.ndim > 1)
  norms = sum(x.nbytes for x in jax.tree.leaves(state.params) if x.ndim == 1)
  assert set(found.values()) == {matrices // 2 + norms}


def test_restored_on_another_number_of_devices(tmp_path, state):
  save(tmp_path, state, {1: None})
  for other in (make(1), make(8, **{'mesh.fsdp': 2, 'mesh.tensor': 2, 'mesh.data': 2})):
    restored, _ = checkpoint.Checkpointer(tmp_path, CheckpointConfig()).restore(other.shapes)
    assert equal(restored, at(state, 1))


def test_weights_alone_in_another_dtype(tmp_path, state):
  save(tmp_path, state, {2: None})
  wanted = make(4, **{'step.param_dtype': 'bfloat16'}).shapes.params
  params = checkpoint.restore_params(tmp_path, 2, wanted)
  for ours, saved in zip(jax.tree.leaves(params), jax.tree.leaves(at(state, 2).params)):
    assert ours.dtype == jnp.bfloat16 and len(ours.sharding.device_set) == 4
    np.testing.assert_array_equal(ours, saved.astype(jnp.bfloat16))
  assert checkpoint.stored_dtype(tmp_path, 2) == np.float32


def flip_bits(item: pathlib.Path) -> None:
  """One bit in every data file of an item: not all of a file's bytes are in use."""
  for path in item.rglob('d/*'):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


DAMAGES = {
    'flipped bits': lambda step: flip_bits(step / 'params'),
    'a truncated file': lambda step: biggest_file(step / 'opt_state').write_bytes(b'short'),
    'a missing file': lambda step: biggest_file(step / 'params').unlink(),
    'a torn description': lambda step: (step / 'meta' / 'metadata').write_text('{"st'),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(damage, tmp_path, setup, state, caplog):
  checkpointer = save(tmp_path, state, {1: None, 2: None})
  DAMAGES[damage](tmp_path / 'checkpoints' / '2')
  restored, meta = checkpointer.restore(setup.shapes)
  assert meta['step'] == 1 and equal(restored, at(state, 1))
  assert 'checkpoints/2 is damaged and set aside' in caplog.text
  assert checkpoint.steps(tmp_path) == [1]
  checkpointer.save(2, at(state, 2), {})  # the step is run again and saved under its name
  checkpointer.wait()
  assert checkpointer.restore(setup.shapes)[1]['step'] == 2


def test_a_step_is_damaged_twice(tmp_path, setup, state):
  checkpointer = save(tmp_path, state, {1: None, 2: None})
  for aside in (['2.damaged'], ['2.damaged', '2.damaged.2']):
    flip_bits(tmp_path / 'checkpoints' / '2' / 'params')
    assert checkpointer.restore(setup.shapes)[1]['step'] == 1
    assert sorted(p.name for p in (tmp_path / 'checkpoints').glob('*.damaged*')) == aside
    checkpointer.save(2, at(state, 2), {})
    checkpointer.wait()


def test_no_usable_checkpoint_is_an_error_not_a_fresh_start(tmp_path, setup, state):
  checkpointer = save(tmp_path, state, {1: None})
  flip_bits(tmp_path / 'checkpoints' / '1' / 'params')
  for _ in range(2):  # a launcher tries again
    with pytest.raises(UserError, match=r'none of the checkpoints can be restored \(1\.damaged\)'):
      checkpointer.restore(setup.shapes)


@pytest.mark.parametrize('error', [
    jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory'), PermissionError('no'), MemoryError(),
    ValueError('UNAVAILABLE: the store does not answer'), TimeoutError('no answer'), OSError(errno.ESTALE, 'stale'),
    ValueError("UNKNOWN: Error reading file: Stale file handle [os_error_code='116']")])
def test_what_may_pass_condemns_no_checkpoint(error, tmp_path, setup, state, monkeypatch):
  checkpointer = save(tmp_path, state, {1: None})
  with monkeypatch.context() as patch:
    patch.setattr(checkpoint, '_restore_item', lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(UserError, match='checkpoints/1: cannot be read now'):
      checkpointer.restore(setup.shapes)
  assert checkpointer.restore(setup.shapes)[1]['step'] == 1


def test_a_half_written_checkpoint_does_not_count(tmp_path, setup, state):
  save(tmp_path, state, {1: None})
  (tmp_path / 'checkpoints' / '2.orbax-checkpoint-tmp-0').mkdir()
  assert checkpoint.steps(tmp_path) == [1]
  assert checkpoint.Checkpointer(tmp_path, CheckpointConfig()).restore(setup.shapes)[1]['step'] == 1


@pytest.mark.parametrize('asynchronous', [True, False])
def test_a_disk_that_fills_up(asynchronous, tmp_path, setup, state):
  """Files that may not grow: the save fails in one line, the checkpoint before it stays the newest."""
  checkpointer = save(tmp_path, state, {1: None}, asynchronous=asynchronous)
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
  try:
    with pytest.raises(UserError, match='the checkpoint could not be written'):
      checkpointer.save(2, at(state, 2), {})
      checkpointer.wait()
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  assert checkpoint.steps(tmp_path) == [1]
  assert equal(checkpoint.restore_params(tmp_path, 1, setup.shapes.params), at(state, 1).params)


def test_nothing_to_restore(tmp_path, setup):
  assert checkpoint.latest_step(tmp_path / 'absent') is None
  assert checkpoint.Checkpointer(tmp_path, CheckpointConfig()).restore(setup.shapes) is None


def test_the_last_and_the_best_are_kept(tmp_path, state):
  losses = {1: 3.0, 2: 1.0, 3: 2.0, 4: 5.0, 5: 4.0}
  save(tmp_path, state, losses, keep_last=2, keep_best=1)
  assert checkpoint.steps(tmp_path) == [2, 4, 5]


@pytest.mark.parametrize('model, message', [
    (tiny_model(num_hidden_layers=3), r'tensor "blocks\.2\.attention\.k_DKN" is missing'),
    (tiny_model(num_hidden_layers=1), r'tensor "blocks\.1\.attention\.k_DKN" is not in the model'),
    (tiny_model(intermediate_size=64), r'tensor "blocks\.0\.mlp\.down_DF" has shape \(16, 32\), .* \(16, 64\)'),
])
def test_another_model_is_named_by_its_first_tensor(model, message, tmp_path, state):
  save(tmp_path, state, {1: None})
  other = make(model=model)
  with pytest.raises(UserError, match=message):
    checkpoint.restore_params(tmp_path, 1, other.shapes.params)
  with pytest.raises(UserError, match='tensor "'):
    checkpoint.Checkpointer(tmp_path, CheckpointConfig()).restore(other.shapes)
  assert checkpoint.steps(tmp_path) == [1]  # it is not damaged


def test_a_step_that_is_not_there(tmp_path, setup, state):
  save(tmp_path, state, {1: None, 2: None})
  with pytest.raises(UserError, match='no checkpoint of step 9; there are: 1, 2'):
    checkpoint.restore_params(tmp_path, 9, setup.shapes.params)


def test_a_value_changed_without_a_trace_in_the_files(tmp_path, setup, state):
  """Storage that returns other bytes than it was given: no library complains, the fingerprints do."""
  save(tmp_path, state, {1: None})
  meta = tmp_path / 'checkpoints' / '1' / 'meta' / 'metadata'
  content = json.loads(meta.read_text())
  content['fingerprints']['params']['norm_D'][1] ^= 1
  meta.write_text(json.dumps(content))
  with pytest.raises(UserError, match='step 1, params: tensor "norm_D" is not what was saved'):
    checkpoint.restore_params(tmp_path, 1, setup.shapes.params)


def test_meta_is_json_for_others(tmp_path, state):
  save(tmp_path, state, {1: None})
  meta = json.loads((tmp_path / 'checkpoints' / '1' / 'meta' / 'metadata').read_text())
  assert meta['step'] == 1 and set(meta['fingerprints']) == {'params', 'opt_state'}


def test_a_relative_folder_is_the_same_folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert checkpoint.folder('run') == checkpoint.folder(tmp_path / 'run')
  assert checkpoint.folder('run').is_absolute()


def test_memory_on_the_host_is_taken_up_to_a_limit_and_given_back(state):
  tree = checkpoint.flatten(state.params)
  shards = [shard.data for x in tree.values() for shard in x.addressable_shards]
  limit = sum(x.nbytes for x in shards[:3])
  assert [x.nbytes for x in snapshot._first(tree, limit)] == [x.nbytes for x in shards[:3]]
  snapshot.reserve_host((tree, tree), limit)  # CPUs have memory of this kind too
  assert not any(x.is_deleted() for x in shards)
