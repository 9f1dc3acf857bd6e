"""How fast the hosted generator is beside a bare loop over the same client library, against a local server."""

import asyncio
import functools
import itertools
import json
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import psutil

from data_gen.benchmark_chaos import chaos_run
from data_gen.benchmark_server import IN_FLIGHT, KEY, local_server, server_says, workers
from data_gen.generators.base import Request, Sampling
from data_gen.generators.hosted.engine import HostedGenerator
from data_gen.generators.hosted.settings import HostedSettings
from data_gen.jsonl import write_json

PROMPT_BYTES, ANSWER_TOKENS = 20_000, 300
_FILLER = 'In the year 1850 the mill at the river was sold to a merchant from the coast. ' * (PROMPT_BYTES // 78 + 1)


def prompt(number: int) -> tuple[dict[str, str], ...]:
  """The messages of the number-th request: 20 KB, no two the same."""
  return ({'role': 'user', 'content': f'request-{number}. {_FILLER[:PROMPT_BYTES]} Sum it up.'},)


async def bare_loop(base_url: str, total: int, http_client: Any = None) -> None:
  """The loop that anybody would write first: the official client, so many requests at once, nothing kept."""
  import openai
  async with openai.AsyncOpenAI(api_key=KEY, base_url=base_url, max_retries=0, timeout=600.0,
                                http_client=http_client) as client:
    async def one(number: int) -> None:
      row = await client.chat.completions.create(
          model='local', messages=list(prompt(number)), temperature=1.0, top_p=1.0, max_tokens=2048)  # type: ignore
      assert row.choices[0].message.content
    await workers(IN_FLIGHT, total, one)


async def _bare_over_aiohttp(base_url: str, total: int) -> None:
  """The same over the transport that the hosted generator uses."""
  import openai
  await bare_loop(base_url, total, openai.DefaultAioHttpClient())


async def our_loop(base_url: str, total: int, folder: pathlib.Path, watch: Callable[[int], None] | None = None) -> None:
  """The same requests through the hosted generator, journal and ledger included."""
  os.environ['OPENAI_API_KEY'] = KEY
  generator = HostedGenerator(HostedSettings(base_url=base_url, model='local', max_concurrency=IN_FLIGHT))
  await generator.open(folder)
  done = itertools.count(1)
  try:
    async def one(number: int) -> None:
      response = await generator.generate(Request('benchmark', prompt(number), {}, Sampling()))
      assert response.text
      if watch:
        watch(next(done))
    await workers(IN_FLIGHT, total, one)
  finally:
    await generator.close()


async def raw_load(base_url: str, total: int, connections: int = 64) -> None:
  """Requests as bytes over plain sockets: what the server can do when no client library is in the way."""
  host, port = base_url.split('/')[2].split(':')
  body = json.dumps({'model': 'local', 'messages': prompt(0), 'max_tokens': 2048}).encode()
  data = (f'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n'
          f'content-length: {len(body)}\r\n\r\n').encode() + body
  streams = [await asyncio.open_connection(host, int(port)) for _ in range(connections)]

  async def one(number: int) -> None:
    reader, writer = streams.pop()
    writer.write(data)
    head = await reader.readuntil(b'\r\n\r\n')
    assert head.startswith(b'HTTP/1.1 200')
    await reader.readexactly(int(head.lower().split(b'content-length:')[1].split(b'\r\n')[0]))
    streams.append((reader, writer))
  await workers(connections, total, one)
  for _, writer in streams:
    writer.close()


def _timed(coroutine: Any) -> tuple[float, float]:
  """(seconds, CPU seconds) of a coroutine in an event loop of its own."""
  started, cpu = time.perf_counter(), time.process_time()
  asyncio.run(coroutine)
  return time.perf_counter() - started, time.process_time() - cpu


def throughput(requests: int, rounds: int) -> dict[str, Any]:
  """Our rate beside the bare loop's on one core, the server on another, in turns; medians and ranges.

  Rates are given by the clock and by CPU time of the client's process: on a machine that others use too, the second
  is the steadier one.
  """
  cores = sorted(os.sched_getaffinity(0))
  with local_server(core=cores[-1], answer_tokens=ANSWER_TOKENS) as url, tempfile.TemporaryDirectory() as folder:
    os.sched_setaffinity(0, {cores[0]})
    try:
      before = server_says(url, 'stats')['cpu_seconds']
      seconds, _ = _timed(raw_load(url, 4 * requests))
      found: dict[str, Any] = {'server_alone_per_second': 4 * requests / seconds, 'server_alone_per_cpu_second':
                               4 * requests / (server_says(url, 'stats')['cpu_seconds'] - before)}
      rates: dict[str, list[float]] = {f'{name}{unit}': [] for name in ('bare', 'bare_aiohttp', 'ours')
                                       for unit in ('', '_cpu')}
      for i in range(rounds):
        ours = functools.partial(our_loop, url, requests, pathlib.Path(folder, str(i)))
        for name, loop in (('bare', functools.partial(bare_loop, url, requests)),
                           ('bare_aiohttp', functools.partial(_bare_over_aiohttp, url, requests)), ('ours', ours)):
          seconds, cpu = _timed(loop())
          rates[name].append(requests / seconds)
          rates[f'{name}_cpu'].append(requests / cpu)
    finally:
      os.sched_setaffinity(0, cores)
  for name, values in rates.items():
    found[name] = {'median': statistics.median(values), 'least': min(values), 'most': max(values)}
  for peer in ('bare', 'bare_aiohttp'):
    found[f'ours_over_{peer}'] = {
        what: [mine / theirs for mine, theirs in zip(rates[f'ours{unit}'], rates[peer + unit])]
        for what, unit in (('clock', ''), ('cpu', '_cpu'))}
  return found


def memory(requests: int) -> dict[str, Any]:
  """Resident memory of the client over one run of so many requests, in MB, read ten times."""
  rss: dict[int, float] = {}
  process = psutil.Process()

  def watch(done: int) -> None:
    if done % max(1, requests // 10) == 0:
      rss[done] = process.memory_info().rss / 1e6
  with local_server(answer_tokens=ANSWER_TOKENS) as url, tempfile.TemporaryDirectory() as folder:
    seconds, _ = _timed(our_loop(url, requests, pathlib.Path(folder), watch))
  first, last = min(rss), max(rss)
  return {'requests': requests, 'seconds': seconds, 'rss_mb': rss,
          'bytes_a_request': 1e6 * (rss[last] - rss[first]) / max(1, last - first)}


def run(out: str | pathlib.Path, *, requests: int = 4000, rounds: int = 5, memory_requests: int = 100_000,
        chaos_requests: int = 100_000, kills: int = 5, rate: float = 200.0, outage: float = 20.0) -> dict[str, Any]:
  """The whole suite; writes `client.json` into `out` after every part. A part with 0 requests is left out."""
  out = pathlib.Path(out)
  found: dict[str, Any] = {'prompt_bytes': PROMPT_BYTES, 'in_flight': IN_FLIGHT, 'cores': os.cpu_count(),
                           'load_average': os.getloadavg()[0]}
  parts: dict[str, tuple[int, Callable[[], dict[str, Any]]]] = {
      'throughput': (requests, lambda: throughput(requests, rounds)),
      'memory': (memory_requests, lambda: memory(memory_requests)),
      'chaos': (chaos_requests, lambda: _in_folder(
          lambda folder: chaos_run(folder, chaos_requests, kills, rate, outage)))}
  for name, (size, part) in parts.items():
    if size:
      found[name] = part()
      write_json(out / 'client.json', found)
  return found


def _in_folder(part: Callable[[pathlib.Path], dict[str, Any]]) -> dict[str, Any]:
  with tempfile.TemporaryDirectory() as folder:
    return part(pathlib.Path(folder))


def lines(found: dict[str, Any]) -> list[str]:
  """The suite's figures for people."""
  said = []
  if 'throughput' in found:
    t = found['throughput']
    said.append(f'server alone: {t["server_alone_per_second"]:.0f} requests/s, '
                f'{t["server_alone_per_cpu_second"]:.0f} per CPU second')
    for name, label in (('bare', 'bare AsyncOpenAI loop'), ('bare_aiohttp', 'the same over aiohttp'),
                        ('ours', 'hosted generator')):
      wall, cpu = t[name], t[f'{name}_cpu']
      said.append(f'{label}: {wall["median"]:.0f} requests/s ({wall["least"]:.0f} to {wall["most"]:.0f}), '
                  f'{cpu["median"]:.0f} per CPU second ({cpu["least"]:.0f} to {cpu["most"]:.0f})')
    for name, label in (('bare', 'the bare loop'), ('bare_aiohttp', 'the bare loop over aiohttp')):
      clock, cpu = (t[f'ours_over_{name}'][what] for what in ('clock', 'cpu'))
      said.append(f'ours over {label}, round by round: {statistics.median(clock):.2f} by the clock '
                  f'({min(clock):.2f} to {max(clock):.2f}), {statistics.median(cpu):.2f} by CPU time '
                  f'({min(cpu):.2f} to {max(cpu):.2f})')
  if 'memory' in found:
    m = found['memory']
    said.append(f'memory over {m["requests"]:,} requests: {min(m["rss_mb"].values()):.0f} to '
                f'{max(m["rss_mb"].values()):.0f} MB, {m["bytes_a_request"]:.0f} bytes a request')
  if 'chaos' in found:
    c = found['chaos']
    said.append(f'chaos: {c["requests"]:,} requests, {c["kills"]} kill -9: one answer each, none asked again; '
                f'ledger ${c["ledger_usd"]:.4f} <= bill ${c["bill_usd"]:.4f} <= ${c["at_most_usd"]:.4f}; '
                f'{c["seconds"]:.0f} s, limits imply {c["implied_seconds"]:.0f} s')
  return said
