"""Boxes and arrows: the figure of a method, from two small tables."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from minialign.show.axes import FAINT, colour_of, set_title

Box = tuple[float, float, str, str]  # x, y, text, colour or key of COLOURS


def flow(
    boxes: Mapping[str, Box],
    arrows: Mapping[tuple[str, str], str],
    *,
    title: str | None = None,
    size: tuple[float, float] = (9.4, 3.0),
) -> tuple[Figure, Axes]:
    """Draw boxes and the arrows between them; an arrow that goes back to the left is curved.

    Args:
        boxes: name -> (x, y, text, colour); any unit of length, y upwards.
        arrows: (from, to) -> what stands beside the arrow, or "".
        title: what the figure shows.
        size: width and height in inches.

    Returns:
        (figure, ax).

    Raises:
        KeyError: if an arrow joins a box that does not exist.
    """
    missing = [name for pair in arrows for name in pair if name not in boxes]
    if missing:
        raise KeyError(f"an arrow joins {missing[0]!r}, but the boxes are {', '.join(boxes)}")
    figure, ax = plt.subplots(figsize=size)
    drawn = {name: _box(ax, *box) for name, box in boxes.items()}
    xs, ys = zip(*(box[:2] for box in boxes.values()), strict=True)
    ax.set(xlim=(min(xs) - 1, max(xs) + 1), ylim=(min(ys) - 0.6, max(ys) + 0.6))
    ax.axis("off")
    for (start, end), words in arrows.items():
        _arrow(ax, drawn[start], drawn[end], words)
    if title:
        set_title(ax, title)
    return figure, ax


def _box(ax: Axes, x: float, y: float, text: str, colour: str) -> Text:
    edge = {"boxstyle": "round,pad=0.5", "fc": "white", "ec": colour_of(colour), "lw": 2}
    return ax.text(x, y, text, ha="center", va="center", bbox=edge, zorder=3)


def _arrow(ax: Axes, start: Text, end: Text, words: str) -> None:
    (x, y), (to_x, to_y) = start.get_position(), end.get_position()
    back = to_x < x and y == to_y
    props = {
        "arrowstyle": "-|>",
        "color": FAINT,
        "patchA": start.get_bbox_patch(),
        "patchB": end.get_bbox_patch(),
        "connectionstyle": f"arc3,rad={-0.15 * back}",
    }
    ax.annotate("", (to_x, to_y), (x, y), arrowprops=props, zorder=2)
    low = 0.15 * (x - to_x) / 2 if back else 0.0  # the lowest point of the curve
    above = 0.1 if y == to_y else 0.14
    ax.text(
        (x + to_x) / 2, (y + to_y) / 2 + above - low, words,
        ha="center", va="bottom", fontsize=8.5, color=FAINT, zorder=4,
    )  # fmt: skip
