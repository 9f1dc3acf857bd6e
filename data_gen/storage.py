"""Paths on gs:// and s3://: everything that is given one gets a local path for it here.

Reading: what a URL names (a file, a folder, a glob) is staged, that is copied under the same names into a folder on
this machine's disk, once a version. Writing: a stage writes into such a folder, and what changed there is uploaded when
the stage ends, or when a writer says that its logs are sealed. A stage that was killed before that finds its files on
the same machine and uploads them when it is run again. Staging everything gives every reader one code path (memory
maps, Arrow, ArrayRecord, tokenizers: hardly any of them reads objects); its price is disk of the size of the data.

Credentials are those of the libraries (gcsfs, s3fs) and come from the environment; so do the addresses of emulators
(STORAGE_EMULATOR_HOST, AWS_ENDPOINT_URL). The folder is $SMT_STORAGE_CACHE, else ~/.cache/smt_jax/storage.
"""

import contextlib
import fnmatch
import glob
import os
import pathlib
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

from data_gen.errors import UserError
from data_gen.remote import SCHEMES, Remote, stat

PathLike = str | os.PathLike[str]


def is_remote(path: PathLike) -> bool:
  """True for gs:// and s3://."""
  return os.fspath(path).startswith(tuple(SCHEMES))


def absolute(path: PathLike) -> str:
  """A path that means the same in another working directory; URLs do already."""
  return os.fspath(path) if is_remote(path) else os.path.abspath(path)


def local(path: PathLike, only: tuple[str, ...] = ()) -> str:
  """The local path of a file, a folder or a glob: itself, or that of its copy on this machine's disk.

  Args:
    path: local, gs:// or s3://.
    only: patterns of the file names that are needed of folders; none: all.

  Raises:
    UserError: a URL that names nothing, no access, no answer within seconds, its library is not installed.
  """
  if not is_remote(path):
    return os.fspath(path)
  remote = Remote(os.fspath(path), 'read')
  with remote.locked():
    found = {n: v for n, v in remote.listing().items()
             if not only or any(fnmatch.fnmatch(posixpath.basename(n), pattern) for pattern in only)}
    if not found:
      raise UserError(f'{path}: no such file or folder')
    remote.download({n: v for n, v in found.items()
                     if remote.noted(n)['there'] != v or not remote.beside(n).is_file()})
    for top in map(pathlib.Path, glob.glob(str(remote.local))):  # copies of what is no longer there
      for here in [top] if top.is_file() else list(top.rglob('*')):
        if here.is_file() and remote.name_of(here) not in found:
          remote.forget(remote.name_of(here))
  return str(remote.local)


def local_list(paths: str, only: tuple[str, ...] = ()) -> str:
  """`local` of paths or globs with commas between them."""
  if not any(is_remote(path.strip()) for path in paths.split(',')):
    return paths
  return ','.join(local(path.strip(), only) for path in paths.split(','))


def listdir(path: PathLike) -> list[str]:
  """The names in a folder, sorted; empty where there is none.

  Raises:
    UserError: a URL that cannot be read.
  """
  if is_remote(path):
    return Remote(os.fspath(path), 'read').names()
  return sorted(os.listdir(path)) if os.path.isdir(path) else []


def matches(url: str) -> dict[str, list[Any]]:
  """The files that a remote glob, folder or file names, sorted, with what changes when they do: to stage one by one."""
  remote = Remote(url, 'read')
  return {remote.scheme + name: version for name, version in sorted(remote.listing().items())}


@contextlib.contextmanager
def output(path: PathLike) -> Iterator[str]:
  """A local path to write a file or a folder to; what changed there is uploaded when the block ends, however it ends.

  Raises:
    UserError: as `Mirror`.
  """
  if not is_remote(path):
    yield os.fspath(path)
    return
  mirror = Mirror(path)
  mirror.pull()
  mirror.local.parent.mkdir(parents=True, exist_ok=True)
  try:
    yield str(mirror.local)
  finally:
    mirror.push()


