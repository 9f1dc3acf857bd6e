"""From replies to verdicts, and from verdicts to the figures of results.json.

Strict: a reply counts as right if its explicit answer is right; no answer, several answers or a prompt too long for
the model is wrong. Lenient: an option's own words count too. A question's score is the mean over its samples and
permutations; questions weigh equally.
"""

import collections
import dataclasses
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np

from data_gen.schema import Question
from smt_jax.eval import judging, parsing, stats
from smt_jax.eval.open_answers import open_verdicts
from smt_jax.eval.prompts import LETTERS
from smt_jax.eval.reader import Reader
from smt_jax.eval.retrieval.evidence import recall
from smt_jax.eval.settings import Settings, fingerprint
from smt_jax.eval.tasks import Ask, Task


@dataclasses.dataclass(frozen=True)
class Trial:
  """One reply (or one set of option scores) with its verdict.

  Attributes:
    shown_gold, shown_choice: letters as shown to the reader, None without options or without an answer.
    choice: index of the chosen option in the question's own order.
    answer: what was parsed: a letter as shown, or the answer's text.
    normalised: verdict by length-normalised log-probability (scoring 'logprob' only).
    flag: '', 'too_long', 'cut_off', 'ambiguous', 'refusal' (by the model), 'endpoint_refused'.
  """
  strict: bool
  lenient: bool
  parsed: bool
  how: str
  output: str
  answer: str | None = None
  choice: int | None = None
  shown_gold: str | None = None
  shown_choice: str | None = None
  normalised: bool | None = None
  flag: str = ''
  permutation: int = 0
  sample: int = 0


Verdicts = list[list[Trial]]  # by task; empty for excluded tasks


def score(settings: Settings, tasks: Sequence[Task], asks: Sequence[Ask], answers: Mapping[str, dict[str, Any]],
          judge: judging.Judge | None, judge_log: pathlib.Path) -> tuple[Verdicts, dict[str, Any] | None]:
  """Verdicts of every task, and what is known about the judge (None where no answer needs one)."""
  open_asks = [(ask, answers[ask.key]) for ask in asks if not ask.options]
  judged, about = open_verdicts(tasks, open_asks, judge, judge_log)
  verdicts: Verdicts = [[] for _ in tasks]
  for ask in asks:
    row = answers[ask.key]
    gold = tasks[ask.task].question.answer
    if 'too_long' in row:
      shown = LETTERS[ask.order.index(int(gold))] if ask.options else None
      trials = [Trial(False, False, False, 'too long', '', shown_gold=shown, flag='too_long', sample=s)
                for s in range(settings.samples)]
    elif 'scores' in row:
      trials = [_from_scores(ask, row['scores'], int(gold))]
    elif ask.options:
      trials = [_from_reply(ask, reply, int(gold)) for reply in row['replies']]
    else:
      trials = [_from_open(reply, judged[ask.key, s]) for s, reply in enumerate(row['replies'])]
    verdicts[ask.task] += [dataclasses.replace(t, permutation=ask.permutation, sample=s)
                           if ask.permutation or s else t for s, t in enumerate(trials)]
  return verdicts, about


def _from_reply(ask: Ask, reply: dict[str, Any], gold: int) -> Trial:
  parsed = parsing.parse_choice(reply['text'], ask.options)
  shown_gold = ask.order.index(gold)
  flag = 'ambiguous' if parsed.how == 'ambiguous' else _cut_short(reply) if parsed.strict is None else ''
  return Trial(parsed.strict == shown_gold, parsed.lenient == shown_gold, parsed.strict is not None, parsed.how,
               reply['text'], parsing.letter(parsed.strict),
               None if parsed.lenient is None else ask.order[parsed.lenient], LETTERS[shown_gold],
               parsing.letter(parsed.strict), flag=flag)


def _cut_short(reply: Mapping[str, Any]) -> str:
  reason = reply['finish_reason']
  if reason == 'refused: context_length_exceeded':
    return 'too_long'  # the endpoint alone can count its tokens
  return 'cut_off' if reason == 'length' else 'endpoint_refused' if reason.startswith('refused') else ''


def _from_scores(ask: Ask, scores: Sequence[Sequence[float]], gold: int) -> Trial:
  raw = unique_best([s for s, _ in scores])
  normalised = unique_best([s / max(1, n) for s, n in scores])
  shown_gold = ask.order.index(gold)
  output = ' '.join(f'{letter}={s:.4f}' for letter, (s, _) in zip(LETTERS, scores))
  return Trial(raw == shown_gold, raw == shown_gold, raw is not None, 'logprob', output, parsing.letter(raw),
               None if raw is None else ask.order[raw], LETTERS[shown_gold], parsing.letter(raw),
               normalised == shown_gold)


