"""General text to replay records: streamed, cut at paragraph ends, counted, until a token budget is met.

Nothing is held in memory but one batch of records. The result appears under its name only when it is whole; the same
call again does nothing, another budget or source on the same folder writes it anew.
"""

import collections
import dataclasses
import glob
import hashlib
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

from data_gen import storage
from data_gen.errors import UserError
from data_gen.jsonl import PathLike, exclusive, read_json, write_json, write_jsonl
from data_gen.readers.stream import stream_texts
from data_gen.schema import Record, to_row
from data_gen.text import count_tokens, load_tokenizer

RECORD_CHARACTERS = 6000  # about 1,500 tokens of English
_BATCH = 256
_BOUNDARIES = (re.compile(r'\n\s*\n\s*'), re.compile(r'\n'), re.compile(r'(?<=[.!?])["\'”’)]*\s+'), re.compile(r'\s+'))


@dataclasses.dataclass(frozen=True)
class ReplaySummary:
  """What was written.

  Attributes:
    path: records.jsonl.
    records, tokens: how much it holds; `tokens` is at least the budget, by less than one record, or all there was.
    files: source files that gave a record.
    reused: the folder held exactly this already.
    exhausted: the sources ended before the budget was met.
  """
  path: pathlib.Path
  records: int
  tokens: int
  files: int
  reused: bool
  exhausted: bool


def make_replay(source: str, tokens: int, tokenizer: PathLike, out: PathLike) -> ReplaySummary:
  """Writes `records.jsonl` with replay records of about `RECORD_CHARACTERS` characters.

  Args:
    source: glob of text, JSONL (`.gz` and `.zst` too) or parquet files, read in sorted order; remote ones are staged
      one after the other.
    tokens: stop with the record that reaches this many tokens.
    tokenizer: folder of the student's tokenizer, which counts.
    out: folder to write to.

  Raises:
    UserError: no file matches, a file cannot be read or holds no text, a budget below 1.
  """
  if tokens < 1:
    raise UserError(f'--tokens={tokens}: expected 1 or more')
  files = find_files(source)
  loaded = load_tokenizer(tokenizer)
  out = pathlib.Path(out)
  asked = {'tokens_asked': tokens, 'tokenizer': _fingerprint(loaded), 'record_characters': RECORD_CHARACTERS,
           'sources': [[name, *version] for name, version in files.items()]}
  with exclusive(out):
    done = _finished(out, asked)
    if done is not None:
      return done
    counts: dict[str, Any] = collections.Counter()
    seen: set[str] = set()
    (out / 'replay.json').unlink(missing_ok=True)  # it must never describe other records than those beside it
    write_jsonl(out / 'records.jsonl', map(to_row, _records(files, loaded, tokens, counts, seen)))
    state = {'records': counts['records'], 'tokens': counts['tokens'], 'files': len(seen)}
    write_json(out / 'replay.json', asked | state)
  return ReplaySummary(out / 'records.jsonl', **state, reused=False, exhausted=counts['tokens'] < tokens)


def find_files(source: str) -> dict[str, list[Any]]:
  """The files a glob matches, sorted, and what changes when they do; a folder stands for all files below it.

  Raises:
    UserError: nothing matches.
  """
  whole = pathlib.Path(source)
  found: set[pathlib.Path] = {whole} if whole.is_file() else set()
  remote: dict[str, list[Any]] = {}
  for part in [source] if whole.exists() else source.split(','):
    if storage.is_remote(part.strip()):
      remote |= storage.matches(part.strip())
      continue
    path = pathlib.Path(part.strip())
    matches = path.rglob('*') if path.is_dir() else map(pathlib.Path, glob.glob(part.strip(), recursive=True))
    found |= {p for p in matches if p.is_file() and not p.name.startswith('.')}
  if not found and not remote:
    raise UserError(f'--source={source}: no such file')
  return {str(f): [f.stat().st_size, f.stat().st_mtime_ns] for f in sorted(found)} | remote


def split_text(text: str, size: int = RECORD_CHARACTERS) -> Iterator[str]:
  """Cuts a text into pieces of about `size` characters, at the largest boundary near it; nothing but white space at
  the cuts is lost."""
  start = 0
  while len(text) - start > 1.5 * size:
    cut = _cut(text, start + size // 2, start + size)
    yield text[start:cut].strip()
    start = cut
  yield text[start:].strip()


def _cut(text: str, earliest: int, latest: int) -> int:
  for boundary in _BOUNDARIES:
    ends = [m.end() for m in boundary.finditer(text, earliest, latest)]
    if ends:
      return ends[-1]
  return latest


def _records(files: Iterable[str], tokenizer: Any, budget: int, counts: dict[str, Any], seen: set[str],
             ) -> Iterator[Record]:
  """Records until the budget is met; `counts` and `seen` (file names) are filled as they go out."""
  with tqdm(total=budget, unit='tokens', unit_scale=True, desc='replay') as bar:
    for batch in _batches(_pieces(files)):
      for (record_id, text, name), size in zip(batch, count_tokens(tokenizer, [t for _, t, _ in batch]), strict=True):
        if counts['tokens'] >= budget:
          return
        counts['tokens'] += size
        counts['records'] += 1
        seen.add(name)
        bar.update(size)
        yield Record(id=record_id, kind='replay', method='replay', text=text, tokens=size, extra={'source': name})
  if not counts['records']:
    raise UserError('--source: none of the files holds any text')


def _pieces(files: Iterable[str]) -> Iterator[tuple[str, str, str]]:
  """(record id, text, source) of every piece; the id says where the text came from."""
  for name in files:
    tag = hashlib.sha256(name.encode()).hexdigest()[:6]
    path = pathlib.Path(storage.local(name))
    for number, text in stream_texts(path):
      for part, piece in enumerate(p for p in split_text(text) if p):
        yield f'replay-{path.name}-{tag}-{number}-{part}', piece, path.name


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
  batch = []
  for item in items:
    batch.append(item)
    if len(batch) == _BATCH:
      yield batch
      batch = []
  if batch:
    yield batch


def _fingerprint(tokenizer: Any) -> str:
  """Tells tokenizers apart by what they do with a text, whatever their folders are called."""
  probe = 'The 1st fox, naïve & quick,\n\tjumps over 2,026 dogs — twice; été 東京 🙂'
  return hashlib.sha256(repr((len(tokenizer), tokenizer.encode(probe))).encode()).hexdigest()[:16]


def _finished(out: pathlib.Path, asked: dict[str, Any]) -> ReplaySummary | None:
  state_path, records = out / 'replay.json', out / 'records.jsonl'
  if not state_path.exists() or not records.exists():
    return None
  state = read_json(state_path)
  if any(state.get(k) != v for k, v in asked.items()):
    return None
  return ReplaySummary(records, state['records'], state['tokens'], state['files'], reused=True,
                       exhausted=state['tokens'] < asked['tokens_asked'])
