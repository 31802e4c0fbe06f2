"""One HTML page of a run of the course: a figure and the headline numbers of every notebook.

The page is a single file that loads nothing. Whatever a notebook wrote is escaped, pictures are
decoded and encoded again, and a content policy forbids scripts.
"""

from __future__ import annotations

import base64
import binascii
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import nbformat

import minialign
from minialign.course.runner import Plan
from minialign.system import hardware
from minialign.system.terminal import clock, plain, text_of

if TYPE_CHECKING:
    from minialign.course.course_run import Run

LONGEST = 4000  # characters of headlines that a notebook may put on the page
PNG = b"\x89PNG\r\n\x1a\n"
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886; }
th, td.number { overflow-wrap: normal; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.failed { color: #D55E00; font-weight: 600; }
.faint { opacity: .7; font-size: .9rem; }
section { margin-top: 2.5rem; }
img { max-width: 100%; height: auto; background: white; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #8886; padding: .6rem; }
"""
LEARNS_NOTHING = (
    "The profile smoke tests the code: a training takes a few steps, and nothing is learnt. "
    "Its figures and numbers say nothing about a method."
)
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Highlights:
    """What a notebook shows on the page."""

    title: str  # its first heading, else the file's name
    figure: str | None  # a PNG in base64: of the cell tagged key-figure, else the last one
    headlines: str  # what the cells tagged headline printed
    profile: str = ""  # that it ran with, where its copy says so

    @property
    def learns_nothing(self) -> bool:
        """Whether it ran in the profile of the tests, as it is or changed."""
        return self.profile.partition(",")[0].strip() == "smoke"


def highlights(notebook: Path) -> Highlights:
    """Title, key figure and headlines of an executed notebook; empty where it cannot be read."""
    try:
        read = nbformat.read(notebook, as_version=4)
        cells = read.cells
    except (OSError, ValueError, AttributeError, nbformat.ValidationError):
        return Highlights(notebook.stem, None, "")
    tagged = {
        tag: [cell for cell in cells if tag in cell.metadata.get("tags", [])]
        for tag in ("key-figure", "headline")
    }
    pictures = _pictures(tagged["key-figure"]) or _pictures(cells)
    printed = [text for cell in tagged["headline"] if (text := _text(cell))]
    return Highlights(
        _title(cells) or notebook.stem,
        (pictures or [None])[-1],
        "\n".join(printed),
        str(read.metadata.get("minialign", {}).get("profile", "")),
    )


def _title(cells: Sequence[nbformat.NotebookNode]) -> str | None:
    texts = (cell.source for cell in cells if cell.cell_type == "markdown")
    found = (re.search(r"^#\s+(.+)$", text, re.MULTILINE) for text in texts)
    return next((heading[1].strip() for heading in found if heading), None)


def _pictures(cells: Sequence[nbformat.NotebookNode]) -> list[str]:
    """The PNG pictures of some cells, in order, each encoded anew."""
    found = []
    for cell in cells:
        for output in cell.get("outputs", []):
            try:
                raw = base64.b64decode(output.get("data", {}).get("image/png", ""))
            except (binascii.Error, TypeError, ValueError):
                continue  # no picture then
            if raw.startswith(PNG):
                found.append(base64.b64encode(raw).decode("ascii"))
    return found


def _text(cell: nbformat.NotebookNode) -> str:
    """What a cell printed or returned as text; of a picture, nothing."""
    parts = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text.rstrip("\n"))
        elif "text/plain" in (data := output.get("data", {})) and "image/png" not in data:
            text = data["text/plain"]
            if text.startswith("<IPython.core.display.") and "text/html" in data:
                text = text_of(data["text/html"])
            parts.append(text.rstrip("\n"))
    return "\n".join(parts)


def write_page(plan: Plan, runs: Sequence[Run]) -> Path:
    """Write index.html beside the executed copies, whole or not at all, and return its path."""
    runs = sorted(runs, key=lambda run: run.notebook.name)
    shown = [highlights(run.output if run.output.exists() else run.notebook) for run in runs]
    fresh, page = plan.out / "index.html.new", plan.out / "index.html"
    fresh.write_text(_page(plan, list(zip(runs, shown, strict=True))), encoding="utf-8")
    os.replace(fresh, page)
    return page


def _page(plan: Plan, entries: list[tuple[Run, Highlights]]) -> str:
    rows = "".join(_row(run, shown) for run, shown in entries)
    given = {k: v for one in plan.parameters.values() for k, v in one.items() if k != "PROFILE"}
    settings = ", ".join(f"{name} = {value!r}" for name, value in given.items())
    facts = [
        f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        f"profile {plan.profile or os.environ.get('MINIALIGN_PROFILE') or 'of each notebook'}",
        *([settings] if settings else []),
        *([f"{plan.jobs} notebooks at a time"] if plan.jobs > 1 else []),
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>minialign: the course, executed</title>
<style>{STYLE}</style>
</head>
<body>
<h1>The course, executed</h1>
<p>{_safe("; ".join(facts))}</p>
{_warning(entries)}<p class="faint">{_safe(_versions())}<br>{_safe(hardware.describe())}</p>
<table>
<thead><tr><th>notebook</th><th>status</th><th>time</th><th>executed copy</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
{"".join(_section(run, shown) for run, shown in entries)}</body>
</html>
"""


def _warning(entries: list[tuple[Run, Highlights]]) -> str:
    names = [run.notebook.stem for run, shown in entries if shown.learns_nothing]
    if not names:
        return ""
    which = "" if len(names) == len(entries) else f" ({', '.join(names)})"
    return f'<p class="failed">{_safe(LEARNS_NOTHING + which)}</p>\n'


def _row(run: Run, shown: Highlights) -> str:
    status = f"failed at {run.failure}" if run.status == "failed" else run.status
    took = clock(run.seconds) if run.seconds else ""
    notes = [f"profile {shown.profile}"] * bool(shown.profile) + [run.when] * bool(run.when)
    below = f'<br><span class="faint">{_safe(", ".join(notes))}</span>' * bool(notes)
    return (
        f'<tr><td><a href="#{quote(run.notebook.stem)}">{_safe(shown.title)}</a></td>'
        f'<td class="{run.status.replace(" ", "-")}">{_safe(status)}{below}</td>'
        f'<td class="number">{took}</td><td>{_link(run, "open")}</td></tr>\n'
    )


def _link(run: Run, name: str = "") -> str:
    if not run.output.exists():
        return ""
    page = run.output.with_suffix(".html")
    if not page.exists():  # it was stopped
        return _safe(run.output.name)
    return f'<a href="{quote(page.name)}">{_safe(name or page.name)}</a>'


def _section(run: Run, shown: Highlights) -> str:
    parts = [f'<section id="{escape(quote(run.notebook.stem))}">\n<h2>{_safe(shown.title)}</h2>\n']
    if shown.learns_nothing:
        parts.append('<p class="failed">profile smoke: nothing is learnt</p>\n')
    if run.status == "failed":
        parts.append(f'<p class="failed">failed at {_safe(run.failure)}</p>\n')
    if shown.figure:
        alt = _safe(f"Key figure of {shown.title}")
        parts.append(f'<img alt="{alt}" src="data:image/png;base64,{shown.figure}">\n')
    if shown.headlines:
        cut = shown.headlines[:LONGEST] + " …" * (len(shown.headlines) > LONGEST)
        parts.append(f"<pre>{_safe(cut)}</pre>\n")
    return "".join([*parts, f"<p>{_link(run)}</p>\n</section>\n"])


def _safe(text: str) -> str:
    return escape(plain(text))


def _versions() -> str:
    known = [f"python {platform.python_version()}", f"minialign {minialign.__version__}"]
    for name in ("torch", "transformers"):
        try:
            known.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            known.append(f"no {name}")
    return ", ".join(known)
