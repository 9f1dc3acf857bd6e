"""The stages of launch.rehearse, and the account of what became of every document and question."""

import collections
import dataclasses
import glob
import pathlib
from typing import Any

from data_gen.errors import UserError
from data_gen.jsonl import read_json, read_jsonl, write_json, write_jsonl
from data_gen.schema import Document, read_rows, to_row
from launch.jobs import Stage
from launch.stages import run_all

MODES = ('closed_book', 'rag', 'oracle', 'full_document')
METHODS = ('qa', 'wrap', 'entigraph', 'active_reading', 'focal', 'spa')
_ROW = 512  # tokens of a packed row


@dataclasses.dataclass(frozen=True)
class Plan:
  """What launch.rehearse's flags say; see there."""
  benchmark: str
  source: str
  out: pathlib.Path
  questions: str = ''
  further: str = ''
  replay: str = ''
  tokens_per_method: str = '1x'
  steps: int = 300
  positions: int = 12288
  modes: tuple[str, ...] = MODES
  scorings: tuple[str, ...] = ('logprob', 'letter', 'cot')
  seed: int = 0

  @property
  def documents(self) -> pathlib.Path:
    return self.out / 'documents.jsonl'

  @property
  def question_file(self) -> pathlib.Path:
    return self.out / 'prepared' / 'questions.jsonl'


def run(plan: Plan) -> int:
  """Runs what is not done yet; returns how many stages ran.

  Raises:
    UserError: a stage failed (its own message stands above), or the folder holds another rehearsal.
  """
  settings = {k: str(v) if isinstance(v, pathlib.Path) else list(v) if isinstance(v, tuple) else v
              for k, v in dataclasses.asdict(plan).items()}
  ran = run_all(_reading(plan), plan.out, settings)
  _join_documents(plan)
  questions = [row for _, row in read_jsonl(plan.question_file)]
  return ran + run_all([*_making(plan, bool(questions)), *_asking(plan, questions)], plan.out, settings)


def _reading(plan: Plan) -> list[Stage]:
  questions = (f'--questions={plan.questions}',) if plan.questions else ()
  read = [Stage('documents and questions', (
      'prepare', f'--benchmark={plan.benchmark}', f'--source={plan.source}', f'--out={plan.out / "prepared"}',
      *questions), plan.out / 'prepared' / 'documents.jsonl')]
  if plan.further:
    read.append(Stage('further documents', (
        'prepare', '--benchmark=files', f'--source={plan.further}', f'--out={plan.out / "further"}'),
        plan.out / 'further' / 'documents.jsonl'))
  return read


def _join_documents(plan: Plan) -> None:
  """One documents.jsonl of both; a further document that the benchmark holds too is left out."""
  if plan.documents.exists():
    return
  documents = list(read_rows(Document, plan.out / 'prepared' / 'documents.jsonl'))
  ids, texts = {d.id for d in documents}, {' '.join(d.text.split()) for d in documents}
  if plan.further:
    for d in read_rows(Document, plan.out / 'further' / 'documents.jsonl'):
      if ' '.join(d.text.split()) not in texts:
        documents.append(dataclasses.replace(d, id=f'further/{d.id}') if d.id in ids else d)
  write_jsonl(plan.documents, map(to_row, documents))


def _making(plan: Plan, questions: bool) -> list[Stage]:
  """From documents to a trained model."""
  out, tokenizer, records = plan.out, plan.out / 'tokenizer', f'{plan.out / "synthetic"}/records.*.jsonl'
  made = [
      Stage('a tokenizer', ('train_tokenizer', f'--source={plan.documents}', '--vocab_size=4096', f'--out={tokenizer}'),
            tokenizer / 'tokenizer.json'),
      Stage('synthetic records by every method', (
          'synthesize', f'--documents={plan.documents}', f'--out={out / "synthetic"}', '--generator=offline',
          f'--methods={",".join(METHODS)}', f'--tokenizer={tokenizer}', f'--tokens_per_method={plan.tokens_per_method}',
          f'--seed={plan.seed}'), out / 'synthetic' / 'summary.json')]
  if questions:
    made.append(Stage('records against questions', (
        'decontaminate', f'--records={records}', f'--questions={plan.question_file}',
        f'--out={out / "decontamination"}'), out / 'decontamination' / 'report.json'))
  pack = (f'--tokenizer={tokenizer}', f'--sequence_length={_ROW}')
  made.append(Stage('packed rows', ('pack', f'--records={records}', f'--out={out / "packed"}', *pack),
                    out / 'packed' / 'pack.json'))
  replay: tuple[str, ...] = ('--config.mix.replay_fraction=0',)
  if plan.replay:
    made += [Stage('replay text', ('replay', f'--source={plan.replay}', f'--tokens={plan.steps * _ROW}',
                                   f'--tokenizer={tokenizer}', f'--out={out / "replay"}'),
                   out / 'replay' / 'records.jsonl'),
             Stage('packed replay', ('pack', f'--records={out / "replay" / "records.jsonl"}',
                                     f'--out={out / "packed_replay"}', *pack), out / 'packed_replay' / 'pack.json')]
    replay = (f'--config.replay={out / "packed_replay"}',)
  made.append(Stage('training', (
      'train', '--config=configs/debug.py', f'--workdir={out / "train"}', f'--config.tokenizer={tokenizer}',
      f'--config.data={out / "packed"}', *replay, f'--config.mix.sequence_length={_ROW}',
      f'--config.model.max_position_embeddings={plan.positions}', f'--config.token_budget={plan.steps * 8 * _ROW}',
      '--config.checkpoint.every_steps=100', '--config.log.eval_every_steps=0', f'--config.seed={plan.seed}'),
      out / 'train' / 'mix.json'))
  return made


