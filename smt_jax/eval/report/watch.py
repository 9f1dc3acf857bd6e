"""One run as its curves: losses, gradient norm, and where the time of a step goes."""

import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from data_gen.errors import UserError
from data_gen.jsonl import read_jsonl
from smt_jax.eval.report.arms import short
from smt_jax.eval.report.plots import COLOURS, STYLE
from smt_jax.eval.report.training import smoothed


def watch_plot(workdir: pathlib.Path) -> Figure:
  """Three panels by tokens: training loss (means of stretches) and held-out loss by kind, gradient norm, step time.

  Raises:
    UserError: no logs of a run.
  """
  rows = _rows(workdir / 'metrics.jsonl')
  trained = [r for r in rows if r['split'] == 'train']
  if not trained:
    raise UserError(f'{workdir}/metrics.jsonl: holds no step yet')
  with matplotlib.rc_context(STYLE):
    fig = Figure(figsize=(10, 2.9), layout='constrained')
    losses, norms, times = fig.subplots(1, 3)
    _losses(losses, trained, [r for r in rows if r['split'] == 'validation'])
    index, norm = smoothed([r['grad_norm'] for r in trained])
    norms.plot([trained[i]['tokens'] for i in index], norm, color=COLOURS[0], lw=1.4)
    norms.set(title='gradient norm before clipping', yscale='log')
    _times(times, _rows(workdir / 'timing.jsonl'), {r['step']: r['tokens'] for r in trained})
    for ax in (losses, norms, times):
      ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v) if v >= 0 else ''))
      ax.set_xlabel('tokens')
      if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7)
  return fig


def _rows(path: pathlib.Path) -> list[dict[str, Any]]:
  return [row for _, row in read_jsonl(path)]


def _losses(ax: Any, trained: Sequence[dict[str, Any]], held_out: Sequence[dict[str, Any]]) -> None:
  kinds = list(dict.fromkeys(kind for row in [*trained, *held_out] for kind in row['loss_by_kind']))
  for kind, colour in zip(kinds, COLOURS * 4):
    mine = [(r['tokens'], r['loss_by_kind'][kind]) for r in trained if kind in r['loss_by_kind']]
    index, loss = smoothed([y for _, y in mine])
    ax.plot([mine[i][0] for i in index], loss, color=colour, lw=1.4, label=kind)
    others = [(r['tokens'], r['loss_by_kind'][kind]) for r in held_out if kind in r['loss_by_kind']]
    if others:
      ax.plot(*zip(*others), color=colour, lw=1.2, ls='--', marker='.', ms=4, label=f'{kind}, held out')
  ax.set_title('loss, nats a token')


def _times(ax: Any, timing: Sequence[dict[str, Any]], tokens: dict[int, int]) -> None:
  timed = [r for r in timing if 'step_seconds' in r and r['step'] in tokens]
  ax.set_title('milliseconds a step')
  if timed:
    parts = [[1e3 * r[name] for r in timed] for name in ('compute_seconds', 'input_wait_seconds')]
    ax.stackplot([tokens[r['step']] for r in timed], *parts, colors=(COLOURS[4], COLOURS[1]), alpha=0.8,
                 labels=('computing', 'waiting for input'))
    ax.set_ylim(0)
