"""The one place that talks to the server: the official client over aiohttp, its own retries and redirects off."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import openai

from data_gen.generators.hosted.outcomes import Failed, Outcome, of_status, of_success
from data_gen.generators.hosted.settings import HostedSettings

try:  # the client library's own HTTP library, whose name changed with its version 3
  import httpx2 as httpx
except ImportError:  # pragma: no cover
  import httpx  # type: ignore[no-redef]

# Raised before a byte of the request is out. Only aiohttp's own names tell: its adapter calls a server that hangs up
# in the middle of an answer a connection timeout as well.
_BEFORE_SENDING = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_REDIRECTS = range(300, 400)
_SPARE = 8  # connections for what goes out beside the requests, such as the looks at batches
log = logging.getLogger(__name__)


class Endpoint:
  """Sends request bodies and says what came of each.

  No redirect or retry of the client can send the key anywhere but to `base_url`: redirects are reported, not followed.
  A proxy that the environment names is used as by any other program.
  """

  def __init__(self, settings: HostedSettings, key: str):
    self._settings, self._key = settings, key
    most = settings.max_concurrency + _SPARE
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=30.0)
    timeout = httpx.Timeout(settings.request_timeout, connect=min(10.0, settings.request_timeout))
    self.client = openai.AsyncOpenAI(
        api_key=key, base_url=settings.base_url, max_retries=0, timeout=timeout, organization=None, project=None,
        http_client=openai.DefaultAioHttpClient(limits=limits, timeout=timeout, follow_redirects=False))

  async def ask(self, body: dict[str, Any], seen_headers: Callable[[Any], None]) -> Outcome:
    """One attempt at one chat completion.

    Args:
      seen_headers: is called with the response headers, whatever the status.

    Raises:
      Fatal: see `outcomes.of_status`.
    """
    try:
      async with asyncio.timeout(self._settings.request_timeout):
        answer = await self.client.post('/chat/completions', body=body, cast_to=httpx.Response)
    except openai.APIStatusError as e:
      seen_headers(e.response.headers)
      return of_status(e.response.status_code, e.response.headers, self.scrubbed(e.response.content),
                       self._settings.model)
    except (TimeoutError, openai.APIConnectionError, httpx.HTTPError) as e:  # a timeout of the client is one of them
      return self._broken(_root(e))
    seen_headers(answer.headers)
    if answer.status_code in _REDIRECTS:
      return of_status(answer.status_code, answer.headers, b'', self._settings.model)
    return of_success(self.scrubbed(answer.content), self._settings.model)

  def _broken(self, cause: BaseException) -> Failed:
    """What an attempt without an answer came to; lost unless it is certain that nothing was sent."""
    before = isinstance(cause, _BEFORE_SENDING)
    kind = 'no connection' if before else 'timeout' if isinstance(cause, TimeoutError) else 'cut connection'
    return Failed(kind, self.redact(f'{type(cause).__name__}: {cause}'.rstrip(': ')[:200]), lost=not before)

  def scrubbed(self, body: bytes) -> bytes:
    """The body without the key, should the server echo it."""
    key = self._key.encode()
    return body.replace(key, b'[key]') if len(key) >= 8 and key in body else body

  def redact(self, text: str) -> str:
    """The text without the key."""
    return text.replace(self._key, '[key]') if len(self._key) >= 8 else text

  async def close(self) -> None:
    await self.client.close()


def _root(error: BaseException) -> BaseException:
  """What an error came of, before libraries wrapped it."""
  while isinstance(error, openai.OpenAIError | httpx.HTTPError) and error.__cause__:
    error = error.__cause__
  return error
