"""Objects on gs:// and s3:// and their copies on this machine's disk: listing, transfer, what was equal when.

`storage.py` is the way in; nothing else imports this.
"""

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import logging
import os
import pathlib
import posixpath
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from data_gen.errors import UserError

SCHEMES = {'gs://': 'gcsfs', 's3://': 's3fs'}
ANSWER = 6.0  # seconds until the first answers, unless SMT_STORAGE_TIMEOUT says more; the libraries try for minutes
Version = list[Any]  # what changes when an object does: size, and generation or hash
_log = logging.getLogger(__name__)
_DENIED = ('Credential', 'AccessDenied', 'Forbidden', 'Unauthorized', 'Anonymous', '401', '403', 'InvalidAccessKeyId',
           'SignatureDoesNotMatch', 'RefreshError')
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class Remote:
  """One URL, and the local twin of what it names: under the same name in a tree of the cache folder.

  Beside the tree is one of notes: by object its version there, and size and time here, when the two were equal.

  Attributes:
    url, scheme, path: 'gs://bucket/a', 'gs://', 'bucket/a'.
    local: the twin.
    files: the fsspec file system.
  """

  def __init__(self, url: str, tree: str, probe: bool = False):
    """Opens it.

    Args:
      tree: tells copies to read from copies to write.
      probe: whether it can be written is tried too: better now than after hours of work.

    Raises:
      UserError: the store's library is not installed, no access, or no answer within seconds.
    """
    self.scheme, self.url = url[:5], url.rstrip('/')
    self.path = self.url.removeprefix(self.scheme)
    self._root, self._notes = cache() / tree / url[:2], cache() / f'{tree}.notes' / url[:2]
    self.local = self._root / self.path
    with self.explained():
      began, opened = time.monotonic(), _library(self.scheme)
      left = _answer() - (time.monotonic() - began)  # a slow import counts, as long as the store keeps its chance
      _within(max(left, _answer() / 2), lambda: self._first_answers(opened, probe))

  def _first_answers(self, opened: Callable[[], Any], probe: bool) -> None:
    """All that is asked of a store before work begins, under one clock: a slow answer takes of the next one's time."""
    try:
      self.files = opened()
    except FileNotFoundError as e:  # a file of credentials, which the environment names
      raise UserError(f'{self.url}: no access ({e})') from None
    with contextlib.suppress(FileNotFoundError):
      self.files.info(_without_magic(self.path))
    if probe:
      self._check_writable()

  @contextlib.contextmanager
  def explained(self, what: str = 'cannot be read') -> Iterator[None]:
    """Turns whatever a cloud's client raises into one line; FileNotFoundError stays."""
    try:
      yield
    except (UserError, FileNotFoundError):
      raise
    except ImportError:
      raise UserError(f'{self.url}: {self.scheme} needs the package {SCHEMES[self.scheme]}: '
                      "pip install 'smt-jax[cloud]'") from None
    except TimeoutError:
      raise UserError(f'{self.url}: no access: no answer within {_answer():g} seconds (SMT_STORAGE_TIMEOUT); are '
                      'credentials set, and is the network there?') from None
    except Exception as e:  # the clients have an error of their own for everything
      if isinstance(e, OSError) and e.errno in _DISK_FULL:
        raise UserError(f'{self.local}: cannot write the local copy of {self.url} ({e.strerror})') from None
      reason = f'{type(e).__name__}: {" ".join(str(e).split())[:200]}'
      denied = isinstance(e, PermissionError) or any(word in reason for word in _DENIED)
      raise UserError(f'{self.url}: {"no access" if denied else what} ({reason})') from None

  def listing(self) -> dict[str, Version]:
    """All objects of the URL (a glob: of whatever matches), by name without the scheme."""
    with self.explained(), contextlib.suppress(FileNotFoundError):
      if not glob.has_magic(self.path):
        found = self.files.find(self.path, detail=True)
      else:
        tops = self.files.glob(self.path, detail=True)
        found = {name: info for name, info in tops.items() if info['type'] == 'file'}
        for name in tops.keys() - found.keys():
          found |= self.files.find(name, detail=True)
      return {name: _version(info) for name, info in found.items()
              if info['type'] == 'file' and not name.endswith('/')}  # some tools keep folders as empty objects
    return {}

  def names(self) -> list[str]:
    """What lies directly in the folder, sorted."""
    with self.explained(), contextlib.suppress(FileNotFoundError):
      found = self.files.ls(self.path, detail=False)
      return sorted({posixpath.basename(n.rstrip('/')) for n in found if n.rstrip('/') != self.path})
    return []

  def _check_writable(self) -> None:
    """Writes and removes an empty object beside it.

    Raises:
      UserError: it cannot be written.
    """
    probe = f'{posixpath.dirname(self.path) or self.path}/.writable-{uuid.uuid4().hex}'
    try:
      with self.explained('cannot be written'):
        self.files.pipe_file(probe, b'')
    except FileNotFoundError:
      raise UserError(f'{self.url}: no such bucket') from None
    with contextlib.suppress(Exception):  # whoever may write may not always delete
      self.files.rm_file(probe)

  def download(self, found: dict[str, Version]) -> None:
    """Copies these objects; each appears under its name when it is whole."""
    if found:
      _log.info('%s: staging %d files, %.1f MB, in %s', self.url, len(found), sum(v[0] for v in found.values()) / 1e6,
                self.local)
    for batch in _batches(found):
      partial = cache() / 'partial' / uuid.uuid4().hex
      parts = [partial / str(i) for i in range(len(batch))]
      with self.explained():
        partial.mkdir(parents=True)
        try:
          self.files.get(batch, [str(p) for p in parts])
        except FileNotFoundError as e:
          raise UserError(f'{self.url}: changed while it was read ({e})') from None
        for name, part in zip(batch, parts):
          if part.stat().st_size != found[name][0]:
            raise UserError(f'{self.scheme}{name}: {part.stat().st_size} of {found[name][0]} bytes arrived')
          self.beside(name).parent.mkdir(parents=True, exist_ok=True)
          os.replace(part, self.beside(name))
          self.note(name, found[name])
        partial.rmdir()

  def upload(self, names: Iterable[str]) -> None:
    """Writes these objects from their copies, in this order."""
    for batch in _batches(names):
      with self.explained(f'cannot be written; all of it is in {self.local}, run the same command again'):
        self.files.put([str(self.beside(n)) for n in batch], batch)

  def delete(self, names: Iterable[str]) -> None:
    """Removes these objects and their copies."""
    names = list(names)
    with self.explained('cannot be written'), contextlib.suppress(FileNotFoundError):
      if names:
        self.files.rm(names)
    for name in names:
      self.forget(name)

  @contextlib.contextmanager
  def locked(self) -> Iterator[None]:
    """One process of this machine at a time: they share the copies."""
    path = cache() / 'locks' / hashlib.sha256(str(self.local).encode()).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'a') as f:
      fcntl.flock(f, fcntl.LOCK_EX)
      yield

  def beside(self, name: str) -> pathlib.Path:
    """The copy of an object."""
    return self._root / name

  def name_of(self, path: pathlib.Path) -> str:
    """The object of a copy."""
    return path.relative_to(self._root).as_posix()

  def note(self, name: str, there: Version | None, here: list[int] | None = None, sending: bool = False) -> None:
    """Keeps the version there and here (default: as it is now) at which both are equal, or soon will be."""
    path = self._notes / f'{name}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({'there': there, 'here': here or stat(self.beside(name)), 'sending': sending}))

  def noted(self, name: str) -> dict[str, Any]:
    """What `note` kept; nothing known: None everywhere."""
    try:
      return json.loads((self._notes / f'{name}.json').read_text())
    except (OSError, ValueError):
      return {'there': None, 'here': None, 'sending': False}

  def changed(self, name: str) -> bool:
    """True where the copy is no longer what both sides had."""
    note, here = self.noted(name), self.beside(name)
    return here.is_file() and (note['sending'] or note['here'] != stat(here))

  def all_noted(self) -> list[str]:
    single, folder = self._notes / f'{self.path}.json', self._notes / self.path
    paths = [single] * single.is_file() + (list(folder.rglob('*.json')) if folder.is_dir() else [])
    return [p.relative_to(self._notes).as_posix().removesuffix('.json') for p in paths]

  def forget(self, name: str) -> None:
    """Removes a copy and its note."""
    self.beside(name).unlink(missing_ok=True)
    (self._notes / f'{name}.json').unlink(missing_ok=True)


