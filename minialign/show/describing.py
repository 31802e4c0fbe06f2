"""Figures as images with an alternative text, which is composed of what the figure shows.

JupyterLab and nbconvert give a PNG output no alternative text; an `<img>` of an HTML output has
one everywhere. `in_notebooks` makes every figure of a kernel such an output. The text names the
titles, axes, labels and values that are drawn, so it stays true when the data change.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from html import escape
from io import BytesIO

import numpy as np
from IPython import get_ipython
from IPython.core.pylabtools import print_figure
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FuncFormatter
from PIL import Image  # of Pillow, which matplotlib needs itself

LONGEST = 1500  # characters of an alternative text
SHARPNESS = 1.5  # dots of an image per pixel of the page
MOST = 12  # values of one line or set of bars that are read out


def in_notebooks() -> None:
    """Let the running kernel show figures as images with alternative texts; outside do nothing."""
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return
    from matplotlib_inline.config import InlineBackend

    InlineBackend.instance(parent=shell).figure_formats = set()  # no second copy as image/png
    shell.display_formatter.formatters["text/html"].for_type(Figure, image)


def image(figure: Figure) -> str:
    """A figure as one `<img>` with its alternative text; 256 colours make it a third as large."""
    data = print_figure(figure, fmt="png", bbox_inches="tight", dpi=SHARPNESS * figure.dpi)
    picture = Image.open(BytesIO(data)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small = BytesIO()
    picture.save(small, "png", optimize=True)
    data, width = b64encode(small.getvalue()).decode(), round(picture.width / SHARPNESS)
    text = escape(alternative(figure), quote=True)
    style = f"width:{width}px;max-width:100%;height:auto;background:white"
    return f'<img alt="{text}" style="{style}" src="data:image/png;base64,{data}">'


def alternative(figure: Figure) -> str:
    """What a figure shows, in words: its titles, axes, labelled lines, bars, points and notes."""
    title = figure.get_suptitle()
    panels = [_panel(ax) for ax in figure.axes if ax.get_visible()]
    if len(panels) > 1:
        panels = [f"Panel {i + 1}: {panel}" for i, panel in enumerate(panels)]
    text = " ".join(filter(None, [_sentence(title), *panels])) or "An empty figure."
    return text if len(text) <= LONGEST else text[: LONGEST - 2].rsplit(" ", 1)[0] + " …"


def _panel(ax: Axes) -> str:
    titles = [ax.get_title(loc=side) for side in ("left", "center", "right")]
    parts = [*titles, *_axes_of(ax), *_bars_of(ax), *_lines_of(ax), *_points_of(ax), *_notes_of(ax)]
    return " ".join(_sentence(part) for part in parts if part)


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if not text or text[-1] in ".!?" else text + "."


def _axes_of(ax: Axes) -> Iterator[str]:
    if not ax.axison:
        return
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        if label := axis.get_label_text():
            scale = "" if axis.get_scale() == "linear" else f" ({axis.get_scale()} scale)"
            yield f"{name} axis: {label}{scale}"


def _bars_of(ax: Axes) -> Iterator[str]:
    for bars in (one for one in ax.containers if isinstance(one, BarContainer)):
        flat = getattr(bars, "orientation", "vertical") == "horizontal"
        axis = ax.yaxis if flat else ax.xaxis
        names = _tick_names(axis)
        values = []
        for bar in bars.patches[:MOST]:
            place = (
                bar.get_y() + bar.get_height() / 2 if flat else bar.get_x() + bar.get_width() / 2
            )
            name = names.get(round(place), f"{place:.3g}")
            values.append(f"{name} {bar.get_width() if flat else bar.get_height():.3g}")
        more = len(bars.patches) - len(values)
        of = _label(bars)
        yield (
            f"Bars{of and f' of {of}'}: " + "; ".join(values) + (f"; and {more} more" * bool(more))
        )


def _tick_names(axis: object) -> dict[int, str]:
    """Whole place -> what is written there."""
    places, texts = axis.get_ticklocs(), [t.get_text() for t in axis.get_ticklabels()]
    return {round(p): t for p, t in zip(places, texts, strict=False) if t}


def _lines_of(ax: Axes) -> Iterator[str]:
    in_bars = [
        one for c in ax.containers if isinstance(c, ErrorbarContainer) for one in c.lines[:1]
    ]
    rows = _row_names(ax)
    for line in ax.lines:
        label = _label(line) or (_label_of_errorbar(ax, line) if line in in_bars else "")
        if (row := _row_of(line, rows)) and (label or len(line.get_xdata()) > 1):
            yield f"{label or row}: {', '.join(_names_of(line.get_xdata()))}"
            continue
        if not label:
            continue
        x, y = _names_of(line.get_xdata()), np.asarray(line.get_ydata(), dtype=float)
        known = np.isfinite(y)
        if known.any() and len(x) == len(y):
            yield _course(label, x[known], y[known])


def _row_names(ax: Axes) -> dict[int, str]:
    """Height -> name of the rows of a panel that lies on its side; none where heights are read."""
    named = isinstance(ax.yaxis.get_major_formatter(), (FixedFormatter, FuncFormatter))
    bars = any(isinstance(one, BarContainer) for one in ax.containers)  # read out already
    if not named or bars:
        return {}
    beside = ax.get_shared_y_axes().get_siblings(ax)  # only one of them shows the names
    return next(filter(None, (_tick_names(one.yaxis) for one in (ax, *beside))), {})


def _row_of(line: Line2D, rows: dict[int, str]) -> str | None:
    """The row in which all points of a line lie; None if it has no name or they differ."""
    heights = {float(y) for y in line.get_ydata()} if rows else set()
    return rows.get(heights.pop()) if len(heights) == 1 else None


def _names_of(values: np.ndarray) -> np.ndarray:
    """Numbers as one reads them; names of a category as they are."""
    try:
        return np.array([f"{value:.3g}" for value in np.asarray(values, dtype=float)])
    except (TypeError, ValueError):
        return np.array([str(value) for value in values])


def _course(label: str, x: np.ndarray, y: np.ndarray) -> str:
    """How a line runs: all of its points if they are few, else its ends and extremes."""
    if len(y) > 1 and (y == y[0]).all():
        return f"{label}: {y[0]:.3g} throughout"
    if len(y) <= MOST:
        return f"{label}: " + ", ".join(f"{b:.3g} at {a}" for a, b in zip(x, y, strict=True))
    low, high = y.argmin(), y.argmax()
    return (
        f"{label}: from {y[0]:.3g} at {x[0]} to {y[-1]:.3g} at {x[-1]}, "
        f"lowest {y[low]:.3g} at {x[low]}, highest {y[high]:.3g} at {x[high]}"
    )


def _label_of_errorbar(ax: Axes, line: Line2D) -> str:
    owner = next(
        c for c in ax.containers if isinstance(c, ErrorbarContainer) and c.lines[0] is line
    )
    return _label(owner) or "points"


def _points_of(ax: Axes) -> Iterator[str]:
    for cloud in (one for one in ax.collections if isinstance(one, PathCollection)):
        places = np.ma.filled(cloud.get_offsets().astype(float), np.nan)
        if (label := _label(cloud)) and len(places):
            x, y = np.nanmean(places, axis=0)
            yield f"{len(places)} points of {label}, around ({x:.3g}, {y:.3g})"


def _notes_of(ax: Axes) -> Iterator[str]:
    """What is written into the panel; the values beside bars are read with the bars."""
    if any(isinstance(one, BarContainer) for one in ax.containers):
        return
    texts = [" ".join(text.get_text().split()) for text in ax.texts if text.get_visible()]
    if texts := list(dict.fromkeys(filter(None, texts))):
        yield "Written in it: " + "; ".join(texts)


def _label(artist: object) -> str:
    """The label of an artist, "" where it has none of its own."""
    label = str(artist.get_label() or "")
    return "" if label.startswith("_") else label
