"""LongHealth (Adams et al. 2024): fictional patients, their records, five-option questions.

Facts about `benchmark_v5.json`: an object of patients; each has `texts` (two or more), `name`, `birthday`,
`diagnosis` and `questions`; `correct` is the *text* of the right option; `answer_location` gives spans as fractions of
a text. A canary string marks the data: it is honoured (`metadata.canary` is true on everything), never copied.

A patient is identified by name and birthday. The diagnosis is no part of the identity, as some questions ask for it.
Task 1 with distractors reads other patients' records too: every document has `metadata.patient`, and a question's
`group` is its patient, so an evaluation can choose them (`launch.evaluate --mode=full_document --distractors=N`).
"""

import pathlib
import re
from typing import Any

from data_gen.benchmarks.base import Prepared, expand
from data_gen.errors import UserError
from data_gen.jsonl import read_json
from data_gen.schema import Document, Question, options_fault

OPTIONS: dict[str, Any] = {}
N_OPTIONS = 5
PUBLISHED = (20, 400)  # patients, questions of benchmark_v5.json

_LETTERS = 'abcde'
_SLACK = 40  # characters by which an answer's published location may be off


def read(source: str, options: dict[str, Any]) -> Prepared:
  """Reads benchmark_v5.json, per-patient files of the same form, or a folder of either.

  Raises:
    UserError: no such file, not JSON, a patient without texts or questions, a patient that occurs twice.
  """
  del options
  prepared = Prepared(sources=_files(source))
  patients: dict[str, pathlib.Path] = {}
  for path in prepared.sources:
    for patient_id, patient in _patients(path, prepared):
      if patient_id in patients:
        raise UserError(f'{path}: patient "{patient_id}" already stands in {patients[patient_id]}')
      patients[patient_id] = path
      _add_patient(prepared, path, patient_id, patient)
  _compare_counts(prepared, len(patients))
  return prepared


def _files(source: str) -> list[pathlib.Path]:
  files: list[pathlib.Path] = []
  for path in expand(source):
    if path.is_file():
      files.append(path)
      continue
    found = sorted(path.rglob('benchmark_v5.json')) or sorted(path.rglob('benchmark_v5*.json'))
    found = found or sorted(path.rglob('*.json'))
    if not found:
      raise UserError(f'{path}: holds no benchmark_v5.json')
    files += found
  return files


def _patients(path: pathlib.Path, prepared: Prepared) -> list[tuple[str, dict[str, Any]]]:
  """The patients of one file; what stands among them and is no object goes to `prepared.skipped`."""
  value = read_json(path)
  if isinstance(value, dict) and 'texts' in value and 'questions' in value:  # one patient, not wrapped
    value = {path.stem.rpartition('.')[2]: value}
  if not isinstance(value, dict) or not value:
    raise UserError(f'{path}: expected an object of patients as in benchmark_v5.json')
  patients = {k: v for k, v in value.items() if isinstance(v, dict)}
  if not patients:
    raise UserError(f'{path}: holds no patient, expected an object of patients as in benchmark_v5.json')
  for name, other in value.items():
    if not isinstance(other, dict) and 'cana' not in name:  # the canary string is no patient
      prepared.skip_document(path, name, f'expected an object, found {type(other).__name__}')
  for patient_id, patient in patients.items():
    for name, kind, expected in (('texts', dict, 'an object'), ('questions', list, 'a list'), ('name', str, 'a string'),
                                 ('birthday', str, 'a string')):
      if not isinstance(patient.get(name), kind):
        raise UserError(f'{path}: {patient_id}: field "{name}" is missing or not {expected}')
  return list(patients.items())


