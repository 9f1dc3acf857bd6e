"""What one evaluation is: every choice that changes its numbers, checked once."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from data_gen.errors import UserError
from data_gen.jsonl import read_json, write_json
from data_gen.schema import Document, Question
from smt_jax.eval.prompts import LETTERS, MODES, SCORINGS, Example, Mode, Scoring
from smt_jax.eval.reader import Sampling
from smt_jax.eval.retrieval.rag import RagSettings

_LATER = ('few_shot_sha256', 'questions_metadata_sha256')  # folders of earlier versions do not say them
DEFAULT_NEW_TOKENS = {'cot': 1024, 'letter': 64, 'logprob': 0}


@dataclasses.dataclass(frozen=True)
class Settings:
  """One evaluation. Two evaluations with equal settings on one checkpoint and one set of files give equal results.

  Attributes:
    samples: replies a prompt; more than one are drawn at `temperature`.
    permutations: orders of the options in which each question is asked, the original first.
    temperature: None: 0 for one sample, 0.3 for several.
    max_new_tokens: 0: 1,024 for 'cot' and 64 for 'letter', a quarter of the model's positions where that is less.
    rag: chunks and retriever; for mode 'rag' alone, None in every other.
    few_shot: examples before each question.
    distractors: with 'full_document', so many documents of other groups (LongHealth: patients) among the right ones.
    plain: no chat template even where the tokenizer has one.
    checkpoint: what was evaluated, with its step ('DIR@1000'), or 'URL model'.
    extra: further choices that must be equal for a resume (embedder, judge, ...).
  """
  benchmark: str
  arm: str
  mode: Mode = 'closed_book'
  scoring: Scoring = 'cot'
  samples: int = 1
  permutations: int = 1
  temperature: float | None = None
  top_p: float = 1.0
  max_new_tokens: int = 0
  rag: RagSettings | None = None
  few_shot: int = 0
  distractors: int = 0
  plain: bool = False
  limit: int = 0
  seed: int = 0
  checkpoint: str = ''
  extra: dict[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self) -> None:
    for name, choices in (('mode', MODES), ('scoring', SCORINGS)):
      if getattr(self, name) not in choices:
        raise UserError(f'--{name}={getattr(self, name)}: expected one of {", ".join(choices)}')
    for name, least in (('samples', 1), ('permutations', 1), ('limit', 0), ('few_shot', 0),
                        ('max_new_tokens', 0), ('distractors', 0)):
      if getattr(self, name) < least:
        raise UserError(f'--{name}={getattr(self, name)}: expected {least} or more')
    if self.temperature is not None and self.temperature < 0:
      raise UserError(f'--temperature={self.temperature}: expected 0 or more')
    if not 0 < self.top_p <= 1:
      raise UserError(f'--top_p={self.top_p}: expected a share above 0, at most 1')
    if self.samples > 1 and self.temperature == 0:
      raise UserError(f'--samples={self.samples}: several samples need a --temperature above 0')
    if self.scoring == 'logprob' and self.samples > 1:
      raise UserError(f'--samples={self.samples}: --scoring=logprob draws no samples; expected 1')
    if (self.mode == 'rag') != (self.rag is not None):
      raise UserError(f'--mode={self.mode}: settings of retrieval are expected with --mode=rag and only there')
    if self.distractors and self.mode != 'full_document':
      raise UserError(f'--distractors={self.distractors}: only with --mode=full_document')
    if not self.arm:
      raise UserError('--arm=: expected a name for this arm')

  def sampling(self, max_positions: int | None) -> Sampling:
    """The reader's sampling, with the defaults filled in for a model of so many positions."""
    temperature = self.temperature if self.temperature is not None else (0.3 if self.samples > 1 else 0.0)
    new = self.max_new_tokens or DEFAULT_NEW_TOKENS[self.scoring]
    if not self.max_new_tokens and max_positions:
      new = min(new, max(1, max_positions // 4))
    return Sampling(new, temperature, self.top_p, self.samples, self.seed)


def fingerprint(questions: Sequence[Question]) -> str:
  """A hash of ids, texts, options and answers, in order: equal exactly where two results may be compared in pairs."""
  content = [[q.id, q.question, q.options, q.answer, q.group] for q in questions]
  return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:16]


def documents_fingerprint(documents: Sequence[Document]) -> str:
  """A hash of the documents' ids, names and texts: what prompts with context are made of."""
  digest = hashlib.sha256()
  for d in documents:
    digest.update(json.dumps([d.id, d.title, d.author, d.date, d.text]).encode())
  return digest.hexdigest()[:16]


def examples_fingerprint(few_shot: Sequence[Example]) -> str:
  """A hash of the few-shot examples as they are shown: questions, names and texts of their documents, replies."""
  content = [[fingerprint([e.question]), e.question.metadata, documents_fingerprint(e.documents), e.context, e.reply]
             for e in few_shot]
  return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:16]


def description(settings: Settings, questions: Sequence[Question], documents: Sequence[Document],
                few_shot: Sequence[Example] = ()) -> dict[str, Any]:
  """What tells an evaluation from every other: its settings and the contents of its inputs."""
  rest = [[list(q.document_ids), q.hard, q.metadata] for q in questions]  # names and evidence stand in prompts
  wanted = dataclasses.asdict(settings) | {
      'questions_sha256': fingerprint(questions), 'documents_sha256': documents_fingerprint(documents),
      'questions_metadata_sha256': hashlib.sha256(json.dumps(rest).encode()).hexdigest()[:16]}
  if few_shot:
    wanted['few_shot_sha256'] = examples_fingerprint(few_shot)
  return json.loads(json.dumps(wanted))  # as it will be read back


def claim(out: pathlib.Path, wanted: dict[str, Any]) -> None:
  """Writes an evaluation's `description` into the folder, or checks that what is there was begun with the same one.

  Raises:
    UserError: the folder holds an evaluation with other settings or inputs; the first difference is named.
  """
  if not (out / 'settings.json').exists():
    write_json(out / 'settings.json', wanted)
  check_claim(out, wanted)


def check_claim(out: pathlib.Path, wanted: dict[str, Any]) -> None:
  """The check of `claim` alone; a folder that is not claimed passes."""
  path = out / 'settings.json'
  there = read_json(path) if path.exists() else wanted
  for key in wanted:
    if isinstance(there, dict) and key in _LATER and key not in there:
      continue
    if not isinstance(there, dict) or there.get(key) != wanted[key]:
      found = there.get(key) if isinstance(there, dict) else there
      raise UserError(f'--out={out}: holds an evaluation with {key}={found!r}, not {wanted[key]!r}; '
                      'expected a folder of its own for each evaluation')


def check_questions(questions: Sequence[Question], scoring: Scoring, mode: Mode = 'closed_book') -> None:
  """Raises UserError for what cannot be asked: too many options, or none where the mode or scoring is about them."""
  for q in questions:
    if q.options is not None and len(q.options) > len(LETTERS):
      raise UserError(f'question "{q.id}": {len(q.options)} options, expected at most {len(LETTERS)}')
    if q.options is None and mode == 'options_only':
      raise UserError(f'--mode=options_only: question "{q.id}" has no options to show; expected another mode')
    if q.options is None and scoring == 'logprob':
      raise UserError(f'--scoring=logprob: question "{q.id}" has no options; expected cot or letter')
