"""The journal of a paid generator: what was asked and what came back, so that nothing is ever paid for twice.

One append-only JSONL file. Before a request goes out its *intent* is appended, when its answer arrives the
*response*; both under `Request.key`, which covers messages, model, parameters and sample number. A torn last line
(kill -9, full disk) is cut off on opening. In memory stands only where each response lies: 16 bytes a request.
"""

import asyncio
import dataclasses
import json
import os
import re
from typing import Any

from data_gen.errors import UserError
from data_gen.generators.base import Generator, Request, Response
from data_gen.generators.offset_index import OffsetIndex
from data_gen.jsonl import AppendLog, PathLike

_HEAD = len('{"key": "')
_KEY_END = _HEAD + 64
_RESPONSE = b'", "response": '
_INTENT = b'", "intent": '


def _short(key: str) -> int:
  """The first 64 bits of a key: among a million, two that agree in them come up once in 40 million runs."""
  return int(key[:16], 16)


class Journal:
  """Opens or takes up a journal.

  Attributes:
    unanswered: what was noted with each intent that no response followed: requests whose answer was lost.
    last_about: what joined the last response's line, if there is a response.

  Raises:
    UserError: a line that is not a journal's.
  """

  def __init__(self, path: PathLike):
    self._log = AppendLog(path)
    self._offsets = OffsetIndex()
    self.unanswered: dict[str, dict[str, Any]] = {}
    self.last_about: dict[str, Any] | None = None
    self._size = 0
    last = b''
    with open(path, 'rb') as f:
      for number, line in enumerate(f, start=1):
        self._index(line, f'{path}:{number}')
        last = line if line.startswith(_RESPONSE, _KEY_END) else last
    if last:
      self.last_about = {k: v for k, v in json.loads(last).items() if k not in ('key', 'response')}
    self._reader = os.open(path, os.O_RDONLY)

  def _index(self, line: bytes, where: str) -> None:
    key = line[_HEAD:_KEY_END].decode(errors='replace')
    if not re.fullmatch('[0-9a-f]{64}', key) or not line.startswith((_RESPONSE, _INTENT), _KEY_END):
      raise UserError(f'{where}: not a line of a journal of responses')
    if line.startswith(_RESPONSE, _KEY_END):
      self._offsets.set(_short(key), self._size)
      self.unanswered.pop(key, None)
    else:
      self.unanswered[key] = json.loads(line)['intent']
    self._size += len(line)

  def __len__(self) -> int:
    """Number of responses."""
    return len(self._offsets)

  def __contains__(self, key: str) -> bool:
    return self._offsets.get(_short(key)) is not None

  def get(self, key: str) -> Response | None:
    """The response under a key, read from disk."""
    offset = self._offsets.get(_short(key))
    if offset is None:
      return None
    data = b''
    while not data.endswith(b'\n'):
      block = os.pread(self._reader, 1 << 16, offset + len(data))
      if not block:
        raise UserError(f'{self._log.path}: shorter than when it was opened; another program changed it')
      data += block[:block.find(b'\n') + 1] if b'\n' in block else block
    row = json.loads(data)
    return Response(**row['response']) if row['key'] == key else None

  def intend(self, key: str, **about: Any) -> None:
    """Notes that a request is about to go out, and what it may cost at worst."""
    self._append({'key': key, 'intent': about})
    self.unanswered[key] = about

  def add(self, key: str, response: Response, **about: Any) -> None:
    """Appends a response the moment it is there; `about` joins the line (what was billed, what was retried)."""
    offset = self._size
    self._append({'key': key, 'response': dataclasses.asdict(response), **about})
    self._offsets.set(_short(key), offset)
    self.unanswered.pop(key, None)
    self.last_about = about

  def _append(self, row: dict[str, Any]) -> None:
    self._size = self._log.append_all([row])

  def close(self) -> None:
    """Syncs and closes the file."""
    self._log.sync()
    self._log.close()
    os.close(self._reader)


class Journaled:
  """A generator behind a journal: answers from it where it can, and asks once where the same is asked twice at once."""

  def __init__(self, generator: Generator, journal: Journal):
    self._generator, self.journal = generator, journal
    self._under_way: dict[str, asyncio.Task[Response]] = {}
    self.model = generator.model

  async def generate(self, request: Request) -> Response:
    """Raises what the generator raises; a request that failed stays unanswered in the journal."""
    key = request.key(self.model)
    known = self.journal.get(key)
    if known:
      return known
    task = self._under_way.get(key)
    if task is None:
      task = self._under_way[key] = asyncio.ensure_future(self._ask(key, request))
      task.add_done_callback(lambda _: self._under_way.pop(key, None))
    return await asyncio.shield(task)

  async def _ask(self, key: str, request: Request) -> Response:
    self.journal.intend(key, task=request.task, max_tokens=request.sampling.max_tokens)
    response = await self._generator.generate(request)
    self.journal.add(key, response)
    return response

  async def drain(self) -> None:
    """Waits for the requests that are on their way, so that what is paid for gets into the journal."""
    while self._under_way:
      await asyncio.gather(*self._under_way.values(), return_exceptions=True)
      await asyncio.sleep(0)  # from Python 3.12 on, waiting for what is done already lets no callback run