def _add_patient(prepared: Prepared, path: pathlib.Path, patient_id: str, patient: dict[str, Any]) -> None:
  identity = f'{patient["name"].strip()}, born {patient["birthday"].split(" ")[0]}'
  texts = sorted(patient['texts'].items(), key=lambda item: [int(n) for n in re.findall(r'\d+', item[0])])
  documents: dict[str, Document] = {}
  for number, (name, text) in enumerate(texts, start=1):
    if not isinstance(text, str) or not text.strip():
      prepared.skip_document(path, f'{patient_id}/{name}', 'holds no text')
      continue
    documents[name] = Document(
      id=f'{patient_id}/{name}', title=f'Medical record {number} of {len(texts)} of {identity}', text=text.strip(),
      metadata={'patient': patient_id, 'name': patient['name'].strip(), 'birthday': patient['birthday'].split(' ')[0],
                'canary': True})
  prepared.documents += documents.values()
  known: set[str] = set()
  for position, question in enumerate(patient['questions']):
    number = question.get('No', position) if isinstance(question, dict) else position
    name = f'{patient_id}_{number}'
    answer, reason = _answer(question)
    if reason is None and not documents:
      reason = 'its patient has no text'
    if reason is None and name in known:
      reason = f'duplicate: question number {number} of this patient occurs twice'
    if reason is not None:
      prepared.skip_question(path, name, reason)
      continue
    known.add(name)
    evidence = _evidence(question.get('answer_location'), patient['texts'], documents)
    prepared.questions.append(Question(
      id=name, document_ids=tuple(d.id for d in documents.values()), group=patient_id,
      question=question['question'].strip(), options=_options(question), answer=answer,
      metadata={'identity': identity, 'evidence': evidence, 'canary': True}))


def _options(question: dict[str, Any]) -> tuple[str, ...]:
  return tuple(str(question[f'answer_{letter}']).strip() for letter in _LETTERS)


def _answer(question: Any) -> tuple[int, str | None]:
  """(index of the one option whose text is the gold text, None), or (-1, what is wrong)."""
  if not isinstance(question, dict) or not str(question.get('question') or '').strip():
    return -1, 'field "question" is missing or empty'
  present = sorted(k for k in question if re.fullmatch(r'answer_[a-z]', k) and question[k] not in (None, ''))
  if present != [f'answer_{letter}' for letter in _LETTERS]:
    return -1, f'has {len(present)} options, expected {len(_LETTERS)} (answer_a to answer_e)'
  if question.get('correct') in (None, ''):
    return -1, 'has no gold answer (field "correct")'
  gold = ' '.join(str(question['correct']).split())
  matching = [i for i, option in enumerate(_options(question)) if ' '.join(option.split()) == gold]
  if len(matching) != 1:
    return -1, f'the gold text matches {len(matching) or "none"} of the options, expected exactly one: "{gold}"'
  return matching[0], options_fault(_options(question), matching[0])


def _evidence(location: Any, texts: dict[str, str], documents: dict[str, Document]) -> list[dict[str, Any]]:
  """The paragraphs that hold the answer, as spans in characters of the documents, merged where they touch.

  The file gives words as fractions of a text's length, and these are up to tens of characters off.
  """
  found: dict[str, list[tuple[int, int]]] = {}
  for name, spans in location.items() if isinstance(location, dict) else ():
    if name not in documents or not isinstance(spans, dict):
      continue
    text, body = texts[name], documents[name].text
    shift = len(text) - len(text.lstrip())
    for start, end in zip(spans.get('start') or (), spans.get('end') or ()):
      if isinstance(start, int | float) and isinstance(end, int | float) and 0 <= start <= end <= 1:
        found.setdefault(documents[name].id, []).append(
          _paragraphs(body, int(start * len(text)) - shift, round(end * len(text)) - shift))
  bodies = {d.id: d.text for d in documents.values()}
  return [{'document_id': document_id, 'start': start, 'end': end, 'text': bodies[document_id][start:end]}
          for document_id, spans in found.items() for start, end in _merged(spans)]


def _paragraphs(text: str, start: int, end: int) -> tuple[int, int]:
  """The whole paragraphs around a span and the slack of its position."""
  start, end = max(0, start - _SLACK), min(len(text), end + _SLACK)
  first, last = text.rfind('\n\n', 0, start), text.find('\n\n', end)
  return (first + 2 if first >= 0 else 0), (last if last >= 0 else len(text))


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
  merged: list[tuple[int, int]] = []
  for start, end in sorted(spans):
    if merged and start <= merged[-1][1] + 2:
      merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
    else:
      merged.append((start, end))
  return merged


def _compare_counts(prepared: Prepared, patients: int) -> None:
  found = (patients, len(prepared.questions))
  if found == PUBLISHED:
    prepared.notes.append(f'counts match the published ones: {patients} patients, {found[1]} questions')
  else:
    prepared.notes.append(f'counts differ from the published ones: found {patients} patients and {found[1]} questions, '
                          f'LongHealth v5 has {PUBLISHED[0]} and {PUBLISHED[1]}')
