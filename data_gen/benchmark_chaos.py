"""The hosted generator against a server that misbehaves in every way, killed on the way: nothing lost or paid twice?

`python -m data_gen.benchmark_chaos URL FOLDER TOTAL` is the process that is killed; `chaos_run` starts and judges it.
"""

import asyncio
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

from data_gen.benchmark_server import IN_FLIGHT, KEY, local_server, server_says, workers
from data_gen.errors import UserError
from data_gen.generators.base import Request, Sampling
from data_gen.generators.hosted.engine import JOURNAL
from data_gen.generators.hosted.prices import Price

CHAOS = {'limited': 0.10, 'broken': 0.05, 'hang': 0.02, 'cut': 0.02, 'malformed': 0.02, 'truncated': 0.03,
         'latency': 0.05, 'jitter': 0.1, 'burst_every': 20.0, 'retry_after': 1.0, 'headers': True, 'answer_tokens': 60}
PRICE = Price(prompt=1.0, cached=0.25, output=4.0)
TIMEOUT = 3.0  # seconds after which the client gives a request up
_TEXT = 'In the year 1850 the mill at the river was sold to a merchant from the coast. ' * 12


def request(number: int) -> Request:
  """The number-th request, 1 KB."""
  return Request('benchmark', ({'role': 'user', 'content': f'request-{number}. {_TEXT} Sum it up.'},), {},
                 Sampling(max_tokens=256))


async def ask_all(base_url: str, folder: pathlib.Path, total: int) -> dict[str, Any]:
  """Asks all requests through one generator; its report."""
  from data_gen.generators.hosted.engine import HostedGenerator
  from data_gen.generators.hosted.settings import HostedSettings
  prices = folder / 'prices.json'
  prices.write_text(json.dumps({'models': {'local': {
      'prompt': PRICE.prompt, 'cached': PRICE.cached, 'output': PRICE.output}}}))
  generator = HostedGenerator(HostedSettings(
      base_url=base_url, model='local', max_concurrency=IN_FLIGHT, request_timeout=TIMEOUT, prices=prices))
  await generator.open(folder)
  try:
    async def one(number: int) -> None:
      await generator.generate(request(number))
    await workers(IN_FLIGHT, total, one)
  finally:
    await generator.close()
  return generator.report()


def chaos_run(folder: pathlib.Path, total: int, kills: int, rate: float, outage: float = 0.0,
              **behaviour: Any) -> dict[str, Any]:
  """Runs `total` requests to their end through `kills` kill -9s; what came of it, with every promise checked.

  Args:
    rate: requests a second that the server admits; the rest gets a 429 on top of the random ones.
    outage: seconds for which the server is gone, after a third of the time that the rate implies.

  Raises:
    UserError: a promise was broken (named).
  """
  settings = CHAOS | {'rate': rate, 'outage_at': total / rate / 3 if outage else 0, 'outage_for': outage} | behaviour
  numbers = {request(n).key('local'): n for n in range(total)}
  started, before = time.monotonic(), []  # (size of the journal, server's counts) at every kill
  restarts = 0
  with local_server(**settings) as url:
    for stop_at in [*((k + 1) * total // (kills + 1) for k in range(kills)), None]:
      while not _one_life(url, folder, total, stop_at):
        restarts += 1  # it met the outage at its very start and said so
        time.sleep(1)
      if stop_at is not None:
        time.sleep(0.5)  # what was on its way when it was killed reaches the server
        before.append(((folder / JOURNAL).stat().st_size, server_says(url, 'counts')))
    seconds = time.monotonic() - started
    stats, counts = server_says(url, 'stats'), server_says(url, 'counts')
  report = json.loads((folder / 'report.json').read_text())
  return _judge(folder, total, numbers, before, stats, counts, report) | {
      'requests': total, 'kills': kills, 'seconds': round(seconds, 1), 'failed_starts': restarts,
      'implied_seconds': round((sum(stats['did'].values()) - stats['did'].get('429 by rate', 0)) / rate + outage, 1),
      'server_did': stats['did'], 'failures_seen': report['failures'], 'pauses': report['pauses']}


def _one_life(url: str, folder: pathlib.Path, total: int, stop_at: int | None) -> bool:
  """One process, killed when the server has answered `stop_at` requests; False if it ended with an error instead."""
  process = subprocess.Popen([sys.executable, '-m', 'data_gen.benchmark_chaos', url, str(folder), str(total)],
                             env=os.environ | {'OPENAI_API_KEY': KEY}, stderr=subprocess.PIPE, text=True)
  try:
    while process.poll() is None:
      time.sleep(0.1)
      if stop_at is not None and server_says(url, 'stats')['did'].get('answered', 0) >= stop_at:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
  except BaseException:
    process.kill()
    raise
  if process.returncode and 'error:' not in (process.stderr.read() if process.stderr else ''):
    raise UserError('the client died of something else than a message to the user')
  return process.returncode == 0


def _answered(folder: pathlib.Path, numbers: dict[str, int], size: int = -1) -> dict[int, int]:
  """number -> answers in the journal, or in its first `size` bytes; a torn last line is none."""
  found: dict[int, int] = {}
  with open(folder / JOURNAL, 'rb') as f:
    lines = f.read(size).split(b'\n')[:-1]
  for line in lines:
    row = json.loads(line)
    if 'response' in row and row['key'] in numbers:
      found[numbers[row['key']]] = found.get(numbers[row['key']], 0) + 1
  return found


def _judge(folder: pathlib.Path, total: int, numbers: dict[str, int], before: list[Any], stats: dict[str, Any],
           counts: dict[str, int], report: dict[str, Any]) -> dict[str, Any]:
  answered = _answered(folder, numbers)
  if len(answered) != total or set(answered.values()) != {1}:
    raise UserError(f'{total} requests have {sum(answered.values())} answers to {len(answered)} of them')
  for size, at_kill in before:
    again = [n for n in _answered(folder, numbers, size) if counts[str(n)] != at_kill[str(n)]]
    if again:
      raise UserError(f'{len(again)} requests were asked again although their answers were logged, such as {again[0]}')
  billed = stats['billed']
  bill = PRICE.cost(billed['prompt_tokens'], billed['cached_tokens'], billed['completion_tokens'])
  ledger = report['ledger']
  if not ledger['spent_usd'] <= bill + 1e-6 or not bill <= ledger['at_most_usd'] + 1e-6:
    raise UserError(f'the bill of ${bill:.6f} lies outside ${ledger["spent_usd"]:.6f} to ${ledger["at_most_usd"]:.6f}')
  return {'ledger_usd': ledger['spent_usd'], 'bill_usd': round(bill, 6), 'at_most_usd': ledger['at_most_usd']}


def main() -> None:
  base_url, folder, total = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
  try:
    report = asyncio.run(ask_all(base_url, folder, total))
  except UserError as e:
    sys.exit(f'error: {e}')
  (folder / 'report.json').write_text(json.dumps(report))


if __name__ == '__main__':
  main()
