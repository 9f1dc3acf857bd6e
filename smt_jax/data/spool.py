"""First stage of packing: every record rendered into one flat file of token ids, with a table of what lies where.

The file holds int32: a token id, or its bitwise complement where the token is not to be predicted (prompt parts). The
memory that packing takes is this table's, about 100 bytes a record plus the ids, however many tokens there are.
"""

import contextlib
import dataclasses
import glob
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tqdm

from data_gen.errors import UserError
from data_gen.jsonl import read_jsonl
from data_gen.schema import KINDS, Record, from_row
from smt_jax.data.parallel import ordered_map
from smt_jax.data.render import Renderer
from smt_jax.data.tokenizer import load_tokenizer

_BATCH = 256  # records a worker renders at a time


@dataclasses.dataclass
class RecordTable:
  """Columns over all records, in the order of the input.

  Attributes:
    ids: record ids.
    kinds: int8 [n], index into `schema.KINDS`.
    methods: the method of each record.
    document_ids: the source documents of each record.
    lengths: int64 [n], tokens of the rendered record.
    whole: bool [n], is not cut at the end of a row: QAs, and conversations of any kind, whose answers would otherwise
      be trained on without what they answer.
  """
  ids: list[str]
  kinds: np.ndarray
  methods: list[str]
  document_ids: list[tuple[str, ...]]
  lengths: np.ndarray
  whole: np.ndarray

  @property
  def offsets(self) -> np.ndarray:
    """int64 [n]: where each record starts in the spool."""
    return np.cumsum(self.lengths) - self.lengths


def find_inputs(patterns: Sequence[str]) -> list[pathlib.Path]:
  """The files that paths and globs name, each once, sorted.

  Raises:
    UserError: a pattern that matches nothing.
  """
  found = set()
  for pattern in patterns:
    matches = glob.glob(os.path.expanduser(pattern), recursive=True)
    if not matches:
      raise UserError(f'--records={pattern}: no such file')
    found.update(pathlib.Path(m) for m in matches)
  return sorted(found)


def write_spool(paths: Sequence[pathlib.Path], tokenizer_dir: str | os.PathLike[str], spool: pathlib.Path, *,
                loss_on_prompt: bool, workers: int) -> RecordTable:
  """Renders the records of `paths` into the file `spool`.

  Raises:
    UserError: whatever is wrong with a record, its file and line named; an id that occurs twice; a file without one.
  """
  ids: list[str] = []
  kinds, whole, methods, document_ids, lengths = bytearray(), bytearray(), [], [], []
  seen: set[str] = set()
  shared: dict[Any, Any] = {}  # one object for each method and set of documents, not one a record
  rendered = ordered_map(_render, _batches(paths), workers, _load, (os.fspath(tokenizer_dir), loss_on_prompt))
  with (contextlib.closing(rendered), open(spool, 'wb') as f,
        tqdm.tqdm(desc='tokenize', unit=' records', disable=None) as bar):
    for records, places, tokens, batch_lengths in rendered:
      for record, place in zip(records, places):
        if record.id in seen:
          raise UserError(f'{place}: id "{record.id}" already stands in {_first_place(paths, record.id)}')
        seen.add(record.id)
        ids.append(record.id)
        kinds.append(KINDS.index(record.kind))
        whole.append(record.kind == 'qa' or record.messages is not None)
        methods.append(shared.setdefault(record.method, record.method))
        document_ids.append(shared.setdefault(record.document_ids, record.document_ids))
      lengths.append(batch_lengths)
      f.write(tokens.data)  # not tofile, whose error would not say that the disk is full
      bar.update(len(records))
  return RecordTable(ids, np.frombuffer(kinds, np.int8), methods, document_ids, np.concatenate(lengths),
                     np.frombuffer(whole, bool))


def _batches(paths: Sequence[pathlib.Path]) -> Iterator[tuple[list[Record], list[str]]]:
  records: list[Record] = []
  places: list[str] = []
  for path in paths:
    empty = True
    for line, row in read_jsonl(path):
      empty = False
      place = f'{path}:{line}'
      records.append(_slim(from_row(Record, row, place)))
      places.append(place)
      if len(records) == _BATCH:
        yield records, places
        records, places = [], []
    if empty:
      raise UserError(f'{path}: holds no record')
  if records:
    yield records, places


def _slim(record: Record) -> Record:
  """Without what packing does not need, which would only travel between processes."""
  return dataclasses.replace(record, generator={}, extra={}, question=None, strategy=None)


_renderer: Renderer | None = None  # one a process: loading a tokenizer takes seconds


def _load(tokenizer_dir: str, loss_on_prompt: bool) -> None:
  global _renderer
  _renderer = Renderer(load_tokenizer(tokenizer_dir), loss_on_prompt=loss_on_prompt)


def _render(batch: tuple[list[Record], list[str]]) -> tuple[list[Record], list[str], np.ndarray, np.ndarray]:
  records, places = batch
  assert _renderer is not None
  rendered = _renderer(records, places)
  tokens = np.concatenate([np.where(mask, ids, ~ids) for ids, mask in rendered])
  lengths = np.array([len(ids) for ids, _ in rendered], np.int64)
  bare = [dataclasses.replace(r, messages=None if r.messages is None else (), text='')
          for r in records]  # the words need not travel back, only whether it is a conversation
  return bare, places, tokens.astype(np.int32), lengths


def _first_place(paths: Iterable[pathlib.Path], record_id: str) -> str:
  """Where an id stands first; read again only when a second one was found."""
  return next(f'{path}:{line}' for path in paths for line, row in read_jsonl(path) if row.get('id') == record_id)
