"""Running a plan of the course: processes, progress, failures, and the page at the end."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import IO

from minialign.course.execution.outcome import Run, run_of_copy
from minialign.course.execution.plan import Plan, environment_for, numbered
from minialign.course.execution.report import write_page
from minialign.system import hardware
from minialign.system.terminal import StatusLine, clock, one_line

REDRAW = 0.5  # seconds between two states of the progress line
PATIENCE = 20  # seconds that a stopped notebook has to put its kernel away


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
        for old in (run.output, run.output.with_suffix(".html")):
            old.unlink(missing_ok=True)  # of an earlier run
        run.began, run.status = time.monotonic(), "running"
        with tempfile.TemporaryFile() as errors:
            if not self._start(run, errors):
                run.status = "not run"
                return
            for line in run.process.stdout:
                report = json.loads(line)
                run.cell, run.cells = report.get("cell", run.cell), report.get("cells", run.cells)
                run.error = report.get("error", run.error)
            code = run.process.wait()
            errors.seek(0)
            words = errors.read().decode(errors="replace").strip().splitlines()
        run.seconds = time.monotonic() - run.began
        run.status = "passed" if not code else "stopped" if self.stopping else "failed"
        if run.status == "failed" and not run.error:
            last = words[-1] if words else "it said nothing"
            run.fail(run.cell, "Crash", f"the process ended with status {code}; {last}")

    def _start(self, run: Run, errors: IO[bytes]) -> bool:
        """Start a notebook's process, unless the course is stopping; whether it was started."""
        parameters = self.plan.parameters[run.notebook]
        job = {"notebook": str(run.notebook), "output": str(run.output), "parameters": parameters}
        with self.lock:
            if self.stopping:
                return False
            run.process = subprocess.Popen(
                [sys.executable, "-m", "minialign.course.execution.worker", json.dumps(job)],
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


def _progress(run: Run) -> str:
    where = f"cell {run.cell}/{run.cells}" if run.cells else "starting"
    return f"{run.label}  {where}  {clock(run.elapsed)}"


def _last_line(run: Run) -> str:
    if run.status == "passed":
        short = f"{run.cell} of " if run.cell < run.cells else ""  # a cell called sys.exit()
        return f"{run.label}  ok, {short}{run.cells} cells  {clock(run.seconds)}"
    return f"{run.label}  {run.status.upper()}  {run.failure}  {clock(run.seconds)}"


def execute(plan: Plan) -> int:
    """Run the plan and write its page; 0 if all passed, 1 if one failed, 130 if stopped.

    The page shows runs before this one as well, whose executed copies still lie in its folder.
    """
    course, line = Course(plan), StatusLine()
    began = time.monotonic()
    finished = course.run(line)
    planned = {path.name for path in plan.notebooks}
    earlier = [run_of_copy(copy) for copy in numbered(plan.out) if copy.name not in planned]
    page = write_page(plan, [*course.runs, *earlier])
    failed = [run for run in course.runs if run.status == "failed"]
    passed = sum(run.status == "passed" for run in course.runs)
    took = clock(time.monotonic() - began)
    line.say(f"{passed} of {len(course.runs)} notebooks ran through in {took}; see {page}")
    for run in failed:
        line.say(f"{run.notebook.name}, {run.failure}")
        for row in str(run.error["source"]).splitlines()[:1]:
            line.say(f"    the cell begins: {one_line(row, 80)}")
    return 130 if not finished else 1 if failed else 0
