"""SIGKILL at random moments: of every loop, of the course's stages, and of the course itself.

A process that has imported everything, and runs one thread, forks: the child trains, the parent
kills it. So a life begins in milliseconds, and a hundred of them take minutes. The child writes
into memory that both share which save has been completed, and whether it is in one.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from random import Random

import torch
from safetensors.torch import save_file

from benchmarks.survival.loops import COURSE, LOOPS, Loop
from benchmarks.survival.outcome import Outcome
from minialign.core import checkpoint

SLOTS = 4  # folders of one run: each round has its own
LONG = 120.0  # seconds for a life that nobody kills


class Board:
    """Numbers that parent and child share: saves completed, steps resumed at, whether in a save."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 8 * (2 * SLOTS + 1))

    def __getitem__(self, slot: int) -> int:
        return struct.unpack_from("q", self.memory, 8 * slot)[0]

    def __setitem__(self, slot: int, value: int) -> None:
        struct.pack_into("q", self.memory, 8 * slot, value)

    @property
    def saved(self) -> list[int]:
        """The steps of the last completed save of each folder."""
        return [self[i] for i in range(SLOTS)]

    @property
    def resumed(self) -> list[int]:
        """The steps at which this life found each folder."""
        return [self[SLOTS + i] for i in range(SLOTS)]

    @property
    def in_save(self) -> bool:
        return bool(self[2 * SLOTS])

    def watch(self) -> None:
        """In a child: write what saving and resuming do."""
        save, load = checkpoint.save_checkpoint, checkpoint.load_checkpoint

        def saving(path, model, optimizer, settings, state, generators=()):
            self[2 * SLOTS] = 1
            save(path, model, optimizer, settings, state, generators)
            self[_slot(path)] = state["step"]
            self[2 * SLOTS] = 0

        def loading(path, *given):
            state = load(path, *given)
            self[SLOTS + _slot(path)] = state["step"]
            return state

        checkpoint.save_checkpoint, checkpoint.load_checkpoint = saving, loading


def _slot(path: Path) -> int:
    name = Path(path).name
    return int(name.removeprefix("round-")) if name.startswith("round-") else SLOTS - 1


def life(loop: Loop, folder: Path, out: Path, board: Board) -> int:
    """Fork a child that trains; its id."""
    board[2 * SLOTS] = 0
    for slot in range(SLOTS):
        board[SLOTS + slot] = 0
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with open(os.devnull, "w") as quiet:
            os.dup2(quiet.fileno(), 1)
        board.watch()
        histories, models = loop(folder)
        weights = {
            f"{i}.{name}": tensor.detach().contiguous().clone()
            for i, model in enumerate(models)
            for name, tensor in model.state_dict().items()
        }
        save_file(weights, out / "weights.safetensors")
        (out / "history.json").write_text(json.dumps(histories))
        status = 0
    finally:
        os._exit(status)


def ended(child: int, seconds: float) -> int | None:
    """Wait for a child: its exit status, or None where it is still alive after that long."""
    deadline = time.perf_counter() + seconds
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.perf_counter() >= deadline:
            return None
        time.sleep(0.0005)


