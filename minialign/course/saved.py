"""Notebooks as they are kept: without widgets, folded, and so that opening one changes nothing.

An executed notebook holds its progress bars as widgets. Their state is shown only where it is
trusted; elsewhere a bar that is long done says 0%. `stilled` keeps what they said last. `saved`
does the rest for the notebooks of the repository, byte for byte as JupyterLab would save them:

    python -m minialign course && python -m minialign.course.saved runs/course/0*.ipynb
"""

from __future__ import annotations

import argparse
import html
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from minialign.course import profiles
from minialign.system import colab

ROOT = Path(__file__).resolve().parents[2]
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
OF_A_RUN = ("ExecuteTime", "execution", "papermill", "trusted")  # metadata of cells
DONE = ("success", "danger")  # styles of a bar that has come to its end, or was cut short
LIVE = "live after you run this cell"


def stilled(notebook: NotebookNode, *, cut_short: bool = False) -> NotebookNode:
    """The notebook itself, its widgets replaced by what they last showed.

    A progress bar becomes its last line of text, or nothing if it cleared itself away. Of any
    other widget the texts and tables stay, with a line that says how to use it. Printed text that
    a cell wrote in pieces becomes one, and of a line that was redrawn the last state stays.

    Raises ValueError if a widget's state was not kept, as happens when the kernel dies; if the
    notebook is known to be `cut_short`, a line says so instead.
    """
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    one_piece = CoalesceStreamsPreprocessor()
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            number = None if cut_short else i + 1
            cell.outputs = [o for given in cell.outputs for o in _still(given, models, number)]
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
    if view["model_id"] not in models and cell is None:
        output.data = {"text/plain": "a widget; what it last showed was not kept"}
        yield output
        return
    if view["model_id"] not in models:
        raise ValueError(
            f"cell {cell} shows a widget whose state was not kept; execute the notebook anew "
            "with papermill or `python -m minialign course`, which keep it"
        )
    shown = list(_parts(view["model_id"], models))
    bar = next((m["state"] for m in shown if m["model_name"] == "FloatProgressModel"), None)
    if bar is None:
        output.data = _static(shown)
    elif bar.get("bar_style") in DONE:
        texts = [html.unescape(m["state"].get("value", "")) for m in shown if _is_text(m)]
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


def _static(shown: Sequence[dict]) -> dict[str, str]:
    """What a widget that is no bar leaves: its texts as HTML, and what it is good for."""
    texts = []
    for model in filter(_is_text, shown):
        value = model["state"].get("value", "")
        texts.append(value if model["model_name"] == "HTMLModel" else html.escape(value))
    names = [name for m in shown if (name := m["state"].get("description"))]
    line = ": ".join([LIVE, *([", ".join(names)] if names else [])])
    body = "".join(f"<div>{text}</div>" for text in texts if text)
    return {"text/html": f"{body}<div><em>{html.escape(line)}</em></div>", "text/plain": line}


def saved(notebook: NotebookNode) -> NotebookNode:
    """The notebook itself as the repository keeps it: stilled, folded, and without a run's traces.

    Code of cells tagged `solution` is folded, the output of cells tagged `predict-output` hidden
    until it is asked for; text with a folded answer is tagged `answer`. The set-up cell is the
    one of `minialign.system.colab`.

    Raises ValueError if it was executed with parameters or in another profile than the default, or
    has no set-up cell.
    """
    profile = notebook.metadata.get("minialign", {}).get("profile", profiles.DEFAULT)
    if profile != profiles.DEFAULT:
        raise ValueError(f"it ran in the profile {profile!r}; run it in {profiles.DEFAULT!r}")
    for cell in stilled(notebook).cells:
        for name in OF_A_RUN:
            cell.metadata.pop(name, None)
        tags = _tags(cell)
        if "injected-parameters" in tags:
            raise ValueError("it was executed with parameters; execute it with its own")
        cell.metadata.pop("tags", None)
        cell.metadata.update({"tags": tags} if tags else {})
        folds = {"source_hidden": "solution" in tags, "outputs_hidden": "predict-output" in tags}
        for name in filter(folds.get, folds):
            cell.metadata.setdefault("jupyter", {})[name] = True
        if folds["outputs_hidden"]:
            cell.metadata["collapsed"] = True  # JupyterLab keeps both
    language = notebook.metadata.get("language_info", {})
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": language})
    _set_up(notebook)
    return notebook


def _tags(cell: NotebookNode) -> list[str]:
    tags = [tag for tag in cell.metadata.get("tags", []) if tag != "answer"]
    summaries = re.findall(r"<summary>(.*?)</summary>", cell.source, re.DOTALL)
    answers = [s for s in summaries if not s.strip().lower().startswith("hint")]
    return [*tags, "answer"] if answers and cell.cell_type == "markdown" else tags


def _set_up(notebook: NotebookNode) -> None:
    """Write the first lines of the set-up cell anew."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and (found := colab.SETUP_LINES.match(cell.source)):
            cell.source = colab.setup() + cell.source[found.end() :]
            return
    raise ValueError(f"no code cell begins with the set-up:\n{colab.setup()}")


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook whole or not at all, with the bytes that Jupyter's server writes."""
    nbformat.validate(notebook)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
    os.replace(fresh, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Save executed notebooks into a folder, and README's lines about Colab; 2 if refused."""
    parser = argparse.ArgumentParser(
        prog="python -m minialign.course.saved", description=main.__doc__
    )
    parser.add_argument("notebooks", nargs="*", type=Path, help="(those of the folder)")
    parser.add_argument("--into", type=Path, default=ROOT / "notebooks", help="(notebooks)")
    given = parser.parse_args(arguments)
    for path in given.notebooks or sorted(given.into.glob("[0-9]*_*.ipynb")):
        try:
            notebook = saved(nbformat.read(path, as_version=4))
        except (OSError, ValueError) as error:
            print(f"error: {path}: {error}", file=sys.stderr)
            return 2
        write(notebook, given.into / path.name)
        print(given.into / path.name)
    readme = ROOT / "README.md"
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        readme.write_text(colab.README_LINES.sub(lambda _: colab.readme(), text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
