"""What Orbax prints beside our own lines is kept quiet, and nothing else."""

import asyncio
import gc
import logging
import sys

import pytest

from smt_jax import orbax_noise


async def fail():
  raise ValueError('a read beside the one that failed')


def abandon_a_failed_task() -> None:
  """As a gathering of reads does whose first failure ends the loop: the task's error is never looked at."""
  async def two():
    task = asyncio.ensure_future(fail())
    await asyncio.sleep(0)
    del task
  asyncio.run(two())
  gc.collect()


class Unraisable:
  """Something whose collection fails."""

  def __init__(self, error: Exception):
    self._error = error

  def __del__(self):
    raise self._error


@pytest.fixture
def told(monkeypatch):
  """Errors that reach Python's own hooks."""
  errors = []
  monkeypatch.setattr(sys, 'unraisablehook', lambda event: errors.append(str(event.exc_value)))
  monkeypatch.setattr(sys, 'excepthook', lambda kind, error, trace: errors.append(f'{error}, by a thread'))
  return errors


def test_reads_beside_a_failed_one(caplog, told):
  before = sys.excepthook
  with orbax_noise.of_failed_reads():
    abandon_a_failed_task()
    Unraisable(RuntimeError('Event loop is closed'))
    Unraisable(RuntimeError('another'))
    for words in ('Event loop is closed', 'another'):  # tensorstore's threads call the hook themselves
      sys.excepthook(RuntimeError, RuntimeError(words), None)
    logging.getLogger('asyncio').error('another line')
  assert told == ['another', 'another, by a thread'] and sys.excepthook is before
  assert caplog.messages == ['another line']
  abandon_a_failed_task()
  Unraisable(RuntimeError('Event loop is closed'))
  assert told[2:] == ['Event loop is closed'] and 'never retrieved' in caplog.messages[1]


def test_saves_in_the_background(caplog):
  log = logging.getLogger('absl')
  with orbax_noise.of_saves():
    log.warning('No prioritized params found for saving.')
    log.warning('another line')
  log.warning('No prioritized params found for saving.')
  assert caplog.messages == ['another line', 'No prioritized params found for saving.']
