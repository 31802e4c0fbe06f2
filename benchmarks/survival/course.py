"""SIGKILL of the course while it executes a notebook, and the same command once more.

Every other kill takes the command alone, whose notebook goes on as an orphan, and the others take
all its processes, as when a machine is switched off.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import nbformat

from benchmarks.report import ROOT
from benchmarks.survival.kills import digests
from benchmarks.survival.outcome import Outcome
from minialign.system.folders import RUNS

NUMBER, LONG = "2", 600  # the notebook, which trains two stages; seconds that it may take
COMPARED = "headline"  # tag of the cells whose printed numbers must come out again


def command(out: Path) -> list[str]:
    sizes = ["--profile", "smoke", "--out", str(out)]
    return [sys.executable, "-m", "minialign", "course", NUMBER, *sizes]


def start(folder: Path) -> subprocess.Popen:
    """The command, its trained stages and its copies below a folder."""
    environment = {**os.environ, RUNS: str(folder / "runs")}
    return subprocess.Popen(
        command(folder / "course"), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def below(process: int) -> list[int]:
    """Ids of all processes that a process has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = children.get(process, [])
    for one in found:
        found += children.get(one, [])
    return found


def end(processes: list[int]) -> None:
    for one in processes:
        try:
            os.kill(one, signal.SIGKILL)
        except ProcessLookupError:
            continue


def came_out(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Digests of what was trained, and what the headlines of the executed copy say."""
    (copy,) = (folder / "course").glob("*.ipynb")
    cells = nbformat.read(copy, as_version=4).cells
    said = [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for cell in cells
        if COMPARED in cell.metadata.get("tags", [])
        for output in cell.outputs
    ]
    return digests(folder / "runs" / "stages"), said


def run_again(folder: Path) -> tuple[bool, float]:
    """Whether the command ends well, and after how many seconds."""
    began = time.perf_counter()
    return start(folder).wait(LONG) == 0, time.perf_counter() - began


def measure(kills: int, seed: int = 0) -> list[Outcome]:
    """Kill the command at random moments, once in each of `kills` folders."""
    rng, same, seconds, orphans = Random(seed), 0, [], 0
    with tempfile.TemporaryDirectory() as place:
        well, usual = run_again(Path(place) / "straight")
        if not well:
            raise RuntimeError(f"{' '.join(command(Path('.')))} does not end well; see why")
        expected = came_out(Path(place) / "straight")
        for i in range(kills):
            folder = Path(place) / str(i)
            process = start(folder)
            try:
                process.wait(rng.uniform(0.05, 0.95) * usual)
            except subprocess.TimeoutExpired:
                others = below(process.pid)
                alone = i % 2 == 1
                end([process.pid] if alone else [process.pid, *others])
                process.wait()
                orphans += alone
                well, took = run_again(folder)
                end(others if alone else [])  # an orphan that is still at it
                seconds.append(took)
                same += well and came_out(folder) == expected
    tries = len(seconds)
    return [
        Outcome(
            f"kill -9 of `course {NUMBER}` in the middle of its notebook",
            tries,
            f"{orphans} times the command alone, its notebook going on; the same command again "
            f"ended with status 0, the same weights and the same headlines {same} times",
            f"{max(seconds, default=0):.0f} s from the kill to the end; {usual:.0f} s unkilled",
            tries - same,
        )
    ]
