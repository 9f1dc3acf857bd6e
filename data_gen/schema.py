"""The file contract: what stands on each line of the files through which the stages meet.

`documents.jsonl`, `questions.jsonl`, `skipped.jsonl` and `records.jsonl`. Readers check every line and name file,
line and field; keys they do not know are kept in `extra` and written back.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeVar

from data_gen.errors import UserError
from data_gen.jsonl import PathLike, read_jsonl

Kind = Literal['qa', 'document', 'replay']
KINDS: tuple[Kind, ...] = ('qa', 'document', 'replay')


@dataclasses.dataclass(frozen=True)
class Document:
  """A source document: all that a generator may ever see."""
  id: str
  title: str
  text: str
  author: str = ''
  date: str = ''
  metadata: dict[str, Any] = dataclasses.field(default_factory=dict)
  extra: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Question:
  """A benchmark question. `answer` is a 0-based option index, or the gold text where there are no options."""
  id: str
  document_ids: tuple[str, ...]
  group: str  # unit of resampling: article, patient, filing
  question: str
  options: tuple[str, ...] | None
  answer: int | str
  hard: bool | None = None
  metadata: dict[str, Any] = dataclasses.field(default_factory=dict)
  extra: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Record:
  """A synthetic (or replay) training record: a conversation in `messages` or plain `text`, never both."""
  id: str
  kind: Kind
  method: str
  document_ids: tuple[str, ...] = ()
  question: str | None = None
  strategy: str | None = None
  messages: tuple[dict[str, str], ...] | None = None
  text: str | None = None
  generator: dict[str, Any] = dataclasses.field(default_factory=dict)
  tokens: int = 0  # rendered record in the student's tokens
  extra: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Skipped:
  """Something a stage could not use: where it was and why."""
  file: str
  place: str
  reason: str


Row = TypeVar('Row', Document, Question, Record)

_REQUIRED: dict[type, dict[str, type | tuple[type, ...]]] = {
    Document: {'id': str, 'title': str, 'text': str},
    Question: {'id': str, 'document_ids': list, 'group': str, 'question': str},
    Record: {'id': str, 'kind': str, 'method': str},
}
_OPTIONAL: dict[type, dict[str, type | tuple[type, ...]]] = {
    Document: {'author': str, 'date': str, 'metadata': dict},
    Question: {'options': list, 'hard': bool, 'metadata': dict},
    Record: {'document_ids': list, 'question': str, 'strategy': str, 'messages': list, 'text': str,
             'generator': dict, 'tokens': int},
}


def to_row(item: Document | Question | Record | Skipped) -> dict[str, Any]:
  """The JSON object of one line; unknown keys that came with it are kept."""
  row = {f.name: getattr(item, f.name) for f in dataclasses.fields(item) if f.name != 'extra'}
  row = {k: list(v) if isinstance(v, tuple) else v for k, v in row.items()}
  return row | getattr(item, 'extra', {})


def from_row(cls: type[Row], row: dict[str, Any], where: str) -> Row:
  """Checks one JSON object against the contract.

  Raises:
    UserError: a missing field, a wrong type, an answer out of range; `where` (file:line) heads the message.
  """
  known = {f.name for f in dataclasses.fields(cls)} - {'extra'}
  for name, kind in _REQUIRED[cls].items():
    if row.get(name) is None:
      raise UserError(f'{where}: field "{name}" is missing')
    if not isinstance(row[name], kind):
      raise UserError(f'{where}: field "{name}" should be {_name(kind)}, found {type(row[name]).__name__}')
  for name, kind in _OPTIONAL[cls].items():
    value = row.get(name)
    if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
      raise UserError(f'{where}: field "{name}" should be {_name(kind)}, found {type(value).__name__}')
  fields: dict[str, Any] = {k: v for k, v in row.items() if k in known and (v is not None or k == 'answer')}
  for name in ('document_ids', 'options', 'messages'):
    if name in fields:
      fields[name] = tuple(fields[name])
  if cls is Question:
    fields.setdefault('options', None)
    _check_answer(fields.get('answer'), fields['options'], where)
  if cls is Record:
    _check_record(fields, where)
  return cls(**fields, extra={k: v for k, v in row.items() if k not in known})


def _name(kind: type | tuple[type, ...]) -> str:
  names = {str: 'a string', list: 'a list', dict: 'an object', int: 'a whole number', bool: 'true or false'}
  return names[kind] if isinstance(kind, type) else ' or '.join(names[k] for k in kind)


def _check_answer(answer: Any, options: tuple[Any, ...] | None, where: str) -> None:
  if options is None:
    if not isinstance(answer, str) or not answer.strip():
      raise UserError(f'{where}: field "answer" should be the gold text, as there are no options')
    return
  if len(options) < 2 or not all(isinstance(o, str) for o in options):
    raise UserError(f'{where}: field "options" should hold two or more strings')
  if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(options):
    raise UserError(f'{where}: field "answer" should be an option index from 0 to {len(options) - 1}, found {answer!r}')
  if fault := options_fault(options, answer):
    raise UserError(f'{where}: field "options" {fault}')


def options_fault(options: Sequence[str], answer: int) -> str | None:
  """What makes options unfit to choose from: an empty one, one that is equal to the right one but for outer spaces.

  Equal wrong ones do no harm: published questions are not lost for them.
  """
  stripped = [option.strip() for option in options]
  if not all(stripped):
    return f'has an empty option (number {stripped.index("") + 1})'
  return f'holds the right option "{stripped[answer]}" twice' if stripped.count(stripped[answer]) > 1 else None


def _check_record(fields: dict[str, Any], where: str) -> None:
  if fields['kind'] not in KINDS:
    raise UserError(f'{where}: field "kind" should be one of {", ".join(KINDS)}, found {fields["kind"]!r}')
  if (fields.get('messages') is None) == (fields.get('text') is None):
    raise UserError(f'{where}: exactly one of "messages" and "text" is expected')
  for message in fields.get('messages') or ():
    if not (isinstance(message, dict) and isinstance(message.get('role'), str)
            and isinstance(message.get('content'), str)):
      raise UserError(f'{where}: every entry of "messages" needs the strings "role" and "content"')


def read_rows(cls: type[Row], path: PathLike) -> Iterator[Row]:
  """Streams the checked lines of one file.

  Raises:
    UserError: what `read_jsonl` and `from_row` raise; an id that occurs twice; a file without a line.
  """
  seen: dict[str, int] = {}
  number = 0
  for number, row in read_jsonl(path):
    item = from_row(cls, row, f'{path}:{number}')
    if item.id in seen:
      raise UserError(f'{path}:{number}: id "{item.id}" already stands on line {seen[item.id]}')
    seen[item.id] = number
    yield item
  if number == 0:
    raise UserError(f'{path}: holds no {cls.__name__.lower()}')
