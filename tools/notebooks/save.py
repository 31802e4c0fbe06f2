"""Notebooks as the repository keeps them: without widgets, folded, and stable under JupyterLab.

`saved` takes a run's traces out of an executed notebook, so that it is byte for byte as JupyterLab
would save it, and opening it changes nothing:

    python -m minialign course && python -m tools.notebooks.save runs/course/0*.ipynb
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from minialign.course import profiles
from minialign.course.execution import notebooks as files
from tools.notebooks import address

ROOT = Path(__file__).resolve().parents[2]
OF_A_RUN = ("ExecuteTime", "execution", "papermill", "trusted")  # metadata of cells


def saved(notebook: NotebookNode) -> NotebookNode:
    """The notebook itself as the repository keeps it: stilled, folded, and without a run's traces.

    Code of cells tagged `solution` is folded, the output of cells tagged `predict-output` hidden
    until it is asked for; text with a folded answer is tagged `answer`. The set-up cell is the
    one of `tools.notebooks.address`.

    Raises ValueError if it was executed with parameters or in another profile than the default, or
    has no set-up cell.
    """
    profile = notebook.metadata.get("minialign", {}).get("profile", profiles.DEFAULT)
    if profile != profiles.DEFAULT:
        raise ValueError(f"it ran in the profile {profile!r}; run it in {profiles.DEFAULT!r}")
    for cell in files.stilled(notebook).cells:
        for name in OF_A_RUN:
            cell.metadata.pop(name, None)
        tags = _tags(cell)
        if files.INJECTED in tags:
            raise ValueError("it was executed with parameters; execute it with its own")
        cell.metadata.pop("tags", None)
        cell.metadata.update({"tags": tags} if tags else {})
        folds = {"source_hidden": "solution" in tags, "outputs_hidden": "predict-output" in tags}
        for name in filter(folds.get, folds):
            cell.metadata.setdefault("jupyter", {})[name] = True
        if folds["outputs_hidden"]:
            cell.metadata["collapsed"] = True  # JupyterLab keeps both
    language = notebook.metadata.get("language_info", {})
    notebook.metadata = nbformat.from_dict({"kernelspec": files.KERNEL, "language_info": language})
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
        if cell.cell_type == "code" and (found := address.SETUP_LINES.match(cell.source)):
            cell.source = address.setup() + cell.source[found.end() :]
            return
    raise ValueError(f"no code cell begins with the set-up:\n{address.setup()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Save executed notebooks into a folder, and README's lines about Colab; 2 if refused."""
    parser = argparse.ArgumentParser("python -m tools.notebooks.save", description=main.__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, help="(those of the folder)")
    parser.add_argument("--into", type=Path, default=ROOT / "notebooks", help="(notebooks)")
    options = parser.parse_args(arguments)
    for path in options.notebooks or sorted(options.into.glob("[0-9]*_*.ipynb")):
        try:
            notebook = saved(files.read(path))
        except files.UNREADABLE as error:
            print(f"error: {path}: {error}", file=sys.stderr)
            return 2
        files.write(notebook, options.into / path.name)
        print(options.into / path.name)
    readme = ROOT / "README.md"
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        readme.write_text(
            address.README_LINES.sub(lambda _: address.readme(), text), encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
