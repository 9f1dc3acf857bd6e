"""Reading a folder that launch.pack wrote: what it says of itself, its index, its rows by random access."""

import functools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from pyarrow import parquet

from data_gen import storage
from data_gen.errors import UserError
from data_gen.jsonl import read_json
from smt_jax.data.layout import FIELDS, FORMAT, SOURCES, TRAIN, VERSION, index_name, shard_name
from smt_jax.data.rows import most_runs


class PackedFolder:
  """A packed folder; its files are checked by size when it is opened, row by row when they are read.

  Attributes:
    sequence_length: T.
    tokenizer_fingerprint: of the tokenizer it was packed with.
    pad_id: the id that fills rows.
    by: 'kind' or 'source'.
    n_records: rows of the record table.
  """

  def __init__(self, folder: str | os.PathLike[str]):
    """Opens a folder.

    Args:
      folder: local, or gs:// or s3://, which is staged on this machine's disk.

    Raises:
      UserError: it is no packed folder, of another version, or one of its files is missing or has another size.
    """
    self.folder = pathlib.Path(storage.local(folder))
    self._most_runs: dict[tuple[str, str], int] = {}
    if not (self.folder / 'pack.json').is_file():
      raise UserError(f'{self.folder}: no pack.json here; expected a folder written by launch.pack')
    self._pack = read_json(self.folder / 'pack.json')
    try:
      if self._pack['format'] != FORMAT:
        raise UserError(f'{self.folder}: packed in format {self._pack["format"]}, this version reads {FORMAT}; '
                        'pack the records again')
      self.sequence_length = int(self._pack['sequence_length'])
      self.tokenizer_fingerprint = str(self._pack['tokenizer_fingerprint'])
      self.pad_id = int(self._pack['pad_id'])
      self.by = str(self._pack['by'])
      self.n_records = int(self._pack['records'])
      shards = dict(self._pack['shards'])
      self._sources = dict(self._pack['sources'])
    except (KeyError, TypeError, ValueError) as e:
      raise UserError(f'{self.folder}/pack.json: not written by launch.pack ({type(e).__name__}: {e})') from None
    for name, size in shards.items():
      path = self.folder / name
      found = path.stat().st_size if path.is_file() else None
      if found != size:
        raise UserError(f'{path}: ' + ('is missing' if found is None else f'has {found} bytes, {size} were written') +
                        '; the shard is damaged, pack the records again')

  def sources(self, split: str = TRAIN) -> list[str]:
    """The sources that have rows in a split, in the order of SOURCES."""
    return [s for s in SOURCES if f'{s}/{split}' in self._sources]

  def tokens(self, source: str, split: str = TRAIN) -> np.ndarray:
    """int32 [rows]: real tokens in each row."""
    return self._index(source, split, 'tokens')

  def segments(self, source: str, split: str = TRAIN) -> np.ndarray:
    """int32 [segments, 3]: row, record and tokens of each segment, ordered by row."""
    return self._index(source, split, 'segments')

  def most_runs(self, source: str, split: str = TRAIN) -> int:
    """The most stretches of one segment in any row, the padding of a row that is not full among them.

    Once found it stays, whatever becomes of the files: programs are compiled for it and rows are held to it.

    Raises:
      UserError: the two index files of the source do not fit each other.
    """
    if (source, split) not in self._most_runs:
      tokens, segments = self.tokens(source, split), np.bincount(self.segments(source, split)[:, 0])
      if not len(tokens) or len(segments) != len(tokens):
        raise UserError(f'{self.folder / index_name(source, split, "segments")}: the segments of {len(segments)} rows, '
                        f'there are {len(tokens)}; the index is damaged, pack the records again')
      self._most_runs[source, split] = int((segments + (tokens < self.sequence_length)).max())
    return self._most_runs[source, split]

  def _index(self, source: str, split: str, what: str) -> np.ndarray:
    path = self.folder / index_name(source, split, what)
    try:
      return np.load(path)
    except (OSError, ValueError, EOFError) as e:
      raise UserError(f'{path}: cannot read the index ({e}); pack the records again') from None

  @functools.cached_property
  def records(self) -> Any:
    """The record table, a pyarrow Table: id, kind, method, document_ids, tokens, split; one row a record."""
    path = self.folder / 'records.parquet'
    try:
      return parquet.read_table(path)
    except Exception as e:  # pyarrow raises OSError, ArrowInvalid, ... by where the damage lies
      raise UserError(f'{path}: cannot read the record table ({e}); pack the records again') from None

  @functools.cached_property
  def documents(self) -> tuple[np.ndarray, np.ndarray]:
    """The source documents (names) and, int64 [n_records], which of them each record is about.

    A record of several documents counts for its first; one of none for ''.
    """
    firsts = [ids[0] if ids else '' for ids in self.records.column('document_ids').to_pylist()]
    return np.unique(np.array(firsts, object), return_inverse=True)

  def record_id(self, index: int) -> str:
    """The id of the record that `record_ids` calls `index`."""
    return self.records.column('id')[index].as_py()

  def source(self, name: str, split: str = TRAIN) -> 'RowSource':
    """Random access to the rows of one source."""
    return RowSource(self, name, split)

  def shard_of(self, source: str, split: str, row: int) -> pathlib.Path:
    """The file in which a row lies."""
    lengths = self._sources[f'{source}/{split}']['shard_rows']
    index = int(np.searchsorted(np.cumsum(lengths), row, side='right'))
    return self.folder / source / VERSION / shard_name(source, split, index, len(lengths))


class RowSource:
  """Rows of one source as a random-access source (the protocol of grain): dicts of `FIELDS` and `n_tokens`."""

  def __init__(self, folder: PackedFolder, name: str, split: str):
    self._folder, self._name, self._split = folder, name, split
    self._most_runs = folder.most_runs(name, split)
    try:
      builder = tfds.builder_from_directory(folder.folder / name / VERSION)
      self._source = builder.as_data_source(split=split)  # pyright: ignore[reportCallIssue] (a decorator hides it)
    except Exception as e:  # TFDS raises what its parsers raise
      raise UserError(f'{folder.folder / name}: not a readable TFDS data set ({type(e).__name__}: {e})') from None

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, row: int) -> dict[str, np.ndarray]:
    """One row.

    Raises:
      UserError: the shard it lies in is damaged, or has rows of more segments than its index; the file is named.
    """
    try:
      found = self._source[row]
    except Exception as e:  # the reader's error depends on the byte that is wrong
      raise UserError(f'{self._shard(row)} cannot be read, the shard is damaged ({e})') from e
    runs = most_runs(found['segment_ids'])
    if runs > self._most_runs:  # kernels are compiled for so many
      raise UserError(f'{self._shard(row)} has {runs} segments where the index knows of {self._most_runs} at most, the '
                      'shard is of another packing; pack the records again')
    return found

  def _shard(self, row: int) -> str:
    return f'{self._folder.shard_of(self._name, self._split, row)}: row {row} of {self._name}'


def batch(examples: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
  """Rows as one batch: every field of FIELDS as int32 [B, T]."""
  return {name: np.stack([e[name] for e in examples]) for name in FIELDS}
