"""Pieces of work that share a time budget: guarded, timed, and skipped when time is short."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

SHOWN = ("measured_gib", "estimate_gib", "seconds")  # of a measurement, as it goes by
LEAST = 5.0  # seconds that must be left for a job to begin


class OutOfTime(Exception):
    """A job took longer than it may."""


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in what runs inside after so many seconds, where the system has an alarm.

    It rings again every five seconds, in case a library catches the first.
    """
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise OutOfTime(f"stopped after {seconds:.0f} s, which is all that it may take")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 5.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def free(device: str) -> None:
    """Give back to a card what earlier work has left there."""
    if device != "cpu":
        gc.collect()
        torch.cuda.empty_cache()


def synchronize(device: str) -> None:
    """Wait until the card has done what it was told."""
    if device != "cpu":
        torch.cuda.synchronize()


@dataclass(frozen=True)
class Job:
    """One piece of work; what it returns are columns of its row."""

    part: str
    name: str
    work: Callable[[], dict[str, Any]]
    limit: float = 60.0  # seconds that it may take


@dataclass
class Outcome:
    """What became of a job."""

    job: Job
    result: str  # ok, failed or skipped
    seconds: float
    row: dict[str, Any] = field(default_factory=dict)
    why: str = ""  # a line, where it is not ok
    trace: str = ""

    def __str__(self) -> str:
        line = f"{self.job.part:>10} {self.job.name:<38} {self.result:<7} {self.seconds:5.1f} s"
        return f"{line}  {self.found}\n{self.trace}".rstrip()

    @property
    def found(self) -> str:
        """What came out, on a line."""
        names = [name for name in SHOWN if name in self.row] or list(self.row)
        said = ", ".join(f"{name.replace('_', ' ')} {self.row[name]}" for name in names)
        return self.why or said


@dataclass
class Budget:
    """Seconds for all jobs together."""

    seconds: float
    start: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - self.start)

    def run(self, job: Job, device: str = "cpu") -> Outcome:
        """Do a job, whatever it raises; skip it where too little time is left."""
        if self.left < LEAST:
            return Outcome(job, "skipped", 0.0, why="no time was left")
        start, limit = time.monotonic(), min(job.limit, self.left)
        row, result, why, trace = {}, "ok", "", ""
        try:
            free(device)
            with at_most(limit):
                row = job.work()
        except Exception as error:
            result = "skipped" if isinstance(error, OutOfTime) else "failed"
            why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            trace = "" if result == "skipped" else traceback.format_exc()
            traceback.clear_frames(error.__traceback__)  # they hold tensors
        return Outcome(job, result, time.monotonic() - start, row, why, trace)
