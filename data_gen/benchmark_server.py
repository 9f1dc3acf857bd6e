"""The local server that the client's benchmarks ask, and many askers at once."""

import asyncio
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from data_gen.errors import UserError

KEY, IN_FLIGHT = 'a-key-for-local-tests', 256
_SERVER = pathlib.Path(__file__).resolve().parent.parent / 'tests' / 'hosted_server.py'


@contextlib.contextmanager
def local_server(core: int | None = None, **behaviour: Any) -> Iterator[str]:
  """Runs the local server as a process of its own, on one core if named; yields its base URL.

  Raises:
    UserError: the server's program is not there (it is part of the checkout, not of the installed package).
  """
  if not _SERVER.exists():
    raise UserError(f'{_SERVER}: no such file; run this from a checkout of the project')
  flags = [f'--{name}={value}' for name, value in behaviour.items()]
  process = subprocess.Popen([sys.executable, str(_SERVER), f'--key={KEY}', *flags], stdout=subprocess.PIPE, text=True)
  try:
    assert process.stdout
    port = int(process.stdout.readline())
    if core is not None:
      os.sched_setaffinity(process.pid, {core})
    yield f'http://127.0.0.1:{port}/v1'
  finally:
    process.kill()
    process.wait()


def server_says(base_url: str, what: str) -> Any:
  """What the local server tells of itself: 'stats' or 'counts'."""
  with urllib.request.urlopen(base_url.removesuffix('v1') + what, timeout=30) as answer:
    return json.load(answer)


async def workers(n: int, total: int, one: Callable[[int], Awaitable[Any]]) -> None:
  numbers = iter(range(total))

  async def worker() -> None:
    for number in numbers:
      await one(number)

  await asyncio.gather(*(worker() for _ in range(n)))
