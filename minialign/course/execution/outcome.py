"""What came out of a notebook: how its run ended, and what its executed copy has to show."""

from __future__ import annotations

import base64
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nbformat import NotebookNode

from minialign.course.execution import notebooks as files
from minialign.system.terminal import one_line, text_of

ADDED = {files.INJECTED, "papermill-error-cell-tag"}  # tags of papermill's own cells


@dataclass
class Run:
    """One notebook's run; its thread writes it, the others read it."""

    notebook: Path
    output: Path  # the executed copy
    label: str  # "[2/6] 01_instruction_tuning"
    status: str = "not run"  # running, passed, failed, stopped
    cell: int = 0  # the running one, counted from 1
    cells: int = 0
    error: dict[str, str | int] = field(default_factory=dict)  # cell, name, message, source
    began: float = 0.0
    seconds: float = 0.0
    when: str = ""  # of a run before this course
    process: subprocess.Popen | None = None

    @property
    def elapsed(self) -> float:
        """Seconds, of a run that is going on as well."""
        return time.monotonic() - self.began if self.status == "running" else self.seconds

    @property
    def failure(self) -> str:
        """Where and how it failed, on one line that is safe to print."""
        cell = f"cell {self.error['cell']}: " if self.error["cell"] else ""
        return cell + one_line(f"{self.error['name']}: {self.error['message']}")

    def fail(self, cell: int, name: str, message: str, source: str = "") -> Run:
        """The run itself, which failed in this cell; 0 is none of them."""
        self.status = "failed"
        self.error = {"cell": cell, "name": name, "message": message, "source": source}
        return self


def run_of_copy(copy: Path) -> Run:
    """A run before this course, as its executed copy tells it."""
    when = f"{datetime.fromtimestamp(copy.stat().st_mtime):%Y-%m-%d %H:%M}"
    run = Run(copy, copy, "", "passed", when=when)
    try:
        cells = files.read(copy).cells
    except files.UNREADABLE as error:
        return run.fail(0, type(error).__name__, str(error))
    own = [cell for cell in cells if not ADDED & set(cell.metadata.get("tags", []))]
    for number, cell in enumerate(own, start=1):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return run.fail(number, output.ename, output.evalue, cell.source)
        if cell.cell_type == "code" and cell.source.strip() and not cell.execution_count:
            run.status = "stopped"
    return run


@dataclass(frozen=True)
class Highlights:
    """What a notebook shows on the page."""

    title: str  # its first heading, else the file's name
    figure: str | None = None  # PNG in base64: of the cell tagged key-figure, else the last one
    headlines: str = ""  # what the cells tagged headline printed
    profile: str = ""  # that it ran with, where its copy says so

    @property
    def learns_nothing(self) -> bool:
        """Whether it ran in the profile of the tests, as it is or changed."""
        return self.profile.partition(",")[0].strip() == "smoke"


def highlights(path: Path) -> Highlights:
    """Title, key figure and headlines of an executed notebook; empty where it cannot be read."""
    try:
        notebook = files.read(path)
        cells = notebook.cells
    except files.UNREADABLE:
        return Highlights(path.stem)
    prose = (cell.source for cell in cells if cell.cell_type == "markdown")
    headings = (re.search(r"^#\s+(.+)$", text, re.MULTILINE) for text in prose)
    title = next((heading[1].strip() for heading in headings if heading), "")
    pictures = _pictures(files.tagged(notebook, "key-figure")) or _pictures(cells)
    printed = map(_text, files.tagged(notebook, "headline"))
    return Highlights(
        title or path.stem,
        pictures[-1] if pictures else None,
        "\n".join(filter(None, printed)),
        str(notebook.metadata.get("minialign", {}).get("profile", "")),
    )


def _pictures(cells: Sequence[NotebookNode]) -> list[str]:
    """The PNG pictures of some cells, in order, each encoded anew."""
    outputs = (output for cell in cells for output in cell.get("outputs", []))
    found = (data for output in outputs for data in files.pictures(output))
    return [base64.b64encode(data).decode("ascii") for data in found]


def _text(cell: NotebookNode) -> str:
    """What a cell printed or returned as text; of a picture, nothing."""
    parts = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text.rstrip("\n"))
        elif "text/plain" in (data := output.get("data", {})) and not files.pictures(output):
            text = data["text/plain"]
            if text.startswith("<IPython.core.display.") and "text/html" in data:
                text = text_of(data["text/html"])
            parts.append(text.rstrip("\n"))
    return "\n".join(parts)