def kill(child: int) -> bool:
    """SIGKILL; whether it hit a living one."""
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def digests(*folders: Path) -> dict[str, str]:
    """A digest of every file that training made; locks and executed copies are none of them."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix in (".safetensors", ".json", ".csv", ".jinja")
    }


class Trial:
    """One loop, trained once without a kill, and then as often as it is killed."""

    def __init__(self, name: str, loop: Loop, place: Path) -> None:
        self.name, self.loop, self.place = name, loop, place
        self.of_course = name in COURSE
        self.board, self.count = Board(), 0
        began = time.perf_counter()
        self.straight = self.finished(*self.fresh())
        self.seconds = time.perf_counter() - began
        if self.straight is None:
            raise RuntimeError(f"{name} does not end even if nobody kills it; see why")

    def fresh(self) -> tuple[Path, Path]:
        """A folder to train in and one for what comes out, both new."""
        self.count += 1
        base = self.place / f"{self.name} {self.count}"
        (base / "out").mkdir(parents=True)
        for slot in range(SLOTS):
            self.board[slot] = 0
        return base / ("runs" if self.of_course else "run"), base / "out"

    def finished(self, folder: Path, out: Path) -> dict[str, str] | None:
        """Train until the end: what came out; None if it did not end well."""
        child = life(self.loop, folder, out, self.board)
        status = ended(child, LONG)
        if status is None:
            kill(child)
        if status != 0:
            return None
        return digests(folder / "stages") if self.of_course else digests(out)

    def killed(self, rng: Random, most: int) -> Iterator[dict]:
        """A run that is killed a few times at random moments, then ends; what each kill met."""
        folder, out = self.fresh()
        kills = []
        for _ in range(most):
            before = self.board.saved
            child = life(self.loop, folder, out, self.board)
            if self.ended_first(child, rng) or not kill(child):
                break
            kills.append({"in save": self.board.in_save, "lost": self.lost(before)})
        before, began = self.board.saved, time.perf_counter()
        same = self.finished(folder, out) == self.straight
        if kills:
            kills[-1] |= {"same": same, "seconds": time.perf_counter() - began}
            kills[-1]["lost"] |= self.lost(before, ended=True)
            yield from kills

    def ended_first(self, child: int, rng: Random) -> bool:
        """Whether a child ended before its turn came: any moment, every other time one of a save's.

        A save takes a tenth of a step, and few of all moments lie in one.
        """
        if ended(child, rng.uniform(0, self.seconds)) is not None:
            return True
        if rng.random() < 0.5:
            while not self.board.in_save:
                if ended(child, 0) is not None:
                    return True
                time.sleep(0.0002)
            time.sleep(rng.uniform(0, 0.005))
        return False

    def lost(self, before: list[int], *, ended: bool = False) -> bool:
        """Whether a life went on from before the last completed save of the lives before it.

        One that was killed may not have come to look. Stages share a slot, and are not asked.
        """
        pairs = zip(before, self.board.resumed, strict=True)
        looked = ((saved, found) for saved, found in pairs if found or ended)
        return not self.of_course and any(found < saved for saved, found in looked)


def measure(kills: int, seed: int = 0) -> list[Outcome]:
    """Kill all loops and stages in turn, `kills` times in all."""
    torch.set_num_threads(1)
    rng = Random(seed)
    waiting: dict[str, Loop | Trial] = LOOPS | COURSE
    names = rng.sample(list(waiting), len(waiting))
    with tempfile.TemporaryDirectory() as place:
        met: list[tuple[str, dict]] = []
        for name in cycle(names):
            if not isinstance(waiting[name], Trial):  # its first turn
                waiting[name] = Trial(name, waiting[name], Path(place))
            for one in waiting[name].killed(rng, min(rng.randint(1, 3), kills - len(met))):
                met.append((name, one))
            print(f"\r{len(met)} kills, {name}    ", end="", file=sys.stderr)
            if len(met) >= kills:
                break
    print(file=sys.stderr)
    return [
        _outcome(kind, [(name, one) for name, one in met if name in those])
        for kind, those in (("loops", LOOPS), ("stages of the course", COURSE))
    ]


def _outcome(kind: str, named: list[tuple[str, dict]]) -> Outcome:
    met, count = [one for _, one in named], len({name for name, _ in named})
    runs = [one for one in met if "same" in one]
    same, lost = sum(one["same"] for one in runs), sum(one["lost"] for one in met)
    in_save = sum(one["in save"] for one in met)
    return Outcome(
        f"kill -9 at a random moment of {count} {kind}",
        len(met),
        f"{in_save} fell into a save; {lost} went on from before the last save; {same} of "
        f"{len(runs)} runs that were started again ended with the bits of one that nobody killed",
        f"{max((one['seconds'] for one in runs), default=0):.1f} s from the last kill to the end",
        len(runs) - same + lost,
    )
