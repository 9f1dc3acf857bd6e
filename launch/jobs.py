"""Runs commands that depend on one another's outputs, several at a time, each on its own share of the cores."""

import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from data_gen.errors import UserError

_POLL, _SAY = 0.2, 10.0  # seconds between two looks at the processes, and between two lines on how far they are
_SHOWN = 110  # characters of a command's own progress


@dataclasses.dataclass(frozen=True)
class Stage:
  """One command, `python -m launch.<words>`, done when `makes` exists.

  Attributes:
    needs: what other stages must have made before it starts; None: all that stand before it in the list.
  """
  title: str
  words: tuple[str, ...]
  makes: pathlib.Path
  needs: tuple[pathlib.Path, ...] | None = None


@dataclasses.dataclass
class _Job:
  number: int
  stage: Stage
  process: subprocess.Popen
  log: pathlib.Path
  slot: int
  began: float


def run(stages: Sequence[Stage], logs: pathlib.Path, jobs: int = 1, environment: Mapping[str, str] | None = None,
        ) -> int:
  """Runs what is not done yet and returns how many stages ran; each stage's output is in a file of `logs`.

  Raises:
    UserError: a stage failed; the end of its output has been printed, the others that ran have been ended.
  """
  logs.mkdir(parents=True, exist_ok=True)
  waiting = [n for n, stage in enumerate(stages) if not stage.makes.exists()]
  running: list[_Job] = []
  ran, said = 0, time.monotonic()
  try:
    while waiting or running:
      unfinished = {stages[n].makes for n in waiting} | {job.stage.makes for job in running}
      for n in [n for n in waiting if _ready(stages, n, unfinished)]:
        free = [slot for slot in range(jobs) if slot not in [job.slot for job in running]]
        if not free:
          break
        waiting.remove(n)
        running.append(_start(n, stages, logs, free[0], jobs, environment))
      for job in [job for job in running if job.process.poll() is not None]:
        running.remove(job)
        _finish(job, len(stages))
        ran += 1
      if time.monotonic() - said > _SAY:
        said = time.monotonic()
        for job in running:
          print(f'  [{job.number + 1}/{len(stages)}] {_last_words(job.log)}', flush=True)
      time.sleep(_POLL)
  finally:
    for job in running:
      job.process.terminate()
    for job in running:
      job.process.wait()
  return ran


def _ready(stages: Sequence[Stage], n: int, unfinished: set[pathlib.Path]) -> bool:
  """A file that is there but whose command still runs does not count: it may be writing another one beside it."""
  needs = stages[n].needs
  wanted = [stage.makes for stage in stages[:n]] if needs is None else needs
  return all(path.exists() and path not in unfinished for path in wanted)


def _start(n: int, stages: Sequence[Stage], logs: pathlib.Path, slot: int, jobs: int,
           environment: Mapping[str, str] | None) -> _Job:
  stage = stages[n]
  print(f'[{n + 1}/{len(stages)}] {stage.title}\n  python -m launch.{" ".join(stage.words)}', flush=True)
  log = logs / f'{n + 1:02}_{re.sub(r"[^a-z0-9]+", "_", stage.title.lower()).strip("_")[:40]}.log'
  with open(log, 'wb') as output:
    process = subprocess.Popen([sys.executable, '-m', f'launch.{stage.words[0]}', *stage.words[1:]], stdout=output,
                               stderr=subprocess.STDOUT, env=environment)
  _pin(process.pid, slot, jobs)
  return _Job(n, stage, process, log, slot, time.monotonic())


def _pin(pid: int, slot: int, jobs: int) -> None:
  """Gives the process its share of the cores, where the system can: two that each spin up all cores' threads are
  slower together than one after the other."""
  if jobs > 1 and hasattr(os, 'sched_setaffinity'):
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) >= jobs:
      os.sched_setaffinity(pid, cores[slot::jobs])


def _finish(job: _Job, count: int) -> None:
  seconds = time.monotonic() - job.began
  if job.process.returncode or not job.stage.makes.exists():
    print(''.join(_lines(job.log)[-20:]), end='', file=sys.stderr, flush=True)
    raise UserError(f'stage "{job.stage.title}" failed for the reason above (all of it in {job.log}); once mended, run '
                    'this again to go on')
  print(f'[{job.number + 1}/{count}] {job.stage.title}: done in {seconds:.0f} s', flush=True)


def _lines(log: pathlib.Path) -> list[str]:
  """The log's lines as a terminal would leave them: of a progress bar, its last state."""
  text = log.read_text(errors='replace')
  return [f'{line.rstrip(chr(13)).rsplit(chr(13), 1)[-1]}\n' for line in text.split('\n') if line.strip()]


def _last_words(log: pathlib.Path) -> str:
  lines = _lines(log)
  return lines[-1].strip()[:_SHOWN] if lines else 'starting'
