"""The plots of a report: accuracy by arm, scaling, loss curves, data mix. Every plot is written as PNG and SVG."""

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from data_gen.jsonl import atomic_write
from smt_jax.eval.report.arms import Arm, short
from smt_jax.eval.report.training import Training, smoothed

# Okabe and Ito's palette, which colour-blind readers can tell apart, without its yellow.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#4D4D4D', '#8C6BB1')
STYLE: Any = {
    'font.family': 'sans-serif', 'font.size': 10, 'axes.spines.top': False, 'axes.spines.right': False,
    'axes.edgecolor': '#888888', 'axes.labelcolor': '#222222', 'xtick.color': '#444444', 'ytick.color': '#444444',
    'axes.grid': True, 'grid.color': '#e6e6e6', 'grid.linewidth': 0.8, 'axes.axisbelow': True, 'legend.frameon': False,
    'axes.titlesize': 11, 'axes.titleweight': 'bold', 'axes.titlelocation': 'left', 'svg.fonttype': 'path',
    'svg.hashsalt': 'smt-jax', 'figure.facecolor': 'white'}


def accuracy_plot(arms: Sequence[Arm]) -> Figure:
  """Strict accuracy of each arm with its 95% interval, best on top; chance as a dotted line."""
  ordered = sorted((arm for arm in arms if arm.n_questions), key=lambda arm: arm.accuracy().estimate)
  with matplotlib.rc_context(STYLE):
    fig = Figure(figsize=(7.5, 1.2 + 0.42 * len(ordered)), layout='constrained')
    ax = fig.subplots()
    for y, arm in enumerate(ordered):
      found, colour = arm.accuracy(), _mode_colour(arm)
      ax.barh(y, 100 * found.estimate, color=colour, height=0.62, alpha=0.85)
      high = found.estimate
      if np.isfinite(found.low):
        high = found.high
        ax.plot([100 * found.low, 100 * found.high], [y, y], color='#222222', lw=1.4, solid_capstyle='butt')
        for edge in (found.low, found.high):
          ax.plot([100 * edge] * 2, [y - 0.12, y + 0.12], color='#222222', lw=1.4)
      ax.text(100 * high + 1.2, y, f'{100 * found.estimate:.1f}', va='center', fontsize=9, color='#222222')
    chance = arms[0].mean('chance')
    if chance is not None:
      ax.axvline(100 * chance, color='#999999', lw=1, ls=':')
      ax.text(100 * chance, len(ordered) - 0.4, ' chance', fontsize=8, color='#777777', va='bottom')
    ax.set_yticks(range(len(ordered)), [arm.label for arm in ordered])
    ax.set_xlim(0, 108)
    ax.set_xticks(range(0, 101, 20))
    ax.set_ylim(-0.6, len(ordered) - 0.1)
    ax.grid(axis='y', visible=False)
    ax.tick_params(axis='y', length=0)
    ax.set_xlabel('strict accuracy, % (bars: 95% interval)')
    _mode_legend(fig, ordered)
  return fig


_MODE_COLOURS = {'closed_book': COLOURS[0], 'rag': COLOURS[1], 'oracle': COLOURS[2], 'full_document': COLOURS[3],
                 'no_context': COLOURS[6], 'options_only': '#aaaaaa'}


def _mode_colour(arm: Arm) -> str:
  return _MODE_COLOURS.get(arm.mode, COLOURS[6])


def _mode_legend(fig: Figure, arms: Sequence[Arm]) -> None:
  modes = [m for m in _MODE_COLOURS if any(arm.mode == m for arm in arms)]
  if len(modes) > 1:
    from matplotlib.patches import Patch
    fig.legend(handles=[Patch(color=_MODE_COLOURS[m], alpha=0.85, label=m.replace('_', ' ')) for m in modes],
               loc='outside lower center', ncols=min(4, len(modes)), fontsize=9)


def scaling_plot(arms: Sequence[Arm]) -> Figure | None:
  """Accuracy over training tokens (log scale) with a log-linear fit for each series, and untrained RAG as a line.

  None where no series has two budgets.
  """
  series: dict[str, list[Arm]] = {}
  for arm in arms:
    if arm.training_tokens:
      series.setdefault(arm.series, []).append(arm)
  series = {name: sorted(of, key=lambda a: a.training_tokens or 0) for name, of in series.items() if len(of) > 1}
  if not series:
    return None
  with matplotlib.rc_context(STYLE):
    fig = Figure(figsize=(7.5, 4.4), layout='constrained')
    ax = fig.subplots()
    for (name, points), colour in zip(series.items(), COLOURS * 4):
      x = np.array([arm.training_tokens for arm in points])
      found = [arm.accuracy() for arm in points]
      y = np.array([f.estimate for f in found])
      spread = np.array([[f.estimate - f.low, f.high - f.estimate] for f in found]).T
      spread = np.nan_to_num(np.maximum(spread, 0))
      ax.errorbar(x, 100 * y, 100 * spread, fmt='o', color=colour, ms=5, capsize=3, lw=1.3)
      label = name
      if len(points) > 2:
        slope, start = np.polyfit(np.log10(x), y, 1)
        label += f' ({100 * slope:+.1f} points a decade)'
        ax.plot(x, 100 * (start + slope * np.log10(x)), color=colour, lw=1.3, ls='--')
      else:
        ax.plot(x, 100 * y, color=colour, lw=1, alpha=0.5)
      ax.plot([], [], color=colour, marker='o', ms=5, lw=1.3, label=label)
    for arm, shade in zip([a for a in arms if a.mode == 'rag' and not a.training_tokens], ('#444444', '#999999')):
      found = arm.accuracy()
      ax.axhline(100 * found.estimate, color=shade, lw=1.4, label=f'{arm.label} (untrained)')
      if np.isfinite(found.low):
        ax.axhspan(100 * found.low, 100 * found.high, color=shade, alpha=0.1, lw=0)
    ax.set_xscale('log')
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v)))
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_minor_formatter(FuncFormatter(lambda v, _: ''))
    ax.set_xlabel('training tokens')
    ax.set_ylabel('strict accuracy, %')
    ax.legend(fontsize=9, loc='best')
  return fig


