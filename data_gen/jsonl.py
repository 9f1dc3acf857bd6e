"""JSON lines: read with file and line in every complaint, write so that a file is whole or absent.

Three ways of writing, for three kinds of file:
  * `write_jsonl`   a stage's result: written beside its final name, synced, then renamed over it;
  * `atomic_write`  the same for any single file;
  * `AppendLog`     an append-only log that survives kill -9: a torn last line is cut off on the next opening.
"""

import contextlib
import fcntl
import gzip
import io
import json
import os
import pathlib
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

from data_gen.errors import UserError

PathLike = str | os.PathLike[str]

# Text is decoded in blocks, far ahead of the line that is read. This way an invalid byte raises nothing by itself, and
# the line that holds it can be named.
INVALID_BYTES = 'surrogateescape'


@contextlib.contextmanager
def open_text(path: PathLike, errors: str = 'strict') -> Iterator[IO[str]]:
  """Opens UTF-8 text, decompressing `.gz` and `.zst`; `errors` as in `open`.

  Raises:
    UserError: the file is missing, a folder or unreadable.
  """
  path = pathlib.Path(path)
  try:
    if path.suffix == '.gz':
      with gzip.open(path, 'rt', encoding='utf-8', errors=errors) as f:
        yield f
    elif path.suffix == '.zst':
      import zstandard  # only where such a file is read
      with open(path, 'rb') as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        yield io.TextIOWrapper(stream, encoding='utf-8', errors=errors)
    else:
      with open(path, encoding='utf-8', errors=errors) as f:
        yield f
  except FileNotFoundError:
    raise UserError(f'{path}: no such file') from None
  except IsADirectoryError:
    raise UserError(f'{path}: is a folder, expected a file') from None
  except PermissionError:
    raise UserError(f'{path}: permission denied') from None


def read_jsonl(path: PathLike) -> Iterator[tuple[int, dict[str, Any]]]:
  """Yields (1-based line number, object) for every non-blank line of a JSONL file.

  Raises:
    UserError: a missing file; a line that is not UTF-8, not JSON or not an object (file and line named).
  """
  with open_text(path, errors=INVALID_BYTES) as f:
    yield from parse_jsonl(f, path)


def parse_jsonl(lines: Iterable[str], path: PathLike) -> Iterator[tuple[int, dict[str, Any]]]:
  """The same for lines that are already open with `errors=INVALID_BYTES`; `path` is what complaints name."""
  number = 0
  try:
    for number, line in enumerate(lines, start=1):
      if not line.strip():
        continue
      if not _is_unicode(line):
        raise UserError(f'{path}:{number}: not valid UTF-8')
      try:
        row = json.loads(line)
      except json.JSONDecodeError as e:
        raise UserError(f'{path}:{number}: not valid JSON ({e.msg} at column {e.colno})') from None
      if not isinstance(row, dict):
        raise UserError(f'{path}:{number}: expected a JSON object, found {type(row).__name__}')
      yield number, row
  except (EOFError, zlib.error, gzip.BadGzipFile) as e:
    raise UserError(f'{path}: damaged or cut short after line {number} ({e})') from None


def _is_unicode(line: str) -> bool:
  """False where invalid bytes stand in the line as lone surrogates."""
  try:
    return line.isascii() or bool(line.encode())
  except UnicodeEncodeError:
    return False


@contextlib.contextmanager
def atomic_write(path: PathLike, mode: str = 'w') -> Iterator[IO[Any]]:
  """A file that appears under `path` only when it is complete and on disk.

  A failure inside (a full disk, an exception) removes the partial file; kill -9 leaves only a `.partial` name, which
  the next run overwrites.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(f'.{path.name}.partial')
  kwargs: dict[str, Any] = {} if 'b' in mode else {'encoding': 'utf-8', 'newline': '\n'}
  try:
    with open(partial, mode, **kwargs) as f:
      yield f
      f.flush()
      os.fsync(f.fileno())
    os.replace(partial, path)
  except OSError as e:
    partial.unlink(missing_ok=True)
    raise UserError(f'{path}: cannot write ({e.strerror or e})') from e
  except BaseException:
    partial.unlink(missing_ok=True)
    raise


def write_jsonl(path: PathLike, rows: Iterable[dict[str, Any]]) -> int:
  """Writes rows atomically; returns their number. Streams: `rows` may be a generator of any length."""
  count = 0
  with atomic_write(path) as f:
    for row in rows:
      f.write(json.dumps(row, ensure_ascii=False) + '\n')
      count += 1
  return count


def write_json(path: PathLike, value: Any) -> None:
  """Writes one JSON value atomically, indented for people."""
  with atomic_write(path) as f:
    f.write(json.dumps(value, ensure_ascii=False, indent=2) + '\n')


def read_json(path: PathLike) -> Any:
  """Reads one JSON value.

  Raises:
    UserError: the file is missing or not valid JSON.
  """
  with open_text(path) as f:
    try:
      return json.load(f)
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
      raise UserError(f'{path}: not valid JSON ({e})') from None


class AppendLog:
  """An append-only JSONL log: one `write` call a line, a torn last line cut off when it is opened again."""

  def __init__(self, path: PathLike):
    self.path = pathlib.Path(path)
    self.path.parent.mkdir(parents=True, exist_ok=True)
    self._cut_torn_line()
    self._file = open(self.path, 'ab', buffering=0)  # noqa: SIM115  held open until close()

  def _cut_torn_line(self) -> None:
    if not self.path.exists():
      return
    with open(self.path, 'rb+') as f:
      size = f.seek(0, os.SEEK_END)
      position = size
      while position > 0:  # back to the last newline, block by block
        start = max(0, position - 65536)
        f.seek(start)
        newline = f.read(position - start).rfind(b'\n')
        if newline >= 0:
          position = start + newline + 1
          break
        position = start
      if position != size:
        f.truncate(position)

  def append(self, row: dict[str, Any]) -> None:
    """Appends one line; it is in the kernel's hands (safe from kill -9) when this returns.

    Raises:
      UserError: the disk is full or the file cannot be written; a partly written line is taken back.
    """
    self.append_all([row])

  def append_all(self, rows: Iterable[dict[str, Any]]) -> int:
    """Appends several lines with one write; returns the size of the file after it. Raises as `append`."""
    data = ''.join(json.dumps(row, ensure_ascii=False) + '\n' for row in rows).encode()
    before = self._file.seek(0, os.SEEK_END)
    try:
      written = self._file.write(data)
      if written != len(data):
        raise OSError('short write, is the disk full?')
    except OSError as e:
      with contextlib.suppress(OSError):
        os.ftruncate(self._file.fileno(), before)
      raise UserError(f'{self.path}: cannot append ({e.strerror or e})') from e
    return before + len(data)

  def sync(self) -> None:
    """Forces what was appended onto the disk (safe from power loss too)."""
    os.fsync(self._file.fileno())

  def close(self) -> None:
    self._file.close()

  def __enter__(self) -> 'AppendLog':
    return self

  def __exit__(self, *_: object) -> None:
    self.close()


@contextlib.contextmanager
def exclusive(folder: PathLike) -> Iterator[None]:
  """Holds a folder for one process; the lock goes with the process, however it ends.

  Raises:
    UserError: another process is working on the folder.
  """
  folder = pathlib.Path(folder)
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as e:
    raise UserError(f'{folder}: cannot make this folder ({e.strerror})') from None
  with open(folder / '.lock', 'a+') as f:
    try:
      fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      raise UserError(f'{folder}: another process is working on this folder') from None
    yield
