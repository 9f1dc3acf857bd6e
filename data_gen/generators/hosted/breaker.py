"""A circuit breaker: when nothing but failures comes back, all sending stops, and single requests try the water."""

from collections import deque
from collections.abc import Callable

_WINDOW, _LEAST = 40, 12
_OPEN_AT = 0.8  # share of failures among the last outcomes
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
_PAUSE_SHARE = 0.25  # of the time that an outage has lasted: so much longer than the outage may a stop be


class Breaker:
  """Closed: requests go out. Open: none do until the pause is over. Half-open: one does, and its outcome decides.

  Attributes:
    pauses: number of times it opened.
    paused_seconds: time between openings and the answers that closed it again.
  """

  def __init__(self, clock: Callable[[], float], say: Callable[[str], None]):
    self._clock, self._say = clock, say
    self._recent: deque[bool] = deque(maxlen=_WINDOW)
    self._until: float | None = None  # None: closed
    self._trying = False
    self._opened_at = self._last_answer = clock()
    self.pauses = 0
    self.paused_seconds = 0.0

  @property
  def closed(self) -> bool:
    return self._until is None

  @property
  def silent_for(self) -> float:
    """Seconds since the last answer, while open; 0 while closed."""
    return 0.0 if self.closed else self._clock() - self._last_answer

  def wait(self) -> float:
    """Seconds until a request may go; 0 is now. While another tries the water, a short time to look again."""
    if self._until is None:
      return 0.0
    return 0.05 if self._trying else max(0.0, self._until - self._clock())

  def sent(self) -> None:
    """A request goes out; the first after a pause is the one that tries."""
    if not self.closed:
      self._trying = True

  def worked(self) -> bool:
    """An answer came; True if that closes the breaker."""
    self._last_answer = self._clock()
    self._recent.append(True)
    if self.closed:
      return False
    self.paused_seconds += self._clock() - self._opened_at
    self._say(f'the server answers again after {self._clock() - self._opened_at:.0f} s')
    self._until, self._trying = None, False
    self._recent.clear()
    return True

  def failed(self, why: str) -> None:
    """An attempt failed for another reason than a limit."""
    self._recent.append(False)
    if not self.closed:
      if self._trying:
        self._trying = False
        now = self._clock()
        self._until = now + min(_LONGEST_PAUSE, max(_FIRST_PAUSE, _PAUSE_SHARE * (now - self._opened_at)))
      return
    if len(self._recent) >= _LEAST and self._recent.count(False) >= _OPEN_AT * len(self._recent):
      self.pauses += 1
      self._opened_at = self._clock()
      self._until = self._clock() + _FIRST_PAUSE
      self._say(f'{self._recent.count(False)} of the last {len(self._recent)} requests failed, the last with {why}; '
                f'sending stops and one request tries again in {_FIRST_PAUSE:.1f} s')

  def gave_up_trying(self) -> None:
    """The request that was trying ended without a word on the server's health (it was refused, or never sent)."""
    self._trying = False
