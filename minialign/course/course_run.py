"""Running a plan of the course: processes, progress, failures, and the page at the end."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import nbformat

from minialign.course.page import write_page
from minialign.course.runner import Plan, environment_for, numbered
from minialign.system import hardware
from minialign.system.terminal import StatusLine, clock, one_line

ADDED = {"injected-parameters", "papermill-error-cell-tag"}  # tags of papermill's own cells
REDRAW = 0.5  # seconds between two states of the progress line
PATIENCE = 20  # seconds that a stopped notebook has to put its kernel away


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


class Course:
    """The runs of a plan, as many at a time as it says."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        count = len(plan.notebooks)
        self.runs = [
            Run(path, plan.out / path.name, f"[{i}/{count}] {path.stem}")
            for i, path in enumerate(plan.notebooks, start=1)
        ]
        self.environment = environment_for(plan, hardware.cores())
        self.stopping = False
        self.lock = threading.Lock()  # no process starts after `stop`

    def run(self, line: StatusLine) -> bool:
        """Run everything; whether it came to its end without being stopped."""
        with ThreadPoolExecutor(self.plan.jobs) as pool:
            pending = {pool.submit(self._run, run): run for run in self.runs}
            try:
                self._watch(pending, line)
                return True
            except KeyboardInterrupt:
                line.say("stopping ...")
                pool.shutdown(wait=False, cancel_futures=True)
                self.stop()
                return False

    def _watch(self, pending: dict[Future, Run], line: StatusLine) -> None:
        """Show the progress until all is done, and say a line of each notebook at its end."""
        while pending:
            done, _ = wait(pending, REDRAW, FIRST_COMPLETED)
            for future in done:
                run = pending.pop(future)
                future.result()  # an error of ours is raised here
                line.say(_last_line(run))
            line.show("   ".join(_progress(r) for r in self.runs if r.status == "running"))

    def _run(self, run: Run) -> None:
        """One notebook from start to end, in a thread of the pool."""
        for left in (run.output, run.output.with_suffix(".html")):
            left.unlink(missing_ok=True)  # of an earlier run
        run.began, run.status = time.monotonic(), "running"
        with tempfile.TemporaryFile() as errors:
            job = {
                "notebook": str(run.notebook),
                "output": str(run.output),
                "parameters": self.plan.parameters[run.notebook],
            }
            if not self._start(run, job, errors):
                run.status = "not run"
                return
            for report in run.process.stdout:
                _hear(run, json.loads(report))
            code = run.process.wait()
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()
        run.seconds = time.monotonic() - run.began
        if code and not run.error and not self.stopping:
            last = said.splitlines()[-1] if said else "it said nothing"
            message = f"the process ended with status {code}; {last}"
            run.error = {"cell": run.cell, "name": "Crash", "message": message, "source": ""}
        run.status = "passed" if not code else "stopped" if self.stopping else "failed"

    def _start(self, run: Run, job: dict, errors) -> bool:
        command = [sys.executable, "-m", "minialign.course.worker", json.dumps(job)]
        with self.lock:
            if self.stopping:
                return False
            run.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=self.environment,
                start_new_session=True,  # Ctrl-C reaches us alone; we stop them in good order
            )
        return True

    def stop(self) -> None:
        """Stop every notebook; each puts its kernel away, and is killed if it takes too long."""
        with self.lock:
            self.stopping = True
            going = [run.process for run in self.runs if run.process and run.process.poll() is None]
        for process in going:
            process.terminate()
        deadline = time.monotonic() + PATIENCE
        for process in going:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()


def _hear(run: Run, report: dict) -> None:
    if "error" in report:
        run.error = report["error"]
    else:
        run.cell, run.cells = report["cell"], report["cells"]


def _progress(run: Run) -> str:
    where = f"cell {run.cell}/{run.cells}" if run.cells else "starting"
    return f"{run.label}  {where}  {clock(run.elapsed)}"


def _last_line(run: Run) -> str:
    if run.status == "passed":
        short = f"{run.cell} of " if run.cell < run.cells else ""  # a cell called sys.exit()
        return f"{run.label}  ok, {short}{run.cells} cells  {clock(run.seconds)}"
    return f"{run.label}  {run.status.upper()}  {run.failure}  {clock(run.seconds)}"


def execute(plan: Plan) -> int:
    """Run the plan and write its page; 0 if all passed, 1 if one failed, 130 if stopped."""
    plan.out.mkdir(parents=True, exist_ok=True)
    course, line = Course(plan), StatusLine()
    began = time.monotonic()
    finished = course.run(line)
    shown = sorted([*course.runs, *earlier(plan)], key=lambda run: run.notebook.name)
    page = write_page(plan, shown)
    failed = [run for run in course.runs if run.status == "failed"]
    passed = sum(run.status == "passed" for run in course.runs)
    took = clock(time.monotonic() - began)
    line.say(f"{passed} of {len(course.runs)} notebooks ran through in {took}; see {page}")
    for run in failed:
        line.say(f"{run.notebook.name}, {run.failure}")
        for row in str(run.error["source"]).splitlines()[:1]:
            line.say(f"    the cell begins: {one_line(row, 80)}")
    return 130 if not finished else 1 if failed else 0


def earlier(plan: Plan) -> list[Run]:
    """The runs before this one whose executed copies still lie in the folder of the page."""
    planned = {path.name for path in plan.notebooks}
    return [_read(copy) for copy in numbered(plan.out) if copy.name not in planned]


def _read(copy: Path) -> Run:
    """A run as its executed copy tells it."""
    when = f"{datetime.fromtimestamp(copy.stat().st_mtime):%Y-%m-%d %H:%M}"
    run = Run(copy, copy, "", "passed", when=when)
    try:
        cells = nbformat.read(copy, as_version=4).cells
    except (OSError, ValueError, AttributeError, nbformat.ValidationError) as error:
        said = {"name": type(error).__name__, "message": str(error), "source": ""}
        run.status, run.error = "failed", {"cell": 0, **said}
        return run
    own = [cell for cell in cells if not ADDED & set(cell.metadata.get("tags", []))]
    for number, cell in enumerate(own, start=1):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                said = {"name": output.ename, "message": output.evalue, "source": cell.source}
                run.status, run.error = "failed", {"cell": number, **said}
                return run
        if cell.cell_type == "code" and cell.source.strip() and not cell.execution_count:
            run.status = "stopped"
    return run
