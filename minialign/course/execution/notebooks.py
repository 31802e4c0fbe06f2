"""Notebooks as files: read, written whole, and without the widgets of their run.

An executed notebook holds its progress bars as widgets. Their state is shown only where it is
trusted; elsewhere a bar that is long done says 0%. `stilled` keeps what they said last.
"""

from __future__ import annotations

import base64
import html
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
DONE = ("success", "danger")  # styles of a bar that has come to its end, or was cut short
LIVE = "live after you run this cell"
PNG = b"\x89PNG\r\n\x1a\n"
INLINE = re.compile(r'<img [^>]*src="data:image/png;base64,([^"]*)"')  # a figure of `show`
INJECTED = "injected-parameters"  # papermill's tag of the cell that it adds


# What reading a file that is no notebook, or the cells of something else in JSON, raises.
UNREADABLE = (OSError, ValueError, AttributeError, nbformat.ValidationError)


def read(path: Path) -> NotebookNode:
    """The notebook in a file; one of `UNREADABLE` is raised where there is none."""
    return nbformat.read(path, as_version=4)


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    """The cells that have a tag."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook whole or not at all, with the bytes that Jupyter's server writes."""
    nbformat.validate(notebook)
    write_whole(nbformat.writes(notebook) + "\n", path)


def write_whole(text: str, path: Path) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8", newline="\n")
    os.replace(fresh, path)


def pictures(output: NotebookNode) -> list[bytes]:
    """The PNG files of one output, whether it holds them as images or in HTML."""
    data = output.get("data", {})
    texts = [data.get("image/png", ""), *INLINE.findall(str(data.get("text/html", "")))]
    found = []
    for text in texts:
        try:
            found.append(base64.b64decode(text))
        except (TypeError, ValueError):
            continue  # no picture then
    return [file for file in found if file.startswith(PNG)]


def stilled(notebook: NotebookNode, *, cut_short: bool = False) -> NotebookNode:
    """The notebook itself, its widgets replaced by what they last showed.

    A progress bar becomes its last line of text, or nothing if it cleared itself away. Of any
    other widget the texts and tables stay, with a line that says how to use it. Printed text that
    a cell wrote in pieces becomes one, and of a line that was redrawn the last state stays.

    Raises:
        ValueError: if a widget's state was not kept, as happens when the kernel dies; if the
            notebook is known to be `cut_short`, a line says so instead.
    """
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    one_piece = CoalesceStreamsPreprocessor()
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            number = None if cut_short else i + 1
            cell.outputs = [o for output in cell.outputs for o in _still(output, models, number)]
            one_piece.preprocess_cell(cell, {}, i)
    notebook.metadata.pop("widgets", None)
    return notebook


def _still(output: NotebookNode, models: dict, cell: int | None) -> Iterator[NotebookNode]:
    """The output without its widget: one, or none where a bar has gone.

    A widget without state is an error of cell number `cell`; without a number, a line.
    """
    view = output.get("data", {}).pop(VIEW, None)
    if view is None:
        yield output
        return
    parts = list(_parts(view["model_id"], models))
    if not parts and cell is not None:
        raise ValueError(
            f"cell {cell} shows a widget whose state was not kept; execute the notebook anew "
            "with papermill or `python -m minialign course`, which keep it"
        )
    bar = next((m["state"] for m in parts if m["model_name"] == "FloatProgressModel"), None)
    if not parts:
        output.data = {"text/plain": "a widget; what it last showed was not kept"}
    elif bar is None:
        output.data = _static(parts)
    elif bar.get("bar_style") in DONE:
        texts = [html.unescape(m["state"].get("value", "")) for m in parts if _is_text(m)]
        output.data = {"text/plain": " ".join(" ".join(texts).split())}
    else:
        return  # made with leave=False
    yield output


def _parts(model_id: str, models: dict) -> Iterator[dict]:
    """A widget and all that stands in it, in order."""
    if model := models.get(model_id):
        yield model
        for child in model["state"].get("children", []):
            yield from _parts(child.removeprefix("IPY_MODEL_"), models)


def _is_text(model: dict) -> bool:
    return model["model_name"] in ("HTMLModel", "LabelModel")


def _static(parts: Sequence[dict]) -> dict[str, str]:
    """What a widget that is no bar leaves: its texts as HTML, and what it is good for."""
    texts = []
    for model in filter(_is_text, parts):
        value = model["state"].get("value", "")
        texts.append(value if model["model_name"] == "HTMLModel" else html.escape(value))
    names = [name for m in parts if (name := m["state"].get("description"))]
    line = ": ".join([LIVE, *([", ".join(names)] if names else [])])
    body = "".join(f"<div>{text}</div>" for text in texts if text)
    return {"text/html": f"{body}<div><em>{html.escape(line)}</em></div>", "text/plain": line}
