"""A function over a stream of work in processes: results in order, a bounded number of items in flight."""

import collections
import concurrent.futures
import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from data_gen.errors import UserError

Item = TypeVar('Item')
Result = TypeVar('Result')


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int,
                initializer: Callable[..., None] | None = None, arguments: tuple[Any, ...] = (),
                ) -> Generator[Result, None, None]:
  """Yields `function(item)` in the order of `items`; with one worker in this very process.

  To be closed where it may be left early (`contextlib.closing`): its processes end with it.

  Args:
    function: picklable (a module's function) when `workers` > 1.
    items: read only as far as `2 * workers` items ahead of the last result taken.
    workers: processes; 1 works here.
    initializer: called with `arguments` once in every process before its first item.

  Raises:
    UserError: a worker process was killed (memory, usually), besides whatever `function` raises.
  """
  if workers <= 1:
    if initializer:
      initializer(*arguments)
    yield from map(function, items)
    return
  # 'spawn': forking a process in which tokenizers or JAX have threads can deadlock the child.
  pool = concurrent.futures.ProcessPoolExecutor(
      workers, mp_context=multiprocessing.get_context('spawn'), initializer=_start_worker,
      initargs=(initializer, arguments))
  pending: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
  try:
    for item in items:
      pending.append(pool.submit(function, item))
      if len(pending) >= 2 * workers:
        yield pending.popleft().result()
    while pending:
      yield pending.popleft().result()
  except concurrent.futures.process.BrokenProcessPool:
    raise UserError('a worker process died (out of memory?); try fewer --workers') from None
  finally:
    pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(initializer: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
  os.environ['TOKENIZERS_PARALLELISM'] = 'false'  # the processes are the parallelism
  threading.Thread(target=_end_with_parent, daemon=True).start()
  if initializer:
    initializer(*arguments)


def _end_with_parent() -> None:
  """A killed parent (kill -9) cannot stop its workers, so each watches for that itself."""
  parent = multiprocessing.parent_process()
  if parent is not None:
    parent.join()
    os._exit(1)
