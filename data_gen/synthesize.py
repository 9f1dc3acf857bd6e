"""Documents in, records out: every method sampled until its token budget is met; resumed, extended and summed up."""

import asyncio
import dataclasses
import hashlib
import json
import pathlib
import re
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from data_gen import methods as all_methods
from data_gen.asking import Desk, RejectLog
from data_gen.counting import RecordCounter
from data_gen.errors import UserError
from data_gen.generators.base import Generator
from data_gen.generators.lifecycle import opened, report
from data_gen.jsonl import exclusive, read_json, write_json
from data_gen.method_run import MethodRun
from data_gen.methods.base import Method, Source, Study
from data_gen.methods.prompts import Prompts
from data_gen.progress import Progress
from data_gen.runlog import RunLog
from data_gen.schema import Document
from data_gen.sources import make_sources

if TYPE_CHECKING:
  from data_gen.diversity import Embedding

SPREADS = ('length', 'document')


@dataclasses.dataclass(frozen=True)
class Settings:
  """What a run is asked to make.

  Attributes:
    methods: names, in the order in which they run.
    tokens_per_method: a number of tokens, or a multiple of the source such as '100x', in the student's tokens.
    spread: 'length' gives every document tokens in proportion to its own, 'document' the same to each.
    seed: of the orders that are drawn here; a generator has its own.
    max_document_tokens: longer documents are divided into parts; 0 never divides.
    questions_per_call: pairs that one QA request asks for.
    max_concurrency: most requests in flight.
    name_sources: whether a record that does not name its document's title is headed by it.
    drop_duplicates: whether near duplicates of the same source's records are dropped too; exact ones always are.
  """
  methods: tuple[str, ...] = ('qa', 'active_reading', 'focal')
  tokens_per_method: str = '8x'
  spread: str = 'length'
  seed: int = 0
  max_document_tokens: int = 16384
  questions_per_call: int = 8
  max_concurrency: int = 64
  prompts_dir: str = ''
  prompt_order: str = 'document_first'
  name_sources: bool = True
  drop_duplicates: bool = False

  def __post_init__(self) -> None:
    """Raises UserError for an unknown method, spread or order, and for numbers out of range."""
    all_methods.find(list(self.methods))
    if self.spread not in SPREADS:
      raise UserError(f'--spread={self.spread}: expected one of {", ".join(SPREADS)}')
    parse_budget(self.tokens_per_method, 1000)
    for name, least in ('max_concurrency', 1), ('questions_per_call', 1), ('max_document_tokens', 0):
      if getattr(self, name) < least:
        raise UserError(f'--{name}={getattr(self, name)}: expected {least} or more')


def parse_budget(value: str, source_tokens: int) -> int:
  """Tokens from '1000000', '1_000_000', '2.5e6' or '100x' (a multiple of the source).

  Raises:
    UserError: anything else, or a budget below one token.
  """
  match = re.fullmatch(r'\s*(\d[\d_]*(?:\.\d+)?(?:[eE]\+?\d+)?)\s*([xX]?)\s*', str(value))
  tokens = round(float(match[1].replace('_', '')) * (source_tokens if match[2] else 1)) if match else 0
  if tokens < 1:
    raise UserError(f'--tokens_per_method={value}: expected a number of tokens such as 1000000, or a multiple of the '
                    'source such as 100x')
  return tokens


@dataclasses.dataclass
class Job:
  """A checked run before anything is asked: what `synthesize`, a plan and a pilot share."""
  settings: Settings
  methods: list[Method]
  prompts: Prompts
  counter: RecordCounter
  sources: list[Source]
  shares: list[float]
  target: int

  @property
  def source_tokens(self) -> int:
    return sum(source.tokens for source in self.sources)


def make_job(documents: Sequence[Document], tokenizer: Any, settings: Settings) -> Job:
  """Loads the prompts and divides the documents.

  Raises:
    UserError: a bad prompt or order; a document without text; no document.
  """
  methods = all_methods.find(list(settings.methods))
  prompts = Prompts(settings.prompts_dir or None, settings.prompt_order)
  counter = RecordCounter(tokenizer)
  if not documents:
    raise UserError('--documents: holds no document')
  sources = make_sources(documents, settings.max_document_tokens, counter.texts)
  shares = [max(1, s.tokens) if settings.spread == 'length' else _part_of_document(s, sources) for s in sources]
  target = parse_budget(settings.tokens_per_method, sum(s.tokens for s in sources))
  return Job(settings, methods, prompts, counter, sources, shares, target)


