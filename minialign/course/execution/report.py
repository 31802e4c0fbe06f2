"""The HTML pages of a run of the course: one of all notebooks, and one of each executed copy.

Each page is a single file. Whatever a notebook wrote is escaped, pictures are decoded and encoded
again, and a content policy forbids scripts. The page of a copy loads nothing but MathJax, which
sets the formulas; without a network they stay as they were typed.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import platform
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jinja2 import Environment
from nbconvert import HTMLExporter
from nbformat import NotebookNode

import minialign
from minialign.course.execution.notebooks import write_whole
from minialign.course.execution.outcome import Run, highlights
from minialign.course.execution.plan import Plan
from minialign.system import hardware
from minialign.system.terminal import clock, plain

LONGEST = 4000  # characters of headlines that a notebook may put on the page
LEARNS_NOTHING = (
    "The profile smoke tests the code: a training takes a few steps, and nothing is learnt. "
    "Its figures and numbers say nothing about a method."
)
PAGE, COPY = (Path(__file__).with_name(f"{name}.html.j2") for name in ("page", "notebook"))
MATHJAX = "https://cdn.jsdelivr.net/npm/mathjax@3.2.2/es5/tex-svg.js"
SETTINGS = 'window.MathJax = {tex: {inlineMath: [["$", "$"]], processEscapes: true, tags: "ams"}};'
_HASH = base64.b64encode(hashlib.sha256(SETTINGS.encode()).digest()).decode()
POLICY = (
    "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{_HASH}' {MATHJAX}"
)


def write_page(plan: Plan, runs: Sequence[Run]) -> Path:
    """Write index.html beside the executed copies, whole or not at all, and return its path."""
    entries = [
        (run, highlights(run.output if run.output.exists() else run.notebook))
        for run in sorted(runs, key=lambda run: run.notebook.name)
    ]
    jinja = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_harmless)
    jinja.filters["clock"] = clock
    text = jinja.from_string(PAGE.read_text(encoding="utf-8")).render(
        entries=entries,
        facts=list(_facts(plan)),
        versions=list(_versions()),
        machine=hardware.describe(),
        unlearnt=[run.notebook.stem for run, its in entries if its.learns_nothing],
        learns_nothing=LEARNS_NOTHING,
        longest=LONGEST,
    )
    page = plan.out / "index.html"
    write_whole(text, page)
    return page


def _harmless(value: object) -> object:
    """Text without the characters that move a cursor; markup of the template itself stays."""
    return plain(value) if type(value) is str else value


def _facts(plan: Plan) -> Iterator[str]:
    yield f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    yield f"profile {plan.profile or os.environ.get('MINIALIGN_PROFILE') or 'of each notebook'}"
    values = {k: v for one in plan.parameters.values() for k, v in one.items() if k != "PROFILE"}
    if values:
        yield ", ".join(f"{name} = {value!r}" for name, value in values.items())
    if plan.jobs > 1:
        yield f"{plan.jobs} notebooks at a time"


def _versions() -> Iterator[str]:
    yield f"python {platform.python_version()}"
    yield f"minialign {minialign.__version__}"
    for name in ("torch", "transformers"):
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"no {name}"


def page_of(notebook: NotebookNode, title: str) -> str:
    """The page of a notebook without widgets; what is folded in it is folded here as well."""
    quiet = logging.getLogger(__name__)
    quiet.setLevel(logging.ERROR)  # nbconvert warns of pictures without a description
    exporter = HTMLExporter(raw_template=COPY.read_text(encoding="utf-8"), log=quiet)
    scripts = {"policy": POLICY, "settings": SETTINGS, "mathjax": MATHJAX}
    return exporter.from_notebook_node(notebook, {"metadata": {"name": title}, **scripts})[0]
