"""What the jobs gave, as three files in CSV and one section of the results."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import torch

import minialign
from benchmarks.gpu.jobs import Outcome
from benchmarks.gpu.models import Sizes
from benchmarks.report import machine, table, write_section

COMMAND = "python -m benchmarks.gpu_check"
FAILURES = "gpu_failures.txt"  # with tracebacks
CHECKS = ("resuming", "properties")  # parts that say whether something works
STEPS = ["loop", "model", "trained", "library", "batch", "length", "dtype", "steps", "seconds",
         "least", "most", "peak_gib"]  # fmt: skip
MEMORY = ["loop", "model", "trained", "batch", "length", "dtype", "measured_gib", "estimate_gib",
          "ratio", "reserved_gib"]  # fmt: skip


def where(device: str) -> str:
    """The card's name, or the processor's kind."""
    return platform.machine() if device == "cpu" else torch.cuda.get_device_name()


def versions(device: str) -> dict[str, str]:
    """What a row must say to be compared with another."""
    return {
        "minialign": minialign.__version__,
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "trl": version("trl") if find_spec("trl") else "",
        "hardware": where(device),
    }


def frames(outcomes: Sequence[Outcome], device: str) -> dict[str, pd.DataFrame]:
    """File name -> its table: every check, every measured peak, every time of a step."""
    same = versions(device)
    checks = [
        {"part": o.job.part, "check": o.job.name, "result": o.result,
         "seconds": round(o.seconds, 2), "found": o.found}
        for o in outcomes if o.job.part in CHECKS
    ]  # fmt: skip
    measured = [o.row for o in outcomes if o.job.part not in CHECKS and o.result == "ok"]
    ours = [row for row in measured if row["library"] == "minialign"]
    steps = [row | {"peak_gib": row["measured_gib"]} for row in measured]
    return {
        name: pd.DataFrame(rows, columns=columns).assign(**same)
        for name, rows, columns in (
            ("gpu_loops", checks, ["part", "check", "result", "seconds", "found"]),
            ("gpu_memory", ours, MEMORY),
            ("gpu_steps", steps, STEPS),
        )
    }


def section(
    tables: dict[str, pd.DataFrame], outcomes: Sequence[Outcome], sizes: Sizes, device: str
) -> str:
    """The section in Markdown."""
    checks, memory, steps = (tables[name] for name in ("gpu_loops", "gpu_memory", "gpu_steps"))
    kind = "the CPU" if device == "cpu" else f"One {where(device)}"
    passed = checks["result"].eq("ok").sum()
    text = [
        f"{kind}; {machine()} {passed} of {len(checks)} checks passed. Rows: "
        "`data/runs/gpu_loops.csv`, `gpu_memory.csv` and `gpu_steps.csv`.",
        "Runs that were stopped in their third step and resumed on the CPU, and properties of the "
        "loops, all on tiny-base:",
        _markdown(checks[["part", "check", "result", "found"]]),
        "Memory at the peak of a loop that holds only its own models, beside the estimate of "
        "`tools.memory_needs.update_bytes`. Models are random, in the shapes of tiny-base, "
        "SmolLM2-135M and Llama-3.2-1B, with weights in float32; all sequences have "
        f"{sizes.prompt_tokens} + {sizes.new_tokens} tokens. `batch` counts sequences in one "
        "backward pass; reserved is what the allocator took of the card:",
        _markdown(memory[MEMORY]),
        "Seconds of a step of the same, the first left out: median (least to most). `batch` counts "
        "sequences in a step; one of GRPO and PPO samples, reads the reference and updates. "
        "PPO is paid by a reward model. TRL has the same batches and precision, without gradient "
        "checkpointing; its memory is given for comparison.",
        _markdown(_side_by_side(steps)),
    ]
    reasons: dict[str, list[str]] = {}
    for one in outcomes:
        if one.result != "ok" and one.job.part not in CHECKS:
            reasons.setdefault(f"{one.result}, {one.why}", []).append(one.job.name)
    if reasons:
        lines = [f"- {reason}: {'; '.join(names)}" for reason, names in reasons.items()]
        text += ["Not measured:", "\n".join(lines)]
    return "\n\n".join(text)


def _markdown(frame: pd.DataFrame) -> str:
    return table(list(frame.columns), frame.fillna("").to_numpy().tolist())


def _side_by_side(steps: pd.DataFrame) -> pd.DataFrame:
    """A row for each loop and model: seconds here, with TRL, and their ratio; likewise memory."""
    rows = []
    for (model, loop), group in steps.groupby(["model", "loop"], sort=False):
        by = {row["library"]: row for row in group.to_dict("records")}
        first = next(iter(by.values()))
        row = {"model": model, "trained": first["trained"], "loop": loop, "batch": first["batch"]}
        for library in ("minialign", "trl"):
            one = by.get(library)
            row[f"{library}, s"] = (
                f"{one['seconds']:.3f} ({one['least']:.3f} to {one['most']:.3f})" if one else ""
            )
            row[f"{library}, GiB"] = f"{one['peak_gib']:.2f}" if one else ""
        both = len(by) == 2
        row["trl / minialign"] = (
            f"{by['trl']['seconds'] / by['minialign']['seconds']:.2f}" if both else ""
        )
        rows.append(row)
    columns = ["model", "trained", "loop", "batch", "minialign, s", "trl, s", "trl / minialign",
               "minialign, GiB", "trl, GiB"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def write(
    outcomes: Sequence[Outcome], sizes: Sizes, device: str, runs: Path, results: Path
) -> None:
    """Write everything that is known so far."""
    runs.mkdir(parents=True, exist_ok=True)
    tables = frames(outcomes, device)
    for name, frame in tables.items():
        fresh = runs / f"{name}.new"
        frame.to_csv(fresh, index=False, lineterminator="\n")
        os.replace(fresh, runs / f"{name}.csv")
    failures = "\n".join(str(o) for o in outcomes if o.result == "failed")
    if failures:
        (runs / FAILURES).write_text(failures + "\n")
    else:
        (runs / FAILURES).unlink(missing_ok=True)
    write_section(COMMAND, section(tables, outcomes, sizes, device), results)
