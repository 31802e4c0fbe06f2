"""Made-up notebooks for the tests of the course, and one run of them."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from contextlib import redirect_stdout
from pathlib import Path

import nbformat
import pytest
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelspec import get_kernel_dict
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from minialign.course.execution import plan as plans
from minialign.course.execution.run import execute

EVIL = "<script>alert(1)</script>\x1b]0;x\x07\u202e"


def png(shade: int) -> str:
    """A picture of one grey pixel, in base64."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes([0, shade]))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode()


def code(source: str, *tags: str):
    return new_code_cell(source, metadata={"tags": list(tags)})


def figure(shade: int) -> str:
    return (
        "import base64\nfrom IPython.display import Image, display\n"
        f"display(Image(data=base64.b64decode({png(shade)!r}), format='png'))"
    )


PARAMETERS = code("PROFILE = None  # the default\nSEED: int = 0\nNOTE = 'a'", "parameters")

PASSING = [
    new_markdown_cell(f"# One & only {EVIL}"),
    PARAMETERS,
    code("import os, sys\nprint(PROFILE, SEED, NOTE, os.environ['MINIALIGN_PROFILE'])", "headline"),
    code("print(os.getcwd(), sys.executable, sep='\\n')", "headline"),
    code(figure(1), "key-figure"),
    code(figure(2)),
    code(f"print({EVIL!r})\n'returned'", "headline"),
    code(
        "from IPython.display import HTML, display\n"
        "display(HTML('<style>x</style><table><tr><th>was</th><td>&lt;b&gt; 1</td></tr></table>'))",
        "headline",
    ),
    code("from tqdm.auto import tqdm\nfor _ in tqdm(range(3), 'sft'): pass"),
    code("for i in range(99):\n    sys.stderr.write(f'\\r{i} of 99')\nprint('no headline')"),
]

FAILING = [
    new_markdown_cell("# Two"),
    PARAMETERS,
    code("kept = 1"),
    code(f"too_small = 3\nraise ValueError('too small' + {EVIL!r})"),
    code("print('never')"),
]


def write(folder: Path, **notebooks: list) -> Path:
    """A folder of notebooks, whose names are given with a letter in front."""
    folder.mkdir(exist_ok=True)
    for name, cells in notebooks.items():
        nbformat.write(new_notebook(cells=cells), folder / f"{name[1:]}.ipynb")
    return folder


def run_course(root: Path) -> tuple[int, str, Path]:
    """(exit status, what was printed, folder) of a course with a failing notebook."""
    folder = write(root / "notebooks", n01_one=PASSING, n02_two=FAILING)
    wrong = root / "jupyter" / "kernels" / "python3"
    wrong.mkdir(parents=True)
    spec = {"argv": ["/no/such/python"], "display_name": "x", "language": "python"}
    (wrong / "kernel.json").write_text(json.dumps(spec))
    plan = plans.plan(
        profile="smoke", settings=["SEED=7", "NOTE=<b>"], out=root / "out", folder=folder
    )
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setenv("JUPYTER_PATH", str(root / "jupyter"))
        status = execute(plan)
    return status, printed.getvalue(), root


def as_jupyterlab_saves(path: Path) -> str:
    """The file after JupyterLab has opened it, connected its kernel and saved it.

    It writes the kernelspec and language that the kernel reports, joins printed text, keeps
    `collapsed` beside `outputs_hidden`, and leaves the rest to nbformat.
    """
    notebook = nbformat.read(path, as_version=4)
    language = dict(IPythonKernel.language_info)
    language["version"] = notebook.metadata.language_info.version  # of the Python that ran it
    spec = get_kernel_dict()
    named = {"name": "python3", "display_name": spec["display_name"], "language": spec["language"]}
    notebook.metadata.update(nbformat.from_dict({"kernelspec": named, "language_info": language}))
    for cell in notebook.cells:
        cell.setdefault("id", "made-anew")
        hidden = cell.metadata.get("jupyter", {}).get("outputs_hidden")
        if hidden is not None or cell.metadata.get("collapsed") is not None:
            both = bool(hidden or cell.metadata.get("collapsed"))
            cell.metadata["collapsed"] = both
            cell.metadata.setdefault("jupyter", {})["outputs_hidden"] = both
        joined = []
        for output in cell.get("outputs", []):
            if joined and output.get("name", 0) == joined[-1].get("name", 1):
                joined[-1].text += output.text
            else:
                joined.append(output)
        if cell.cell_type == "code":
            cell.outputs = joined
    return nbformat.writes(notebook) + "\n"
