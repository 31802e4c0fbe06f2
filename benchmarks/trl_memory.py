"""Peak memory of one side, in a process of its own.

    python -m benchmarks.trl_memory ours '{"method": "sft", "folder": ..., ...}'

Prints MiB of resident memory at its highest while the run goes on, above what the process held when
the model was loaded and every library imported. Linux counts the peak anew from a mark
(/proc/self/clear_refs); elsewhere the peak of the whole process is taken, loading included.
"""

from __future__ import annotations

import ctypes
import gc
import json
import resource
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.trl_sides import run_ours, run_theirs
from benchmarks.trl_work import Work, parity

STATUS, MARK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
KIB = 1024


def resident(name: str) -> int:
    """KiB of VmRSS (now) or VmHWM (peak), by the system's own count."""
    if not STATUS.exists():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // KIB if sys.platform == "darwin" else peak
    lines = (line.partition(":") for line in STATUS.read_text().splitlines())
    return int({key: value for key, _, value in lines}[name].split()[0])


class MemoryClock:
    """A clock that marks the memory when it is first asked: the model is loaded, the run begins."""

    def __init__(self) -> None:
        self.held: int | None = None

    def __call__(self) -> float:
        if self.held is None:
            gc.collect()
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).malloc_trim(0)  # what loading has freed goes back to the system
            with suppress(OSError):
                MARK.write_text("5")
            self.held = resident("VmRSS")
        return time.perf_counter()


def peak_memory(work: Work, side: str, threads: int) -> float:
    """MiB that a run of one side needs above the loaded model, measured in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.trl_memory", side, json.dumps(asdict(work))]
    root = Path(__file__).parents[1]
    out = subprocess.run(
        [*command, str(threads)], cwd=root, text=True, capture_output=True, check=False
    )
    if out.returncode:
        raise RuntimeError(f"the run of {side} ended with {out.stderr.strip()[-600:]}")
    return float(out.stdout.split()[-1])


def main() -> None:
    """Run one side and print its peak."""
    side, work, threads = sys.argv[1], Work(**json.loads(sys.argv[2])), int(sys.argv[3])
    torch.set_num_threads(threads)
    clock = MemoryClock()
    {"ours": run_ours, "trl": run_theirs}[side](work, parity, clock=clock)
    print((resident("VmHWM") - clock.held) / KIB)


if __name__ == "__main__":
    main()
