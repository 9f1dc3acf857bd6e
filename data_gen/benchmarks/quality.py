"""QuALITY v1.0.1 (Pang et al. 2022): long articles with four-option questions.

Facts about the published files: each line is one *writer set*, so an article stands on two lines; `gold_label` is
1-indexed; the test split has no labels; every split comes as HTML and as stripped text. The 265 articles and 4,609
questions that results are reported on are train and dev together: all articles are the knowledge to learn.
"""

import collections
import dataclasses
import hashlib
from collections.abc import Iterable
from typing import Any

from data_gen.benchmarks import quality_files
from data_gen.benchmarks.base import Prepared, distinguish_titles, text_key
from data_gen.errors import UserError
from data_gen.readers.html import html_to_text, looks_like_html
from data_gen.schema import Document, Question, options_fault

OPTIONS: dict[str, Any] = {}
N_OPTIONS = 4

_ROW_FIELDS = {'article_id', 'set_unique_id', 'title', 'author', 'year', 'article', 'questions', 'batch_num',
               'writer_id'}
_QUESTION_FIELDS = {'question', 'question_unique_id', 'options', 'gold_label', 'difficult', 'validation',
                    'speed_validation', 'writer_label'}


def read(source: str, options: dict[str, Any]) -> Prepared:
  """Reads a folder, the zip, or one or several extracted files (HTML or stripped).

  Raises:
    UserError: no such file, no QuALITY file in the folder, a malformed line, a line without a needed field, a file
      of the unlabelled test split alone, two different texts under one article id.
  """
  del options
  chosen = quality_files.choose(source)
  prepared = from_records(quality_files.rows(chosen.files))
  prepared.sources = chosen.paths
  prepared.notes = chosen.notes + prepared.notes + quality_files.compare_counts(
    chosen.files, len(prepared.documents), len(prepared.questions))
  return prepared


def from_records(rows: Iterable[tuple[str, dict[str, Any]]]) -> Prepared:
  """QuALITY records to documents and questions.

  Args:
    rows: (where, record) pairs; `where` is "file:line" or any other name of the place.

  Raises:
    UserError: a record without `title`, `article` or `questions`, two different texts under one article id, questions
      that all lack labels, no record at all.
  """
  reader = _Reader()
  for where, row in rows:
    reader.add(where, row)
  return reader.finish()


@dataclasses.dataclass
class _Article:
  document: Document
  where: str
  words: collections.Counter[str]


