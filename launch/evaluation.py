"""What launch.evaluate does with its flags: files in, readers made, one evaluation a checkpoint, results printed."""

import glob
import hashlib
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from tqdm import tqdm

from data_gen import benchmarks
from data_gen.errors import UserError
from data_gen.jsonl import read_jsonl
from data_gen.schema import Document, Question, Record, from_row, read_rows
from data_gen.text import load_tokenizer
from smt_jax.eval import prompts
from smt_jax.eval.judging import Judge
from smt_jax.eval.reader import Reader
from smt_jax.eval.retrieval.rag import Rag, RagSettings
from smt_jax.eval.runner import evaluate
from smt_jax.eval.settings import Settings


def run(values: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Evaluates; `values` are launch.evaluate's flags by name. Returns the results, one a checkpoint.

  Raises:
    UserError: any mistake in flags or files.
  """
  from smt_jax.loading import expand
  f = dict(values)
  check_reader(f)
  questions = read_questions(f['questions'], f['benchmark'])
  documents = list(read_rows(Document, f['documents'])) if f['documents'] else []
  names = expand(f['checkpoint']) if f['checkpoint'] else [f'{f["endpoint"]} {f["model"]}']
  settings = [_settings(f, name) for name in names]  # all flags are checked before a model is loaded
  few_shot = _examples(f)
  judge = _judge(f)
  results = []
  lazy = _Lazy(f, documents)
  for name, one in zip(names, settings, strict=True):
    out = pathlib.Path(f['out'])
    if len(names) > 1:
      out = out / f'step_{name.rsplit("@", 1)[1]}'
    retrieve = lazy.retrieve if one.rag else None
    reader = cast(Reader, _LazyReader(f, name))
    with _Bar(one) as bar:
      result = evaluate(one, questions, documents, reader, out, retrieve=retrieve, judge=judge, few_shot=few_shot,
                        training=training_facts(name) if f['checkpoint'] else None, progress=bar)
    print(summary(result, out))
    results.append(result)
  return results


def check_reader(f: Mapping[str, Any]) -> None:
  """Raises UserError where the flags name no reader, or more than one, or what the reader cannot do."""
  if bool(f['checkpoint']) == bool(f['endpoint']):
    raise UserError('--checkpoint: expected either a checkpoint or an --endpoint with a --model')
  if f['endpoint'] and f['plain']:
    raise UserError('--plain: an endpoint applies its own chat template; expected a --checkpoint')


def make_reader(f: Mapping[str, Any], name: str) -> Reader:
  """The reader that the flags of `reader_flags` describe.

  Args:
    name: the checkpoint, where there is no endpoint.

  Raises:
    UserError: what the endpoint's client or the loading of the checkpoint refuses.
  """
  from launch.readers import endpoint_reader, local_reader
  if f['endpoint']:
    return endpoint_reader(f['endpoint'], f['model'], max_concurrency=f['max_concurrency'],
                           api_key_env=f['api_key_env'], max_cost_usd=f['max_cost_usd'])
  reader: Reader = local_reader(name, dtype=f['dtype'], plain=f['plain'], tensor=f['tensor'], max_batch=f['max_batch'])
  return reader


def read_questions(path: str, benchmark: str) -> list[Question]:
  """The checked questions of a file.

  Questions of equal content under ids of their own stay, as published benchmarks hold such; how many is said.

  Raises:
    UserError: a broken line, an id that stands twice, or a question that the benchmark cannot hold.
  """
  questions = list(read_rows(Question, path))
  benchmarks.check_options(benchmark, questions, path)
  seen: dict[tuple[Any, ...], Question] = {}
  repeated: list[tuple[Question, Question]] = []
  for q in questions:
    first = seen.setdefault((q.document_ids, q.question.strip(), q.options), q)
    repeated += [(first, q)] if first is not q else []
  if repeated:
    first, again = repeated[0]
    print(f'note: {path}: {len(repeated)} of {len(questions)} questions repeat another one word for word '
          f'("{again.id}" repeats "{first.id}"), {sum(a.answer != b.answer for a, b in repeated)} of them with another '
          'answer; all are asked and counted', file=sys.stderr)
  return questions


def _settings(f: Mapping[str, Any], name: str) -> Settings:
  rag = RagSettings(f['retriever'], f['embedder'], f['reranker'], f['chunk_size'], f['chunk_unit'], f['chunk_overlap'],
                    True, f['top_k'], f['candidates'], f['chunk_order'])
  extra = {key: f[key] for key in ('dtype', 'search_in', 'chunk_tokenizer', 'few_shot_questions', 'judge_endpoint',
                                   'judge_model', 'judge_checkpoint')}
  if f['mode'] == 'rag' and f['search_in']:
    extra['search_in_sha256'] = _content(f['search_in'])
  return Settings(
      f['benchmark'], f['arm'], f['mode'], f['scoring'], f['samples'], f['permutations'], f['temperature'], f['top_p'],
      f['max_new_tokens'], rag if f['mode'] == 'rag' else None, f['few_shot'],
      f['distractors'], f['plain'], f['limit'], f['seed'], name, extra)


def _content(pattern: str) -> str:
  """A hash of the files that a glob matches, which a result that searched in them depends on."""
  digest = hashlib.sha256()
  for path in sorted(p for p in glob.glob(pattern) if pathlib.Path(p).is_file()):
    with open(path, 'rb') as file:
      digest.update(hashlib.file_digest(file, 'sha256').digest())
  return digest.hexdigest()[:16]


def training_facts(name: str) -> dict[str, Any]:
  """Step, seed and training tokens of a checkpoint, as far as it knows them."""
  from smt_jax import checkpoint, loading
  from smt_jax.workdir import read_config
  found = loading.find(name)
  if found.kind != 'orbax' or found.step is None:
    return {}
  facts = {'step': found.step, 'training_tokens': checkpoint.read_meta(found.folder, found.step).get('tokens')}
  seed = read_config(found.folder).get('seed')
  return facts if seed is None else facts | {'seed': seed}


def _examples(f: Mapping[str, Any]) -> list[prompts.Example]:
  if not f['few_shot']:
    return []
  if not f['few_shot_questions']:
    raise UserError(f'--few_shot={f["few_shot"]}: expected --few_shot_questions with examples')
  documents = {d.id: d for d in read_rows(Document, f['few_shot_documents'])} if f['few_shot_documents'] else {}
  examples = []
  for q in list(read_rows(Question, f['few_shot_questions']))[:f['few_shot']]:
    reply = prompts.reply(q, f['scoring'], str(q.metadata.get('reasoning') or ''))
    examples.append(prompts.Example(q, tuple(documents[i] for i in q.document_ids if i in documents), reply))
  if len(examples) < f['few_shot']:
    raise UserError(f'--few_shot={f["few_shot"]}: {f["few_shot_questions"]} holds only {len(examples)} questions')
  return examples


def _judge(f: Mapping[str, Any]) -> Judge | None:
  from launch.readers import endpoint_reader, local_reader
  if f['judge_endpoint']:
    reader = endpoint_reader(f['judge_endpoint'], f['judge_model'], max_concurrency=f['max_concurrency'],
                             api_key_env=f['judge_api_key_env'], max_cost_usd=f['max_cost_usd'])
    return Judge(reader, f['judge_model'])
  if f['judge_checkpoint']:
    return Judge(local_reader(f['judge_checkpoint'], dtype=f['dtype'], tensor=f['tensor']), f['judge_checkpoint'])
  return None


def read_corpus(pattern: str) -> list[Document]:
  """Documents to search in: documents files or records files (each record one document, named by its method).

  Raises:
    UserError: nothing matches, or a broken line.
  """
  paths = sorted(glob.glob(pattern))
  if not paths:
    raise UserError(f'--search_in={pattern}: matches no file')
  out = []
  for path in paths:
    for number, row in read_jsonl(path):
      where = f'{path}:{number}'
      if 'kind' not in row:
        out.append(from_row(Document, row, where))
        continue
      record = from_row(Record, row, where)
      text = record.text or '\n'.join(m['content'] for m in record.messages or ())
      out.append(Document(f'{path}/{record.id}', '', text, metadata={'document_ids': list(record.document_ids)}))
  return out


def chunk_tokenizer(unit: str, folder: str, checkpoint: str) -> Any:
  """The tokenizer that measures chunks: the named folder's, else the reader's; None for chunks in characters.

  Raises:
    UserError: chunks in tokens with neither.
  """
  if unit != 'tokens':
    return None
  if not (folder or checkpoint):
    raise UserError('--chunk_tokenizer: expected a folder with the tokenizer to count --chunk_unit=tokens with')
  if folder:
    return load_tokenizer(folder)
  from smt_jax import loading
  return loading.open_tokenizer(loading.find(checkpoint))


class _Lazy:
  """Searches once, when it is first asked to: every step of a work directory reads the same chunks."""

  def __init__(self, f: Mapping[str, Any], documents: Sequence[Document]):
    self._f, self._documents = f, documents
    self._asked: tuple[str, ...] | None = None
    self._found: Any = None

  def retrieve(self, questions: Sequence[Question]) -> Any:
    asked = tuple(q.id for q in questions)
    if asked != self._asked:
      f = self._f
      corpus = read_corpus(f['search_in']) if f['search_in'] else self._documents
      tokenizer = chunk_tokenizer(f['chunk_unit'], f['chunk_tokenizer'], f['checkpoint'])
      rag = Rag(corpus, _settings(f, '').rag or RagSettings(), tokenizer=tokenizer,
                cache_dir=f['embeddings'] or pathlib.Path(f['out']) / 'embeddings')
      self._asked, self._found = asked, rag.retrieve(questions)  # index and its models are let go
    return self._found


class _LazyReader:
  """Loads the model when it is first asked something: a finished evaluation is not paid for again."""

  def __init__(self, f: Mapping[str, Any], name: str):
    self._f, self._name, self._reader = f, name, None

  def __getattr__(self, attribute: str) -> Any:
    if self._reader is None:
      self._reader = make_reader(self._f, self._name)
    return getattr(self._reader, attribute)


class _Bar:
  """A progress bar with rate and time left; resumed questions count as done but not for the rate."""

  def __init__(self, settings: Settings):
    self._title, self._bar, self._shown = f'{settings.arm} {settings.mode}', None, 0

  def __call__(self, before: int, now: int, total: int) -> None:
    if self._bar is None:
      self._bar = tqdm(total=total, initial=before, desc=self._title, unit='prompt', file=sys.stderr, mininterval=1.0)
      self._begun = time.monotonic()
    self._bar.update(now - self._shown)
    self._shown = now

  def __enter__(self) -> '_Bar':
    return self

  def __exit__(self, *_: object) -> None:
    if self._bar is not None:
      self._bar.close()


def summary(r: Mapping[str, Any], out: pathlib.Path) -> str:
  """A few lines on one result."""
  accuracy, (low, high) = r['accuracy'], r['ci95']
  lines = [f'{r["arm"]} ({r["mode"]}, {r["scoring"]}): {_percent(accuracy["strict"])} strict '
           f'[{_percent(low)}, {_percent(high)}], {_percent(accuracy["lenient"])} lenient, '
           f'{_percent(r["parse_rate"])} parsed; {r["n_questions"]} questions, {r["seconds"]:.0f} s']
  if r['hard']:
    lines.append(f'  hard: {_percent(r["hard"]["strict"])} of {r["hard"]["n_questions"]}')
  if r['too_long']:
    lines.append(f'  {len(r["too_long"])} questions did not fit the model and count as wrong')
  if r['excluded']:
    lines.append(f'  {len(r["excluded"])} questions left out: {r["excluded"][0]["reason"]}')
  if r.get('judge') and not r['judge'].get('valid', False):
    failed = r['judge'].get('reason', 'it failed the check on near misses')
    lines.append(f'  no judge\'s verdict counted: {failed if r["judge"].get("judge") else "none was given"}')
  return '\n'.join([*lines, f'  {out / "results.json"}'])


def _percent(share: float | None) -> str:
  return 'n/a' if share is None else f'{100 * share:.1f}%'
