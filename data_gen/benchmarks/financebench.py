"""FinanceBench (Islam et al. 2023), open-source part: questions on companies' filings, answered in free text.

Facts about the published files: 150 questions in `financebench_open_source.jsonl` on 84 filings; evidence pages are
0-indexed; `financebench_document_information.jsonl` describes 361 filings, one of them twice; 368 PDFs. A question
whose filing is not there (or cannot be read) is kept with `metadata.filing_missing`: it can be asked closed book and
with its gold evidence, in no other mode.
"""

import pathlib
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from data_gen.benchmarks.base import Prepared, distinguish_titles, expand
from data_gen.benchmarks.filings import Filing, describe, find_filings, read_filing
from data_gen.errors import UserError
from data_gen.jsonl import read_jsonl
from data_gen.readers.failure import Unreadable
from data_gen.schema import Document, Question

# filings: 'referenced' by a question, or 'all' that are there; format: 'pdf', 'markdown', or 'auto' (PDF first).
OPTIONS: dict[str, Any] = {'filings': 'referenced', 'format': 'auto'}
N_OPTIONS = None
PUBLISHED = (150, 84)  # questions, filings they refer to

_TEXT_FIELDS = ('financebench_id', 'doc_name', 'question', 'answer')


def read(source: str, options: dict[str, Any]) -> Prepared:
  """Reads a folder with the questions, the document information (optional) and PDFs or Markdown files below it.

  Raises:
    UserError: no questions file, a malformed line, an unknown option value.
  """
  _check_options(options)
  folders, question_files, information = _find(source)
  prepared = Prepared(sources=question_files + information)
  rows = [(f'{path}:{n}', row) for path in question_files for n, row in read_jsonl(path)]
  if not rows:
    raise UserError(f'{question_files[0]}: holds no question')
  good = list(_good_rows(rows, prepared))
  described = _information(information, prepared)
  filings = find_filings(folders, options['format'])
  referenced = {str(row['doc_name']) for _, row in good}
  wanted = [f for f in filings.values() if options['filings'] == 'all' or f.name in referenced]
  read_documents, pages = _read_filings(wanted, described, prepared)
  prepared.documents = distinguish_titles(read_documents, prepared.notes)
  by_id = {d.id: d for d in prepared.documents}
  prepared.questions = [_question(row, by_id, pages, described) for _, row in good]
  _tell_missing(prepared, referenced, by_id)
  found = (len(prepared.questions), len(referenced))
  said = 'match the published ones: {} questions on {} filings' if found == PUBLISHED else (
    f'differ from the published ones: found {{}} questions on {{}} filings, FinanceBench has {PUBLISHED[0]} on '
    f'{PUBLISHED[1]}')
  prepared.notes.append('counts ' + said.format(*found))
  return prepared


def _check_options(options: dict[str, Any]) -> None:
  for name, choices in (('filings', ('referenced', 'all')), ('format', ('auto', 'pdf', 'markdown'))):
    if options[name] not in choices:
      raise UserError(f'--options={name}={options[name]}: expected one of {", ".join(choices)}')


def _find(source: str) -> tuple[list[pathlib.Path], list[pathlib.Path], list[pathlib.Path]]:
  """(folders to search for filings, question files, document information files)."""
  paths = expand(source)
  folders = [p if p.is_dir() else p.parent for p in paths]
  candidates = [p for p in paths if p.is_file()]
  candidates += sorted({p for folder in folders for p in folder.rglob('*.jsonl')})
  information = [p for p in dict.fromkeys(candidates) if 'document_information' in p.name]
  questions = [p for p in paths if p.is_file() and p.suffix == '.jsonl' and p not in information]
  questions = questions or [p for p in dict.fromkeys(candidates) if 'open_source' in p.name]
  if not questions:
    raise UserError(f'--source={source}: holds no financebench_open_source.jsonl')
  return list(dict.fromkeys(folders)), questions, information


