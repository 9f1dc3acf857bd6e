"""The batch API: requests collected, submitted as a file, polled, and their answers fetched; taken up after a stop.

What was submitted stands in `batches.jsonl` beside the journal: first a line with the keys of a batch (before it goes
out), then one with its id, then one when it is collected. A batch without an id is looked for at the server by its
own name, which goes along as metadata; so one that was submitted as the process died is found, not sent again.
"""

import asyncio
import io
import json
import logging
import pathlib
import uuid
from typing import Any, Literal

import openai

from data_gen.errors import UserError
from data_gen.generators.hosted.endpoint import Endpoint
from data_gen.generators.hosted.outcomes import Failed, Outcome, of_status, of_success
from data_gen.generators.hosted.settings import HostedSettings
from data_gen.jsonl import AppendLog, read_jsonl

log = logging.getLogger(__name__)
BATCHES = 'batches.jsonl'
_QUIET = 1.0  # seconds without a further request after which what is there makes a batch
_TRIES = 8  # of one call to the server about batches
_WHERE: Literal['/v1/chat/completions'] = '/v1/chat/completions'
_ENDED = ('completed', 'failed', 'expired', 'cancelled')


class Batches:
  """Answers single requests through batches; stands in for an endpoint.

  Call `resume` first: it fetches what earlier processes submitted; then `collected`, when that is in the journal.
  """

  def __init__(self, settings: HostedSettings, endpoint: Endpoint, folder: pathlib.Path):
    self._settings, self._client, self._endpoint = settings, endpoint.client, endpoint
    self._log = AppendLog(folder / BATCHES)
    self._open: dict[str, dict[str, Any]] = {}  # name -> what is known of a batch that is not collected
    for _, row in read_jsonl(folder / BATCHES):
      self._open.setdefault(row['name'], {}).update(row)
      if row.get('collected'):
        del self._open[row['name']]
    self._collecting: list[tuple[str, dict[str, Any], asyncio.Future[Outcome]]] = []
    self._timer: asyncio.Task[None] | None = None
    self._running: set[asyncio.Task[None]] = set()
    self.submitted = 0

  async def resume(self) -> dict[str, Outcome]:
    """Waits for the batches of earlier processes; key -> outcome of every request in them that has one.

    Raises:
      UserError: the server does not know a batch of ours any more, or cannot be reached.
    """
    found: dict[str, Outcome] = {}
    for name, row in list(self._open.items()):
      number = row.get('id') or await self._find(name)
      if number:
        log.warning('taking up batch %s with %d requests', number, len(row['keys']))
        found |= await self._collect(number, row['keys'])
      else:  # it never reached the server
        found |= dict.fromkeys(row['keys'], Failed('never submitted'))
    return found

  def collected(self) -> None:
    """What `resume` brought is in the journal: it need not be fetched again."""
    for name in list(self._open):
      self._log.append({'name': name, 'collected': True})
      del self._open[name]

  async def _find(self, name: str) -> str | None:
    batches = await self._call(lambda: self._client.batches.list(limit=100))
    for _ in range(100):
      for batch in batches.data:
        if (batch.metadata or {}).get('name') == name:
          return batch.id
      if not getattr(batches, 'has_more', False) or not batches.data:
        return None
      last = batches.data[-1].id
      batches = await self._call(lambda last=last: self._client.batches.list(limit=100, after=last))
    return None

  async def ask(self, key: str, body: dict[str, Any]) -> Outcome:
    """Adds a request to the next batch and waits for its outcome, for hours if need be."""
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    self._collecting.append((key, body, future))
    if self._timer:
      self._timer.cancel()
    if len(self._collecting) >= self._settings.batch_size:
      self._submit_now()
    else:
      self._timer = asyncio.create_task(self._submit_later())
    return await future

  async def _submit_later(self) -> None:
    await asyncio.sleep(_QUIET)
    self._submit_now()

  def _submit_now(self) -> None:
    self._timer = None
    part, self._collecting = self._collecting, []
    task = asyncio.create_task(self._run(part))
    self._running.add(task)
    task.add_done_callback(self._running.discard)

  async def _run(self, part: list[tuple[str, dict[str, Any], asyncio.Future[Outcome]]]) -> None:
    """One batch from its file to its answers."""
    try:
      name = uuid.uuid4().hex
      keys = [key for key, _, _ in part]
      self._log.append({'name': name, 'keys': keys})
      rows = ({'custom_id': key, 'method': 'POST', 'url': _WHERE, 'body': body} for key, body, _ in part)
      data = ''.join(json.dumps(row) + '\n' for row in rows).encode()
      file = await self._call(lambda: self._client.files.create(
          file=('requests.jsonl', io.BytesIO(data)), purpose='batch'))
      batch = await self._call(lambda: self._create(file.id, name))
      self._log.append({'name': name, 'id': batch.id})
      self.submitted += 1
      log.warning('batch %s submitted with %d requests', batch.id, len(part))
      outcomes = await self._collect(batch.id, keys)
      for key, _, future in part:
        if not future.done():
          future.set_result(outcomes[key])
      await asyncio.sleep(0)  # those who wait write their answers into the journal
      self._log.append({'name': name, 'collected': True})
    except BaseException as e:
      for _, _, future in part:
        if not future.done():
          future.set_exception(e) if isinstance(e, Exception) else future.cancel()
      if not isinstance(e, Exception):
        raise

  async def _create(self, file: str, name: str) -> Any:
    """Submits a file; where an earlier try may have come through, its batch is taken instead."""
    if getattr(self, '_tried', None) == name:
      found = await self._find(name)
      if found:
        return await self._client.batches.retrieve(found)
    self._tried = name
    return await self._client.batches.create(input_file_id=file, endpoint=_WHERE,
                                             completion_window='24h', metadata={'name': name})

  async def _collect(self, number: str, keys: list[str]) -> dict[str, Outcome]:
    """Waits for the end of a batch; key -> outcome, for all of its keys."""
    while True:
      batch = await self._call(lambda: self._client.batches.retrieve(number))
      if batch.status in _ENDED:
        break
      await asyncio.sleep(self._settings.poll_seconds)
    outcomes: dict[str, Outcome] = {}
    for file in (batch.output_file_id, batch.error_file_id):
      if file:
        content = await self._call(lambda file=file: self._client.files.content(file))
        for line in content.content.splitlines():
          outcomes |= self._outcome(line)
    if not outcomes and batch.status == 'failed':
      errors = getattr(batch.errors, 'data', None) or []
      raise UserError(f'batch {number} failed: {"; ".join(str(e.message) for e in errors)[:300] or "no reason given"}')
    unused = Failed(f'batch {batch.status}', lost=False)  # providers bill what they answered only
    return {key: outcomes.get(key, unused) for key in keys}

  def _outcome(self, line: bytes) -> dict[str, Outcome]:
    try:
      row = json.loads(line)
      key, response = row['custom_id'], row.get('response') or {}
      status, body = response.get('status_code', 500), json.dumps(response.get('body') or row.get('error') or {})
    except (ValueError, KeyError, AttributeError):
      return {}
    data = self._endpoint.scrubbed(body.encode())
    model = self._settings.model
    return {key: of_success(data, model) if status == 200 else of_status(status, {}, data, model)}

  async def _call(self, make: Any) -> Any:
    """One call to the server, tried again when the network or the server fails.

    Raises:
      UserError: refused, or failing all the time.
    """
    for i in range(_TRIES):
      try:
        return await make()
      except openai.APIStatusError as e:
        status, text = e.response.status_code, self._endpoint.scrubbed(e.response.content)
        if status < 500 and status not in (408, 409, 429):
          outcome = of_status(status, e.response.headers, text, self._settings.model)
          raise UserError(f'--batch_api: {self._settings.base_url} answers HTTP {status} '
                          f'({getattr(outcome, "message", "")})') from None
        why = f'HTTP {status}'
      except (openai.APIConnectionError, openai.APITimeoutError) as e:
        why = type(e.__cause__ or e).__name__
      await asyncio.sleep(min(30.0, 0.5 * 2 ** i))
    raise UserError(f'--batch_api: {self._settings.base_url} failed {_TRIES} times in a row ({why}); what was '
                    'submitted is noted, the same command goes on')

  async def close(self) -> None:
    """Stops waiting; what was submitted is fetched by the next process."""
    for task in [*self._running, *([self._timer] if self._timer else [])]:
      task.cancel()
    await asyncio.gather(*self._running, return_exceptions=True)
    self._log.close()