def cache() -> pathlib.Path:
  """The folder of all copies."""
  base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  return pathlib.Path(os.environ.get('SMT_STORAGE_CACHE') or os.path.join(base, 'smt_jax', 'storage')).absolute()


def _answer() -> float:
  return float(os.environ.get('SMT_STORAGE_TIMEOUT') or ANSWER)


def stat(path: pathlib.Path) -> list[int]:
  """Size and time of a copy."""
  found = path.stat()
  return [found.st_size, found.st_mtime_ns]


def _library(scheme: str) -> Callable[[], Any]:
  """Imports a store's library; what is returned opens its file system, for which some ask the network."""
  os.environ.setdefault('GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT', 'false')  # it asks for the bucket's kind at every turn
  import fsspec  # only where a URL is met
  fsspec.get_filesystem_class(scheme.removesuffix('://'))
  for name in SCHEMES.values():
    logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters becomes our one line
  return lambda: fsspec.filesystem(scheme.removesuffix('://'), use_listings_cache=False)


def _without_magic(path: str) -> str:
  while glob.has_magic(path):
    path = posixpath.dirname(path)
  return path


def _version(info: dict[str, Any]) -> Version:
  mark = info.get('generation') or info.get('ETag') or info.get('md5Hash') or info.get('LastModified')
  return [int(info['size']), str(mark)]


def _batches(names: Iterable[str], size: int = 64) -> Iterator[list[str]]:
  every = list(names)
  for start in range(0, len(every), size):
    yield every[start:start + size]


def _within(seconds: float, act: Callable[[], Any]) -> Any:
  """The result of `act`, or TimeoutError. A thread that hangs is left behind; it ends with the process."""
  done: list[tuple[Any, BaseException | None]] = []

  def run() -> None:
    try:
      done.append((act(), None))
    except BaseException as e:
      done.append((None, e))

  thread = threading.Thread(target=run, daemon=True)
  thread.start()
  thread.join(seconds)
  if not done:
    raise TimeoutError
  result, error = done[0]
  if error is not None:
    raise error
  return result
