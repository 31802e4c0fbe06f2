"""A browser of transcripts: a static table, complete by itself, and a slider to go through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ipywidgets
from IPython.display import HTML, display

from minialign.show import tokens

Item = Mapping[str, object]


def browse(items: Sequence[Item], *, title: str | None = None, rows: int = 4) -> None:
    """Show transcripts as a table, with a slider below it that shows one at a time.

    Args:
        items: dicts such as {"prompt": ..., "base": ..., "tuned": ..., "reward": 0.5}; their keys
            are the columns. All text is escaped.
        title: a line above.
        rows: how many the table shows at once; the rest is folded below it.

    Raises:
        ValueError: if there is no item, or rows is below 1.
    """
    display(HTML(transcript(items, title=title, rows=rows)))
    if len(items) > 1:
        display(browser(items))


def transcript(items: Sequence[Item], *, title: str | None = None, rows: int = 4) -> str:
    """The static part of `browse` as HTML: `rows` items open, the others folded."""
    items = list(items)
    if not items or rows < 1:
        raise ValueError(f"{len(items)} items in tables of {rows} rows; give at least 1 of each")
    rest = items[rows:]
    html = tokens.table(items[:rows], title=title)
    if rest:
        html += f"<details><summary>{len(rest)} more</summary>{tokens.table(rest)}</details>"
    return html


def browser(items: Sequence[Item]) -> ipywidgets.VBox:
    """The live part of `browse`: a slider over the items and a panel with one of them.

    Returns:
        A box of two children, the slider (from 1) and the panel (`ipywidgets.HTML`).
    """
    items = list(items)
    if not items:
        raise ValueError("there is no item to browse; give at least 1")
    slider = ipywidgets.IntSlider(
        value=1, min=1, max=len(items), description="example", continuous_update=False
    )
    panel = ipywidgets.HTML()

    def turn_to_example(_change: object = None) -> None:
        item = items[slider.value - 1]
        panel.value = tokens.table([{"": name, " ": text} for name, text in item.items()])

    slider.observe(turn_to_example, names="value")
    turn_to_example()
    return ipywidgets.VBox([slider, panel])