class _Reader:
  """Collects records: articles are merged, questions checked one by one."""

  def __init__(self) -> None:
    self.prepared = Prepared()
    self.rows = 0
    self.merged = 0
    self.unlabelled = 0
    self.articles: dict[str, _Article] = {}
    self.by_text: dict[tuple[str, str, str], str] = {}
    self.empty: set[str] = set()
    self.question_ids: dict[str, str] = {}
    self.contents: dict[tuple[Any, ...], str] = {}

  def add(self, where: str, row: dict[str, Any]) -> None:
    self.rows += 1
    _check_record(row, where)
    document_id = self._article(where, row)
    for number, question in enumerate(row['questions'], start=1):
      self._question(where, row, number, question, document_id)

  def finish(self) -> Prepared:
    prepared = self.prepared
    if not self.rows:
      raise UserError('--source: holds no QuALITY record')
    if self.unlabelled and not prepared.questions:
      raise UserError(f'none of the {self.unlabelled} questions has a gold_label: this is the unlabelled test split, '
                      'give the train and dev files')
    if self.merged:
      prepared.notes.append(f'{self.rows} records on {len(self.articles)} articles: '
                            f'{self.merged} further records of a known article were merged into it')
    prepared.documents = distinguish_titles([a.document for a in self.articles.values()], prepared.notes)
    return prepared

  def _article(self, where: str, row: dict[str, Any]) -> str | None:
    """The id of the record's document, which is made on its first record; None if the article has no text."""
    text = html_to_text(row['article'])[0] if looks_like_html(row['article']) else row['article'].strip()
    title, author = row['title'].strip(), str(row.get('author') or '').strip()
    key = (title, author, text_key(text))
    document_id = str(row.get('article_id') or '').strip() or self.by_text.get(key) or _made_up_id(key)
    if not text:
      if document_id not in self.empty:
        self.prepared.skip_document(where, document_id, 'the article has no text')
      self.empty.add(document_id)
      return None
    known = self.articles.get(document_id)
    if known is not None:
      self.merged += 1
      _check_same_text(document_id, known, text, where)
      return document_id
    if key in self.by_text:  # one text under two ids: the first id stays
      self.merged += 1
      return self.by_text[key]
    metadata = {k: v for k, v in row.items() if k not in _ROW_FIELDS and v not in (None, '')}
    document = Document(id=document_id, title=title or document_id, author=author, text=text,
                        date=str(row.get('year') or ''), metadata=metadata)
    self.articles[document_id] = _Article(document, where, collections.Counter(text.split()))
    self.by_text[key] = document_id
    return document_id

  def _question(self, where: str, row: dict[str, Any], number: int, question: Any, document_id: str | None) -> None:
    name = f'{row.get("set_unique_id") or document_id}_{number}'
    if isinstance(question, dict) and question.get('question_unique_id'):
      name = str(question['question_unique_id'])
    reason = _question_fault(question)
    if document_id is None:
      reason = 'its article has no text'
    elif reason is None and name in self.question_ids:
      reason = f'duplicate: a question of this id stands at {self.question_ids[name]}'
    if reason is not None:
      self.unlabelled += isinstance(question, dict) and question.get('gold_label') is None
      self.prepared.skip_question(where, name, reason)
      return
    assert document_id is not None
    self.question_ids[name] = where
    options = tuple(o.strip() for o in question['options'])
    self._note_repetition(name, (document_id, question['question'].strip(), frozenset(options)))
    difficult = question.get('difficult')
    metadata = {k: v for k, v in question.items() if k not in _QUESTION_FIELDS}
    self.prepared.questions.append(Question(
      id=name, document_ids=(document_id,), group=document_id, question=question['question'].strip(), options=options,
      answer=question['gold_label'] - 1, hard=None if difficult is None else bool(difficult), metadata=metadata))

  def _note_repetition(self, name: str, content: tuple[Any, ...]) -> None:
    """Published items under ids of their own all stay, so that counts match; a repetition is said."""
    first = self.contents.setdefault(content, name)
    if first != name:
      self.prepared.notes.append(f'question {name} repeats question {first} word for word; both are kept')


def _check_record(row: dict[str, Any], where: str) -> None:
  for name, kind, expected in (('title', str, 'a string'), ('article', str, 'a string'), ('questions', list, 'a list')):
    if name not in row:
      raise UserError(f'{where}: field "{name}" is missing, expected a QuALITY record')
    if not isinstance(row[name], kind):
      raise UserError(f'{where}: field "{name}" should be {expected}, found {type(row[name]).__name__}')


def _check_same_text(document_id: str, known: _Article, text: str, where: str) -> None:
  """The HTML and the stripped edition of one article may differ in a few words; two articles differ in most."""
  words = collections.Counter(text.split())
  shared = (words & known.words).total()
  if shared < 0.9 * max(words.total(), known.words.total()):
    raise UserError(f'{where}: article_id "{document_id}" already stands for a different text at {known.where}')


def _question_fault(question: Any) -> str | None:
  """Why a question cannot be used, or None."""
  if not isinstance(question, dict):
    return 'not an object'
  if not isinstance(question.get('question'), str) or not question['question'].strip():
    return 'field "question" is missing or empty'
  options = question.get('options')
  if not isinstance(options, list) or not all(isinstance(o, str) for o in options):
    return 'field "options" is missing or not a list of strings'
  if len(options) != N_OPTIONS:
    return f'has {len(options)} options, expected {N_OPTIONS}'
  gold = question.get('gold_label')
  if gold is None:
    return 'has no gold_label (unlabelled)'
  if isinstance(gold, bool) or not isinstance(gold, int) or not 1 <= gold <= N_OPTIONS:
    return f'gold_label {gold!r} is out of range, expected 1 to {N_OPTIONS}'
  fault = options_fault(options, gold - 1)
  return fault and f'field "options" {fault}'


def _made_up_id(key: tuple[str, str, str]) -> str:
  return 'article-' + hashlib.sha256('\x1f'.join(key).encode()).hexdigest()[:12]
