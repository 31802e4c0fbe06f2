"""Every loss and advantage beside TRL's: values, gradients, and where the two part on purpose.

    python -m benchmarks.parity        # measures, and writes benchmarks/PARITY.md

`parity_cases`, `parity_policy` and `parity_models` say what is compared, `parity_draws` with which
inputs, and `parity_notes.toml` what TRL has no counterpart of, and where papers and libraries
differ.
"""

from __future__ import annotations

import math
import tomllib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.parity_cases import OTHERS, PREFERENCES, TUNING, Case
from benchmarks.parity_models import MODELS
from benchmarks.parity_policy import FOUNDATIONS, GRADIENTS, OF_GROUPS
from benchmarks.report import table
from minialign.variants.methods import registry

FILE = Path(__file__).with_name("PARITY.md")
NOTES = Path(__file__).with_name("parity_notes.toml")
CASES = (*TUNING, *PREFERENCES, *OTHERS, *GRADIENTS, *OF_GROUPS, *FOUNDATIONS, *MODELS)
DRAWS = 100
# A number nearer to 0 than this is compared as if it were this far: a loss is a mean of terms of
# both signs, which may cancel; entries of a gradient seldom do.
NEAR_0 = {"value": 1e-3, "gradient": 1e-9}


@dataclass(frozen=True)
class Error:
    """The worst relative errors of a case over its draws."""

    value: float
    gradient: float
    steepest: float  # the largest entry of all gradients: 0 would compare nothing


def relative(a: Tensor, b: Tensor, near_0: float) -> float:
    """The largest difference of two tensors over the largest entry of both, which is at least
    `near_0`; infinite where something is not finite.

    >>> relative(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]), 1e-3)
    0.5
    """
    if a.shape != b.shape:
        raise ValueError(f"shapes {tuple(a.shape)} and {tuple(b.shape)} cannot be compared")
    a, b = a.detach().double(), b.detach().double()
    if not (a.isfinite().all() and b.isfinite().all()):
        return math.inf
    largest = max(a.abs().max().item(), b.abs().max().item(), near_0)
    return (a - b).abs().max().item() / largest


def gradients(out: Tensor, leaves: Sequence[Tensor]) -> Tensor:
    """Of a number, or of entries of a tensor that count differently, with respect to all leaves."""
    weights = torch.linspace(1, 2, out.numel(), dtype=out.dtype).view_as(out)
    found = torch.autograd.grad((weights * out).sum(), leaves)
    return torch.cat([one.flatten() for one in found])


def measure(case: Case, count: int = DRAWS) -> Error:
    """The worst errors over `count` draws, whose seeds are made of the case's name."""
    worst = {"value": 0.0, "gradient": 0.0}
    steepest = 0.0
    for i in range(count):
        seed = zlib.crc32(f"{case.name} {i}".encode())
        draw = case.draw(torch.Generator().manual_seed(seed))
        outs = case.of_ours(draw), case.of_theirs(draw)
        if case.value:
            worst["value"] = max(worst["value"], relative(*outs, NEAR_0["value"]))
        if draw.leaves:
            leaves = [getattr(draw, name) for name in draw.leaves]
            ours, theirs = (gradients(out, leaves) for out in outs)
            worst["gradient"] = max(worst["gradient"], relative(ours, theirs, NEAR_0["gradient"]))
            steepest = max(steepest, theirs.abs().max().item())
    return Error(worst["value"], worst["gradient"], steepest)


# The file keeps bounds, not numbers, so that it is the same on every machine: a power of ten at
# least tenfold above the worst error, but no smaller than FLOOR. BOUND is from arithmetic. A sum of
# 24 tokens may be 250 nats large, and its rounding, 24 * 250 units of 1.1e-16 or 6e-8 at most, is a
# relative error of its exponential; single precision is drawn nearer, at some 1,000 units.
FLOOR = {torch.float64: -13, torch.float32: -6}
BOUND = {torch.float64: 1e-12, torch.float32: 1e-4}
HEADER = ("row of `methods.toml`", "minialign", "TRL", "value", "gradient")


