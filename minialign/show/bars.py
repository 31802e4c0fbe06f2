"""Bars with error bars and written values: one set, or several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter

from minialign.show.axes import (
    FAINT,
    INK,
    colour_of,
    dashed_line,
    distinct,
    role,
    set_title,
)


def bars(
    labels: Sequence[str],
    values: Sequence,
    errors: Sequence | None = None,
    *,
    title: str | None = None,
    unit: str | None = None,
    colours: str | Sequence[str] | None = None,
    baseline: float | None = None,
    baseline_label: str = "chance",
    form: str = "{:.2f}",
) -> tuple[Figure, Axes]:
    """One bar per label, with its error bar, and its value written at the end.

    Args:
        labels: n names.
        values: n numbers, or estimates that have `.mean` and `.interval`.
        errors: n half-widths, or n pairs (low, high); None is the estimates' own, if any.
        title: the finding.
        unit: of the values.
        colours: one, or n: colours or keys of COLOURS; None goes by what each label names.
        baseline: where a line crosses all bars.
        baseline_label: what stands beside it.
        form: how a value is written, such as "{:.0%}".

    Returns:
        (figure, axes).

    Raises:
        ValueError: if the lengths differ.
    """
    means, ends = _intervals(labels, values, errors)
    if colours is None or isinstance(colours, str):
        colours = [colours or role(label) for label in labels]
    if len(colours) != len(labels):
        raise ValueError(f"{len(colours)} colours for {len(labels)} bars; give one for each")
    size = (6.4, 0.42 * len(labels) + 1.1)
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    fills = [colour_of(colour) for colour in colours]
    _draw_bars(ax, np.arange(len(labels)), means, ends, fills, 0.66, form)
    _finish_bars(ax, labels, unit, title, form)
    if baseline is not None:
        ax.set_ylim(top=-0.85)  # room for the name above the first bar
        dashed_line(ax, baseline, upright=True)
        name = {"color": FAINT, "fontsize": 9, "ha": "left", "va": "top"}
        place = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points"}
        ax.annotate(baseline_label, (baseline, 1), xytext=(4, -1), **place, **name)
    return figure, ax


def compare(
    labels: Sequence[str],
    groups: Mapping[str, Sequence],
    errors: Mapping[str, Sequence] | None = None,
    *,
    title: str | None = None,
    unit: str | None = None,
    colours: Mapping[str, str] | None = None,
    form: str = "{:.2f}",
) -> tuple[Figure, Axes]:
    """Bars side by side, such as before and after, with intervals.

    Args:
        labels: n rows, from the top.
        groups: n values by the group's name, such as {"base": [...], "tuned": [...]}; numbers, or
            estimates that have `.mean` and `.interval`.
        errors: by the group's name, n half-widths or n pairs (low, high).
        title: the finding.
        unit: of the values.
        colours: by the group's name; None goes by what it names ("base" is the reference).
        form: how a value is written.

    Returns:
        (figure, axes).
    """
    fills = distinct(list(groups)) | {k: colour_of(v) for k, v in (colours or {}).items()}
    thick = 0.8 / len(groups)
    height = len(labels) * (0.16 * len(groups) + 0.1) + 1.0
    figure, ax = plt.subplots(figsize=(6.8, height), layout="constrained")
    for i, (name, values) in enumerate(groups.items()):
        means, ends = _intervals(labels, values, (errors or {}).get(name))
        places = np.arange(len(labels)) + (i - (len(groups) - 1) / 2) * thick
        fill = [fills[name]] * len(labels)
        texts = _draw_bars(ax, places, means, ends, fill, 0.9 * thick, form, name)
        if texts:
            texts[0].set_text(f"{texts[0].get_text()}  {name}")  # the legend, at the first row
            texts[0].set(color=fills[name], fontweight="bold")
    _finish_bars(ax, labels, unit, title, form)
    return figure, ax


def _intervals(
    labels: Sequence, values: Sequence, errors: Sequence | None
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """(n,) means and the (n,) lower and upper ends; nan ends where nothing is known."""
    if len(values) != len(labels) or (errors is not None and len(errors) != len(labels)):
        counts = f"{len(values)} values" + ("" if errors is None else f", {len(errors)} errors")
        raise ValueError(f"{counts} for {len(labels)} labels; give one for each")
    if errors is None and len(values) and all(hasattr(x, "interval") for x in values):
        errors = [x.interval for x in values]
    means = np.array([float(x.mean) if hasattr(x, "interval") else float(x) for x in values])
    if errors is None:
        return means, (np.full(len(means), np.nan), np.full(len(means), np.nan))
    spread = np.array(errors, dtype=float)
    if spread.ndim == 2:
        return means, (spread[:, 0], spread[:, 1])
    return means, (means - spread, means + spread)


def _draw_bars(
    ax: Axes,
    places: np.ndarray,
    means: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray],
    fills: Sequence[str],
    thick: float,
    form: str,
    name: str = "_bars",
) -> list[Text]:
    """Bars, their intervals, and the values beyond both; returns the written values."""
    ax.barh(places, means, thick, color=fills, alpha=0.88, zorder=2, label=name)
    texts = []
    for place, mean, low, high in zip(places, means, *ends, strict=True):
        if np.isfinite([low, high]).all():
            line = {"color": INK, "linewidth": 1.3, "solid_capstyle": "butt", "zorder": 3}
            ax.plot([low, high], [place, place], **line)
        left = mean < 0
        tip = np.nanmin([mean, low]) if left else np.nanmax([mean, high, 0.0])
        text = ax.annotate(
            form.format(mean).replace("-", "−"),
            (tip, place),
            xytext=(-4 if left else 4, 0),
            textcoords="offset points",
            fontsize=9 if thick > 0.45 else 8,
            ha="right" if left else "left",
            va="center_baseline",
        )
        texts.append(text)
    return texts


def _finish_bars(
    ax: Axes, labels: Sequence[str], unit: str | None, title: str | None, form: str
) -> None:
    """Names of the bars, the unit, the title, and room for the written values."""
    ax.yaxis.set_ticks(np.arange(len(labels)), list(labels), color=INK)
    ax.yaxis.set_tick_params(length=0)
    ax.yaxis.grid(False)
    ax.spines["left"].set_visible(False)
    ax.axvline(0, color="#999999", linewidth=0.8, zorder=2.5)
    ax.set_ylim(len(labels) - 0.5, -0.5)  # the first label on top
    ax.margins(x=0.12)
    if "%" in form:
        ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    if unit:
        ax.set_xlabel(unit)
    if title:
        set_title(ax, title)