class Mirror:
  """A remote folder (or file) that this process writes, and its local twin.

  Locks and files in the making (`.lock`, `*.partial`) are never uploaded.

  Attributes:
    local: the twin.
  """

  def __init__(self, url: PathLike, skip: tuple[str, ...] = ()):
    """Opens it.

    Args:
      url: gs:// or s3://.
      skip: names directly in it with which others deal.

    Raises:
      UserError: the bucket cannot be written, or no answer within seconds.
    """
    self._remote, self._skip = Remote(os.fspath(url), 'write', probe=True), skip
    self.local = self._remote.local

  def pull(self) -> None:
    """Fetches what is newer there; what is newer here stays, to be uploaded.

    Raises:
      UserError: a file was changed on both sides.
    """
    remote = self._remote
    with remote.locked():
      found = {n: v for n, v in remote.listing().items() if not self._ignored(remote.beside(n))}
      newer = {}
      for name, there in found.items():
        here, note = remote.beside(name), remote.noted(name)
        if note['there'] == there and here.is_file():
          continue
        if remote.changed(name) and not note['sending']:
          raise UserError(f'{remote.scheme}{name}: was changed there, and its copy {here} here, since they were equal; '
                          'remove one of the two')
        if not (note['sending'] and here.is_file()):
          newer[name] = there
      remote.download(newer)
      for name in remote.all_noted():
        if name not in found and not remote.changed(name) and not self._ignored(remote.beside(name)):
          remote.forget(name)

  def push(self) -> None:
    """Uploads what changed here, oldest first, and removes there what was removed here.

    Raises:
      UserError: it cannot be written.
    """
    remote = self._remote
    with remote.locked():
      here = {remote.name_of(path): path for path in self._here()}
      self._send(n for n in here if remote.changed(n))
      remote.delete(n for n in remote.all_noted() if n not in here and not self._ignored(remote.beside(n)))

  def push_file(self, name: str) -> str:
    """Uploads one file in it, and nothing else that changed here: another process may own the rest.

    Returns:
      Its URL.

    Raises:
      UserError: it cannot be written.
    """
    with self._remote.locked():
      self._send([f'{self._remote.path}/{name}'])
    return f'{self._remote.url}/{name}'

  def _send(self, names: Iterable[str]) -> None:
    remote = self._remote
    sizes = {n: stat(remote.beside(n)) for n in names}  # from before: a log may grow meanwhile
    changed = sorted(sizes, key=lambda n: sizes[n][1])
    for name in changed:
      remote.note(name, remote.noted(name)['there'], sizes[name], sending=True)
    remote.upload(changed)
    there = remote.listing() if changed else {}
    for name in changed:
      remote.note(name, there.get(name), sizes[name])

  def push_folder(self, name: str, last: str) -> None:
    """Uploads a folder in it whose content is final, whatever `skip` says; then the empty file `last`."""
    part = Remote(f'{self._remote.url}/{name}', 'write')
    (part.local / last).touch()
    every = [part.name_of(path) for path in sorted(part.local.rglob('*')) if path.is_file()]
    part.upload(n for n in every if n != f'{part.path}/{last}')
    part.upload([f'{part.path}/{last}'])

  def pull_folder(self, name: str) -> None:
    """Fetches a folder in it, whatever `skip` says."""
    part = Remote(f'{self._remote.url}/{name}', 'write')
    part.download(part.listing())

  def delete_folder(self, name: str, first: str) -> None:
    """Removes a folder in it there, whatever `skip` says, and before the rest the file `first`."""
    part = Remote(f'{self._remote.url}/{name}', 'write')
    part.delete([f'{part.path}/{first}'])
    part.delete(part.listing())

  def _here(self) -> Iterator[pathlib.Path]:
    if self.local.is_file():
      yield self.local
    for path in self.local.rglob('*'):
      if path.is_file() and not self._ignored(path):
        yield path

  def _ignored(self, path: pathlib.Path) -> bool:
    parts = path.relative_to(self.local).parts
    return any(part == '.lock' or part.endswith('.partial') for part in parts) or bool(parts and parts[0] in self._skip)