def unique_best(values: Sequence[float]) -> int | None:
  """Index of the largest value; None where it is shared or a value is not a number."""
  if any(math.isnan(v) for v in values):
    return None
  best = max(values)
  return list(values).index(best) if list(values).count(best) == 1 else None


def _from_open(reply: dict[str, Any], verdict: judging.Verdict) -> Trial:
  answer, whole = parsing.parse_open(reply['text'])
  correct = verdict.correct is True
  flag = 'refusal' if verdict.by == 'refusal' or (not correct and judging.is_refusal(answer or whole)) else ''
  if not flag and answer is None:
    flag = _cut_short(reply)
  parsed = answer is not None
  return Trial(correct and parsed, correct, parsed, verdict.by, reply['text'], answer, flag=flag)


def results(settings: Settings, tasks: Sequence[Task], verdicts: Verdicts, judge: dict[str, Any] | None,
            training: Mapping[str, Any], tuned: Set[str] = frozenset()) -> dict[str, Any]:
  """The figures of one evaluation (`results.json` without times and settings).

  `tuned` are the groups that retrieval is tuned on (`sweep.tuning_groups`): 'kept_back' is the accuracy on the others.
  """
  used = [i for i, task in enumerate(tasks) if task.excluded is None]
  groups = [tasks[i].question.group for i in used]
  strict = _per_question(verdicts, used, 'strict')
  lenient = _per_question(verdicts, used, 'lenient')
  interval = stats.mean_interval(strict, groups)
  trials = [t for i in used for t in verdicts[i]]
  out: dict[str, Any] = {
      'benchmark': settings.benchmark, 'arm': settings.arm, 'mode': settings.mode, 'scoring': settings.scoring,
      'checkpoint': settings.checkpoint, 'step': training.get('step'), 'seed': training.get('seed', settings.seed),
      'training_tokens': training.get('training_tokens'), 'n_questions': len(used), 'n_groups': len(set(groups)),
      'accuracy': {'strict': _mean(strict), 'lenient': _mean(lenient)},
      'ci95': _bounds(interval), 'ci95_method': interval.method,
      'parse_rate': _mean([t.parsed for t in trials]), 'by_letter': by_letter(trials),
      'recall_sd': recall_sd(trials), 'hard': _subset(tasks, verdicts, used, lambda q: q.hard is True),
      'easy': _subset(tasks, verdicts, used, lambda q: q.hard is False),
      'kept_back': _subset(tasks, verdicts, used, lambda q: q.group not in tuned) if tuned else None,
      'chance': _chance(tasks, used),
      'flags': dict(collections.Counter(t.flag for t in trials if t.flag)),
      'too_long': [tasks[i].question.id for i in used if any(t.flag == 'too_long' for t in verdicts[i])],
      'excluded': [{'id': t.question.id, 'reason': t.excluded} for t in tasks if t.excluded is not None],
      'questions_sha256': fingerprint([tasks[i].question for i in used])}
  if settings.scoring == 'logprob':
    out['accuracy']['normalised'] = _mean(_per_question(verdicts, used, 'normalised'))
  if len(trials) == len(used) and used:
    right, n = int(strict.sum()), len(strict)
    out['intervals'] = {'wilson': stats.wilson(right, n), 'clopper_pearson': stats.clopper_pearson(right, n),
                        'beta': stats.beta_interval(right, n)}
  if settings.permutations > 1:
    out['permutations'] = _permutations(verdicts, used)
  if any(tasks[i].question.options is None for i in used):
    out['verdicts'] = dict(collections.Counter(t.how for t in trials))
    out['judge'] = judge
  if settings.mode == 'rag':
    out['retrieval'] = retrieval_figures([tasks[i] for i in used])
  return out


def _mean(values: Any) -> float | None:
  return float(np.mean(values)) if len(values) else None


def _per_question(verdicts: Verdicts, used: Sequence[int], name: str) -> np.ndarray:
  return np.array([_share(verdicts[i], name) for i in used])


def _share(trials: Sequence[Trial], name: str) -> float:
  return sum(bool(getattr(t, name)) for t in trials) / len(trials)


