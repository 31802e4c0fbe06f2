"""The loops on a graphics card: do they work, how much memory, how long a step.

    python -m benchmarks.gpu_check --minutes 8 --out FOLDER

Three parts share the minutes, and what does not fit is left out, which is said:

- every essay and general loop on tiny-base, stopped on the card in its third step and resumed on
  the CPU, and properties of the loops;
- memory at the peak of every loop beside its estimate, with random models in the shapes of
  tiny-base, SmolLM2-135M and, with LoRA, Llama-3.2-1B, and all sequences of one length;
- seconds of a step with these, here and with TRL's trainers where TRL is installed.

After every piece of it gpu_loops.csv, gpu_memory.csv, gpu_steps.csv, the section of RESULTS.md and,
if something failed, gpu_failures.txt are written: into FOLDER, else a full run on a card writes
data/runs and benchmarks/RESULTS.md, and any other a temporary folder. Ends with exit code 1 if
something failed.

`--device cpu --quick` tries all of it without a card, at small sizes, under a minute; its seconds
are taken while a profile counts memory, and say nothing of speed.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # before the libraries read it
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing waits for a network
    os.environ.setdefault("TQDM_DISABLE", "1")

import torch

from benchmarks.gpu import ours, trl_loops
from benchmarks.gpu.jobs import Budget, Job, Outcome
from benchmarks.gpu.models import QUICK, SHIPPED, SMOLLM2, SPECS, TINY, Sizes, Spec, reduced
from benchmarks.gpu.properties import properties
from benchmarks.gpu.resuming import check, loops
from benchmarks.gpu.writing import where, write
from benchmarks.report import RESULTS, ROOT
from minialign.core.models.loading import load_policy

PARTS = ("resuming", "properties", "essays", "trl", "general")


def checks(device: str, quick: bool) -> list[Job]:
    """Whether the loops work."""
    _, tokenizer = load_policy()
    found = [
        Job("resuming", name, partial(check, loop, device))
        for name, loop in loops(tokenizer, quick=quick).items()
    ]
    return found + [
        Job("properties", name, work, 30.0) for name, work in properties(SHIPPED, device).items()
    ]


def _measured(library: str, loop: str, spec: Spec, sizes: Sizes, device: str) -> dict[str, Any]:
    """A row that says what was measured."""
    known = {"loop": loop, "model": spec.name, "trained": spec.trained, "library": library}
    measure = ours.measure if library == "minialign" else trl_loops.measure
    return known | measure(loop, spec, sizes, device)


def measurements(device: str, sizes: Sizes, quick: bool) -> list[Job]:
    """Memory and seconds, what matters most first."""

    def job(part: str, library: str, loop: str, spec: Spec) -> Job:
        name = f"{library} {loop}, {spec.name}"
        return Job(part, name, partial(_measured, library, loop, spec, sizes, device))

    why = trl_loops.missing()
    if why:
        print(f"{why}, so its trainers are not measured", flush=True)
    specs = [reduced(spec) if quick else spec for spec in SPECS]
    both = [s for s, spec in zip(specs, SPECS, strict=True) if spec in (SMOLLM2, TINY)]
    return [
        *(job("essays", "minialign", loop, spec) for spec in specs for loop in ours.ESSAYS),
        *(job("trl", "trl", loop, spec) for spec in specs for loop in trl_loops.LOOPS if not why),
        *(job("general", "minialign", loop, spec) for spec in both for loop in ours.GENERAL),
    ]


def run(
    device: str, sizes: Sizes, *, quick: bool, minutes: float, parts: Sequence[str], runs: Path,
    results: Path,
) -> list[Outcome]:  # fmt: skip
    """Do every job that fits, and write after each."""
    budget, outcomes = Budget(60 * minutes), []
    jobs = [*checks(device, quick), *measurements(device, sizes, quick)]
    gc.freeze()  # what is imported; collecting before each job is quick then
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of transformers about TRL's settings
        for job in jobs:
            if job.part in parts:
                outcomes.append(budget.run(job, device))
                print(outcomes[-1], flush=True)
                write(outcomes, sizes, device, runs, results)
    gc.unfreeze()
    return outcomes


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything together")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script out")
    parser.add_argument("--out", type=Path, help="folder of the files")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Run what the command line says."""
    options = arguments(given)
    if options.device != "cpu" and not torch.cuda.is_available():
        print("there is no CUDA card here; use --device cpu --quick to try the script out")
        return 1
    whole = options.device != "cpu" and not options.quick and tuple(options.parts) == PARTS
    out = options.out or (None if whole else Path(tempfile.mkdtemp(prefix="gpu-check-")))
    places = (ROOT / "data" / "runs", RESULTS) if out is None else (out, out / "RESULTS.md")
    print(
        f"{where(options.device)}, torch {torch.__version__}; files go to {places[0]}", flush=True
    )
    outcomes = run(
        options.device, QUICK if options.quick else Sizes(), quick=options.quick,
        minutes=options.minutes, parts=options.parts, runs=places[0], results=places[1],
    )  # fmt: skip
    results = [outcome.result for outcome in outcomes]
    print(", ".join(f"{results.count(r)} {r}" for r in ("ok", "failed", "skipped")))
    return min(1, results.count("failed"))


if __name__ == "__main__":
    sys.exit(main())
