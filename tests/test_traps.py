"""The list of traps names tests that are there, and whoever cites a trap by number finds it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
LIST = (TESTS / "TRAPS.md").read_text(encoding="utf-8")
LINES = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", LIST, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`([\w/]+\.py::test_\w+)`", LIST)))


def test_every_trap_has_a_test_or_a_reason():
    assert [int(number) for number, *_ in LINES] == list(range(1, 54))
    assert all("::test_" in holds for *_, holds in LINES)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_is_written(name: str):
    path, _, function = name.partition("::")
    body = ast.parse((TESTS / path).read_text(encoding="utf-8")).body
    assert function in {node.name for node in body if isinstance(node, ast.FunctionDef)}


@pytest.mark.slow
def test_every_named_test_is_collected():
    files = sorted({str(TESTS / name.partition("::")[0]) for name in NAMED})
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT, text=True, capture_output=True, check=True,
    )  # fmt: skip
    collected = {line.partition("[")[0] for line in run.stdout.splitlines() if "::" in line}
    assert {f"tests/{name}" for name in NAMED} <= collected


def test_whoever_cites_a_trap_finds_it_in_the_list():
    numbers = r"\b[Tt]raps? (\d+(?:(?:, | and |, and )\d+)*)"
    cited = set()
    for folder in ("minialign", "tools", "tests", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            for group in re.findall(numbers, path.read_text(encoding="utf-8")):
                cited |= set(map(int, re.findall(r"\d+", group)))
    assert cited and cited <= {int(number) for number, *_ in LINES}
