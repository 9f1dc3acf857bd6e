"""Finished evaluations read back: results.json with items.jsonl, checked against each other."""

import dataclasses
import functools
import glob
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_gen.errors import UserError
from data_gen.jsonl import read_json, read_jsonl


@dataclasses.dataclass(frozen=True)
class Run:
  """One evaluation on disk."""
  folder: pathlib.Path
  results: dict[str, Any]

  @property
  def arm(self) -> str:
    return self.results['arm']

  @property
  def benchmark(self) -> str:
    return self.results['benchmark']

  @functools.cached_property
  def items(self) -> list[dict[str, Any]]:
    """The rows of items.jsonl.

    Raises:
      UserError: a missing file or a damaged row.
    """
    path = self.folder / 'items.jsonl'
    rows = []
    for number, row in read_jsonl(path):
      missing = [key for key in ('id', 'group', 'question') if key not in row]
      if missing or ('excluded' not in row and not isinstance(row.get('score'), int | float)):
        raise UserError(f'{path}:{number}: field "{missing[0] if missing else "score"}" is missing')
      rows.append(row)
    return rows

  @functools.cached_property
  def asked(self) -> dict[str, dict[str, Any]]:
    """Rows by question id, without the excluded ones."""
    return {row['id']: row for row in self.items if 'excluded' not in row}

  def scores(self, ids: Sequence[str], name: str = 'score') -> np.ndarray:
    """[N] strict scores of questions in the order of `ids` (or another column of numbers)."""
    return np.array([float(self.asked[i][name]) for i in ids])


_NEEDED = ('benchmark', 'arm', 'mode', 'scoring', 'n_questions', 'accuracy', 'ci95')


def read_run(folder: str | pathlib.Path) -> Run:
  """The finished evaluation in a folder.

  Raises:
    UserError: none there, or not a results.json of an evaluation.
  """
  folder = pathlib.Path(folder)
  if folder.name == 'results.json':
    folder = folder.parent
  path = folder / 'results.json'
  if not folder.is_dir():
    raise UserError(f'{folder}: no such folder; expected one written by launch.evaluate')
  if not path.exists():
    hint = 'the evaluation is not finished' if (folder / 'log.jsonl').exists() else 'expected a folder written by '\
        'launch.evaluate'
    raise UserError(f'{path}: no such file; {hint}')
  results = read_json(path)
  for key in _NEEDED:
    if not isinstance(results, dict) or key not in results:
      raise UserError(f'{path}: field "{key}" is missing')
  return Run(folder, results)


def read_overlap(folder: str) -> frozenset[str]:
  """Ids of the questions that records share wording with, from the folder of a decontamination; empty for ''.

  Raises:
    UserError: no report of launch.decontaminate there.
  """
  if not folder:
    return frozenset()
  path = pathlib.Path(folder)
  path = path / 'report.json' if path.is_dir() else path
  report = read_json(path)
  ids = report.get('question_ids_hit') if isinstance(report, dict) else None
  if not isinstance(ids, list):
    raise UserError(f'{path}: field "question_ids_hit" is missing, expected a report of launch.decontaminate')
  return frozenset(map(str, ids))


def find_runs(pattern: str, flag: str = '--results') -> list[Run]:
  """The finished evaluations that a glob (or several with commas between them) matches, sorted by folder.

  The glob may match the folders, the results.json files in them, or folders that hold such folders.

  Raises:
    UserError: nothing matches.
  """
  folders: set[pathlib.Path] = set()
  for part in pattern.split(','):
    for match in sorted(glob.glob(part.strip(), recursive=True)):
      path = pathlib.Path(match)
      if path.name == 'results.json':
        folders.add(path.parent)
      elif (path / 'results.json').exists():
        folders.add(path)
      elif path.is_dir():
        folders.update(p.parent for p in path.glob('**/results.json'))
  if not folders:
    raise UserError(f'{flag}={pattern}: matches no results.json')
  return [read_run(folder) for folder in sorted(folders)]
