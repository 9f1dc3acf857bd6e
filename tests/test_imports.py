"""One direction of imports, held by reading every module's import statements."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
API_CLIENTS = {'openai', 'httpx', 'aiohttp', 'requests'}
CONTRACT = {'data_gen.errors', 'data_gen.jsonl', 'data_gen.schema',
            'data_gen.storage'}  # where those files lie: the stages' files are read and written on buckets too


def imports(path: pathlib.Path) -> set[str]:
  """Every module that a file imports, also inside functions, as dotted names."""
  names = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
      names |= {f'{node.module}.{alias.name}' if node.module in ('data_gen', 'smt_jax') else node.module
                for alias in node.names}
  return names


def modules(package: str) -> list[pathlib.Path]:
  return sorted((ROOT / package).rglob('*.py'))


def top(names: set[str]) -> set[str]:
  return {n.split('.')[0] for n in names}


@pytest.mark.parametrize('path', modules('data_gen'), ids=str)
def test_data_gen_needs_no_jax(path):
  assert not top(imports(path)) & {'jax', 'flax', 'optax', 'orbax', 'grain', 'smt_jax', 'launch', 'configs'}


@pytest.mark.parametrize('path', modules('smt_jax'), ids=str)
def test_smt_jax_needs_no_client_and_no_flags(path):
  names = imports(path)
  assert not top(names) & ({'launch', 'configs', 'torch', 'tensorflow'} | API_CLIENTS)
  assert 'absl.flags' not in names and 'absl.app' not in names
  assert {n for n in names if n.startswith('data_gen')} <= CONTRACT


@pytest.mark.parametrize('path', modules('configs'), ids=str)
def test_configs_are_recipes_only(path):
  assert top(imports(path)) <= {'smt_jax', 'dataclasses', 'collections', 'typing', 'ml_collections', 'data_gen', 'json',
                                'math', 'configs'}


@pytest.mark.parametrize('path', modules('data_gen/offline'), ids=str)
def test_offline_generator_and_world_share_nothing(path):
  assert not any('world' in name for name in imports(path))


@pytest.mark.parametrize('path', modules('data_gen/world'), ids=str)
def test_world_does_not_know_the_offline_generator(path):
  assert not any('offline' in name for name in imports(path))
