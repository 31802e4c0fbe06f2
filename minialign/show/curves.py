"""Figures of the course: training curves and bars, drawn alike everywhere.

A colour has one meaning in every figure (COLOURS). Titles state the finding, axes carry units,
lines are labelled where they end, and a band is the spread over seeds. What the other modules of
figures draw is found here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from minialign.core.history import History
from minialign.show.axes import (
    COLOURS,
    DASHES,
    FAINT,
    colour_of,
    dashed_line,
    distinct,
    frame,
    new_panels,
    role,
    set_title,
    spoken,
    style,
    write_beside,
)
from minialign.show.bars import bars, compare
from minialign.show.flowcharts import flow
from minialign.show.frontiers import dots, frontier, traces
from minialign.show.tokens import KINDS, show, table, token_spans

__all__ = [
    "COLOURS", "KINDS", "bars", "compare", "curves", "dots", "flow", "frontier", "role",
    "show", "style", "table", "token_spans", "traces",
]  # fmt: skip

LINES = {"reference": "--", "kl": ":"}  # dashed and dotted, so that they differ without colour too
SCHEDULES = ("learning_rate", "beta")  # set, not measured: never smoothed
SETTLING = 3  # first steps, whose spike does not set the scale
Runs = History | Sequence[History]
PerPanel = str | float | Sequence | Mapping | None


def curves(
    histories: Runs | Mapping[str, Runs],
    *names: str | Sequence[str],
    titles: PerPanel = None,
    units: PerPanel = None,
    baseline: PerPanel = None,
    baseline_label: str = "before",
    smooth: int | None = None,
    colours: Mapping[str, str] | None = None,
    title: str | None = None,
) -> tuple[Figure, np.ndarray]:
    """Training curves, one panel per metric: a thin raw line and a thick smoothed one.

    A schedule is drawn as it is. Where the first steps lie far beyond all others, the scale is that
    of the others, and their extreme is written at the edge.

    Args:
        histories: of one run; a list of seeds, drawn as their mean with a band from the lowest to
            the highest seed; or a dict from a label to either, drawn together.
        *names: metrics; a tuple of metrics shares a panel. None given: all of the first history.
        titles: what each panel shows, as a finding; a list in the order of the panels, a dict by
            metric, or one for all.
        units: of each panel's y axis, given likewise.
        baseline: a horizontal line's height in each panel, given likewise; None draws none.
        baseline_label: what stands beside that line.
        smooth: points in the centred window of the thick line; None is a twentieth of the run's,
            and 1 is no smoothing.
        colours: colour or key of COLOURS by metric, or by label where histories is a dict.
        title: of the figure.

    Returns:
        (figure, axes), axes as a flat array with one per panel.

    Raises:
        ValueError: if there is no history, a list does not have one entry per panel, or smooth is
            below 1.
        KeyError: if a metric was not logged.
    """
    if smooth is not None and smooth < 1:
        raise ValueError(f"smooth is {smooth}, but must be at least 1; 1 is no smoothing")
    groups = dict(histories) if isinstance(histories, Mapping) else {"": histories}
    groups = {k: [v] if isinstance(v, History) else list(v) for k, v in groups.items()}
    if not groups or not all(groups.values()):
        raise ValueError(
            "there is no History to draw; give one, a list of seeds, or a dict of them"
        )
    panels = [(n,) if isinstance(n, str) else tuple(n) for n in names]
    panels = panels or [(n,) for n in next(iter(groups.values()))[0].names]
    texts = zip(
        _per_panel(titles, panels, "titles"),
        _per_panel(units, panels, "units"),
        _per_panel(baseline, panels, "baseline"),
        strict=True,
    )
    figure, axes = new_panels(len(panels))
    for ax, metrics, (finding, unit, level) in zip(axes, panels, texts, strict=True):
        ends = _draw_lines(ax, groups, metrics, smooth, colours or {})
        if level is not None:
            dashed_line(ax, level, zorder=1.5, label=baseline_label)
            ends.append((float(level), baseline_label, FAINT))
        _without_spike(ax, [run for runs in groups.values() for run in runs], metrics, level)
        _label_panel(ax, metrics, finding, unit)
        _label_ends(ax, ends)
    seeds = max(map(len, groups.values()))
    note = f"line: mean of {seeds} seeds; band: lowest to highest seed" if seeds > 1 else None
    frame(figure, title, note)
    return figure, axes


def _per_panel(entries: PerPanel, panels: Sequence[tuple], what: str) -> list:
    """One entry per panel, from one for all, a list, or a dict by metric."""
    if isinstance(entries, Mapping):
        return [next((entries[name] for name in ns if name in entries), None) for ns in panels]
    if entries is None or isinstance(entries, str | int | float | np.number):
        return [entries] * len(panels)
    if len(entries) != len(panels):
        raise ValueError(f"{len(entries)} {what} for {len(panels)} panels; give one for each")
    return list(entries)


def _draw_lines(
    ax: Axes,
    groups: Mapping[str, Sequence[History]],
    metrics: Sequence[str],
    smooth: int | None,
    colours: Mapping[str, str],
) -> list[tuple[float, str, str]]:
    """Draw every group's metrics; returns (height, label, colour) of the ends that need a label.

    Colour tells metrics apart where a panel has several, and groups otherwise.
    """
    by_group = len(groups) > 1 and len(metrics) == 1
    fills = distinct(list(groups) if by_group else list(metrics))
    ends = []
    for i, (group, runs) in enumerate(groups.items()):
        for metric in metrics:
            key = group if by_group else metric
            colour = colour_of(colours.get(key, fills[key]))
            own = i == 0 or by_group
            dashes = LINES.get(role(key), "-") if own else DASHES[i % len(DASHES)]
            parts = [group] * (len(groups) > 1) + [spoken(metric)] * (len(metrics) > 1)
            name = ", ".join(parts) or spoken(metric)
            window = 1 if metric in SCHEDULES else smooth
            height = _draw_line(ax, runs, metric, colour, dashes, window, name)
            if parts and height is not None:
                ends.append((height, name, colour))
    ax.margins(x=0)
    return ends


def _draw_line(
    ax: Axes,
    runs: Sequence[History],
    metric: str,
    colour: str,
    dashes: str,
    smooth: int | None,
    name: str,
) -> float | None:
    """Draw one metric of one run or of several seeds; returns the height at which it ends."""
    raw = pd.concat([pd.Series(run[metric], run.steps(metric)) for run in runs], axis=1)
    raw = raw.sort_index().replace([np.inf, -np.inf], np.nan)
    window = smooth or max(1, len(raw) // 20)
    smoothed = raw.rolling(window, center=True, min_periods=1).mean().where(raw.notna())
    if window > 1:
        ax.plot(raw.index, raw.mean(axis=1), color=colour, linewidth=0.8, alpha=0.35)
    if len(runs) > 1:
        low, high = smoothed.min(axis=1), smoothed.max(axis=1)
        ax.fill_between(raw.index, low, high, color=colour, alpha=0.18, linewidth=0)
    mean = smoothed.mean(axis=1)
    marker = "o" if len(raw) == 1 else None
    style = {"linestyle": dashes, "marker": marker, "linewidth": 2, "label": name}
    ax.plot(mean.index, mean, color=colour, **style)
    known = mean.dropna()
    return float(known.iloc[-1]) if len(known) else None


def _without_spike(
    ax: Axes, runs: Sequence[History], metrics: Sequence[str], level: float | None
) -> None:
    """Scale a panel by what follows the first steps, if those more than double its height."""
    series = [pd.Series(run[name], run.steps(name)) for run in runs for name in metrics]
    series = [one.replace([np.inf, -np.inf], np.nan).dropna() for one in series]
    series = [one for one in series if len(one) > 4 * SETTLING]
    if not series or any(name in SCHEDULES for name in metrics):
        return
    later = pd.concat([one.iloc[SETTLING:] for one in series])
    first = pd.concat([one.iloc[:SETTLING] for one in series])
    low, high = later.min(), later.max()
    if level is not None:
        low, high = min(low, level), max(high, level)
    height = high - low
    if not height or max(first.max() - high, low - first.min()) < height:
        return
    ax.set_ylim(low - 0.05 * height, high + 0.12 * height)
    upwards = first.max() - high > low - first.min()
    extreme, step = (first.max(), first.idxmax()) if upwards else (first.min(), first.idxmin())
    place = {"xytext": (4, -2 if upwards else 2), "va": "top" if upwards else "bottom"}
    text = f"{'↑' if upwards else '↓'} {extreme:.3g} at step {step:g}"
    edge = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 8}
    ax.annotate(text, (0, 1 if upwards else 0), color=FAINT, **edge, **place)


def _label_panel(ax: Axes, metrics: Sequence[str], title: str | None, unit: str | None) -> None:
    name = spoken(metrics[0]) if len(metrics) == 1 else ""
    set_title(ax, title or ", ".join(map(spoken, metrics)))
    if title and name:
        ax.set_ylabel(f"{name} ({unit})" if unit else name)
    elif unit:
        ax.set_ylabel(unit)
    ax.set_xlabel("step")
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))


def _label_ends(ax: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write labels at the right edge, moved apart where they would overlap."""
    if not ends:
        return
    low, high = ax.get_ylim()
    heights = np.array([y for y, _, _ in ends])
    rows = ax.get_subplotspec().get_gridspec().nrows
    inches = ax.figure.get_figheight() / rows - 0.9
    gap = 12 / (72 * inches) * (high - low)
    for y, (_, label, colour) in zip(_apart(heights, gap, low, high), ends, strict=True):
        write_beside(ax, label, y, color=colour)


def _apart(heights: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """The heights moved up or down until neighbours are a gap apart, within low and high.

    >>> _apart(np.array([0.5, 0.5, 0.9]), 0.1, 0.0, 1.0).round(2)
    array([0.45, 0.55, 0.9 ])
    """
    order = np.argsort(heights, kind="stable")
    placed = heights[order].astype(float)
    for _ in range(200):
        overlap = gap - np.diff(placed)
        moves = np.where(overlap > 1e-9, overlap / 2, 0.0)
        placed[1:] += moves
        placed[:-1] -= moves
        placed = np.clip(placed, low, high)
        if not moves.any():
            break
    out = np.empty_like(placed)
    out[order] = placed
    return out
