"""What idle threads cost beside other work: a rollout on a quiet machine and on a busy one.

    python -m benchmarks.busy --spin default passive 1000 10000 --repeats 3

Between two parallel regions OpenMP's idle threads spin for a while before they sleep. On a busy
machine they spin on time that another process needs. Each line is a setting of GOMP_SPINCOUNT (or
`passive`, OMP_WAIT_POLICY=PASSIVE, or `default`, none of either), each column the seconds of a
rollout of 128 completions with two threads: alone, and beside `--busy` processes that only count.
Settings take turns, so that a drift of the machine meets all of them; medians and ranges are
printed, the first rollout of a process is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

# torch comes before the package here, which then leaves its setting alone.
CHILD = """
import time, torch
torch.set_num_threads(2)
from minialign.core.models.loading import load_policy
from minialign.core.sampling import sample
from minialign.world.tasks import instructions
policy, tokenizer = load_policy()
prompts = [i.prompt for i in instructions(16, "test", 0)]
for run in range(3):
    start = time.perf_counter()
    generator = torch.Generator().manual_seed(run)
    sample(policy, tokenizer, prompts, group_size=8, max_new_tokens=64, generator=generator)
    if run:
        print(time.perf_counter() - start)
"""
SPINNING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def environment(setting: str) -> dict[str, str]:
    """The environment of a rollout under a setting."""
    clean = {name: value for name, value in os.environ.items() if name not in SPINNING}
    if setting == "passive":
        return {**clean, "OMP_WAIT_POLICY": "PASSIVE"}
    return clean if setting == "default" else {**clean, "GOMP_SPINCOUNT": setting}


def seconds(setting: str, busy: int) -> list[float]:
    """Two rollouts' seconds under a setting, beside `busy` processes that only count."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        out = subprocess.run(
            [sys.executable, "-c", CHILD], env=environment(setting), text=True,
            capture_output=True, check=True,
        )  # fmt: skip
    finally:
        for other in others:
            other.kill()
    return [float(line) for line in out.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spin", nargs="+", default=["default", "passive", "1000", "10000"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--busy", type=int, default=2)
    args = parser.parse_args()
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(args.repeats):
        for setting in args.spin:
            for busy in (0, args.busy):
                found.setdefault((setting, busy), []).extend(seconds(setting, busy))
    print(f"{'setting':>10}  {'quiet':>20}  {f'beside {args.busy} busy':>20}")
    for setting in args.spin:
        cells = []
        for busy in (0, args.busy):
            times = found[setting, busy]
            low, high = min(times), max(times)
            cells.append(f"{statistics.median(times):.2f} ({low:.2f}-{high:.2f})")
        print(f"{setting:>10}  {cells[0]:>20}  {cells[1]:>20}")


if __name__ == "__main__":
    main()
