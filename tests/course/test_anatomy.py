"""Second editions: exercises with hints, answers that drive a run, recorded guesses, TRL."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

import minialign
from minialign.course.exercises import check

ROOT = Path(minialign.__file__).parents[1]
EDITION = ("00", "01", "02", "03", "04", "05")
NOTEBOOKS = [p for p in sorted((ROOT / "notebooks").glob("*.ipynb")) if p.stem[:2] in EDITION]
WRITES = {"00": 1, "01": 4, "02": 4, "03": 6, "04": 4, "05": 4}  # at least
WITHOUT_TRL_LINES = ("00", "03")  # nothing is trained; TRL has no PPO trainer any more
STUB = re.compile(r"def (\w+)\((.*?)\):\n    return None")

if not NOTEBOOKS:
    pytest.skip("an installed package has no notebooks", allow_module_level=True)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> SimpleNamespace:
    cells = nbformat.read(request.param, as_version=4).cells
    prose = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    return SimpleNamespace(number=request.param.stem[:2], cells=cells, prose=prose)


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def stubs(notebook) -> list[tuple[int, str]]:
    """(place, name) of each cell that asks for a function."""
    found = [
        (i, STUB.search(c.source)) for i, c in enumerate(notebook.cells) if "code" in c.cell_type
    ]
    return [(i, match[1]) for i, match in found if match]


def body_of(source: str, name: str) -> str | None:
    """What a function of a cell does, its names of arguments aside."""
    for node in ast.walk(ast.parse(re.sub(r"^( *)%.*$", r"\1pass", source, flags=re.M))):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            body = node.body[1:] if ast.get_docstring(node) else node.body
            return "\n".join(map(ast.unparse, body))
    return None


def test_exercises_have_stars_minutes_and_three_hints(notebook):
    places = stubs(notebook)
    assert len(places) >= WRITES[notebook.number]
    for i, name in places:
        text = "\n".join(
            c.source for c in notebook.cells[max(0, i - 2) : i] if "mark" in c.cell_type
        )
        text = text[text.rindex("**Write") :]
        assert re.search(r"\(★+ · (about )?\d+ minutes\)", text), name
        assert re.findall(r"<summary>(hint \d)</summary>", text) == [
            "hint 1",
            "hint 2",
            "hint 3",
        ], name


def test_a_learner_s_function_is_checked_and_then_drives_a_run(notebook):
    for i, name in stubs(notebook):
        stub, solution, *later = [c for c in notebook.cells[i:] if c.cell_type == "code"]
        assert f"check.{name}({name})" in stub.source, name
        assert isinstance(getattr(check, name), check.Exercise)
        assert "solution" in tags(solution) and f"check.{name}(solved_{name})" in solution.source
        use = later[0].source
        assert f"{name} if " in use and f"else solved_{name}" in use, name
        printed = "".join(o.get("text", "") for o in stub.outputs)
        assert "not solved yet" in printed, name


def test_no_answer_can_be_copied_from_the_page(notebook):
    for i, name in stubs(notebook):
        solution = next(c for c in notebook.cells[i:] if "solution" in tags(c)).source
        answer = body_of(solution, f"solved_{name}")
        for cell in (c for c in notebook.cells if c.cell_type == "code" and c.source != solution):
            for function in re.findall(r"^ *def (\w+)", cell.source, re.M):
                assert body_of(cell.source, function) != answer, (name, function)


def test_a_guess_is_recorded_before_its_answer_is_opened(notebook):
    code = [c for c in notebook.cells if c.cell_type == "code"]
    guesses = {
        m: i for i, c in enumerate(code) for m in re.findall(r'check\.guess\("([^"]+)"', c.source)
    }
    answers = {
        m: i for i, c in enumerate(code) for m in re.findall(r'check\.reveal\("([^"]+)"', c.source)
    }
    assert guesses and set(guesses) == set(answers)
    for name, place in answers.items():
        assert guesses[name] < place, name
        assert "predict-output" in tags(code[place]), name
        assert re.search(rf'check\.guess\("{name}", None\b', code[guesses[name]].source), name


def test_it_says_where_an_effect_is_seen_and_how_trl_does_it(notebook):
    prose = notebook.prose.lower()
    assert "in a real system" in prose and "traced" in prose and "quick facts" in prose
    assert notebook.number in WITHOUT_TRL_LINES or "# With TRL" in notebook.prose
    assert notebook.number == "00" or "With TRL\n" in notebook.prose
    assert "where next" in prose and "## References" in notebook.prose
    assert any("running_examples" in c.source for c in notebook.cells if c.cell_type == "code")


def test_few_lines_praise_themselves(notebook):
    """One check that surprises, two at most; besides, whether the essay shown is the package's."""
    code = [c for c in notebook.cells if c.cell_type == "code"]
    printed = "".join(o.get("text", "") for c in code for o in c.outputs)
    lines = [line for line in printed.splitlines() if line.startswith("checked")]
    assert len([line for line in lines if "is the package's own code" not in line]) <= 2
