"""Benchmark readers, one module each. A module put here is a benchmark of every program under its own name."""

import importlib
import pkgutil
from collections.abc import Iterable
from typing import Any

from data_gen.errors import UserError
from data_gen.schema import Question

_HELPERS = ('base', 'filings', 'quality_files', 'tfds_quality')

NAMES = tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _HELPERS))
CUSTOM = 'custom'  # in an evaluation: questions that no reader here made
ASKED = (*NAMES, CUSTOM)


def load(name: str) -> Any:
  """The reader module of a benchmark: `read(source, options) -> Prepared`, and optionally `OPTIONS`, `N_OPTIONS`."""
  return importlib.import_module(f'{__name__}.{name}')


def check_options(name: str, questions: Iterable[Question], where: str) -> None:
  """Checks that questions have as many options as their benchmark's, where its module says how many.

  Args:
    where: the file that holds the questions, for the message.

  Raises:
    UserError: a question with more or fewer, or with options where the benchmark has none.
  """
  if name == CUSTOM:
    return
  module = load(name)
  if not hasattr(module, 'N_OPTIONS'):
    return
  for q in questions:
    count = None if q.options is None else len(q.options)
    if count != module.N_OPTIONS:
      expected = f'{module.N_OPTIONS} options' if module.N_OPTIONS else 'no options'
      raise UserError(f'{where}: question "{q.id}" has {count or "no"} options, but --benchmark={name} has {expected}; '
                      f'--benchmark={CUSTOM} takes any')
