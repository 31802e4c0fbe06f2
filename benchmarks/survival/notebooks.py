"""The smoke notebooks again and again: cells that fail, and outputs that differ from the saved.

As the tests run them: nbval compares the outputs of the cells that are tagged for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from benchmarks.report import ROOT
from benchmarks.survival.outcome import Outcome
from minialign.course.profiles import ENVIRONMENT
from minialign.system.folders import RUNS

SETTINGS = ["-c", str(ROOT / "pyproject.toml"), "-n", "0", "-p", "no:cacheprovider"]


def once(path: str, place: Path) -> tuple[int, list[str]]:
    """(cells, what failed) of one run, whose stages are trained anew."""
    report = place / "report.xml"
    environment = {**os.environ, RUNS: str(place / "runs"), ENVIRONMENT: "smoke"}
    command = [sys.executable, "-m", "pytest", *SETTINGS, path, f"--junitxml={report}"]
    subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    cells = list(ElementTree.parse(report).iter("testcase"))
    failed = [
        f"{cell.get('classname')} {cell.get('name')}".strip()
        for cell in cells
        if cell.find("failure") is not None or cell.find("error") is not None
    ]
    return len(cells), failed


def measure(times: int, seed: int = 0, path: str = "notebooks") -> list[Outcome]:
    """All notebooks, or those of a path, `times` times in a row; a seed changes nothing."""
    cells, failed, worst = 0, [], 0.0
    for i in range(times):
        with tempfile.TemporaryDirectory() as place:
            began = time.perf_counter()
            count, bad = once(path, Path(place))
            worst = max(worst, time.perf_counter() - began)
        cells += count
        failed += bad
        print(f"run {i + 1} of {times}: {count} cells, failed: {bad or 0}", flush=True)
    if not cells:
        raise RuntimeError(f"nbval found no cell in {path}; is nbval installed?")
    return [
        Outcome(
            "a notebook that fails or says something else when it is run again (smoke, nbval)",
            times,
            f"{len(failed)} of {cells:,} cells failed or differed"
            + (f" ({', '.join(sorted(set(failed)))})" if failed else ""),
            f"{worst:.0f} s for all notebooks",
            len(failed),
        )
    ]