def _subset(tasks: Sequence[Task], verdicts: Verdicts, used: Sequence[int],
            keep: Callable[[Question], bool]) -> dict[str, Any] | None:
  kept = [i for i in used if keep(tasks[i].question)]
  if not kept:
    return None
  strict = _per_question(verdicts, kept, 'strict')
  interval = stats.mean_interval(strict, [tasks[i].question.group for i in kept])
  return {'n_questions': len(kept), 'strict': interval.estimate,
          'lenient': _mean(_per_question(verdicts, kept, 'lenient')), 'ci95': _bounds(interval)}


def _bounds(interval: stats.Interval) -> list[float | None]:
  row = interval.to_json()
  return [row['low'], row['high']]


def _chance(tasks: Sequence[Task], used: Sequence[int]) -> float | None:
  options = [len(tasks[i].question.options or ()) for i in used]
  return _mean([1 / n for n in options]) if options and all(options) else None


def by_letter(trials: Sequence[Trial]) -> dict[str, dict[str, Any]]:
  """For each letter: how often it was right, the recall there, and how often it was chosen."""
  letters = sorted({t.shown_gold for t in trials if t.shown_gold} | {t.shown_choice for t in trials if t.shown_choice})
  out = {}
  for letter in letters:
    gold = [t for t in trials if t.shown_gold == letter]
    out[letter] = {'gold': len(gold), 'recall': _mean([t.strict for t in gold]),
                   'chosen': sum(t.shown_choice == letter for t in trials)}
  return out


def recall_sd(trials: Sequence[Trial]) -> float | None:
  """Standard deviation of recall over letters: 0 without a preference for a letter (Zheng et al., arXiv 2309.03882)."""
  recalls = [v['recall'] for v in by_letter(trials).values() if v['recall'] is not None]
  return float(np.std(recalls)) if recalls else None


def _permutations(verdicts: Verdicts, used: Sequence[int]) -> dict[str, Any]:
  """Accuracy with the original order, the mean and spread over orders, and the share right in every order."""
  count = 1 + max(t.permutation for i in used for t in verdicts[i]) if used else 0
  by_order = [_mean([t.strict for i in used for t in verdicts[i] if t.permutation == p]) for p in range(count)]
  every = [all(t.strict for t in verdicts[i]) for i in used]
  return {'original': by_order[0] if by_order else None, 'by_order': by_order, 'all_right': _mean(every)}


def retrieval_figures(tasks: Sequence[Task]) -> dict[str, Any]:
  """How often the right document, and how much of the marked evidence, is among the chunks shown."""
  named = [task for task in tasks if task.question.document_ids]  # no document is the right one for the others
  documents = {d.id: d for task in tasks for d in task.documents}
  found = dataclasses.asdict(recall([task.question for task in named], [t.retrieved or () for t in named], documents))
  found |= {} if named else {'document': None}
  return found | {'mean_chunks': _mean([len(task.retrieved or ()) for task in tasks])}


def item_rows(tasks: Sequence[Task], asks: Sequence[Ask], verdicts: Verdicts, reader: Reader,
              tuned: Set[str] = frozenset()) -> Iterator[dict[str, Any]]:
  """The lines of items.jsonl, one a question; the first trial at the top, all of them in `trials` if there are more."""
  by_task = {ask.task: ask for ask in reversed(asks)}
  for i, task in enumerate(tasks):
    q = task.question
    row: dict[str, Any] = {
        'id': q.id, 'group': q.group, 'document_ids': list(q.document_ids), 'question': q.question,
        'options': None if q.options is None else list(q.options), 'answer': q.answer, 'hard': q.hard,
        'kept_back': q.group not in tuned}
    if task.excluded is not None:
      yield row | {'excluded': task.excluded}
      continue
    first = verdicts[i][0]
    row |= {'prompt': reader.prompt_text(by_task[i].messages), 'output': first.output, 'parsed': first.answer,
            'choice': first.choice, 'correct': first.strict, 'lenient': first.lenient, 'how': first.how,
            'flag': first.flag, 'score': _share(verdicts[i], 'strict'),
            'lenient_score': _share(verdicts[i], 'lenient')}
    if task.retrieved is not None:
      row['retrieved'] = [{'document_id': c.document_id, 'start': c.start, 'end': c.end, 'text': c.text}
                          for c in task.retrieved]
    if len(verdicts[i]) > 1:
      row['trials'] = [dataclasses.asdict(t) for t in verdicts[i]]
    yield row
