"""What a part of the survival benchmark found, kept so that one part can be run again alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.report import ROOT, machine, table

RECORD = ROOT / "benchmarks" / "survival.json"
PAGE = ROOT / "benchmarks" / "SURVIVAL.md"
HEAD = """# What the package survives

Every line was written by the command in its last column, from what it measured. A failure would
stand in the column of what happened.
"""


@dataclass(frozen=True)
class Outcome:
    """A threat, how often it was tried, and what became of it."""

    threat: str
    tries: int
    happened: str
    worst: str  # the longest that it took, with its unit
    failures: int = 0  # of the tries


def keep(part: str, found: Sequence[Outcome], options: str, record: Path = RECORD) -> None:
    """Put the outcomes of a part into the record, in place of earlier ones of that part."""
    every = json.loads(record.read_text()) if record.exists() else {}
    every[part] = {
        "command": f"python -m benchmarks.survival --only {part}{options}",
        "machine": machine(),
        "outcomes": [asdict(one) for one in found],
    }
    record.write_text(json.dumps(dict(sorted(every.items())), indent=1) + "\n")


def write_page(record: Path = RECORD, page: Path = PAGE) -> None:
    """The page of all parts that the record holds."""
    every = json.loads(record.read_text())
    rows = [
        [o["threat"], f"{o['tries']:,}", o["happened"], o["worst"], f"`{part['command']}`"]
        for part in every.values()
        for o in part["outcomes"]
    ]
    header = ["threat", "tried", "what happened", "worst time", "to repeat it"]
    machines: dict[str, list[str]] = {}
    for name, part in every.items():
        machines.setdefault(part["machine"], []).append(name)
    lines = [f"{', '.join(names)}: {where}" for where, names in machines.items()]
    page.write_text(f"{HEAD}\n{table(header, rows)}\n\n" + "\n\n".join(lines) + "\n")
