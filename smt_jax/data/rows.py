"""Third stage of packing: rows as arrays, and shards of them as a TFDS data set in ArrayRecord files.

Neither writing nor reading needs TensorFlow. `tfds.builder_from_directory(FOLDER/qa/1.0.0).as_data_source('train')`
(or `tfds.data_source('qa', data_dir=FOLDER, split='train')`) reads what is written here.
"""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from data_gen.errors import UserError
from smt_jax.data.layout import FIELDS, IGNORE, VERSION

_EMPTY = {'labels': IGNORE, 'segment_ids': 0, 'positions': 0, 'record_ids': -1}
_OPTIONS = 'group_size:1,zstd:1'  # one row a chunk: grain reads rows at random


def features(sequence_length: int) -> tfds.features.FeaturesDict:
  """What a row looks like to TFDS: five int32 [sequence_length] and the scalar `n_tokens`."""
  def array(doc: str) -> tfds.features.Tensor:
    # Raw bytes: the varint lists of tf.Example would take ten times as long to decode.
    return tfds.features.Tensor(shape=(sequence_length,), dtype=np.int32, encoding=tfds.features.Encoding.BYTES,
                                doc=doc)
  return tfds.features.FeaturesDict({
      'tokens': array('token ids, padded with the pad token'),
      'labels': array('the next token, -100 where no loss is taken'),
      'segment_ids': array('1, 2, ... by packed segment, 0 on padding'),
      'positions': array('position inside the segment'),
      'record_ids': array('index into records.parquet, -1 on padding'),
      'n_tokens': tfds.features.Scalar(np.int32, doc='real tokens in the row')})


def most_runs(segment_ids: np.ndarray) -> int:
  """The most stretches of one segment (padding is one) in any row of [..., T]."""
  return int(1 + np.count_nonzero(np.diff(segment_ids), axis=-1).max())


def empty_row(sequence_length: int, pad: int) -> dict[str, np.ndarray]:
  """A row of nothing but padding: every field of `FIELDS`, int32 [sequence_length]."""
  return {name: np.full(sequence_length, _EMPTY.get(name, pad), np.int32) for name in FIELDS}


@dataclasses.dataclass(frozen=True)
class Segments:
  """The segments of some consecutive rows; int64 [segments] each.

  Attributes:
    rows: the row of each, ascending.
    records: index into the record table.
    begins: first token in the spool.
    sizes: tokens.
    continues: bool, the record goes on in another row.
  """
  rows: np.ndarray
  records: np.ndarray
  begins: np.ndarray
  sizes: np.ndarray
  continues: np.ndarray

  def __getitem__(self, index: slice) -> 'Segments':
    return Segments(*(getattr(self, f.name)[index] for f in dataclasses.fields(self)))


def build_row(spool: np.ndarray, segments: Segments, sequence_length: int, pad: int) -> dict[str, np.ndarray]:
  """One row from the segments that lie in it.

  A record cut at the end of a row keeps the label there (the first token of its next piece), so each of its tokens
  but the first is predicted exactly once. Positions start at 0 in each piece: a piece sees only itself.

  Args:
    spool: int32, token ids, complemented where a token is not to be predicted.
    segments: of this row.
    sequence_length: T.
    pad: id of padding.

  Returns:
    FIELDS as int32 [T], and `n_tokens`, an int32 scalar.
  """
  row = empty_row(sequence_length, pad)
  at = 0
  columns = zip(segments.records.tolist(), segments.begins.tolist(), segments.sizes.tolist(),
                segments.continues.tolist())
  for number, (record, begin, size, continues) in enumerate(columns, start=1):
    coded = np.asarray(spool[begin:begin + size + continues])
    here = slice(at, at + size)
    row['tokens'][here] = np.where(coded < 0, ~coded, coded)[:size]
    row['labels'][at:at + len(coded) - 1] = np.where(coded < 0, IGNORE, coded)[1:]
    row['segment_ids'][here] = number
    row['positions'][here] = np.arange(size, dtype=np.int32)
    row['record_ids'][here] = record
    at += size
  return row | {'n_tokens': np.array(at, np.int32)}


@dataclasses.dataclass(frozen=True)
class Shard:
  """One file to write: `segments` of the rows from `first_row` up to `first_row + n_rows`."""
  path: str
  spool: str
  segments: Segments
  first_row: int
  n_rows: int
  sequence_length: int
  pad: int


def write_shard(shard: Shard) -> tuple[int, int]:
  """Writes one ArrayRecord file; returns its size in bytes and how many labels carry loss.

  Raises:
    UserError: the disk is full or the file cannot be written.
  """
  spool = np.memmap(shard.spool, np.int32, mode='r')
  serializer = features(shard.sequence_length)
  bounds = np.searchsorted(shard.segments.rows, np.arange(shard.first_row, shard.first_row + shard.n_rows + 1))
  labels = 0
  try:
    writer = ArrayRecordWriter(shard.path, _OPTIONS)
    try:
      for start, end in itertools.pairwise(bounds):
        row = build_row(spool, shard.segments[start:end], shard.sequence_length, shard.pad)
        labels += int((row['labels'] != IGNORE).sum())
        writer.write(serializer.serialize_example(row))
    finally:
      writer.close()
    _check_written(shard)
  except (OSError, RuntimeError, ValueError) as e:
    raise UserError(f'{shard.path}: cannot write ({e}); is the disk full?') from None
  return os.path.getsize(shard.path), labels


def _check_written(shard: Shard) -> None:
  """The writer reports some failures only by leaving the file short."""
  reader = ArrayRecordReader(shard.path)
  written = reader.num_records()
  reader.close()
  if written != shard.n_rows:
    raise OSError(f'{written} of {shard.n_rows} rows arrived')
  with open(shard.path, 'rb') as f:
    os.fsync(f.fileno())


def write_metadata(folder: pathlib.Path, sequence_length: int, splits: dict[str, Sequence[tuple[int, int]]]) -> None:
  """Makes a folder of shards a TFDS data set.

  Args:
    folder: `<out>/<source>/<VERSION>`, holding the shards.
    sequence_length: T.
    splits: by split, (rows, bytes) of each shard.
  """
  tfds.folder_dataset.write_metadata(
      data_dir=folder, features=features(sequence_length), version=VERSION, check_data=False,
      description='Rows packed for training: tokens, shifted and masked labels, segments, positions, record ids.',
      split_infos=[
          tfds.core.SplitInfo(name=name, shard_lengths=[rows for rows, _ in shards],
                              num_bytes=sum(size for _, size in shards), filename_template=None)
          for name, shards in splits.items()])
