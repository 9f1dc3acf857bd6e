"""The mesh and its rules: what fits, and one line for what does not."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from train_fixtures import tiny_model

from data_gen.errors import UserError
from smt_jax.chips import CHIPS
from smt_jax.config import MeshConfig
from smt_jax.distributed import device_memory, initialize, row_share, slurm_devices
from smt_jax.mesh import AxisRules, batch_parts, constrain, make_mesh, mesh_sizes, path_name, shardings, use_rules
from smt_jax.model import abstract, param_axes


@pytest.mark.parametrize('config, expected', [
    (MeshConfig(), (1, 8, 1, 1)),
    (MeshConfig(data=-1, fsdp=2, tensor=2), (2, 2, 2, 1)),
    (MeshConfig(data=8, fsdp=1), (8, 1, 1, 1)),
])
def test_sizes_are_resolved(config, expected):
  mesh = make_mesh(config)
  assert tuple(mesh.shape.values()) == expected
  assert set(mesh.axis_types) == {AxisType.Auto}


@pytest.mark.parametrize('config, message', [
    (MeshConfig(fsdp=-1, tensor=3), 'data=1 x tensor=3 x context=1 = 3 does not divide the 8 devices'),
    (MeshConfig(fsdp=4), 'data=1 x fsdp=4 x tensor=1 x context=1 = 4, but there are 8 devices'),
    (MeshConfig(fsdp=16), '= 16, but there are 8 devices'),
])
def test_a_mesh_that_does_not_fit_the_devices(config, message):
  with pytest.raises(UserError, match=message):
    make_mesh(config)


def param_shardings(config, model=None, rules=None):
  model = model or tiny_model()
  return shardings(param_axes(model), nnx.state(abstract(model), nnx.Param), make_mesh(config), rules)


def test_expected_specs():
  found = {path_name(path): sharding.spec for path, sharding in
           jax.tree_util.tree_flatten_with_path(param_shardings(MeshConfig(fsdp=4, tensor=2)))[0]}
  assert found['embedding_VD'] == P('tensor', 'fsdp')
  assert found['blocks.0.attention.q_DHN'] == P('fsdp', 'tensor', None)
  assert found['blocks.0.attention.o_DHN'] == P('fsdp', 'tensor', None)
  assert found['blocks.1.mlp.down_DF'] == P('fsdp', 'tensor')
  assert found['blocks.1.mlp_norm_D'] == P(None)


@pytest.mark.parametrize('config, message', [
    (MeshConfig(fsdp=1, tensor=8), r'tensor blocks\.0\.attention\.k_DKN: axis "kv_heads" of size 2 is not divisible by '
                                   r'mesh axis tensor=8'),
    (MeshConfig(fsdp=8), None),
])
def test_an_axis_that_does_not_divide_names_tensor_and_axis(config, message):
  if message is None:
    param_shardings(config)
    with pytest.raises(UserError, match=r'axis "embed" of size 12 is not divisible by mesh axis fsdp=8'):
      param_shardings(config, tiny_model(hidden_size=12))
  else:
    with pytest.raises(UserError, match=message):
      param_shardings(config)


@pytest.mark.parametrize('rules, message', [
    (AxisRules(embed='fdsp'), 'axis "embed" is mapped to mesh axis "fdsp", which does not exist'),
    (AxisRules(embed='tensor'), 'mesh axis "tensor" is used by two axes of'),
])
def test_rules_that_cannot_be(rules, message):
  with pytest.raises(UserError, match=message):
    param_shardings(MeshConfig(), rules=rules)


def test_a_logical_axis_that_does_not_exist():
  with pytest.raises(UserError, match='tensor w: logical axis "embbed" does not exist; known are batch, '):
    AxisRules().spec(('embbed', None), 'tensor w')


def test_slices_are_crossed_by_data_only(monkeypatch):
  """Sixteen chips in two slices: neighbours on every axis but data are of one slice."""
  devices = [types.SimpleNamespace(
      id=i, platform='tpu', device_kind='TPU v5 lite', slice_index=i // 8, process_index=i // 4, core_on_chip=0,
      coords=[i % 8 // 2, i % 2, 0]) for i in range(16)]
  from smt_jax import mesh as module
  monkeypatch.setattr(module, 'Mesh', lambda grid, *_, **__: grid)
  grid = make_mesh(MeshConfig(data=2, fsdp=4, tensor=2), devices)
  assert grid.shape == (2, 4, 2, 1)
  for part in grid:
    assert len({d.slice_index for d in part.flat}) == 1
  with pytest.raises(UserError, match='with 2 slices, data or fsdp must be a multiple of 2'):
    make_mesh(MeshConfig(data=1, fsdp=1, tensor=16), devices)


def test_batch_parts_and_constraint():
  mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
  assert batch_parts(mesh) == 4
  with use_rules(mesh):
    cut = jax.jit(lambda x: constrain(x, 'batch', 'sequence', None))(jnp.zeros((8, 4, 2)))
  assert cut.addressable_shards[0].data.shape == (2, 4, 2)
  free = constrain(jnp.zeros((8, 4)), 'batch', None)
  assert len(free.sharding.device_set) == 1


def test_row_share_of_one_process():
  assert row_share(make_mesh(MeshConfig(data=2, fsdp=4)), 16) == (0, 1)
  assert row_share(make_mesh(MeshConfig(fsdp=1, context=8)), 3) == (0, 1)


@pytest.mark.parametrize('env, devices', [
    ({'SLURM_STEP_TASKS_PER_NODE': '1(x4)', 'SLURM_GPUS_ON_NODE': '8'}, list(range(8))),
    ({'SLURM_TASKS_PER_NODE': '1', 'SLURM_GPUS_ON_NODE': '4'}, [0, 1, 2, 3]),
    ({'SLURM_STEP_TASKS_PER_NODE': '8(x4)', 'SLURM_GPUS_ON_NODE': '8'}, None),  # a task a GPU: JAX knows which
    ({'SLURM_STEP_TASKS_PER_NODE': '1'}, None),
    ({}, None),
])
def test_a_slurm_task_takes_all_gpus_of_its_node(env, devices):
  assert slurm_devices(env) == devices


def test_mesh_sizes_without_devices():
  assert mesh_sizes(MeshConfig(data=-1, fsdp=64, tensor=4), 512) == (2, 64, 4, 1)


@pytest.mark.parametrize('environment, message', [
    ({'COORDINATOR_ADDRESS': 'localhost:1'}, 'COORDINATOR_ADDRESS is set but not NUM_PROCESSES, PROCESS_ID'),
    ({'COORDINATOR_ADDRESS': 'localhost:1', 'NUM_PROCESSES': 'two', 'PROCESS_ID': '0'}, 'must be whole numbers'),
])
def test_a_half_set_environment(environment, message):
  with pytest.raises(UserError, match=message):
    initialize(environment)


def test_a_single_process_joins_nobody():
  assert initialize({'SLURM_NTASKS': '1', 'TPU_WORKER_HOSTNAMES': 'one'}) is False


def test_memory_of_devices_that_are_not_here_is_the_data_sheets():
  def mesh(platform, kind):
    return types.SimpleNamespace(devices=np.array([types.SimpleNamespace(platform=platform, device_kind=kind)]))
  assert device_memory(mesh('gpu', 'NVIDIA H200')) == int(CHIPS['h200'].memory)
  assert device_memory(mesh('gpu', 'NVIDIA Unheard')) is None
  assert device_memory(make_mesh(MeshConfig())) is None