def bound_of(error: float, dtype: torch.dtype) -> str:
    """An error as the file shows it.

    >>> bound_of(3e-16, torch.float64), bound_of(3e-14, torch.float64)
    ('1e-13', '1e-12')
    """
    power = math.floor(math.log10(error)) + 2 if error else FLOOR[dtype]
    shown = min(max(power, FLOOR[dtype]), round(math.log10(BOUND[dtype])))
    return f"1e{shown}"


def parity_row(case: Case, error: Error) -> list[str]:
    """A line of the table of a family."""
    value = f"< {bound_of(error.value, case.dtype)}" if case.value else "differs"
    gradient = f"< {bound_of(error.gradient, case.dtype)}" if error.steepest else "none"
    rows = ", ".join(f"`{row}`" for row in case.rows) or "-"
    return [rows, case.ours, case.theirs, value, gradient]


def notes() -> dict:
    """What is written by hand: the page, `held` and `point`, see the head of the file."""
    return tomllib.loads(NOTES.read_text(encoding="utf-8"))


def absent() -> dict[str, list[dict]]:
    """Row of the registry -> what of it TRL has no counterpart of, and what holds that."""
    found: dict[str, list[dict]] = {}
    for entry in notes()["held"]:
        for row in entry["rows"]:
            found.setdefault(row, []).append(entry)
    return found


def compared() -> set[str]:
    """Rows of the registry of which something is compared."""
    return {row for case in CASES for row in case.rows}


def require_whole() -> None:
    """Raise ValueError for a row of the registry that is neither compared nor held, or unknown."""
    rows, known = set(registry()), compared() | set(absent())
    if missing := sorted(rows - known):
        raise ValueError(
            f"row {missing[0]} of methods.toml is not compared with TRL: add a Case of it, or say "
            f"in {NOTES.name} that TRL has none, and which test holds it"
        )
    if strange := sorted(known - rows):
        raise ValueError(f"{strange[0]} is no row of methods.toml; name one of {len(rows)} rows")


def _numbers(errors: Sequence[Error]) -> str:
    """A table for each family."""
    families: dict[str, list[list[str]]] = {}
    for case, error in zip(CASES, errors, strict=True):
        families.setdefault(case.family, []).append(parity_row(case, error))
    return "\n\n".join(f"### {name}\n\n{table(HEADER, rows)}" for name, rows in families.items())


def _held() -> str:
    """The table of what TRL has no counterpart of."""
    lines = []
    for entry in notes()["held"]:
        tests = "<br>".join(f"`{test}`" for test in entry["tests"])
        rows = ", ".join(f"`{row}`" for row in entry["rows"])
        alone = "nothing" if compared().isdisjoint(entry["rows"]) else "the rest, above"
        lines.append([rows, entry["why"], alone, tests])
    return table(["row", "what TRL has not", "compared", "held by, below `tests/`"], lines)


def _points() -> str:
    """The table of disagreements."""
    header = ["point", "papers", "libraries", "minialign, and why", "where"]
    keys = ("about", "papers", "libraries", "minialign", "where")
    return table(header, [[entry[key] for key in keys] for entry in notes()["point"]])


def text(errors: Sequence[Error], trl_version: str) -> str:
    """The whole file."""
    require_whole()
    return notes()["page"].format(
        cases=len(CASES), version=trl_version, draws=DRAWS, numbers=_numbers(errors),
        held=_held(), points=_points(),
    )  # fmt: skip


def main() -> None:
    """Measure, and write the file."""
    errors = [measure(case) for case in CASES]
    FILE.write_text(text(errors, version("trl")), encoding="utf-8")
    print(f"{len(CASES)} cases in {FILE}")


if __name__ == "__main__":
    main()
