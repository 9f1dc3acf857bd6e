"""What Orbax prints beside our own lines and what tells a user nothing, kept quiet while it works."""

import contextlib
import gc
import inspect
import logging
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def of_saves() -> Iterator[None]:
  """A warning at every save that nothing goes to the host before it returns: with a copy that is the intention."""
  with _without('absl', 'No prioritized params found'):
    yield


@contextlib.contextmanager
def of_failed_reads() -> Iterator[None]:
  """A traceback for each read that is under way when another one fails: it ends in an event loop that is closed."""
  excepthook, unraisablehook = sys.excepthook, sys.unraisablehook

  def closed(error: Any) -> bool:
    return isinstance(error, RuntimeError) and 'Event loop is closed' in str(error)

  sys.excepthook = lambda kind, error, trace: None if closed(error) else excepthook(kind, error, trace)
  sys.unraisablehook = lambda event: (None if closed(event.exc_value) or inspect.iscoroutine(event.object)
                                      else unraisablehook(event))
  try:
    with _without('asyncio', 'exception was never retrieved'):
      yield
      gc.collect()  # asyncio speaks when the tasks are collected
  finally:
    sys.excepthook, sys.unraisablehook = excepthook, unraisablehook


@contextlib.contextmanager
def _without(logger: str, words: str) -> Iterator[None]:
  log = logging.getLogger(logger)

  def wanted(record: logging.LogRecord) -> bool:
    return words not in str(record.msg)

  log.addFilter(wanted)
  try:
    yield
  finally:
    log.removeFilter(wanted)
