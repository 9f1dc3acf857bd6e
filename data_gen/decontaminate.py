"""Which records share wording with evaluation questions: flags and reports, removes only when told to.

The rules on wording stand in `decontaminate_index`; paraphrases, which n-grams miss, are found where an embedder is
given (`decontaminate_similar`).

Nothing that generates data imports this module: it alone, beside evaluation, opens questions.
"""

import dataclasses
import glob
import itertools
import json
import pathlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import IO, Any

from data_gen.decontaminate_index import LONG, LONG_REPLAY, QUOTE, SHARE, SHORT, Match, QuestionIndex, normalise
from data_gen.decontaminate_similar import Embed, SimilarQuestions
from data_gen.errors import UserError
from data_gen.jsonl import atomic_write, exclusive, read_jsonl, write_json, write_jsonl
from data_gen.schema import Document, Question, Record, from_row, read_rows

__all__ = ['Match', 'QuestionIndex', 'decontaminate', 'find_files', 'normalise', 'read_records']

_BLOCK = 512  # records looked up at once: what one call of an embedder gets

def decontaminate(records: str, questions: str | pathlib.Path, out: str | pathlib.Path, remove: bool = False,
                  documents: str | pathlib.Path | None = None, embed: Embed | None = None,
                  similarity: float = 0.9) -> dict[str, Any]:
  """Writes `flagged.jsonl`, `quotes.jsonl` and `report.json`; with `remove` also a cleaned copy of every records file.

  Records that share nothing with a question but what it quotes from its own document (the title above all) go to
  quotes.jsonl: they are counted apart, are not among the flagged ones and are never removed.

  Args:
    records: glob (or several with commas between them) of records files.
    documents: the documents of the questions, to tell quotes; by default documents.jsonl beside the questions,
      where there is one.
    embed: texts to vectors; finds paraphrases at a cosine of `similarity` or more.

  Returns:
    The content of report.json.

  Raises:
    UserError: no such file, malformed lines, or cleaned copies that would lie on the records themselves.
  """
  paths = find_files(records)
  asked = list(read_rows(Question, questions))
  beside = pathlib.Path(questions).parent / 'documents.jsonl'
  named = documents or (beside if beside.exists() else None)
  index = QuestionIndex(asked, {d.id: d for d in read_rows(Document, named)} if named else None)
  similar = SimilarQuestions(asked, embed, similarity) if embed else None
  out = pathlib.Path(out)
  if remove:
    _check_copies(paths, out)
  count = _Count()
  with exclusive(out):
    with atomic_write(out / 'quotes.jsonl') as quotes_file:
      flagged = write_jsonl(out / 'flagged.jsonl', _flagged(paths, index, similar, count, quotes_file))
    if remove:
      _write_clean(paths, out)
    total = sum(count.records.values())
    report = {
        'records': total, 'flagged': flagged, 'hit_rate': flagged / max(1, total),
        'by_method': {m: {'records': n, 'flagged': count.method[m], 'hit_rate': count.method[m] / n}
                      for m, n in sorted(count.records.items())},
        'by_rule': dict(count.rule), 'by_part': dict(count.against), 'quotes_only': count.quotes,
        'questions': len(asked), 'questions_hit': len(count.hit), 'question_ids_hit': sorted(count.hit),
        'rules': {'long': LONG, 'long_replay': LONG_REPLAY, 'short': SHORT, 'share': SHARE,
                  'similarity': similarity if embed else None},
        'removed': flagged if remove else 0, 'files': [str(p) for p in paths], 'questions_file': str(questions),
        'documents_file': None if named is None else str(named)}
    write_json(out / 'report.json', report)
  return report


@dataclasses.dataclass
class _Count:
  """Records by method; flagged ones by method, first rule and part; ids of the questions they touch."""
  records: Counter[str] = dataclasses.field(default_factory=Counter)
  method: Counter[str] = dataclasses.field(default_factory=Counter)
  rule: Counter[str] = dataclasses.field(default_factory=Counter)
  against: Counter[str] = dataclasses.field(default_factory=Counter)
  hit: set[str] = dataclasses.field(default_factory=set)
  quotes: int = 0


def _flagged(paths: Sequence[pathlib.Path], index: QuestionIndex, similar: SimilarQuestions | None, count: _Count,
             quotes_file: IO[str]) -> Iterator[dict[str, Any]]:
  """Rows of flagged.jsonl; `count` and the file of mere quotes grow on the way."""
  for path in paths:
    for block in _blocks(read_records(path)):
      meant = similar.matches(block) if similar else [[] for _ in block]
      for record, by_meaning in zip(block, meant, strict=True):
        count.records[record.method] += 1
        found = index.matches(record)
        worded = {m.question_id for m in found if m.against != QUOTE}
        new = [m for m in by_meaning if m.question_id not in worded]
        real = [m for m in found if m.against != QUOTE] + new
        row = {'id': record.id, 'file': str(path), 'kind': record.kind, 'method': record.method,
               'document_ids': list(record.document_ids), 'matches': [dataclasses.asdict(m) for m in real or found]}
        if real:
          count.method[record.method] += 1
          count.rule[real[0].rule] += 1
          count.against[real[0].against] += 1
          count.hit.update(m.question_id for m in real)
          yield row
        elif found:
          count.quotes += 1
          quotes_file.write(json.dumps(row, ensure_ascii=False) + '\n')


def _blocks(records: Iterator[Record]) -> Iterator[list[Record]]:
  while block := list(itertools.islice(records, _BLOCK)):
    yield block


def find_files(pattern: str) -> list[pathlib.Path]:
  """Files by glob.

  Raises:
    UserError: none matches.
  """
  paths = sorted({pathlib.Path(p) for part in pattern.split(',') for p in glob.glob(part.strip(), recursive=True)})
  if not paths:
    raise UserError(f'--records={pattern}: matches no file')
  return paths


def read_records(path: pathlib.Path) -> Iterator[Record]:
  """Streams the checked records of one file; unlike `schema.read_rows` it does not keep their ids in memory."""
  number = 0
  for number, row in read_jsonl(path):
    yield from_row(Record, row, f'{path}:{number}')
  if number == 0:
    raise UserError(f'{path}: holds no record')


def _check_copies(paths: list[pathlib.Path], out: pathlib.Path) -> None:
  names = [p.name for p in paths]
  for path in paths:
    if path.parent.resolve() == out.resolve():
      raise UserError(f'--out={out}: holds {path.name} itself; cleaned copies need another folder')
    if names.count(path.name) > 1:
      raise UserError(f'--records: {path.name} occurs in several folders; clean one folder at a time')


def _write_clean(paths: list[pathlib.Path], out: pathlib.Path) -> None:
  """Copies without the flagged records, the other lines as they are but for the spacing of JSON."""
  flagged: defaultdict[str, set[str]] = defaultdict(set)
  for _, row in read_jsonl(out / 'flagged.jsonl'):
    flagged[row['file']].add(row['id'])
  for path in paths:
    write_jsonl(out / path.name, (row for _, row in read_jsonl(path) if row['id'] not in flagged[str(path)]))
