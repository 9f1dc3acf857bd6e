"""Runs one evaluation: asks what is not yet in the log, logs each reply as it comes, writes the results at the end.

The folder holds `settings.json` (written first), `log.jsonl` (appended, one line an asked prompt: safe from kill -9),
and, once all is asked, `items.jsonl` and `results.json`. A rerun with the same settings asks only what is missing.
"""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from data_gen.errors import UserError
from data_gen.jsonl import AppendLog, exclusive, read_json, read_jsonl, write_json, write_jsonl
from data_gen.schema import Document, Question
from smt_jax.eval import prompts, scoring
from smt_jax.eval.audit import write_audit
from smt_jax.eval.judging import Judge
from smt_jax.eval.reader import OptionScore, Reader, Reply, Sampling
from smt_jax.eval.retrieval.sweep import tuning_groups
from smt_jax.eval.settings import Settings, check_claim, check_questions, claim, description
from smt_jax.eval.tasks import Ask, Retrieve, Task, build_tasks, check_asked, make_asks

Progress = Callable[[int, int, int], None]  # (asked before this run, asked now, to ask in all)


def evaluate(settings: Settings, questions: Sequence[Question], documents: Sequence[Document], reader: Reader,
             out: str | pathlib.Path, *, retrieve: Retrieve | None = None, judge: Judge | None = None,
             few_shot: Sequence[prompts.Example] = (), training: dict[str, Any] | None = None,
             progress: Progress | None = None) -> dict[str, Any]:
  """Evaluates a reader and returns what it writes into `out`/results.json.

  Args:
    questions: all of the benchmark; `settings.limit` takes the first ones.
    documents: those that the questions name, and for retrieval all that may be found.
    retrieve: finds the chunks to read, for mode 'rag'.
    judge: decides on answers without options that the rules cannot decide.
    few_shot: examples from documents that no question is about.
    training: 'step', 'seed', 'training_tokens' of the checkpoint, where they are known.

  Raises:
    UserError: `out` holds another evaluation; a question names a missing document; no question can be asked; a
      few-shot example comes from an evaluated document or asks an evaluated question; whatever the reader raises (what
      was answered until then is kept).
  """
  out = pathlib.Path(out)
  tuned = tuning_groups(q.group for q in questions) if questions else set()
  questions = list(questions[:settings.limit] if settings.limit else questions)
  check_questions(questions, settings.scoring, settings.mode)
  _check_few_shot(few_shot, questions, documents)
  wanted = description(settings, questions, documents, few_shot)
  check_claim(out, wanted)
  if (out / 'results.json').exists():
    return read_json(out / 'results.json')
  tasks = build_tasks(settings, questions, documents, retrieve)
  check_asked(settings, tasks)
  with exclusive(out):
    claim(out, wanted)
    if (out / 'results.json').exists():  # by another process in the meantime
      return read_json(out / 'results.json')
    start = time.monotonic()
    answers, asks, resumed = _ask_all(settings, tasks, reader, out, few_shot, progress)
    verdicts, about = scoring.score(settings, tasks, asks, answers, judge, out / 'judge.jsonl')
    results = scoring.results(settings, tasks, verdicts, about, training or {}, tuned)
    results['seconds'] = round(time.monotonic() - start, 3)
    results['resumed'] = resumed
    results['config'] = dataclasses.asdict(settings) | {'sampling': dataclasses.asdict(_sampling(settings, reader))}
    results['rendering'] = reader.rendering(asks[0].messages) if asks else {}
    items = list(scoring.item_rows(tasks, asks, verdicts, reader, tuned))
    if any(q.options is None for q in questions):
      write_audit(items, out / 'audit.csv')
    write_jsonl(out / 'items.jsonl', items)
    write_json(out / 'results.json', results)
    return results


def _sampling(settings: Settings, reader: Reader) -> Sampling:
  return settings.sampling(reader.max_positions)


