"""Asked to stop: a signal becomes a flag that the loop reads between steps.

Launchers restart a run that ends with `RESTART_CODE` (75, EX_TEMPFAIL of sysexits.h: "try again later").
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import jax

RESTART_CODE = 75
# SIGTERM: preempted machines, Kubernetes, `scancel`. SIGUSR1: SLURM's --signal=USR1@seconds before a time limit; of
# several processes each passes it on to itself as a SIGTERM, which is what JAX's service listens to.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Preemption:
  """Whether the run was asked to stop; on several hosts they all stop at the same step."""

  def __init__(self) -> None:
    self.signal: int | None = None

  def reached(self, step: int) -> bool:
    """True on every process at the same step."""
    if jax.process_count() == 1:
      return self.signal is not None
    from jax.experimental import multihost_utils  # JAX's own service passes a SIGTERM of one host to all
    return multihost_utils.reached_preemption_sync_point(step)


@contextlib.contextmanager
def watch() -> Iterator[Preemption]:
  """Catches the signals while the block runs, in the main thread."""
  preemption = Preemption()
  if threading.current_thread() is not threading.main_thread():
    yield preemption
    return

  def note(number: int, frame: Any) -> None:
    del frame
    preemption.signal = number

  def pass_on(number: int, frame: Any) -> None:
    del number, frame
    os.kill(os.getpid(), signal.SIGTERM)

  handlers = dict.fromkeys(SIGNALS, note) if jax.process_count() == 1 else {signal.SIGUSR1: pass_on}
  before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
  try:
    yield preemption
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