def _part_of_document(source: Source, sources: Sequence[Source]) -> float:
  if source.parts == 1:
    return 1.0
  whole = sum(s.tokens for s in sources if s.document is source.document)
  return max(1, source.tokens) / max(1, whole)


def synthesize(documents: Sequence[Document], out: str | pathlib.Path, generator: Generator, tokenizer: Any,
               settings: Settings, *, journal: pathlib.Path | None = None, quality: bool = True,
               embedding: 'Embedding | None' = None) -> dict[str, Any]:
  """Writes `records.<method>.jsonl`, `rejected.jsonl`, `summary.json`, `config.json` and the quality report into `out`.

  The same call again does nothing; a larger budget, or a further method, extends what is there: earlier records stay
  as they are. A run that was killed is finished. Tokens come as near to the budget as whole records allow.

  Args:
    journal: folder in which a generator may keep its journal; `out/.work` if none is named.
    quality: whether quality.json and samples_page.html are made.
    embedding: (function, name) by which the quality report compares texts; hashed TF-IDF if none is named.

  Returns:
    The content of summary.json.

  Raises:
    UserError: bad settings; `out` holds a run of other settings or is in use; a method without a single record.
  """
  job = make_job(documents, tokenizer, settings)
  out = pathlib.Path(out)
  with exclusive(out):
    identity = _identity(job, generator, tokenizer)
    _check_config(out, identity)
    summary, limit = asyncio.run(_run_all(job, out, generator, identity, journal or out / '.work'))
    records = {name: m['records'] for name, m in summary['methods'].items() if m['records']}
    if quality and records:
      from data_gen.quality import quality_report  # its libraries take a second to import
      quality_report(out, documents, records, embedding=embedding)
  if limit:
    raise limit
  empty = [name for name, m in summary['methods'].items() if not m['records']]
  if empty:
    reasons = summary['methods'][empty[0]]['rejected'] | summary['stage1_rejected']
    raise UserError(f'{empty[0]}: no record came out of {summary["methods"][empty[0]]["calls"]} calls; outputs were '
                    f'rejected for {json.dumps(reasons)}; see {out / "rejected.jsonl"}')
  return summary


def _identity(job: Job, generator: Generator, tokenizer: Any) -> dict[str, Any]:
  """What makes two runs the same data; a run on the same folder must agree on all of it."""
  s = job.settings
  backend = getattr(tokenizer, 'backend_tokenizer', None)
  vocabulary = backend.to_str() if backend else json.dumps(tokenizer.get_vocab(), sort_keys=True)
  return {
      'generator': generator.model,
      'documents': _digest([[x.document.id, x.document.title, x.text] for x in job.sources]),
      'tokenizer': _digest([vocabulary, getattr(tokenizer, 'chat_template', None)]),
      'prompts': job.prompts.versions,
      'seed': s.seed, 'spread': s.spread, 'max_document_tokens': s.max_document_tokens,
      'questions_per_call': s.questions_per_call, 'name_sources': s.name_sources,
      'drop_duplicates': s.drop_duplicates,
  }


def _digest(value: Any) -> str:
  return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode(errors='replace')).hexdigest()[:16]


def _check_config(out: pathlib.Path, identity: dict[str, Any]) -> None:
  path = out / 'config.json'
  if path.exists():
    before = read_json(path)
    for key, value in identity.items():
      if before.get(key) != value:
        raise UserError(f'{path}: this folder was made with {key}={_short(before.get(key))}, now it is '
                        f'{_short(value)}; choose another --out')
  else:
    if any(out.glob('records*.jsonl')):
      raise UserError(f'{out}: holds records but no config.json; choose another --out')
    write_json(path, identity)


def _short(value: Any) -> str:
  text = json.dumps(value)
  return text if len(text) < 120 else f'{text[:117]}...'


