"""One notebook executed by papermill, in a process of its own that `course` starts.

The job comes as JSON in the only argument; every line of standard output is JSON about the
progress, `{"cell": 17, "cells": 52}` or at last `{"error": {"name": ..., "message": ...}}`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from papermill import execute_notebook
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from minialign.course import profiles
from minialign.course.execution import notebooks as files
from minialign.course.execution.report import page_of

PATIENCE = 120  # seconds for a kernel to start or answer on a busy machine


class ThisPython(AsyncKernelManager):
    """Kernels of the running interpreter, whatever a kernelspec of this machine points to."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The command that starts ipykernel here."""
        name = files.KERNEL["display_name"]
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name=name, language="python")


def engine(tell: Callable[[int, int], None]) -> type[NBClientEngine]:
    """papermill's engine, which tells (cell, cells) whenever a cell starts.

    Cells are counted from 1 as in the notebook's file, without the one that papermill adds.
    """

    class Telling(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **settings):
            start = nb_man.cell_start
            own = [files.INJECTED not in cell.metadata.get("tags", []) for cell in nb_man.nb.cells]

            def cell_start(cell, cell_index=None, **more):
                tell(sum(own[: cell_index + 1]), sum(own))
                start(cell, cell_index=cell_index, **more)

            nb_man.cell_start = cell_start
            return super().execute_managed_notebook(
                nb_man,
                kernel_name,
                kernel_manager_class=ThisPython,
                coalesce_streams=True,  # a progress bar keeps its last state only
                iopub_timeout=PATIENCE,
                **settings,
            )

    return Telling


def main(job: dict) -> int:
    """Execute one notebook; 0 if it ran through, 1 if a cell failed, 130 if it was stopped.

    Args:
        job: `notebook` and `output` (paths), `parameters` (name -> value).
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the kernel, too
    reports = os.fdopen(os.dup(1), "w", buffering=1, encoding="ascii")
    os.dup2(2, 1)  # what the kernel writes past Jupyter is no report
    at = {"cell": 0, "cells": 0}

    def tell(cell: int, cells: int) -> None:
        at.update(cell=cell, cells=cells)
        print(json.dumps(at), file=reports)

    papermill_engines.register("course", engine(tell))
    try:
        execute_notebook(
            _no_fields(job["notebook"]),
            _no_fields(job["output"]),
            parameters=job["parameters"],
            engine_name="course",
            kernel_name="python3",
            language="python",
            progress_bar=False,
            start_timeout=PATIENCE,
            cwd=Path(job["notebook"]).parent,
        )
        finish(Path(job["output"]), job["parameters"])
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # a dead kernel and an unreadable file must reach the page as well
        _report(error, at["cell"], reports)
        if Path(job["output"]).exists():
            finish(Path(job["output"]), job["parameters"], cut_short=True)
        return 1
    return 0


def finish(copy: Path, parameters: dict, *, cut_short: bool = False) -> None:
    """Still the executed copy, note its profile in it, and write its page beside it."""
    notebook = files.stilled(files.read(copy), cut_short=cut_short)
    named = parameters.get("PROFILE") or os.environ.get(profiles.ENVIRONMENT) or profiles.DEFAULT
    notebook.metadata["minialign"] = {"profile": str(named)}
    files.write(notebook, copy)
    files.write_whole(page_of(notebook, copy.stem), copy.with_suffix(".html"))


def _no_fields(path: str) -> str:
    return path.replace("{", "{{").replace("}", "}}")  # papermill formats paths


def _report(error: Exception, cell: int, reports: TextIO) -> None:
    report = {"cell": cell, "name": type(error).__name__, "message": str(error), "source": ""}
    if isinstance(error, PapermillExecutionError):
        report |= {"name": error.ename, "message": error.evalue, "source": error.source}
    print(json.dumps({"error": report}), file=reports)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
