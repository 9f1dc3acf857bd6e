"""Where the time of a step goes on GPUs: kernels, communication that nothing hides, nothing at all.

Computing: at least one kernel or copy of the GPU's own ran. Communicating: one of NCCL's kernels, or a copy between
GPUs. Exposed: communicating and not computing. Idle: neither.
"""

import collections
import dataclasses
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import jax
from jax.profiler import ProfileData

from smt_jax.benchmarks.common import Row

_COMMUNICATION = re.compile('nccl|p2p', re.IGNORECASE)
Span = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Event:
  """What ran on a GPU from `begin` to `end`, in ns."""
  name: str
  begin: float
  end: float

  @property
  def communicates(self) -> bool:
    return bool(_COMMUNICATION.search(self.name))


def traced(steps: Callable[[int], Any], n: int = 3) -> list[Row]:
  """`breakdown` of each GPU of this process over `n` steps, those that compute for longest first; none without GPUs."""
  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder):
      steps(n)
    [path] = pathlib.Path(folder).rglob('*.xplane.pb')
    found = [{'device': name} | breakdown(events, n) for name, events in gpus(ProfileData.from_file(str(path)))]
  return sorted(found, key=lambda row: -row['computing_ms'])


def gpus(profile: Any) -> list[tuple[str, list[Event]]]:
  """What ran on the streams of each GPU that did anything, of a `jax.profiler.ProfileData`."""
  found = [(plane.name, [Event(e.name, e.start_ns, e.start_ns + e.duration_ns)
                         for line in plane.lines if 'Stream' in line.name for e in line.events])
           for plane in profile.planes if '/device:GPU:' in plane.name]
  return [(name, events) for name, events in found if events]


def breakdown(events: Iterable[Event], steps: int, kernels: int = 20) -> Row:
  """Milliseconds a step of one GPU, and its `kernels` that took longest (numbers at the ends of names left out)."""
  events = list(events)
  computing = _union(e for e in events if not e.communicates)
  communicating = _union(e for e in events if e.communicates)
  busy = _size(_union(events))
  span = max(e.end for e in events) - min(e.begin for e in events)
  each: collections.defaultdict[str, float] = collections.defaultdict(float)
  for e in events:
    each[re.sub(r'[._]\d+$', '', e.name)] += e.end - e.begin
  ms = {'span_ms': span, 'computing_ms': _size(computing), 'communicating_ms': _size(communicating),
        'exposed_ms': busy - _size(computing), 'idle_ms': span - busy}
  return {name: ns / steps / 1e6 for name, ns in ms.items()} | {
      'kernels': {name: each[name] / steps / 1e6 for name in sorted(each, key=lambda k: -each[k])[:kernels]}}


def _union(events: Iterable[Event]) -> list[Span]:
  merged: list[Span] = []
  for begin, end in sorted((e.begin, e.end) for e in events):
    if merged and begin <= merged[-1][1]:
      merged[-1] = merged[-1][0], max(merged[-1][1], end)
    else:
      merged.append((begin, end))
  return merged


def _size(spans: Iterable[Span]) -> float:
  return sum(end - begin for begin, end in spans)
