"""From the mix's rows to a step's device arrays."""

from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from data_gen.errors import UserError
from smt_jax.config import TrainConfig
from smt_jax.mesh import batch_parts, batch_sharding
from smt_jax.step import ROW_FIELDS, Batch


class Fed(NamedTuple):
  """One step's input: the device arrays, and this process's record ids [rows, T] to name in a complaint."""
  batch: Batch
  record_ids: np.ndarray


def feed(rows: Iterator[dict[str, np.ndarray]], mesh: Mesh, accumulation: int,
         share: tuple[int, int]) -> Generator[Fed, None, None]:
  """Places every batch of this process's rows ([rows, T], kinds [rows]) as [A, B, T] under the mesh.

  Args:
    accumulation: micro-batches a step (A).
    share: (index, count): which part of the step's rows this process has.
  """
  index, count = share
  for host in rows:
    local = {name: host[name] for name in ROW_FIELDS} | {'kinds': host['kinds']}
    n = len(host['kinds'])
    local['row'] = np.arange(n, dtype=np.int32) + index * n
    cut = {name: x.reshape(accumulation, n // accumulation, *x.shape[1:]) for name, x in local.items()}
    yield Fed(place(cut, mesh, count, lead=1), host['record_ids'])


def place(local: dict[str, np.ndarray], mesh: Mesh, count: int = 1, lead: int = 0) -> Batch:
  """Local [.., B, T] and [.., B] as global arrays, cut as `batch_sharding` says; `count` equal parts make a whole."""
  rows = batch_sharding(mesh, lead=lead)
  flat = NamedSharding(mesh, P(*rows.spec[:lead + 1]))

  def one(x: np.ndarray) -> jax.Array:
    sharding = rows if x.ndim == lead + 2 else flat
    if jax.process_count() == 1:
      return jax.device_put(x, sharding)
    whole = (*x.shape[:lead], x.shape[lead] * count, *x.shape[lead + 1:])

    def part(index: Any) -> np.ndarray:  # rows of the whole -> rows of this process
      begin, end, _ = index[lead].indices(whole[lead])
      first = begin % x.shape[lead]
      return x[(*index[:lead], slice(first, first + end - begin), *index[lead + 1:])]

    return jax.make_array_from_callback(whole, sharding, part)

  return {name: one(x) for name, x in local.items()}


def check_rows(config: TrainConfig, mesh: Mesh) -> None:
  """Makes sure that a step's rows can be cut as the mesh wants them.

  Raises:
    UserError: micro-batches that the mesh does not divide, rows that its context axis does not.
  """
  parts, context = batch_parts(mesh), mesh.shape['context']
  micro = config.mix.batch_size // config.step.accumulation_steps
  if micro % parts:
    raise UserError(f'--config.mix.batch_size={config.mix.batch_size}: with accumulation_steps='
                    f'{config.step.accumulation_steps} a micro-batch has {micro} rows, expected a multiple of the '
                    f'{parts} parts of the mesh (data x fsdp)')
  if config.mix.sequence_length % context:
    raise UserError(f'--config.mix.sequence_length={config.mix.sequence_length}: expected a multiple of '
                    f'--config.mesh.context={context}')


def record_names(record_ids: np.ndarray, names: Any) -> list[str]:
  """The ids of the records of some rows, each once."""
  return [names(int(i)) for i in np.unique(record_ids) if i >= 0]