async def _run_all(job: Job, out: pathlib.Path, generator: Generator, identity: dict[str, Any],
                   journal: pathlib.Path) -> tuple[dict[str, Any], BaseException | None]:
  """Runs the methods one after another; (summary, the spend limit that stopped them, if one did)."""
  rejects = RejectLog(out / 'rejected.jsonl')
  desk = Desk(generator, job.settings.max_concurrency, rejects)
  studies = [Study(source, job.prompts, desk, questions_per_call=job.settings.questions_per_call,
                   seed=job.settings.seed) for source in job.sources]
  reports: dict[str, Any] = {}
  limit = None
  try:
    async with opened(generator, journal):
      for method in job.methods:
        reports[method.name], limit = await _run_method(job, out, method, studies, desk, _digest(identity)[:6])
        if limit:
          break
  finally:
    rejects.close()
  stage1 = {task: dict(c) for task, c in rejects.counts.items() if task.endswith(('.strategies', '.entities'))}
  summary = {
      'generator': generator.model,
      'source_tokens': job.source_tokens,
      'documents': len({s.document.id for s in job.sources}),
      'tokens': sum(r['tokens'] for r in reports.values()),
      'methods': reports,
      'stopped': str(limit) if limit else None,
      'stage1_rejected': stage1,
      'stage1': _stage1_yield(studies),
      'usage': _total_usage(out, desk),
      'generator_report': report(generator),
      'config': identity | dataclasses.asdict(job.settings) | {'methods': list(job.settings.methods)},
  }
  write_json(out / 'summary.json', summary)
  return summary, limit


def _stage1_yield(studies: Sequence[Study]) -> dict[str, dict[str, int]]:
  """Batches asked for and items found by this run's stage-1 requests."""
  total: dict[str, Counter[str]] = {}
  for study in studies:
    for task, stream in study.streams.items():
      if stream.batches:
        total.setdefault(task, Counter()).update(batches=stream.batches, items=len(stream.items))
  return {task: dict(counts) for task, counts in total.items()}


def _total_usage(out: pathlib.Path, desk: Desk) -> dict[str, dict[str, int]]:
  """The generator's counts by task, with those of earlier runs on the folder that came to their end."""
  before = read_json(out / 'summary.json')['usage'] if (out / 'summary.json').exists() else {}
  return {task: dict(desk.usage[task] + Counter(before.get(task, {}))) for task in sorted({*before, *desk.usage})}


async def _run_method(job: Job, out: pathlib.Path, method: Method, studies: list[Study], desk: Desk,
                      prefix: str) -> tuple[dict[str, Any], BaseException | None]:
  started = time.monotonic()
  log = RunLog(out, method.name)
  try:
    run = MethodRun(method, studies, job.shares, desk, log, job.counter, prefix=prefix, versions=job.prompts.versions,
                    name_sources=job.settings.name_sources, drop_near=job.settings.drop_duplicates)
    before = run.total
    if job.target > log.met():
      progress = Progress(method.name, run.total, job.target)
      try:
        await run.run(job.target, progress)
      finally:
        progress.close()
      if not run.limit:
        log.set_met(job.target)
  finally:
    log.close()
  return _report(job, run, before, time.monotonic() - started), run.limit


def _report(job: Job, run: MethodRun, before: int, seconds: float) -> dict[str, Any]:
  shares = [share / sum(job.shares) for share in job.shares]
  per_call = [t / n for t, n in zip(run.tokens_by_source, run.calls_by_source) if n]
  error = statistics.stdev(per_call) / len(per_call) ** 0.5 if len(per_call) > 1 else 0.0
  deviations = [abs(t / max(1, run.total) / share - 1) for t, share in zip(run.tokens_by_source, shares)]
  return {
      'tokens': run.total, 'target': job.target, 'shortfall': max(0, job.target - run.total),
      'records': run.records, 'calls': run.calls, 'rejected': dict(run.reasons), 'duplicates': run.duplicates,
      'rounds': max(run.calls_by_source),  # calls of the source that had most
      'exhausted': run.exhausted == len(job.sources), 'exhausted_sources': run.exhausted,
      'tasks': list(run.method.tasks), 'tokens_per_call_error': round(error, 2),  # standard error over sources
      'worst_deviation_from_share': round(max(deviations), 4),
      'seconds': round(seconds, 2), 'tokens_per_second': round((run.total - before) / max(seconds, 1e-9)),
  }


def summary_lines(summary: dict[str, Any]) -> list[str]:
  """The summary for people: one line a method, and a warning for one that fell short."""
  lines = [f'{summary["documents"]} documents, {summary["source_tokens"]:,} tokens; generator {summary["generator"]}']
  for name, m in summary['methods'].items():
    rejected = ', '.join(f'{n} {reason}' for reason, n in m['rejected'].items()) or 'none'
    lines.append(f'{name}: {m["tokens"]:,} of {m["target"]:,} tokens in {m["records"]:,} records from {m["calls"]:,} '
                 f'calls; rejected: {rejected}; repeats dropped: {m["duplicates"]}; {m["seconds"]:.1f} s')
    if m['exhausted']:
      lines.append(f'warning: {name} stopped {m["shortfall"]:,} tokens short: all sources yield repeats only')
  return lines
