"""A training work directory: whose it is, and what else lies in it.

  config.json    the resolved configuration; --config=WORKDIR/config.json runs it again
  inputs.json    by what its input folders are known again where they lie under another path
  tokenizer/     the student's tokenizer
  checkpoints/   see checkpoint.py
  metrics.jsonl, timing.jsonl, tensorboard/   see metrics.py
  mix.json       what the run was fed, written at its end
  not_finite.STEP.PROCESS.txt   the records of a step whose loss was not finite, by each process its own

On gs:// and s3:// all but the checkpoints is written to a local twin and uploaded with every checkpoint (the logs are
sealed up to it then) and at the end. Checkpoints go to gs:// directly, from every host its part; to s3://, which Orbax
does not write, from the twin.
"""

import hashlib
import logging
import os
import pathlib
import shutil
from collections.abc import Iterable
from typing import Any

import jax

from data_gen import storage
from data_gen.errors import UserError
from data_gen.jsonl import read_json, write_json
from smt_jax import checkpoint
from smt_jax.config import TrainConfig, to_dict

# What may differ when a run goes on: where and how it is computed and watched, not what is computed.
FREE = ('log', 'checkpoint', 'mesh', 'mix.prefetch', 'step.attention', 'step.remat', 'step.loss_chunks',
        'step.scan_layers', 'step.accumulation_steps', 'step.whole_state')


INPUTS = ('init', 'tokenizer', 'data', 'replay')  # folders that may be found under another path
_log = logging.getLogger(__name__)


class Workdir:
  """Where the parts of a run lie.

  Attributes:
    local: folder of all but the checkpoints.
    root: folder whose `checkpoints/` Orbax reads and writes.
    waits: a save must be complete here before `seal` can upload it.
  """

  def __init__(self, path: str | os.PathLike[str]):
    """Opens it; fetches what a remote one holds.

    Raises:
      UserError: no access; s3:// with several processes; a file that was changed on both sides.
    """
    self.root = storage.absolute(path)
    self.local, self._mirror, self.waits = pathlib.Path(self.root), None, False
    if not storage.is_remote(path):
      return
    self.waits = self.root.startswith('s3://')
    if self.waits and jax.process_count() > 1:
      raise UserError(f'--workdir={path}: several processes write their checkpoints to gs:// or to a file system that '
                      'they share, not to s3://')
    self._mirror = storage.Mirror(path, skip=('checkpoints',))
    self._mirror.pull()
    self.local = self._mirror.local
    if self.waits:
      there = checkpoint.steps(self.root)
      self.root = str(self.local)
      for step in there:
        self._mirror.pull_folder(f'checkpoints/{step}')
      self._there = set(there)

  def seal(self) -> None:
    """Uploads what has changed, logs before checkpoints: no checkpoint is ahead of the log there either.

    Raises:
      UserError: it cannot be written.
    """
    if self._mirror is None or jax.process_index():
      return
    self._mirror.push()
    if not self.waits:
      return
    here = set(checkpoint.steps(self.local))
    for step in sorted(here - self._there):
      self._mirror.push_folder(f'checkpoints/{step}', last=checkpoint.COMPLETE)
    for step in self._there - here:
      self._mirror.delete_folder(f'checkpoints/{step}', first=checkpoint.COMPLETE)
    self._there = here

  def keep(self, name: str, lines: Iterable[str]) -> str | None:
    """Writes a text file of this process alone, and uploads it: `seal` does so for process 0 only.

    Raises nothing: whoever ends a run has something worse to say than that this file is missing.

    Returns:
      Where it lies, None if nowhere; a warning says why it is not where it should be.
    """
    path, where = self.local / name, None
    try:
      self.local.mkdir(parents=True, exist_ok=True)  # `claim` makes it on the machine of process 0 only
      path.write_text(''.join(f'{line}\n' for line in lines))
      where = str(path)
      return self._mirror.push_file(name) if self._mirror else where
    except (OSError, UserError) as e:
      _log.warning('%s: not kept as it should be (%s)', path, e)
      return where


def read_config(workdir: str | os.PathLike[str]) -> dict[str, Any]:
  """The JSON of WORKDIR/config.json.

  Raises:
    UserError: it is missing or not valid JSON.
  """
  return read_json(pathlib.Path(workdir) / 'config.json')


def check_owner(workdir: pathlib.Path, config: TrainConfig) -> None:
  """Makes sure that a work directory is empty or belongs to this configuration, whose inputs may have moved.

  Raises:
    UserError: it holds a run of another configuration (the first field that differs is named), or other files.
  """
  if not (workdir / 'config.json').exists():
    if (workdir / 'checkpoints').exists() or (workdir / 'metrics.jsonl').exists():
      raise UserError(f'{workdir}: holds checkpoints or metrics but no config.json; choose another --workdir')
    return
  held, wanted = read_config(workdir), to_dict(config)
  known = read_json(workdir / 'inputs.json') if (workdir / 'inputs.json').exists() else {}
  moved = {name: held[name] for name in INPUTS
           if held.get(name) != wanted[name] and known.get(name) and known[name] == identity(wanted[name])}
  different = first_difference(held, wanted | moved)
  if different:
    path, there, here = different
    raise UserError(f'{workdir}: holds a run of another configuration: {path} is {there!r} there and {here!r} here; '
                    'choose another --workdir')


def identity(path: str) -> str | None:
  """A digest of names and sizes of a local folder's files, by which it is known under another path; else None."""
  folder = pathlib.Path(path)
  if not path or storage.is_remote(path) or not folder.is_dir():
    return None
  files = sorted((p.relative_to(folder).as_posix(), p.stat().st_size) for p in folder.rglob('*')
                 if p.is_file() and not p.name.startswith('.'))
  return hashlib.sha256(repr(files).encode()).hexdigest()


def first_difference(held: Any, wanted: Any, path: str = '') -> tuple[str, Any, Any] | None:
  """The first field, by dotted path, in which two configurations differ so that they are different runs."""
  if any(path == free or path.startswith(free + '.') for free in FREE):
    return None
  if isinstance(held, dict) and isinstance(wanted, dict):
    for key in [*wanted, *(k for k in held if k not in wanted)]:
      found = first_difference(held.get(key), wanted.get(key), f'{path}.{key}'.lstrip('.'))
      if found:
        return found
    return None
  plain = lambda x: list(x) if isinstance(x, tuple) else x  # noqa: E731
  return None if plain(held) == plain(wanted) else (path, held, wanted)


def claim(workdir: pathlib.Path, config: TrainConfig, tokenizer: Any) -> None:
  """Writes tokenizer, inputs.json and config.json (last: a folder with a config.json has its tokenizer)."""
  workdir.mkdir(parents=True, exist_ok=True)
  final = workdir / 'tokenizer'
  if not final.exists():
    partial = workdir / '.tokenizer.partial'
    shutil.rmtree(partial, ignore_errors=True)
    tokenizer.save_pretrained(partial)
    partial.rename(final)
  write_json(workdir / 'inputs.json', {name: identity(getattr(config, name)) for name in INPUTS})
  write_json(workdir / 'config.json', to_dict(config))
