"""What all figures share: the meaning of colours, matplotlib's defaults, and titles that fit."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minialign.show import describing

COLOURS = {
    "policy": "#0072B2",
    "reference": "#7F7F7F",
    "chosen": "#009E73",
    "rejected": "#D55E00",
    "value": "#CC79A7",
    "reward": "#B07A00",
    "kl": "#7B61C4",
}
INK, FAINT = "#222222", "#666666"
FREE = ("policy", "value", "reward", "kl", "chosen", "rejected")  # for labels that name no role

STYLE = Path(__file__).with_name("course.mplstyle")
DASHES = ("-", "--", ":", "-.")  # of groups, in turn


def style() -> None:
    """Set matplotlib's defaults for the course, and let a notebook show figures with a description.

    Call it once, in a notebook's set-up cell.
    """
    plt.style.use(STYLE)
    describing.in_notebooks()


def role(name: str) -> str:
    """Which entry of COLOURS a metric or a label is about; policy where it names none.

    >>> role("rewards/chosen"), role("kl"), role("value_loss"), role("loss")
    ('chosen', 'kl', 'value', 'policy')
    """
    words = {word.removesuffix("s") for word in re.split(r"[^a-z]+", name.lower())}
    words |= {"reference"} if words & {"ref", "base", "before"} else set()
    order = ("chosen", "rejected", "kl", "value", "reward", "reference")
    return next((word for word in order if word in words), "policy")


def colour_of(name: str) -> str:
    """A key of COLOURS as its colour; any other colour as it is."""
    return COLOURS.get(name, name)


def distinct(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each label: that of its role, and the next free one where two share a role."""
    colours = {}
    for label in labels:
        wanted = [COLOURS[role(label)], *(COLOURS[key] for key in FREE)]
        free = [colour for colour in wanted if colour not in colours.values()]
        colours[label] = (free or wanted)[0]
    return colours


def set_title(ax: Axes, title: str) -> None:
    """A title wrapped to the width of its panel."""
    columns = ax.get_subplotspec().get_gridspec().ncols
    inches = ax.figure.get_figwidth() / columns - 0.5
    size = plt.rcParams["axes.titlesize"]
    points = 0.64 * (size if isinstance(size, int | float) else plt.rcParams["font.size"])
    ax.set_title(textwrap.fill(title, max(12, int(inches * 72 / points))))


def write_beside(ax: Axes, text: str, height: float, **style: Any) -> None:
    """Write at the right edge of a panel, at a height of its data."""
    place = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "xytext": (5, 0)}
    style = {"fontsize": 9, "va": "center", "annotation_clip": False, **style}
    ax.annotate(text, (1, height), **place, **style)


def dashed_line(ax: Axes, place: float, *, upright: bool = False, **style: Any) -> None:
    """A faint dashed line across a panel, as of a baseline."""
    draw = ax.axvline if upright else ax.axhline
    draw(place, color=FAINT, linewidth=1.2, **{"linestyle": "--", **style})


def new_panels(n: int) -> tuple[Figure, np.ndarray]:
    """A figure of n panels, in rows of up to three (four make a square)."""
    columns = 2 if n == 4 else min(n, 3)
    rows = -(-n // columns)
    width = {1: 6.0, 2: 4.6, 3: 3.8}[columns]
    size = (width * columns, (3.2 if columns == 1 else 2.9) * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for spare in grid.flat[n:]:
        spare.remove()
    return figure, grid.flatten()[:n]


def frame(figure: Figure, title: str | None, note: str | None) -> None:
    """The figure's title, a small note at its foot, and the height that all titles take."""
    lines = max(ax.get_title(loc="left").count("\n") for ax in figure.axes)
    rows = figure.axes[0].get_subplotspec().get_gridspec().nrows
    extra = 0.18 * rows * lines + 0.3 * bool(title) + 0.25 * bool(note)
    figure.set_figheight(figure.get_figheight() + extra)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    if note:
        figure.supxlabel(note, x=0.99, ha="right", fontsize=8, color=FAINT)


def spoken(name: str) -> str:
    """A metric's name as it is said."""
    return name.replace("_", " ")
