"""Where a benchmark writes what it measured: one section of RESULTS.md for each command."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
FIGURES = ROOT / "data" / "figures"
PACKAGES = ("torch", "transformers", "trl")


def machine(threads: int | None = None) -> str:
    """Processor, threads and versions, in a sentence."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES if _version(name))
    threads = threads or torch.get_num_threads()
    kind = f"{_processor()}, {os.cpu_count()} cores, threads used: {threads}"
    return f"{kind}; Python {platform.python_version()}, {versions}."


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def middle(values: Sequence[float], digits: int = 2) -> str:
    """Median with the range.

    >>> middle([3.0, 1.0, 2.0])
    '2.00 (1.00 to 3.00)'
    """
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown.

    >>> print(table(["loop", "s"], [["sft", 0.2]]))
    | loop | s |
    |---|---|
    | sft | 0.2 |
    """
    first, *others = (f"| {' | '.join(map(str, line))} |" for line in [header, *rows])
    return "\n".join([first, "|---" * len(header) + "|", *others])


def write_section(command: str, text: str, results: Path = RESULTS) -> None:
    """Put a section headed by the command into the results, in place of an earlier one.

    Args:
        command: as it was typed, without what differs from run to run.
        text: Markdown below the heading; no heading of the second level in it.
        results: the file.
    """
    head, *sections = results.read_text().split("\n## ") if results.exists() else ["# Results\n"]
    title = f"`{command}`"
    others = [section for section in sections if not section.startswith(f"{title}\n")]
    new = f"{title}\n\n{text.strip()}\n"
    ordered = sorted([*(section.strip() + "\n" for section in others), new])
    results.write_text("\n## ".join([head.rstrip() + "\n", *ordered]))
