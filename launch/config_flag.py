"""The --config flag: a recipe file with overrides, checked before anything is built.

  --config=configs/world.py:smt        get_config('smt') of a recipe file
  --config=WORKDIR/config.json         a resolved configuration, to run again
  --config.optimizer.learning_rate=1e-3 --config.mix.ratios.document=8   single fields, after --config

The overriding is ml_collections'; here is what it lacks: JSON files, keys of dictionaries, and one-line complaints.
"""

import dataclasses
import difflib
import importlib.util
import inspect
import pathlib
import re
import sys
import typing
from typing import Any

from absl import flags
from ml_collections import config_flags

from data_gen import storage
from data_gen.errors import UserError
from data_gen.jsonl import read_json
from smt_jax.config import TrainConfig, from_dict

EXPECTED = 'configs/FILE.py[:variant] or WORKDIR/config.json'


def define(name: str = 'config') -> flags.FlagHolder[TrainConfig]:
  """Defines the flag; `read` gives its value. A wrong value or key is a `flags.Error`."""
  given = any(re.match(rf'--?{name}(=|$)', argument) for argument in sys.argv)
  return config_flags.DEFINE_config_dataclass(
      name, TrainConfig(), f'The run: {EXPECTED}; single fields with --{name}.a.b=value.', parse_fn=_parse,
      sys_argv=None if given else sys.argv[:1])


def read(holder: flags.FlagHolder[TrainConfig]) -> TrainConfig:
  """The configuration, every field of its declared type.

  Raises:
    UserError: no configuration was named.
  """
  if not holder.present:
    raise UserError(f'--{holder.name}: expected {EXPECTED}')
  return from_dict(TrainConfig, dataclasses.asdict(holder.value), f'--{holder.name}')


def load(argument: str) -> TrainConfig:
  """The configuration that `FILE.py[:variant]` or `FILE.json` names.

  Raises:
    UserError: no such file or variant, or a file that is no recipe.
  """
  if argument.endswith('.json'):
    return from_dict(TrainConfig, read_json(storage.local(argument)), argument)
  path, _, variant = argument.partition(':')
  if not path.endswith('.py'):
    raise UserError(f'--config={argument}: expected {EXPECTED}')
  if not pathlib.Path(path).is_file():
    raise UserError(f'--config={argument}: no such file {path}')
  spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, path)
  assert spec is not None and spec.loader is not None  # so for every name that ends in .py
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  recipe = getattr(module, 'get_config', None)
  if recipe is None:
    raise UserError(f'{path}: expected a function get_config that returns a TrainConfig')
  if variant and not inspect.signature(recipe).parameters:
    raise UserError(f'--config={argument}: {path} has no variants')
  return recipe(variant) if variant else recipe()


def _parse(argument: str) -> TrainConfig:
  try:
    config = load(argument)
    for override in _overrides(sys.argv):
      _check_path(config, override)
  except UserError as e:
    raise flags.Error(str(e)) from None
  return config


def _overrides(argv: list[str]) -> list[str]:
  found = (re.match(r'--?(?:no)?config\.([^=]+)', argument) for argument in argv)
  return [match.group(1) for match in found if match]


def _check_path(config: Any, path: str) -> None:
  """Raises UserError unless the dotted path names a field; a new key of a dictionary is made."""
  here, walked = config, 'config'
  for name in path.split('.'):
    if isinstance(here, dict):
      here.setdefault(name, 0.0)
      here = here[name]
    elif dataclasses.is_dataclass(here) and hasattr(here, name):
      hint = typing.get_type_hints(type(here))[name]
      here = getattr(here, name)
      if here is None and dict in {hint, *map(typing.get_origin, typing.get_args(hint))}:
        raise UserError(f'--config.{path}: cannot be set by a flag; write a recipe')
    else:
      known = [f.name for f in dataclasses.fields(here)] if dataclasses.is_dataclass(here) else []
      close = difflib.get_close_matches(name, known, 1) or known[:12]
      raise UserError(f'--config.{path}: {walked} has no field "{name}"' +
                      (f'; did you mean {" or ".join(close[:1])}?' if known else ''))
    walked += f'.{name}'
  if isinstance(here, dict):
    raise UserError(f'--config.{path}: set its keys one by one, as in --config.{path}.qa=1')