def _asking(plan: Plan, questions: list[dict[str, Any]]) -> list[Stage]:
  """Evaluations in every mode and scoring, and the report; nothing without questions."""
  if not questions:
    return []
  without_options = any(q.get('options') is None for q in questions)
  scorings = [s for s in plan.scorings if not (s == 'logprob' and without_options)]
  benchmark = 'custom' if plan.benchmark == 'files' else plan.benchmark
  asked = []
  for mode in plan.modes:
    for scoring in scorings:
      result = plan.out / 'results' / f'{mode}_{scoring}'
      asked.append(Stage(f'evaluation: {mode}, {scoring}', (
          'evaluate', f'--benchmark={benchmark}', f'--questions={plan.question_file}', f'--documents={plan.documents}',
          f'--checkpoint={plan.out / "train"}', '--arm=rehearsal', f'--mode={mode}', f'--scoring={scoring}',
          '--chunk_size=500', '--top_k=4', '--max_new_tokens=48' if scoring != 'logprob' else '--max_new_tokens=0',
          f'--out={result}'), result / 'results.json'))
  return [*asked, Stage('report', (
      'report', f'--results={plan.out}/results/*', f'--workdirs={plan.out}/train', f'--out={plan.out / "report"}',
      f'--records={plan.out}/synthetic/records.*.jsonl', '--title=Rehearsal',
      '--note=A tiny model after a few hundred steps: what counts is that nothing was lost.'),
      plan.out / 'report' / 'table.md')]


def account(plan: Plan) -> list[str]:
  """What became of every document and question, as lines; also written into account.json.

  Raises:
    UserError: something was lost between two stages; the first loss is named.
  """
  documents = [d.id for d in read_rows(Document, plan.documents)]
  read = sum(sum(1 for _ in read_jsonl(path)) for part in ('prepared', 'further')
             for path in glob.glob(f'{plan.out / part}/documents.jsonl'))
  questions = [row['id'] for _, row in read_jsonl(plan.question_file)]
  skipped = [row for part in ('prepared', 'further') for path in glob.glob(f'{plan.out / part}/skipped.jsonl')
             for _, row in read_jsonl(path)]
  records = _records(plan)
  without = {method: sorted(set(documents) - covered) for method, (_, covered) in records.items()}
  packed = sum(source['records'] for source in read_json(plan.out / 'packed' / 'pack.json')['sources'].values())
  written = sum(n for n, _ in records.values())
  evaluations = {path.name: _evaluation(path, questions) for path in sorted((plan.out / 'results').glob('*'))}
  found = {'documents': len(documents), 'documents_read_twice': read - len(documents), 'questions': len(questions),
           'skipped': skipped, 'records': written, 'packed_records': packed, 'documents_without_a_record': without,
           'evaluations': evaluations}
  write_json(plan.out / 'account.json', found)
  if packed != written:
    raise UserError(f'{plan.out / "packed"}: holds {packed} records of {written} that were written')
  twice = f' ({read - len(documents)} of the further ones left out: the benchmark holds them)'
  lines = [f'{len(documents):,} documents{twice if read > len(documents) else ""}, {len(questions):,} questions, '
           f'{len(skipped):,} skipped by the readers (with reasons, skipped.jsonl)',
           f'{written:,} records by {len(records)} methods, all of them packed']
  lines += [f'  {method}: no record on {len(ids)} documents, e.g. {ids[0]}' for method, ids in without.items() if ids]
  lines += [f'{name}: {e["answered"]} answered, {e["too_long"]} too long for the model, {e["left_out"]} left out'
            for name, e in evaluations.items()]
  return lines


def _records(plan: Plan) -> dict[str, tuple[int, set[str]]]:
  """By method: number of records and the documents that they name."""
  counts: collections.Counter[str] = collections.Counter(dict.fromkeys(METHODS, 0))
  covered: dict[str, set[str]] = {method: set() for method in METHODS}
  for path in sorted(glob.glob(f'{plan.out / "synthetic"}/records.*.jsonl')):
    for _, row in read_jsonl(path):
      counts[row['method']] += 1
      covered.setdefault(row['method'], set()).update(row['document_ids'])
  return {method: (counts[method], covered[method]) for method in covered}


def _evaluation(folder: pathlib.Path, questions: list[str]) -> dict[str, Any]:
  items = {row['id']: row for _, row in read_jsonl(folder / 'items.jsonl')}
  lost = [i for i in questions if i not in items]
  if lost or len(items) != len(questions):
    raise UserError(f'{folder}: {len(items)} items for {len(questions)} questions; lost: {", ".join(lost[:3])}')
  left_out = sum('excluded' in row for row in items.values())
  too_long = sum(row.get('flag') == 'too_long' for row in items.values())
  return {'answered': len(items) - left_out - too_long, 'too_long': too_long, 'left_out': left_out}
