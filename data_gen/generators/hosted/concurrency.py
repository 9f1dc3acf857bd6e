"""How many requests to have in flight: additive increase, multiplicative decrease, judged window by window.

A window is as many outcomes as requests may be in flight (20 at least). Two things lower the number: a share of 429s,
and latency that rises without more throughput to show for it (a saturated vLLM queues and never says 429). Every
decrease is a trial. A server that turns away the same share of requests at the lower number is not overloaded by us:
that share is learned as noise and no longer counts. One that is as slow as before is slow for reasons of its own:
that latency is the usual one for now. In both cases the number is set back to what it was.
"""

import dataclasses
import statistics
from collections.abc import Callable

_LEAST_WINDOW = 20
_FIRST = 16
_DECREASE, _BIG_DECREASE = 0.75, 0.5
_TOLERATED = 0.02  # share of 429s below which a window counts as clean
_NOISE_AT_MOST = 0.3
_SLOW = 2.0  # times the usual latency
_FASTER = 1.05  # times the throughput: less is no gain
_RELIEVED = 0.85  # times the latency: what a queue of ours falls below when the number does
_HEADROOM = 8  # the number grows while it is below so many times the requests in flight
_PER_ANSWER = 64.0  # tokens that an answer's fixed cost is worth


class Fixed:
  """A number of requests in flight that nothing changes: those of a batch."""

  def __init__(self, limit: int):
    self.limit = float(limit)

  def sent(self, in_flight: int) -> None: ...

  def answered(self, seconds: float, output_tokens: int) -> None: ...

  def rejected(self) -> None: ...

  def restart(self) -> None: ...


@dataclasses.dataclass
class _Trial:
  """A decrease whose effect the next window shows."""
  limit: float
  growing: bool
  share: float = 0.0  # of 429s
  slowness: float = 0.0  # latency per unit of work


class Concurrency:
  """The number of requests that may be in flight.

  Args:
    most: upper bound.
    clock: seconds.

  Attributes:
    limit: the number now; a whole number of requests is its integer part.
  """

  def __init__(self, most: int, clock: Callable[[], float]):
    self._most, self._clock = most, clock
    self.limit = float(min(most, _FIRST))
    self._growing = True  # doubling until the first sign of trouble
    self._noise = 0.0
    self._usual = 0.0  # latency per unit of work when nothing queues
    self._best = (0.0, 0.0)  # throughput and the number at which it was seen
    self._trial: _Trial | None = None
    self._new_window()

  def _new_window(self) -> None:
    self._started = self._clock()
    self._answers = self._rejected = 0
    self._slowness: list[float] = []
    self._peak = 0

  def sent(self, in_flight: int) -> None:
    """A request went out; so many are in flight now."""
    self._peak = max(self._peak, in_flight)

  def answered(self, seconds: float, output_tokens: int) -> None:
    """An answer came after so many seconds."""
    if self._trial and self._trial.slowness and self._clock() - seconds < self._started:
      return  # it was sent before the decrease and tells nothing of its effect
    self._answers += 1
    self._slowness.append(seconds / (_PER_ANSWER + output_tokens))
    self._judge()

  def rejected(self) -> None:
    """The server said 429."""
    self._rejected += 1
    self._judge()

  def restart(self) -> None:
    """After an outage: a few at first, doubling again."""
    self.limit, self._growing, self._trial = float(min(self._most, _FIRST)), True, None
    self._new_window()

  def _judge(self) -> None:
    outcomes = self._answers + self._rejected
    if outcomes < max(_LEAST_WINDOW, int(self.limit)):
      return
    share = self._rejected / outcomes
    throughput = self._answers / max(1e-6, self._clock() - self._started)
    slowness = statistics.median(self._slowness) if self._slowness else 0.0
    self._end_trial(share, slowness)
    if share > max(_TOLERATED, 1.5 * self._noise):
      self._trial = _Trial(self.limit, self._growing, share=share)
      self._lower(_DECREASE if share < 0.5 else _BIG_DECREASE)
    elif self._is_slow(slowness, throughput):  # down to where throughput was best: there latency without a queue shows
      self._trial = _Trial(self.limit, self._growing, slowness=slowness)
      self._lower(min(_DECREASE, max(_BIG_DECREASE, self._best[1] / self.limit)))
    elif self._peak * _HEADROOM > self.limit:
      self.limit = min(self._most, 2 * self.limit if self._growing else self.limit + max(1.0, self.limit / 16))
    self._new_window()

  def _end_trial(self, share: float, slowness: float) -> None:
    """Takes a decrease back that has changed nothing."""
    trial, self._trial = self._trial, None
    if trial and trial.share and 0.7 * trial.share < share < _NOISE_AT_MOST:
      self._noise = max(self._noise, share, trial.share)
    elif trial and trial.slowness and slowness > _RELIEVED * trial.slowness:
      self._usual = slowness
    else:
      return
    self.limit, self._growing = trial.limit, trial.growing

  def _lower(self, factor: float) -> None:
    self.limit = max(1.0, self.limit * factor)
    self._growing = False

  def _is_slow(self, slowness: float, throughput: float) -> bool:
    """Whether this window's latency is far above the usual and its throughput no better than the best so far."""
    if not slowness:
      return False
    best, at = self._best
    self._usual = min(slowness, 1.005 * self._usual) if self._usual else slowness  # forgets slowly: servers change
    gained = throughput > _FASTER * best
    if gained:
      self._best = (throughput, self.limit)
    else:
      self._best = (0.99 * best, at)
    return slowness > _SLOW * self._usual and not gained and self.limit > 1.0
