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
