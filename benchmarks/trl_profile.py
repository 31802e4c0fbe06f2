"""Where a step of ours spends its time: by phase of the loop, and by kind of operator."""

from __future__ import annotations

import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib import import_module
from unittest.mock import patch

from torch.profiler import ProfilerActivity, profile

from benchmarks.report import table
from benchmarks.trl_sides import Clock, run_ours
from benchmarks.trl_work import TITLES, Work, parity

# Where a phase of a loop is entered: module, and the name in it of a function or a method.
PHASES = {
    "sampling": [
        ("minialign.algorithms.grpo", "sample"),
        ("minialign.variants.loops.policy_loop", "sample"),
    ],
    "reference": [
        ("minialign.core.sampling", "Rollout.logprobs_under"),
        ("minialign.algorithms.dpo", "completion_logprobs"),
        ("minialign.variants.loops.unpaired_loop", "completion_logprobs"),
    ],
    "backward": [("minialign.core.run", "Run.backward")],
    "clipping and optimizer": [("minialign.core.run", "Run.update")],
}
# The first pattern that an operator's name holds says its kind.
KINDS = {
    "optimizer": r"adam|foreach|norm\b|clip",
    "matrix products": r"mm\b|addmm|bmm|matmul|linear|mkldnn",
    "fused attention": r"scaled_dot|flash",
    "log-softmax": r"log_softmax",
    "softmax of attention": r"softmax",
    "copies and conversions": r"copy|clone|contiguous|\bcat\b|_to\b|to_copy|fill|zero|empty|pad",
    "choice of rows": r"index|gather|scatter|embedding|sort|topk|multinomial|nonzero|where|mask",
    "elementwise": r"mul|add|sub|div|neg|silu|sigmoid|exp|pow|rsqrt|mean|sum|cos|sin|clamp|max|min",
}


class Phases:
    """Seconds of each phase, without those of a phase that it calls."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.seconds = clock, defaultdict(float)
        self.open_phases: list[str] = []
        self.since = clock()

    def enter(self, phase: str | None) -> None:
        """Go into a phase, or with None out of the one that was entered last."""
        now = self.clock()
        if self.open_phases:
            self.seconds[self.open_phases[-1]] += now - self.since
        self.since = now
        if phase is None:
            self.open_phases.pop()
        else:
            self.open_phases.append(phase)

    def around(self, phase: str, function: Callable) -> Callable:
        """The function, counted as a phase."""

        def counted(*args, **kwargs):
            self.enter(phase)
            try:
                return function(*args, **kwargs)
            finally:
                self.enter(None)

        return counted

    @contextlib.contextmanager
    def watched(self) -> Iterator[Phases]:
        """While it is open, all places of `PHASES` are counted."""
        with contextlib.ExitStack() as patches:
            for phase, places in PHASES.items():
                for module, path in places:
                    owner, *names = import_module(module), *path.split(".")
                    for name in names[:-1]:
                        owner = getattr(owner, name)
                    counted = self.around(phase, getattr(owner, names[-1]))
                    patches.enter_context(patch.object(owner, names[-1], counted))
            yield self


def by_phase(work: Work, clock: Clock) -> dict[str, float]:
    """Seconds of a step in each phase; what no phase holds is the forward pass and the loss."""
    phases = Phases(clock)
    with phases.watched():
        record = run_ours(work, parity, clock)
    found = {name: seconds / work.steps for name, seconds in phases.seconds.items()}
    whole = sum(record.step_times) / work.steps
    return {**found, "forward pass, loss and the rest": whole - sum(found.values())}


def by_operator(work: Work) -> dict[str, float]:
    """Seconds of a step in each kind of operator, and outside of all, by torch's profiler.

    The reference's pass and the set-up are in it; the profiler's own cost is too, and makes many
    small operators look dearer than they are. The profiler reads the clock on the wall.
    """
    seen, begun = profile(activities=[ProfilerActivity.CPU]), []

    def clock() -> float:  # first asked when the model is loaded and the run begins
        if not begun:
            seen.start()
            begun.append(time.perf_counter())
        return time.perf_counter()

    run_ours(work, parity, clock)
    whole = time.perf_counter() - begun[0]
    seen.stop()
    found: dict[str, float] = defaultdict(float)
    for event in seen.key_averages():
        kinds = (kind for kind, pattern in KINDS.items() if re.search(pattern, event.key.lower()))
        found[next(kinds, "other operators")] += event.self_cpu_time_total / 1e6 / work.steps
    return {**found, "outside of operators (Python)": whole / work.steps - sum(found.values())}


def profile_tables(work: Work, clock: Clock) -> str:
    """Two tables: where the time of our step goes."""
    run_ours(work.short(), parity, clock)  # warms up
    tables = []
    for what, seconds in (("phase", by_phase(work, clock)), ("operator", by_operator(work))):
        whole = sum(seconds.values())
        lines = [
            [name, f"{s:.3f}", f"{s / whole:.0%}"]
            for name, s in sorted(seconds.items(), key=lambda one: -one[1])
        ]
        head = [f"{TITLES[work.method]}, {work.precision}: {what}", "s / step", "share"]
        tables.append(table(head, lines))
    return "\n\n".join(tables)