def _good_rows(rows: Iterable[tuple[str, dict[str, Any]]], prepared: Prepared) -> Iterable[tuple[str, dict[str, Any]]]:
  """The rows that are questions; the others go to `prepared.skipped`."""
  seen: dict[str, str] = {}
  for number, (where, row) in enumerate(rows, start=1):
    name = str(row.get('financebench_id') or f'number {number}')
    lacking = [field for field in _TEXT_FIELDS if not _text(row.get(field))]
    if lacking:
      prepared.skip_question(where, name, f'field "{lacking[0]}" is missing or empty')
    elif name in seen:
      prepared.skip_question(where, name, f'duplicate: a question of this id stands at {seen[name]}')
    else:
      seen[name] = where
      yield where, row


def _text(value: Any) -> str:
  """A field's text, a number (0 too) as it is written; empty where there is neither."""
  return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ''


def _information(files: list[pathlib.Path], prepared: Prepared) -> dict[str, dict[str, Any]]:
  """Metadata by filing name; of several rows of one name the one whose period agrees with the name stays."""
  described: dict[str, dict[str, Any]] = {}
  for path in files:
    for number, row in read_jsonl(path):
      name = row.get('doc_name')
      if not isinstance(name, str):
        raise UserError(f'{path}:{number}: field "doc_name" is missing')
      if name in described:
        prepared.notes.append(f'{path}:{number}: describes {name} once more; the row that agrees with its name stays')
        if str(described[name].get('doc_period')) in name:
          continue
      described[name] = row
  return described


def _read_filings(filings: list[Filing], described: dict[str, dict[str, Any]], prepared: Prepared,
                  ) -> tuple[list[Document], dict[str, list[tuple[int, int]]]]:
  """Documents, and for each the span of every page in its text (empty where the format has no pages)."""
  documents, pages = [], {}
  for filing in tqdm(filings, desc='filings', unit='file', disable=len(filings) < 10):
    prepared.sources.append(filing.path)
    try:
      text, spans = read_filing(filing)
    except Unreadable as e:
      prepared.skip_document(filing.path, filing.name, str(e))
      continue
    title, metadata = describe(filing.name, described.get(filing.name))
    documents.append(Document(id=filing.name, title=title, text=text, date=str(metadata.pop('period', '')),
                              metadata=metadata | {'page_spans': [list(s) for s in spans]}))
    pages[filing.name] = spans
  return documents, pages


def _question(row: dict[str, Any], documents: dict[str, Document], pages: dict[str, list[tuple[int, int]]],
              described: dict[str, dict[str, Any]]) -> Question:
  name = str(row['doc_name'])
  metadata: dict[str, Any] = {k: row[k] for k in ('company', 'question_type', 'question_reasoning', 'justification')
                              if row.get(k)}
  metadata['identity'] = documents[name].title if name in documents else describe(name, described.get(name))[0]
  metadata['evidence'] = [_evidence(e, name, pages) for e in row.get('evidence') or () if isinstance(e, dict)]
  if name not in documents:
    metadata['filing_missing'] = True
  return Question(id=str(row['financebench_id']), document_ids=(name,), group=name, question=row['question'].strip(),
                  options=None, answer=_text(row['answer']), metadata=metadata)


def _evidence(evidence: dict[str, Any], filing: str, pages: dict[str, list[tuple[int, int]]]) -> dict[str, Any]:
  """The gold passage: its text, its page (0-indexed) with that page's text, and the page's span in the document."""
  document_id = str(evidence.get('doc_name') or filing)
  page = evidence.get('evidence_page_num')
  found: dict[str, Any] = {'document_id': document_id, 'page': page, 'text': evidence.get('evidence_text') or '',
                           'page_text': evidence.get('evidence_text_full_page') or ''}
  spans = pages.get(document_id, [])
  if isinstance(page, int) and 0 <= page < len(spans):
    found['start'], found['end'] = spans[page]
  return found


def _tell_missing(prepared: Prepared, referenced: set[str], documents: dict[str, Document]) -> None:
  missing = sorted(referenced - set(documents))
  if missing:
    asked = sum(bool(q.metadata.get('filing_missing')) for q in prepared.questions)
    shown = ', '.join(missing[:5]) + (', ...' if len(missing) > 5 else '')
    prepared.notes.append(f'{asked} questions are on {len(missing)} filings that are not there or cannot be read '
                          f'({shown}); they can be asked closed book and with gold evidence only')
