"""Records -> packed rows: one TFDS data set a source in ArrayRecord files, an index, and `pack.json`.

`pack.json` is written last: a folder that has one is whole. Everything before it lies in `.partial`, so that a killed
run leaves nothing under a final name that the next run would not replace.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import tqdm
from pyarrow import parquet

from data_gen.errors import UserError
from data_gen.jsonl import exclusive, read_json, write_json
from data_gen.schema import KINDS
from smt_jax.data import plan, rows
from smt_jax.data.layout import FORMAT, SOURCES, TRAIN, VALIDATION, VERSION, index_name, shard_name
from smt_jax.data.parallel import ordered_map
from smt_jax.data.shuffle import permutation
from smt_jax.data.spool import RecordTable, find_inputs, write_spool
from smt_jax.data.tokenizer import load_tokenizer, pad_id, tokenizer_fingerprint

_PARTIAL = '.partial'
_OWN = (*SOURCES, 'index', 'records.parquet')
_SHARD_TOKENS = 2 ** 24  # tokens a shard file holds


@dataclasses.dataclass(frozen=True)
class Settings:
  """What besides the records and the tokenizer decides the rows."""
  sequence_length: int
  by: str = 'kind'
  loss_on_prompt: bool = False
  held_out: float = 0.0
  seed: int = 0


def pack(records: Sequence[str], tokenizer: str, out: str | os.PathLike[str], sequence_length: int, *,
         by: str = 'kind', loss_on_prompt: bool = False, held_out: float = 0.0, seed: int = 0,
         workers: int = 1) -> dict[str, Any]:
  """Packs records into rows of `sequence_length` tokens.

  Args:
    records: paths or globs of records.jsonl files.
    tokenizer: folder of the student's tokenizer.
    out: folder to write; packed already from the same input, nothing is done.
    sequence_length: T.
    by: 'kind' (rows of QAs, of documents, of replay) or 'source' (rows of one source document's QAs and documents).
    loss_on_prompt: take the loss on prompts too.
    held_out: share of the records of each kind that goes into the split `validation`, packed by kind.
    seed: of the order in which records are packed.
    workers: processes that tokenize and write; the result does not depend on it.

  Returns:
    What stands in pack.json, and `already_done`.

  Raises:
    UserError: wrong settings or records; a folder that holds other rows, or whatever else.
  """
  settings = _check(Settings(sequence_length, by, loss_on_prompt, held_out, seed))
  inputs = find_inputs(records)
  loaded = load_tokenizer(tokenizer)
  head = {'format': FORMAT, **dataclasses.asdict(settings), 'tokenizer_fingerprint': tokenizer_fingerprint(loaded),
          'pad_id': pad_id(loaded), 'inputs': [_describe(path) for path in inputs]}
  out = pathlib.Path(out)
  with exclusive(out):
    done = _clear(out, head)
    if done:
      return done | {'already_done': True}
    partial = out / _PARTIAL
    try:
      partial.mkdir()
      summary = head | _write(inputs, tokenizer, partial, settings, head['pad_id'], workers)
      for name in _OWN:
        if (partial / name).exists():
          os.replace(partial / name, out / name)
      write_json(out / 'pack.json', summary)
    except OSError as e:
      raise UserError(f'{out}: cannot write ({e.strerror or e})') from e
    finally:
      if not (out / 'pack.json').exists():
        _remove_own(out)
      shutil.rmtree(partial, ignore_errors=True)
  return summary | {'already_done': False}


def _check(settings: Settings) -> Settings:
  if settings.sequence_length < 2:
    raise UserError(f'--sequence_length={settings.sequence_length}: expected 2 or more')
  if settings.by not in ('kind', 'source'):
    raise UserError(f'--by={settings.by}: expected kind or source')
  if not 0 <= settings.held_out < 1:
    raise UserError(f'--held_out={settings.held_out}: expected a share from 0 to below 1')
  return settings


def _describe(path: pathlib.Path) -> dict[str, Any]:
  try:
    with open(path, 'rb') as f:
      digest = hashlib.file_digest(f, 'blake2b').hexdigest()[:32]
  except OSError as e:
    raise UserError(f'{path}: cannot read ({e.strerror})') from None
  return {'file': os.fspath(path), 'bytes': path.stat().st_size, 'blake2b': digest}


def _clear(out: pathlib.Path, head: dict[str, Any]) -> dict[str, Any] | None:
  """Removes what a killed run left; returns what pack.json says if the folder holds just these rows.

  Raises:
    UserError: the folder holds rows of other records or settings, or files that are not a pack's.
  """
  if (out / 'pack.json').exists():
    old = read_json(out / 'pack.json')
    shutil.rmtree(out / _PARTIAL, ignore_errors=True)
    for name, value in head.items():
      before = old.get(name)
      if name == 'inputs':  # by content: a moved file is the same input
        value, before = ([i.get('blake2b') for i in v or ()] for v in (value, before))
      if before != value:
        wanted = 'other records' if name == 'inputs' else f'{name}={before}, not {value}'
        raise UserError(f'{out}: holds rows packed from {wanted}; choose another --out or remove this folder')
    return old
  if (out / _PARTIAL).exists():
    _remove_own(out)
    shutil.rmtree(out / _PARTIAL)
  for name in _OWN:
    if (out / name).exists():
      raise UserError(f'{out / name}: stands where packed rows would go, but no pack.json beside it; '
                      'choose another --out')
  return None


def _remove_own(out: pathlib.Path) -> None:
  for name in _OWN:
    if (out / name).is_dir():
      shutil.rmtree(out / name)
    else:
      (out / name).unlink(missing_ok=True)


def _write(inputs: Sequence[pathlib.Path], tokenizer: str, folder: pathlib.Path, settings: Settings, pad: int,
           workers: int) -> dict[str, Any]:
  """Writes everything but pack.json; returns the part of pack.json that says what was written."""
  spool = folder / 'spool.bin'
  table = write_spool(inputs, tokenizer, spool, loss_on_prompt=settings.loss_on_prompt, workers=workers)
  held_out = _held_out(table, settings.held_out)
  plans = {(source, split): segments for split, members in ((TRAIN, ~held_out), (VALIDATION, held_out))
           for source, segments in _plans(table, np.flatnonzero(members), split, settings).items()}
  shards = {}
  (folder / 'index').mkdir()
  for (source, split), segments in plans.items():
    (folder / source / VERSION).mkdir(parents=True, exist_ok=True)
    shards[source, split] = _shards(table, spool, folder, source, split, segments, settings.sequence_length, pad)
    np.save(folder / index_name(source, split, 'segments'), segments[:, [0, 1, 3]].astype(np.int32))
    tokens = np.bincount(segments[:, 0], weights=segments[:, 3]).astype(np.int32)
    np.save(folder / index_name(source, split, 'tokens'), tokens)
  every = [shard for group in shards.values() for shard in group]
  with contextlib.closing(ordered_map(rows.write_shard, every, min(workers, len(every)))) as written:
    sizes = dict(zip([s.path for s in every],
                     tqdm.tqdm(written, desc='write', total=len(every), unit=' shards', disable=None)))
  spool.unlink()
  for source in dict.fromkeys(source for source, _ in shards):
    rows.write_metadata(folder / source / VERSION, settings.sequence_length, {
        split: [(shard.n_rows, sizes[shard.path][0]) for shard in group]
        for (name, split), group in shards.items() if name == source})
  _write_table(folder / 'records.parquet', table, held_out)
  return {
      'records': len(table.ids),
      'sources': {
          f'{source}/{split}': _summary(table, plans[source, split], group, sizes, settings.sequence_length)
          for (source, split), group in shards.items()},
      'shards': {os.path.relpath(path, folder): size for path, (size, _) in sizes.items()}}


def _held_out(table: RecordTable, share: float) -> np.ndarray:
  """bool [n]: by kind, the records whose ids hash lowest; at least one of a kind that has two."""
  held_out = np.zeros(len(table.ids), bool)
  if not share:
    return held_out
  ranks = np.array([int.from_bytes(hashlib.blake2b(i.encode(), digest_size=8).digest(), 'big') for i in table.ids],
                   np.uint64)
  for kind in range(len(KINDS)):
    members = np.flatnonzero(table.kinds == kind)
    count = max(round(share * len(members)), 1) if len(members) > 1 else 0
    held_out[members[np.argsort(ranks[members], kind='stable')[:count]]] = True
  return held_out


def _plans(table: RecordTable, members: np.ndarray, split: str, settings: Settings) -> dict[str, np.ndarray]:
  """By source, the segments [n, 4] of one split (see `plan`), records as indices into the table."""
  members = members[permutation(len(members), 'pack', settings.seed)]
  groups: dict[str, np.ndarray] = {}
  together = settings.by == 'source' and split == TRAIN
  for kind, name in enumerate(KINDS):
    own = members[table.kinds[members] == kind]
    if not len(own) or (together and name != 'replay'):
      continue
    whole = table.whole[own]
    groups[name] = plan.stacked(
        plan.first_fit(table.lengths, own[whole], settings.sequence_length),
        plan.concat_then_split(table.lengths, own[~whole], settings.sequence_length))
  own = members[table.kinds[members] != KINDS.index('replay')]
  if together and len(own):
    first: dict[str, int] = {}
    documents = np.array([first.setdefault(d[0] if d else '', len(first)) for d in table.document_ids], np.int64)
    groups['mixed'] = plan.by_group(table.lengths, ~table.whole, documents, own, settings.sequence_length)
  return groups


def _shards(table: RecordTable, spool: pathlib.Path, folder: pathlib.Path, source: str, split: str,
            segments: np.ndarray, sequence_length: int, pad: int) -> list[rows.Shard]:
  row, record, start, size = segments.T
  pieces = rows.Segments(row, record, table.offsets[record] + start, size, start + size < table.lengths[record])
  n_rows = int(row[-1]) + 1
  step = max(1, _SHARD_TOKENS // sequence_length)
  count = -(-n_rows // step)
  return [
      rows.Shard(
          os.fspath(folder / source / VERSION / shard_name(source, split, i, count)), os.fspath(spool),
          pieces[slice(*np.searchsorted(row, [i * step, (i + 1) * step]))], i * step,
          min(step, n_rows - i * step), sequence_length, pad)
      for i in range(count)]


def _summary(table: RecordTable, segments: np.ndarray, shards: list[rows.Shard], sizes: dict[str, tuple[int, int]],
             sequence_length: int) -> dict[str, Any]:
  n_rows, tokens = sum(s.n_rows for s in shards), int(segments[:, 3].sum())
  records, pieces = np.unique(segments[:, 1], return_counts=True)
  return {'rows': n_rows, 'tokens': tokens, 'labels': sum(sizes[s.path][1] for s in shards), 'records': len(records),
          'split_records': int((pieces > 1).sum()), 'longer_than_a_row': int((table.lengths[records] > sequence_length)
                                                                              .sum()),
          'fill': round(tokens / (n_rows * sequence_length), 4), 'shard_rows': [s.n_rows for s in shards]}


def _write_table(path: pathlib.Path, table: RecordTable, held_out: np.ndarray) -> None:
  """The record table: row i describes record id i of the packed rows."""
  columns = {
      'id': pa.array(table.ids),
      'kind': pa.array([KINDS[k] for k in table.kinds]).dictionary_encode(),
      'method': pa.array(table.methods).dictionary_encode(),
      'document_ids': pa.array([list(d) for d in table.document_ids], pa.list_(pa.string())),
      'tokens': pa.array(table.lengths.astype(np.int32)),
      'split': pa.array(np.where(held_out, VALIDATION, TRAIN)).dictionary_encode()}
  parquet.write_table(pa.table(columns), path, compression='zstd')
