"""A sample of verdicts on open answers for a person to check, and how far the person agrees.

No judge, and no rule, should be believed unread: `audit.csv` beside the results holds a fixed sample of answers with
their verdicts and an empty column. Filled in, it gives the agreement that a paper should quote.
"""

import collections
import csv
import hashlib
import pathlib
from collections.abc import Iterable
from typing import Any

from data_gen.errors import UserError
from data_gen.jsonl import PathLike, atomic_write
from smt_jax.eval import exact

COLUMNS = ('id', 'question', 'gold', 'answer', 'verdict', 'by', 'human')
SIZE = 30
_WORDS = {'correct': True, 'right': True, 'yes': True, '1': True, 'incorrect': False, 'wrong': False, 'no': False,
          '0': False}


def write_audit(items: Iterable[dict[str, Any]], path: PathLike, size: int = SIZE) -> int:
  """Writes a sample of the answered rows of items.jsonl without options; returns its size.

  The sample depends on the questions' ids alone, so arms are audited on the same questions. Verdicts of a judge go
  first: half of the sample at least, where there are so many.
  """
  rows = sorted((r for r in items if r.get('options') is None and 'excluded' not in r), key=_rank)
  judged = [r for r in rows if str(r['how']).startswith('judge')]
  chosen = judged[:max((size + 1) // 2, size - (len(rows) - len(judged)))]
  ids = {r['id'] for r in chosen}
  chosen += [r for r in rows if r['id'] not in ids][:size - len(chosen)]
  with atomic_write(path) as f:
    table = csv.writer(f)
    table.writerow(COLUMNS)
    for r in sorted(chosen, key=_rank):
      answer = r['parsed'] if r['parsed'] is not None else r['output']
      table.writerow([r['id'], r['question'], r['answer'], answer, 'correct' if r['correct'] else 'incorrect', r['how'],
                      ''])
  return len(chosen)


def _rank(row: dict[str, Any]) -> bytes:
  return hashlib.sha256(str(row['id']).encode()).digest()


def agreement(path: PathLike) -> dict[str, Any]:
  """How often a filled-in audit agrees with the verdicts.

  Returns:
    'n' rows filled in, 'agree' of them, 'share' with its exact 95% interval 'ci95', verdicts 'false_accept' and
    'false_reject' in the person's eyes, 'by' (the same counts by who decided), 'empty' rows.

  Raises:
    UserError: a file that is no audit, an entry in "human" that is neither right nor wrong, or no entry at all.
  """
  path = pathlib.Path(path)
  counts: collections.Counter[str] = collections.Counter()
  by: dict[str, list[int]] = {}
  for number, row in _read(path):
    said = (row['human'] or '').strip().lower()
    if not said:
      counts['empty'] += 1
      continue
    if said not in _WORDS or row['verdict'] not in ('correct', 'incorrect'):
      field = 'human' if said not in _WORDS else 'verdict'
      raise UserError(f'{path}:{number}: field "{field}" should be correct or incorrect, found {row[field]!r}')
    verdict = row['verdict'] == 'correct'
    counts['n'] += 1
    counts['agree'] += _WORDS[said] == verdict
    counts['false_accept'] += verdict and not _WORDS[said]
    counts['false_reject'] += not verdict and _WORDS[said]
    of = by.setdefault(row['by'], [0, 0])
    of[0] += 1
    of[1] += _WORDS[said] == verdict
  if not counts['n']:
    raise UserError(f'{path}: column "human" is empty; expected correct or incorrect in it')
  low, high = exact.clopper_pearson(counts['agree'], counts['n'])
  return {'n': counts['n'], 'agree': counts['agree'], 'share': counts['agree'] / counts['n'], 'ci95': [low, high],
          'false_accept': counts['false_accept'], 'false_reject': counts['false_reject'], 'empty': counts['empty'],
          'by': {name: {'n': n, 'agree': agreed} for name, (n, agreed) in sorted(by.items())}}


def _read(path: pathlib.Path) -> list[tuple[int, dict[str, str]]]:
  try:
    with open(path, encoding='utf-8-sig', newline='') as f:  # spreadsheets write a byte-order mark
      table = csv.DictReader(f)
      rows = [(table.line_num, row) for row in table]
      missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
  except (OSError, UnicodeDecodeError, csv.Error) as e:
    raise UserError(f'{path}: cannot be read ({e})') from None
  if missing:
    raise UserError(f'{path}: column "{missing[0]}" is missing; expected an audit.csv of launch.evaluate')
  return rows
