"""A disk that fills up in the middle of a save, and a folder that cannot be written."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.survival.loops import LOOPS
from benchmarks.survival.outcome import Outcome
from minialign.core import checkpoint

ONE_FOLDER = tuple(name for name in LOOPS if name != "rounds")
NOBODY = 65534  # the user without rights
FAILS_AT = 3  # the save that finds no space; those before it found some
Limit = Callable[[Path], Any]


@contextmanager
def short_files(folder: Path) -> Iterator[None]:
    """No file longer than 20 KB: what the kernel's quota does (RLIMIT_FSIZE)."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """The file system is filled to its last byte, up to now a small one of its own."""
    ballast = folder.parent / "ballast"
    try:
        with open(ballast, "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder's mode is 555, which root does not mind: root is nobody for that long."""
    is_root = os.geteuid() == 0
    folder.parent.chmod(0o555)
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.parent.chmod(0o755)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 8 MB in memory, mounted at a folder."""
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    subprocess.run(command, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def may_mount() -> bool:
    """Whether a file system can be mounted here, as root can."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder)):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def survives(name: str, limit: Limit, folder: Path) -> tuple[bool, float]:
    """Whether a run's failed save leaves the last one, says what to do, and is gone on from.

    Returns the seconds from the third step's save to the error as well.
    """
    expected = LOOPS[name](None)[0]
    began: list[float] = []

    def save(real: Callable, *given: Any, **more: Any) -> None:
        began.append(time.perf_counter())
        if len(began) < FAILS_AT:
            return real(*given, **more)
        with limit(folder):
            return real(*given, **more)

    said = ""
    with mock.patch.object(
        checkpoint, "save_checkpoint", partial(save, checkpoint.save_checkpoint)
    ):
        try:
            LOOPS[name](folder)
        except OSError as error:
            said = str(error)
    took = time.perf_counter() - began[-1]
    names = str(folder.parent.resolve()) in said and "free some disk there" in said
    steps: list[dict] = []
    again = LOOPS[name](folder, on_step=steps.append)[0]
    went_on = len(steps) == len(expected[0]) - (FAILS_AT - 1)
    return names and went_on and again == expected, took


def measure(names: Sequence[str] = ONE_FOLDER) -> list[Outcome]:
    """Each limit, on every loop of one folder (rounds have several, and the same code)."""
    limits: dict[str, Limit] = {
        "no file may grow (RLIMIT_FSIZE)": short_files,
        "the folder is read-only (EACCES)": read_only,
    }
    if may_mount():
        limits["the disk is full (ENOSPC, a tmpfs filled up)"] = full
    return [_outcome(threat, limit, names) for threat, limit in limits.items()]


def _disk(limit: Limit, folder: Path) -> AbstractContextManager[None]:
    """What is filled up is a file system of its own."""
    return small_disk(folder) if limit is full else nullcontext()


def _outcome(threat: str, limit: Limit, names: Sequence[str]) -> Outcome:
    found = []
    for name in names:
        with tempfile.TemporaryDirectory() as place, _disk(limit, Path(place)):
            found.append(survives(name, limit, Path(place) / "run"))
    good = sum(well for well, _ in found)
    return Outcome(
        f"{threat} in the third save",
        len(found),
        f"the error named folder and repair, the second save was whole, and the run went on from "
        f"it to the same history, {good} times",
        f"{max(took for _, took in found):.2f} s to the error",
        len(found) - good,
    )
