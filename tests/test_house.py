"""The house plan, measured: arrows that go down only, rooms that are not full, essays on a page."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minialign"
ESSAYS = ("sft", "reward_model", "dpo", "ppo", "grpo")
# What a room may import besides itself. What stands on nothing in the package, and knows only where
# the machine keeps things, is below the core.
BASE = {f"minialign.system.{name}" for name in ("folders", "hub", "memory", "offline_models")}
BELOW = {
    "core": set(),
    "rewards": {"core", "world", "variants"},
    "algorithms": {"core", "rewards"},
    "variants": {"core", "rewards", "algorithms"},
}
LINES = {"sft": 700, "reward_model": 700, "dpo": 700, "ppo": 1000, "grpo": 1000}


@cache
def modules() -> dict[str, Path]:
    """name -> file of every module of the package."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(name: str) -> frozenset[str]:
    """Modules of the package that a module imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(tree(modules()[name])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in modules() else node.module)
    return frozenset(found & set(modules()))


def room(name: str) -> str:
    return name.partition(".")[2].partition(".")[0]


# --- imports


def cycles(graph: dict[str, frozenset[str]]) -> list[list[str]]:
    """Sets of modules each of which reaches the others; Tarjan 1972."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in graph[name]:
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            start = stack.index(name)
            part = stack[start:]
            del stack[start:]
            if len(part) > 1 or name in graph[name]:
                found.append(sorted(part))

    for name in graph:
        if name not in order:
            visit(name)
    return found


def test_a_cycle_is_found():
    none = frozenset()
    graph = {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("a"), "d": none}
    assert cycles(graph) == [["a", "b", "c"]]
    assert cycles({"a": frozenset("b"), "b": none}) == []


def test_no_module_imports_itself_by_a_detour():
    """Imports inside functions and for type checkers included."""
    assert cycles({name: imports(name) for name in modules()}) == []


@pytest.mark.parametrize("upper", BELOW)
def test_arrows_go_down(upper):
    wrong = [
        f"{name} imports {other}"
        for name in modules()
        if room(name) == upper
        for other in imports(name)
        if room(other) not in {"", upper, *BELOW[upper]} and not (upper == "core" and other in BASE)
    ]
    assert wrong == []


def test_what_the_core_stands_on_stands_on_nothing():
    above = {
        name: sorted(other for other in imports(name) if other not in BASE)
        for name in BASE & set(modules())
    }
    assert {name: others for name, others in above.items() if others} == {}


def test_only_the_chat_stands_on_the_course():
    allowed = ("minialign.course", "minialign.system.chat", "minialign.__main__")
    wrong = [
        f"{name} imports {other}"
        for name in modules()
        if not name.startswith(allowed)
        for other in imports(name)
        if room(other) == "course"
    ]
    assert wrong == []


LOAD = """
import importlib, sys
for essay in sys.argv[1:]:
    for name in [name for name in sys.modules if name.startswith("minialign")]:
        del sys.modules[name]
    importlib.import_module(f"minialign.algorithms.{essay}")
    print(essay, *(name for name in sys.modules if name.startswith("minialign")))
"""


@cache
def loaded_by() -> dict[str, list[str]]:
    """Essay -> modules of the package that a process holds after importing the essay alone."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *ESSAYS],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return {essay: names for essay, *names in map(str.split, done.stdout.splitlines())}


@pytest.mark.parametrize("essay", ESSAYS)
def test_an_essay_loads_few_modules(essay):
    assert f"minialign.algorithms.{essay}" in loaded_by()[essay]
    assert len(loaded_by()[essay]) <= 16, loaded_by()[essay]


# --- sizes


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("essay", ESSAYS)
def test_an_essay_is_short_and_what_it_stands_on_is_read_in_an_hour(essay):
    path = PACKAGE / "algorithms" / f"{essay}.py"
    direct = [modules()[name] for name in imports(f"minialign.algorithms.{essay}")]
    read = [p for p in direct if p.stem not in ("checkpoint", "history")]
    assert lines(path) <= 150
    assert lines(path) + sum(map(lines, read)) <= LINES[essay]


@pytest.mark.parametrize("folder", ["", *sorted(
    str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.rglob("__init__.py")
    if path.parent != PACKAGE
)])  # fmt: skip
def test_a_room_has_at_most_twelve_entries(folder):
    entries = sorted(
        path.name
        for path in (PACKAGE / folder).iterdir()
        if path.name not in ("__init__.py", "__main__.py", "__pycache__")
        and not path.name.startswith(".")
    )
    assert len(entries) <= 12, entries


def test_no_file_is_long():
    assert {str(p): lines(p) for p in modules().values() if lines(p) > 350} == {}


def body(function: ast.FunctionDef) -> int:
    """Lines of a function, its signature and its docstring not counted."""
    statements = function.body
    first = statements[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        statements = statements[1:]
    return function.end_lineno - statements[0].lineno + 1 if statements else 0


def test_functions_are_short_and_loops_fit_a_screen():
    long = {}
    for name, path in modules().items():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                most = 60 if node.name.startswith("train_") else 40
                if body(node) > most:
                    long[f"{name}.{node.name}"] = body(node)
    assert long == {}