def loss_plot(trainings: Sequence[Training]) -> Figure:
  """Training loss (means of stretches) on the left; held-out loss by kind on the right, where it was measured."""
  kinds = list(dict.fromkeys(kind for t in trainings for kind in t.curve.held_out))
  with matplotlib.rc_context(STYLE):
    fig = Figure(figsize=(10 if kinds else 7.5, 3.9), layout='constrained')
    axes = np.atleast_1d(fig.subplots(1, 2 if kinds else 1))
    styles = ['-', '--', ':', '-.']
    for training, colour in zip(trainings, COLOURS * 8):
      index, loss = smoothed(training.curve.loss)
      axes[0].plot([training.curve.tokens[i] for i in index], loss, color=colour, lw=1.4, label=training.name)
      for kind, (x, y) in training.curve.held_out.items():
        axes[-1].plot(x, y, color=colour, lw=1.4, ls=styles[kinds.index(kind) % 4], marker='.', ms=4)
    axes[0].set_title('training loss')
    axes[0].set_ylabel('nats a token')
    if kinds:
      axes[1].set_title('held-out loss')
      for kind, style in zip(kinds, styles):
        axes[1].plot([], [], color='#555555', ls=style, lw=1.4, label=kind)
      axes[1].legend(fontsize=8)
    for ax in axes:
      ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v) if v >= 0 else ''))
      ax.set_xlabel('tokens')
    columns = min(4, len(trainings))
    fig.legend(*axes[0].get_legend_handles_labels(), loc='outside lower center', ncols=columns, fontsize=8)
  return fig


def mix_plot(trainings: Sequence[Training]) -> Figure | None:
  """Tokens of each run by source, what was seen for the first time and (lighter) again. None without a finished run."""
  done = [t for t in trainings if t.mix]
  if not done:
    return None
  sources = sorted({name for t in done for name in (t.mix or {})['sources']},
                   key=lambda name: (('qa', 'document').index(name) if name in ('qa', 'document') else 2, name))
  with matplotlib.rc_context(STYLE):
    fig = Figure(figsize=(7.5, 1.3 + 0.42 * len(done)), layout='constrained')
    ax = fig.subplots()
    for y, training in enumerate(reversed(done)):
      left = 0.0
      for source, colour in zip(sources, COLOURS * 4):
        held = (training.mix or {})['sources'].get(source)
        if held is None:
          continue
        for key, alpha in (('unique_tokens', 0.9), ('repeated_tokens', 0.45)):
          ax.barh(y, held[key], left=left, color=colour, alpha=alpha, height=0.62, lw=0)
          left += held[key]
        middle, share = left - held['tokens'] / 2, held['share']
        if share > 0.06:
          ax.text(middle, y, f'{100 * share:.0f}%', ha='center', va='center', fontsize=8, color='white')
    ax.set_yticks(range(len(done)), [t.name for t in reversed(done)])
    ax.tick_params(axis='y', length=0)
    ax.grid(axis='y', visible=False)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short(v)))
    ax.set_xlabel('tokens trained on (lighter: seen before)')
    from matplotlib.patches import Patch
    fig.legend(handles=[Patch(color=c, alpha=0.9, label=s) for s, c in zip(sources, COLOURS * 4)],
               loc='outside lower center', ncols=max(1, len(sources)), fontsize=9)
  return fig


def save(figure: Figure, out: pathlib.Path, name: str) -> str:
  """Writes OUT/name.png and OUT/name.svg; returns the SVG's text."""
  with matplotlib.rc_context(STYLE):
    with atomic_write(out / f'{name}.png', 'wb') as f:
      figure.savefig(f, format='png', dpi=160, metadata={'Software': None})
    buffer = io.StringIO()
    figure.savefig(buffer, format='svg', metadata={'Date': None, 'Creator': None})
  with atomic_write(out / f'{name}.svg') as f:
    f.write(buffer.getvalue())
  return buffer.getvalue()
