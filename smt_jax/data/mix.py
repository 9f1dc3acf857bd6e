"""Packed rows -> batches: the mix of a run, sharded by host, prefetched by grain, restored by a step number alone.

Which rows a step holds is a pure function of the packed folders, the ratios and the seed (`schedule`). A batch of B
rows is cut evenly over the hosts, so the global order is the same on any number of them; a step is all the state.
"""

import dataclasses
import os
import sys
from collections.abc import Iterator
from typing import Any

import grain
import numpy as np

from data_gen.errors import UserError
from smt_jax.config import DataConfig
from smt_jax.data import rows
from smt_jax.data.folder import PackedFolder, batch
from smt_jax.data.layout import SOURCES, VALIDATION
from smt_jax.data.report import mix_report
from smt_jax.data.schedule import Pool, Rows, Schedule

REPLAY = 'replay'
_ENDLESS = 2 ** 48  # steps; the schedule has no end


@dataclasses.dataclass(frozen=True)
class PoolInfo:
  """One pool of the mix: where its rows lie and what its record ids are counted from."""
  name: str
  folder: PackedFolder
  share: float
  record_base: int  # added to record ids, so that those of data and replay differ


class Mix:
  """Batches of a run. `Mix.open` checks everything that can be checked without reading rows.

  Attributes:
    pools: the pools that take part, in the order of SOURCES.
    sequence_length: T.
    tokenizer_fingerprint: of the tokenizer that packed the rows.
    batch_size: rows a step, over all hosts.
    local_batch_size: rows a step on this host.
    schedule: the order of rows.
  """

  def __init__(self, pools: list[PoolInfo], folders: list[PackedFolder], config: DataConfig, seed: int,
               process_index: int, process_count: int):
    self.pools = pools
    self._folders = folders
    self.config = config
    self.sequence_length = folders[0].sequence_length
    self.tokenizer_fingerprint = folders[0].tokenizer_fingerprint
    self.batch_size = config.batch_size
    self.local_batch_size = config.batch_size // process_count
    self._process = process_index
    self.schedule = Schedule([Pool(p.name, p.folder.tokens(p.name), p.share) for p in pools], seed)

  @classmethod
  def open(cls, data_dir: str | os.PathLike[str], replay_dir: str | os.PathLike[str] | None, config: DataConfig, *,
           seed: int, process_index: int = 0, process_count: int = 1) -> 'Mix':
    """Opens the packed folders of a run.

    Args:
      data_dir: folder of the synthetic rows.
      replay_dir: folder of the replay rows; empty or None: they are looked for in `data_dir`.
      config: ratios, replay's share, batch size (over all hosts), sequence length, prefetch.
      seed: of the order of rows.
      process_index: which part of every batch this host reads.
      process_count: hosts that read.

    Raises:
      UserError: folders that do not fit each other or the config; a ratio for a source without rows.
    """
    data = PackedFolder(data_dir)
    needs_replay = config.replay_fraction > 0
    replay = PackedFolder(replay_dir) if replay_dir and needs_replay else data
    _check_folders(data, replay, config)
    if config.batch_size % process_count:
      raise UserError(f'--config.mix.batch_size={config.batch_size}: expected a multiple of the {process_count} '
                      'processes that read')
    shares = _shares(data, config)
    if needs_replay:
      if REPLAY not in replay.sources():
        raise UserError(f'{replay.folder}: holds no rows of kind replay (it holds {_list(replay.sources())}); pack '
                        'replay records, or set --config.mix.replay_fraction=0')
      shares[REPLAY] = config.replay_fraction
    folders = [data] if replay is data else [data, replay]
    pools = [
        PoolInfo(name, replay if name == REPLAY else data, shares[name],
                 data.n_records if name == REPLAY and replay is not data else 0)
        for name in SOURCES if shares.get(name)]
    return cls(pools, folders, config, seed, process_index, process_count)

  def steps_for(self, token_budget: int, epochs: float) -> int:
    """Steps that train on `token_budget` real tokens, or, where it is 0, on `epochs` passes over the longer pool.

    The longer pool is the one (replay aside) whose rows last longest at its share.
    """
    lasting = [pool.total / pool.share for pool in self.schedule.pools if pool.name != REPLAY]
    tokens = token_budget or epochs * max(lasting)
    return max(1, -(-self.schedule.rows_for(tokens) // self.batch_size))

  def rows(self, step: int) -> Rows:
    """The rows of a step, over all hosts."""
    return self.schedule(step * self.batch_size, (step + 1) * self.batch_size)

  def local_rows(self, step: int) -> Rows:
    """The rows of a step that this host reads."""
    start = step * self.batch_size + self._process * self.local_batch_size
    return self.schedule(start, start + self.local_batch_size)

  def dataset(self) -> grain.IterDataset:
    """The run as a grain data set of batches; a position in it (`next_index`) is a step."""
    steps = grain.MapDataset.source(_Steps(self))
    threads = min(self.config.prefetch, 4 * (os.cpu_count() or 1))
    return steps.to_iter_dataset(
        grain.ReadOptions(num_threads=threads, prefetch_buffer_size=self.config.prefetch))

  def batches(self, start_step: int = 0) -> grain.DatasetIterator:
    """An endless iterator of batches from a step on; `get_state()` and `set_state()` are grain's, the step in them.

    A batch holds tokens, labels, segment_ids, positions, record_ids as int32 [B, T] and kinds, int32 [B], indices
    into SOURCES; B is this host's part.

    Raises:
      UserError: (from next) a damaged shard, named, or rows of more segments than their index knows of.
    """
    iterator = iter(self.dataset())
    iterator.set_state({'next_index': start_step})
    return iterator

  def record_id(self, index: int) -> str:
    """The id of the record that a batch calls `index`."""
    for folder in self._folders:
      if index < folder.n_records:
        return folder.record_id(index)
      index -= folder.n_records
    raise IndexError(index)

  def most_runs(self) -> int:
    """The most stretches of one segment (padding is one) in any row that training or evaluation may read."""
    trained = [pool.folder.most_runs(pool.name) for pool in self.pools]
    held_out = [folder.most_runs(kind, VALIDATION) for folder in self._folders for kind in folder.sources(VALIDATION)]
    return max(trained + held_out)

  def report(self, n_steps: int) -> dict[str, Any]:
    """What a run of `n_steps` sees: tokens by source and by document, new and repeated (`report.mix_report`)."""
    return mix_report(self.schedule, [p.folder for p in self.pools], n_steps, self.batch_size)

  def held_out_kinds(self) -> list[str]:
    """The kinds of which records were held out."""
    return [s for s in SOURCES if any(s in f.sources(VALIDATION) for f in self._folders)]

  def held_out_batches(self, kind: str, max_rows: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """This host's part of the held-out rows of a kind, in batches like those of training, always in the same order.

    Every host gets as many batches; where rows run out, rows of padding without loss fill the last.

    Args:
      kind: one of `held_out_kinds()`.
      max_rows: only so many rows, over all hosts; 0: all.

    Raises:
      UserError: nothing of this kind was held out.
    """
    folder = next((f for f in reversed(self._folders) if kind in f.sources(VALIDATION)), None)
    if folder is None:
      raise UserError(f'no held-out rows of kind {kind!r} (there are {_list(self.held_out_kinds())}); pack with '
                      '--held_out above 0')
    source = folder.source(kind, VALIDATION)
    count = min(len(source), max_rows) if max_rows else len(source)
    base = self._folders[0].n_records if folder is not self._folders[0] else 0
    padding = rows.empty_row(self.sequence_length, folder.pad_id)
    for start in range(0, count, self.batch_size):
      own = start + self._process * self.local_batch_size
      examples = [source[i] if i < count else padding for i in range(own, own + self.local_batch_size)]
      kinds = np.full(self.local_batch_size, SOURCES.index(kind), np.int32)
      yield _with_base(batch(examples), base) | {'kinds': kinds}


class _Steps:
  """The batches of a run by step: grain's random-access source."""

  def __init__(self, mix: Mix):
    self._mix = mix
    self._sources = [p.folder.source(p.name) for p in mix.pools]
    self._bases = np.array([p.record_base for p in mix.pools], np.int32)
    self._kinds = np.array([SOURCES.index(p.name) for p in mix.pools], np.int32)

  def __len__(self) -> int:
    return min(_ENDLESS, sys.maxsize)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    which = self._mix.local_rows(index)
    examples = batch([self._sources[p][r] for p, r in zip(which.pools.tolist(), which.rows.tolist())])
    return _with_base(examples, self._bases[which.pools][:, None]) | {'kinds': self._kinds[which.pools]}


def _with_base(examples: dict[str, np.ndarray], base: np.ndarray | int) -> dict[str, np.ndarray]:
  ids = examples['record_ids']
  return examples | {'record_ids': np.where(ids < 0, ids, ids + base).astype(np.int32)}


def _check_folders(data: PackedFolder, replay: PackedFolder, config: DataConfig) -> None:
  for folder in (data, replay):
    if folder.sequence_length != config.sequence_length:
      raise UserError(f'{folder.folder}: rows of {folder.sequence_length} tokens, but '
                      f'--config.mix.sequence_length={config.sequence_length}')
  if data.tokenizer_fingerprint != replay.tokenizer_fingerprint:
    raise UserError(f'{replay.folder}: packed with another tokenizer than {data.folder}')


def _shares(data: PackedFolder, config: DataConfig) -> dict[str, float]:
  """Share of all tokens by source, replay aside.

  Rows packed by source have one pool, `mixed`, in the proportion that each source document has; ratios between kinds
  then can only be the default.
  """
  ratios = {k: v for k, v in config.ratios.items() if v > 0}
  sources = [s for s in data.sources() if s != REPLAY]
  if data.by == 'source' and config.ratios == DataConfig().ratios:
    ratios = {'mixed': 1.0}
  for name in ratios:
    if name not in sources:
      raise UserError(f'--config.mix.ratios: {name!r} has a weight above 0, but {data.folder} holds no such rows '
                      f'(it holds {_list(sources)})')
  total = sum(ratios.values())
  if not total:
    raise UserError('--config.mix.ratios: no source has a weight above 0')
  return {name: weight / total * (1 - config.replay_fraction) for name, weight in ratios.items()}


def _list(names: list[str]) -> str:
  return ', '.join(names) or 'none'
