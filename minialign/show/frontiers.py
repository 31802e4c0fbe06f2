"""Figures of recorded studies: frontiers over a setting, and curves of many runs."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minialign.show.axes import (
    COLOURS,
    DASHES,
    FAINT,
    colour_of,
    dashed_line,
    distinct,
    frame,
    new_panels,
    set_title,
    spoken,
    write_beside,
)

GREEK = {"alpha": "α", "beta": "β", "epsilon": "ε", "gamma": "γ", "lambda": "λ", "tau": "τ"}
MARKERS = "osD^v<>"  # of seeds 0, 1, ...


def frontier(
    rows: pd.DataFrame | Mapping[str, pd.DataFrame],
    columns: Mapping[str, str],
    *,
    by: str = "beta",
    x: str = "kl",
    before: pd.DataFrame | None = None,
    title: str | None = None,
    unit: str = "KL to the reference (nats per reply; linear below 1)",
) -> tuple[Figure, np.ndarray]:
    """What is gained over how far the policy went: a point per run, a line through the means.

    Args:
        rows: one per run, with a column seed and those named here; or a dict from a method to its
            rows, drawn together.
        columns: column -> the panel's title; of a single method "score" is drawn as reward,
            others as chosen.
        by: the setting whose values are written at the means.
        x: how far each run went; the axis is linear up to 1 and logarithmic beyond.
        before: rows before any training, at distance 0.
        title: of the figure.
        unit: of x.
    """
    groups = rows if isinstance(rows, Mapping) else {"": rows}
    fills = distinct(list(groups))
    furthest = max(runs[x].max() for runs in groups.values())
    figure, axes = new_panels(len(columns))
    for ax, (column, name) in zip(axes, columns.items(), strict=True):
        for i, (group, runs) in enumerate(groups.items()):
            single = COLOURS["reward" if column == "score" else "chosen"]
            colour = single if len(groups) == 1 else fills[group]
            means = runs.groupby(by)[[x, column]].mean().sort_values(x)
            start = [] if before is None else [before[[x, column]].mean().to_frame().T]
            line = pd.concat([*start, means])
            dashes = DASHES[i % len(DASHES)]
            ax.plot(line[x], line[column], dashes, color=colour, label=group, marker="o", ms=5)
            _draw_runs(ax, runs, x, column, colour)
            _name_settings(ax, means, by, colour, None if len(groups) == 1 else i)
        ax.set_xscale("symlog", linthresh=1)
        ax.set(xlabel=unit, xlim=(0, 1.6 * max(1.0, furthest)))
        ax.margins(y=0.18)
        set_title(ax, name)
    if len(groups) > 1:
        figure.set_size_inches(4.6 * len(columns) + 4.6, 4.6)
        axes[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    frame(figure, title, "a point: one run, its shape the seed; the line: means over seeds")
    return figure, axes


def _draw_runs(ax: Axes, runs: pd.DataFrame, x: str, column: str, colour: str) -> None:
    """A small point for each run; its shape is the seed."""
    for seed, its in runs.groupby("seed"):
        shape = {"marker": MARKERS[int(seed) % len(MARKERS)], "s": 18}
        ax.scatter(its[x], its[column], color=colour, alpha=0.55, linewidths=0, **shape)


def _name_settings(ax: Axes, means: pd.DataFrame, by: str, colour: str, group: int | None) -> None:
    """Write each setting at its mean: in turn above and below, or by group on one side."""
    for k, (setting, place) in enumerate(means.iterrows()):
        up = (k if group is None else group) % 2 == 0
        side = {"xytext": (-8, 10), "va": "bottom"} if up else {"xytext": (8, -10), "va": "top"}
        box = {"fc": "white", "ec": "none", "pad": 0.6, "alpha": 0.8}
        style = {"textcoords": "offset points", "ha": "center", "size": 9, "bbox": box, **side}
        ax.annotate(f"{GREEK.get(by, by)} {setting:g}", place, color=colour, **style)


def traces(
    rows: pd.DataFrame,
    tells: Mapping[str, str],
    *,
    by: str,
    baseline: str,
    title: str | None = None,
) -> tuple[Figure, np.ndarray]:
    """One panel per setting: a recorded curve of its runs beside that of the baseline's runs.

    Args:
        rows: one per run; a curve NAME is in columns NAME_0, NAME_1, ..., over equal parts.
        tells: setting -> the curve that its panel shows.
        by: the column of the setting.
        baseline: the setting that is drawn dashed and grey in every panel.
        title: of the figure.
    """
    figure, axes = plt.subplots(
        2, -(-len(tells) // 2), figsize=(11, 4.8), layout="constrained", squeeze=False
    )
    for ax, (setting, name) in zip(axes.flat, tells.items(), strict=False):
        for who, colour, line in ((baseline, FAINT, "--"), (setting, COLOURS["rejected"], "-")):
            curves = rows[rows[by] == who].filter(regex=rf"^{name}_\d+$").to_numpy()
            ax.plot(np.linspace(0, 1, curves.shape[1]), curves.T, line, color=colour)
        ax.set(ylabel=spoken(name), xlabel="share of the run")
        set_title(ax, setting)
    frame(figure, title, f"dashed: {baseline}")
    return figure, axes


def dots(
    rows: pd.DataFrame,
    value: str,
    *,
    by: str,
    beside: str | None = None,
    colours: Mapping[str, str] | None = None,
    baseline: float | None = None,
    title: str | None = None,
    unit: str | None = None,
) -> tuple[Figure, Axes]:
    """A row per setting, the highest mean above: a dot for each seed, a tick at their mean.

    Args:
        rows: one per run.
        value: the column that is drawn.
        by: the column of the setting.
        beside: a column whose mean is written at the end of each row.
        colours: setting -> colour or key of COLOURS; None is one colour for all.
        baseline: where a dotted line is drawn.
        title: the finding.
        unit: of the value.
    """
    means = rows.groupby(by)[[value, *([beside] if beside else [])]].mean().sort_values(value)
    figure, ax = plt.subplots(figsize=(7.6, 0.22 * len(means) + 1.2), layout="constrained")
    for place, (setting, mean) in enumerate(means.iterrows()):
        colour = colour_of((colours or {}).get(setting, "policy"))
        runs = rows[rows[by] == setting][value]
        ax.plot(runs, [place] * len(runs), "o", color=colour, ms=4, alpha=0.7)
        ax.plot(mean[value], place, "|", color=colour, ms=11, mew=2)
        if beside:
            write_beside(ax, f"{mean[beside]:.1f}", place, fontsize=8)
    if beside:
        write_beside(ax, spoken(beside), len(means), fontsize=8)
    if baseline is not None:
        dashed_line(ax, baseline, upright=True, linestyle=":", zorder=0)
    ax.set_yticks(range(len(means)), means.index, size=8)
    ax.set(xlabel=unit, ylim=(-1, len(means)))
    set_title(ax, title or "")
    return figure, ax