def _check_few_shot(few_shot: Sequence[prompts.Example], questions: Sequence[Question],
                    documents: Sequence[Document]) -> None:
  if not few_shot:
    return
  evaluated = {i for q in questions for i in q.document_ids} | {q.group for q in questions}
  texts = {_normalised(d.text) for d in documents if d.id in evaluated}
  asked = {_normalised(q.question): q.id for q in questions}
  for example in few_shot:
    same = any(_normalised(d.text) in texts for d in example.documents)  # under an id of its own
    if same or evaluated & {*example.question.document_ids, example.question.group}:
      raise UserError(f'--few_shot: example "{example.question.id}" comes from a document that is evaluated')
    if (twin := asked.get(_normalised(example.question.question))) is not None:
      raise UserError(f'--few_shot: example "{example.question.id}" asks the same as question "{twin}", which is '
                      'evaluated')


def _normalised(text: str) -> str:
  return ' '.join(text.split()).casefold()


def _ask_all(settings: Settings, tasks: Sequence[Task], reader: Reader, out: pathlib.Path,
             few_shot: Sequence[prompts.Example], progress: Progress | None,
             ) -> tuple[dict[str, dict[str, Any]], list[Ask], int]:
  """Log rows by key: what was asked before, and what is asked now."""
  asks = make_asks(settings, tasks, few_shot)
  with AppendLog(out / 'log.jsonl') as log:
    answers = {row['key']: row for _, row in read_jsonl(out / 'log.jsonl')}
    known = {ask.key for ask in asks}
    answers = {key: row for key, row in answers.items() if key in known}
    _check_prompts(asks, answers, out)
    resumed = len(answers)
    missing = [ask for ask in asks if ask.key not in answers]
    report = progress or (lambda *_: None)
    report(resumed, 0, len(asks))

    def add(ask: Ask, row: dict[str, Any]) -> None:
      row = {'key': ask.key, 'prompt': _digest(ask)} | row
      log.append(row)
      answers[ask.key] = row
      report(resumed, len(answers) - resumed, len(asks))

    with contextlib.closing(log):
      _ask(settings, missing, reader, add)
  return answers, asks, resumed


def _check_prompts(asks: Sequence[Ask], answers: Mapping[str, dict[str, Any]], out: pathlib.Path) -> None:
  """What no setting tells may have changed since the run began: a corpus searched in, few-shot examples, this code."""
  for ask in asks:
    before = answers[ask.key].get('prompt') if ask.key in answers else None
    if before is not None and before != _digest(ask):
      raise UserError(f'{out / "log.jsonl"}: holds the reply to another prompt for "{ask.key}" than is asked now (were '
                      'the documents searched in or the examples changed?); expected a folder of its own')


def _digest(ask: Ask) -> str:
  return hashlib.sha256(json.dumps(ask.messages).encode()).hexdigest()[:16]


def _ask(settings: Settings, asks: Sequence[Ask], reader: Reader, add: Callable[[Ask, dict[str, Any]], None]) -> None:
  if not asks:
    return
  sampling = _sampling(settings, reader)
  scoring_options = [ask.options for ask in asks] if settings.scoring == 'logprob' else None
  lengths = reader.prompt_tokens([ask.messages for ask in asks], scoring_options)
  limit = reader.max_positions
  fitting = []
  for ask, length in zip(asks, lengths, strict=True):
    if limit is not None and length + sampling.max_new_tokens > limit:
      add(ask, {'prompt_tokens': length, 'too_long': limit - sampling.max_new_tokens})
    else:
      fitting.append((ask, length))
  messages = [ask.messages for ask, _ in fitting]
  if not messages:
    return

  def replied(i: int, replies: list[Reply]) -> None:
    ask, length = fitting[i]
    add(ask, {'prompt_tokens': length, 'replies': [vars(r) for r in replies]})

  def scored(i: int, scores: list[OptionScore]) -> None:
    ask, length = fitting[i]
    add(ask, {'prompt_tokens': length, 'scores': [[s.logprob, s.tokens] for s in scores]})

  if settings.scoring == 'logprob':
    reader.option_scores(messages, [ask.options for ask, _ in fitting], scored)
  else:
    reader.complete(messages, [ask.key for ask, _ in fitting], sampling, replied)
