"""Notebooks as they are committed: executed, whole, true to the package, and saved for readers.

nbval runs every cell of them in the smoke profile, solutions included; see `pyproject.toml`.
"""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from course_cases import as_jupyterlab_saves

import minialign
from minialign.course.exercises.compare import plain_code
from tools.notebooks import address as colab
from tools.notebooks import save as saved

ROOT = Path(minialign.__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SHOWN = ("algorithms", "variants", "core")  # rooms that notebooks show word for word
MAX_IMPORTS = 25
MAX_SETUP = 11  # lines of the set-up cell below those that install the package
ESSAYS = {  # what a notebook shows of its essay
    "01": ("cross_entropy", "train_sft"),
    "02": ("train_reward",),
    "03": ("policy_loss", "value_loss", "train_ppo"),
    "04": ("dpo_loss", "train_dpo"),
    "05": ("group_zscore", "grpo_loss", "train_grpo"),
}
SECOND = ("00", "01", "02", "03", "04", "05")  # second editions
OWN_PATH = re.compile(r"(?:/home/|/root/|/tmp/|/Users/|/content/|[A-Z]:\\\\)")

if not NOTEBOOKS:
    pytest.skip("an installed package has no notebooks", allow_module_level=True)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> SimpleNamespace:
    nb = nbformat.read(request.param, as_version=4)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    prose = [cell.source for cell in nb.cells if cell.cell_type == "markdown"]
    return SimpleNamespace(path=request.param, nb=nb, code=code, prose="\n".join(prose))


def tagged(notebook: SimpleNamespace, tag: str) -> list:
    return [cell for cell in notebook.code if tag in cell.metadata.get("tags", [])]


def lines(source: str) -> list[str]:
    return [line for line in source.splitlines() if line.strip()]


def test_it_was_executed_from_top_to_bottom_without_errors(notebook):
    nbformat.validate(notebook.nb)
    assert [c.execution_count for c in notebook.code] == list(range(1, len(notebook.code) + 1))
    outputs = [output for cell in notebook.code for output in cell.outputs]
    assert all(output.output_type != "error" for output in outputs)
    loud = [o.text for o in outputs if o.output_type == "stream" and "Warning" in o.text]
    assert not loud


def test_it_is_small_and_holds_no_path_of_a_machine(notebook):
    text = notebook.path.read_text()
    assert len(text) < 1_500_000
    outputs = json.dumps([cell.outputs for cell in notebook.code])
    without_pictures = re.sub(r'"image/png": "[^"]*"|base64,[A-Za-z0-9+/=]*', "", outputs)
    found = OWN_PATH.search(without_pictures) or OWN_PATH.search(notebook.prose)
    assert found is None, found


def test_it_has_the_anatomy_of_the_course(notebook):
    assert notebook.prose.startswith("# ")
    assert "will be able to" in notebook.prose and "Time and hardware" in notebook.prose
    assert len(tagged(notebook, "parameters")) == 1
    assert tagged(notebook, "headline") and len(tagged(notebook, "key-figure")) == 1
    assert tagged(notebook, "solution")


def test_every_figure_has_an_alternative_text(notebook):
    """As an attribute of its image, which JupyterLab and nbconvert keep."""
    cells = notebook.nb.cells
    for i, cell in enumerate(cells):
        below = "".join(c.source for c in cells[i + 1 : i + 3] if c.cell_type == "markdown")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            images = re.findall(r"<img [^>]*>", str(data.get("text/html", "")))
            assert all(re.search(r' alt="([^"]{20,})"', image) for image in images), cell.id
            assert not images or "nbval-check-output" not in cell.metadata.get("tags", []), cell.id
            if "image/png" in data:  # of a first edition
                assert notebook.path.stem[:2] not in SECOND and "*Alt text" in below, cell.id
    assert notebook.path.stem[:2] not in SECOND or "Alt text" not in notebook.prose


def test_its_cells_are_short(notebook):
    counts = [len(lines(cell.source.removeprefix(colab.setup()))) for cell in notebook.code]
    assert sorted(counts)[len(counts) // 2] <= 14
    assert sum(count > 30 for count in counts) <= 1 and max(counts) <= 60  # a loop
    assert all(len(line) <= 88 for cell in notebook.code for line in cell.source.splitlines())


def test_parameters_are_plain_literals_with_a_comment(notebook):
    (cell,) = tagged(notebook, "parameters")
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.Assign)
        ast.literal_eval(statement.value)
        assert "  # " in cell.source.splitlines()[statement.lineno - 1]


def parsed(source: str) -> ast.Module:
    """The syntax of a cell, magics left out."""
    return ast.parse(re.sub(r"^( *)%.*$", r"\1pass", source, flags=re.M))


def functions(source: str) -> list[tuple[str, str]]:
    """(name, what runs) of each function."""
    nodes = [node for node in parsed(source).body if isinstance(node, ast.FunctionDef)]
    return [(node.name, plain_code(ast.unparse(node))) for node in nodes]


def imported(notebook: SimpleNamespace) -> set[str]:
    """What the cells import of the repository, as full names."""
    names = set()
    for node in (node for cell in notebook.code for node in ast.walk(parsed(cell.source))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in ("minialign", "tools", "tests")}


def test_it_imports_few_names_and_none_that_is_private(notebook):
    names = imported(notebook)
    assert len(names) <= MAX_IMPORTS, sorted(names)
    assert [name for name in names if "._" in name or not name.startswith("minialign")] == []
    studies = {name for name in names if name.startswith("minialign.course.studies.")}
    assert studies <= {"minialign.course.studies.recorded_runs"}


def package_functions() -> dict[str, set[str]]:
    """Name -> what the functions of that name are; two modules may have one each."""
    found = defaultdict(set)
    for file in (file for room in SHOWN for file in (ROOT / "minialign" / room).rglob("*.py")):
        for name, code in functions(file.read_text()):
            found[name].add(code)
    return found


def test_the_code_that_is_shown_is_the_code_that_runs(notebook):
    package = package_functions()
    assert {"train_sft", "cross_entropy", "token_logprobs", "k1"} <= set(package)
    for cell in notebook.code:
        for name, code in functions(cell.source):
            assert code in package.get(name, {code}), f"{name} differs from the package's own"


def test_the_essay_is_shown_whole_and_is_what_trains(notebook):
    """The cells define the essay's losses and loop, call them, and said that they are its own."""
    defined = {name for cell in notebook.code for name, _ in functions(cell.source)}
    nodes = [node for cell in notebook.code for node in ast.walk(parsed(cell.source))]
    called = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    printed = "".join(o.get("text", "") for cell in notebook.code for o in cell.outputs)
    for name in ESSAYS.get(notebook.path.stem[:2], ()):
        assert name in defined and name in called, name
        assert f"checked: {name} above is the package's own code" in printed


def test_links_to_other_notebooks_lead_somewhere(notebook):
    linked = set(re.findall(r"\]\((\d\d_\w+\.ipynb)\)", notebook.prose))
    names = {path.name for path in NOTEBOOKS}
    later = {name for name in linked if name > max(names)}  # announced, not yet written
    assert linked - later <= names


def test_solutions_are_tagged_and_folded(notebook):
    solutions = tagged(notebook, "solution")
    assert all(cell.metadata.get("jupyter", {}).get("source_hidden") is True for cell in solutions)
    named = [c for c in notebook.code if "solution" in c.id or "def solved_" in c.source]
    assert [cell.id for cell in named if cell not in solutions] == []


def test_answers_are_tagged_and_folded(notebook):
    """A tool that takes answers out finds each: from a summary to the end of its details."""
    for cell in notebook.nb.cells:
        if cell.cell_type != "markdown":
            continue
        opened, closed = cell.source.count("<details>"), cell.source.count("</details>")
        summaries = re.findall(r"<details>\s*<summary>(.+?)</summary>", cell.source, re.DOTALL)
        assert "<details open" not in cell.source
        assert opened == closed == len(summaries), cell.id
        answers = [summary for summary in summaries if not summary.startswith("hint ")]
        assert ("answer" in cell.metadata.get("tags", [])) == bool(answers), cell.id
        assert len(answers) in (0, len(summaries)), "hints and answers in one cell"


def test_what_is_to_be_predicted_is_hidden_until_asked_for(notebook):
    for cell in tagged(notebook, "predict-output"):
        assert cell.metadata.jupyter.outputs_hidden is True
    for before, cell in pairwise(notebook.nb.cells):
        tasks = re.findall(r"\*\*(Predict|Write|Break)\b", before.source)
        if tasks[-1:] == ["Predict"] and cell.get("outputs") and "check.guess" not in cell.source:
            assert cell in tagged(notebook, "predict-output"), cell.id
    if notebook.path.stem.startswith("00_"):
        assert tagged(notebook, "predict-output")


def test_it_holds_no_widgets_and_its_bars_came_to_their_end(notebook):
    assert "widgets" not in notebook.nb.metadata
    for cell in notebook.code:
        for output in cell.outputs:
            data = output.get("data", {})
            assert not [mime for mime in data if "widget" in mime], cell.id
            said = data.get("text/plain", "") + output.get("text", "")
            assert not re.search(r"\b0%\||\b0/\d+ \[|\r", said), (cell.id, said)


def test_its_kernel_is_the_usual_one(notebook):
    assert notebook.nb.metadata.kernelspec == {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    }


def test_opening_it_in_jupyterlab_and_saving_it_changes_nothing(notebook):
    assert as_jupyterlab_saves(notebook.path) == notebook.path.read_text(encoding="utf-8")


def test_it_is_as_the_saving_step_leaves_it(notebook):
    """If not: python -m tools.notebooks.save"""
    text = notebook.path.read_text(encoding="utf-8")
    assert nbformat.writes(saved.saved(notebook.nb)) + "\n" == text


def test_its_set_up_begins_as_in_all_notebooks(notebook):
    source = notebook.code[1].source
    assert source.startswith(colab.setup())
    assert len(lines(source.removeprefix(colab.setup()))) <= MAX_SETUP
