"""Path flags. A program sees local paths only: a gs:// or s3:// path is staged when it is first asked for, and what is
written is uploaded when the program ends (data_gen/storage.py).

Flags that name checkpoints or packed rows are plain strings: `loading.find` and `PackedFolder` stage what they need.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from absl import flags

from data_gen import storage

flags.disclaim_key_flags()  # the flags belong to the program that defines them, and --help shows them there
_flags: dict[str, 'PathFlag'] = {}
_outputs = contextlib.ExitStack()


class PathFlag:
  """A flag that names a file, a folder or a glob.

  Attributes:
    value: the local path; None or '' where the flag is not set.
    given: what the user wrote.
  """

  def __init__(self, holder: flags.FlagHolder[Any], resolve: Callable[[Any], Any]):
    self._holder, self._resolve, self._value = holder, resolve, None
    _flags[holder.name] = self

  @property
  def given(self) -> Any:
    return self._holder.value

  @property
  def value(self) -> Any:
    if not self.given:
      return self.given
    if self._value is None:
      self._value = self._resolve(self.given)
    return self._value


def reads(name: str, default: str | None, text: str, required: bool = False,
          only: tuple[str, ...] = ()) -> PathFlag:
  """A flag for what is read: one path or glob, or several with commas between them; `only` as in `storage.local`."""
  holder = flags.DEFINE_string(name, default, text, required=required)
  return PathFlag(holder, lambda given: storage.local_list(given, only))


def reads_list(name: str, default: list[str] | None, text: str, required: bool = False) -> PathFlag:
  """The same as a list."""
  holder = flags.DEFINE_list(name, default, text, required=required)
  return PathFlag(holder, lambda given: [storage.local(path) for path in given])


def writes(name: str, default: str | None, text: str, required: bool = False) -> PathFlag:
  """A flag for the file or folder that the program writes."""
  return PathFlag(flags.DEFINE_string(name, default, text, required=required), written)


def written(path: str) -> str:
  """The local path for one that the program writes."""
  if storage.is_remote(path):
    _outputs.callback(print, f'uploaded: {path}')
  return _outputs.enter_context(storage.output(path))


def local_values(values: dict[str, Any]) -> dict[str, Any]:
  """Flag values by name with local paths in place of the path flags' own."""
  return values | {name: flag.value for name, flag in _flags.items() if name in values}


def finish() -> None:
  """Uploads what was written; called when the program ends, however it ends.

  Raises:
    UserError: it cannot be written there.
  """
  _outputs.close()
