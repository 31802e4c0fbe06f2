"""Seconds of a step and bytes at the peak of a loop, on a card and on the CPU."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.jobs import free, synchronize
from minialign.core.models.memory import GIB

LEAST = 2  # steps: Adam has averages from the second on, and the first warms up


class Enough(Exception):
    """All steps that were to be timed are done."""


@dataclass
class Steps:
    """The ends of a loop's steps, as its `on_step`; ends the loop when enough are timed.

    Raises:
        Enough: after the last step.
    """

    device: str
    warm: int  # steps that are not timed; the first never is, others are where no time is left
    most: int  # steps that are timed
    seconds: float  # after which a loop is stopped, once LEAST steps are done
    start: float = field(default_factory=time.perf_counter)
    ends: list[float] = field(default_factory=list)

    def __call__(self, metrics: dict[str, float] | None = None) -> None:
        if self.note():
            raise Enough

    def note(self) -> bool:
        """Note that a step has ended; whether it was the last."""
        synchronize(self.device)
        self.ends.append(time.perf_counter())
        late = self.ends[-1] - self.start > self.seconds
        return len(self.ends) >= self.warm + self.most or (late and len(self.ends) >= LEAST)

    def row(self) -> dict[str, float | int]:
        """How many steps were timed, their median, the shortest and the longest."""
        if len(self.ends) < LEAST:
            raise RuntimeError(f"{len(self.ends)} steps ended, but {LEAST} must, to time one")
        ends = self.ends[min(self.warm, len(self.ends) - 1) - 1 :]
        each = [after - before for before, after in pairwise(ends)]
        rounded = (round(x, 5) for x in (statistics.median(each), min(each), max(each)))
        return dict(zip(("steps", "seconds", "least", "most"), (len(each), *rounded), strict=True))


@dataclass
class Peak:
    """The most bytes that were held at once, and what the allocator took of the card for them."""

    held: int = 0
    reserved: int | None = None  # on a card

    def row(self) -> dict[str, float | None]:
        """In GiB."""
        reserved = None if self.reserved is None else round(self.reserved / GIB, 4)
        return {"measured_gib": round(self.held / GIB, 4), "reserved_gib": reserved}


@contextlib.contextmanager
def peak_memory(device: str, models: Iterable[torch.nn.Module], before: int) -> Iterator[Peak]:
    """The peak of what runs inside, with the weights that were there when it began.

    Args:
        device: a card, whose allocator counts; or the CPU, where a profile's events are added up.
        models: that are there when it begins.
        before: bytes that were taken on the card before these models were built.
    """
    peak = Peak()
    if device == "cpu":
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run:
            yield peak
        peak.held = most_held(run) + weights_bytes(models)
        return
    free(device)
    torch.cuda.reset_peak_memory_stats()
    yield peak
    synchronize(device)
    peak.held = torch.cuda.max_memory_allocated() - before
    peak.reserved = torch.cuda.max_memory_reserved() - before


def most_held(run: profile) -> int:
    """The most bytes that torch held at once in a profile of memory, beyond those held before."""
    events = run.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    return max(0, *accumulate(change for _, change in changes))


def taken(device: str) -> int:
    """Bytes that are taken on the card; 0 on the CPU, where only changes are counted."""
    return 0 if device == "cpu" else torch.cuda.memory_allocated()


def weights_bytes(models: Iterable[torch.nn.Module]) -> int:
    """Bytes of all parameters and buffers, each counted once."""
    tensors = {id(t): t for model in models for t in (*model.parameters(), *model.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values())
