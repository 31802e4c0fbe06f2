"""Notebooks as they are committed: executed, whole, and true to the package.

nbval runs every cell of them in the smoke profile, solutions included; see `pyproject.toml`.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

import minialign

ROOT = Path(minialign.__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SHOWN = ("losses/*.py", "train/*.py", "kl.py", "logprobs.py")  # notebooks show it word for word
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
    without_pictures = re.sub(r'"image/png": "[^"]*"', "", outputs)
    found = OWN_PATH.search(without_pictures) or OWN_PATH.search(notebook.prose)
    assert found is None, found


def test_it_has_the_anatomy_of_the_course(notebook):
    assert notebook.prose.startswith("# ")
    assert "will be able to" in notebook.prose and "Time and hardware" in notebook.prose
    assert len(tagged(notebook, "parameters")) == 1
    assert tagged(notebook, "headline") and len(tagged(notebook, "key-figure")) == 1
    assert len(tagged(notebook, "solution")) >= 2
    assert 40 <= len(notebook.nb.cells) <= 65
    assert 1800 <= len(notebook.prose.split()) <= 4200
    shown = [o.get("data", {}) for cell in notebook.code for o in cell.outputs]
    assert sum("image/png" in data for data in shown) >= 4
    assert sum("checked:" in cell.source for cell in notebook.code) >= 6
    assert notebook.prose.count("*Alt text:") >= 4


def test_its_cells_are_short(notebook):
    counts = [len(lines(cell.source)) for cell in notebook.code]
    assert sum(counts) <= 350
    assert sorted(counts)[len(counts) // 2] <= 14
    assert sum(count > 30 for count in counts) <= 1 and max(counts) <= 60
    assert all(len(line) <= 88 for cell in notebook.code for line in cell.source.splitlines())


def test_parameters_are_plain_literals_with_a_comment(notebook):
    (cell,) = tagged(notebook, "parameters")
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.Assign)
        ast.literal_eval(statement.value)
        assert "  # " in cell.source.splitlines()[statement.lineno - 1]


def bare(function: ast.FunctionDef) -> str:
    """The syntax of a function, its docstring left out."""
    if ast.get_docstring(function) is not None:
        function.body = function.body[1:]
    return ast.dump(function)


def functions(source: str) -> dict[str, str]:
    plain = re.sub(r"^( *)%.*$", r"\1pass", source, flags=re.M)  # no magics
    body = ast.parse(plain).body
    return {node.name: bare(node) for node in body if isinstance(node, ast.FunctionDef)}


def package_functions() -> dict[str, str]:
    files = [file for pattern in SHOWN for file in (ROOT / "minialign").glob(pattern)]
    return {name: code for file in files for name, code in functions(file.read_text()).items()}


def test_the_code_that_is_shown_is_the_code_that_runs(notebook):
    package = package_functions()
    assert {"train_sft", "cross_entropy", "token_logprobs", "k1"} <= set(package)
    for cell in notebook.code:
        for name, code in functions(cell.source).items():
            if name in package:
                assert code == package[name], f"{name} differs from the package's own"


def test_links_to_other_notebooks_lead_somewhere(notebook):
    linked = set(re.findall(r"\]\((\d\d_\w+\.ipynb)\)", notebook.prose))
    names = {path.name for path in NOTEBOOKS}
    later = {name for name in linked if name > max(names)}  # announced, not yet written
    assert linked - later <= names


def test_it_runs_in_colab_and_in_a_clone(notebook):
    setup = notebook.code[0].source + notebook.code[1].source + notebook.code[2].source
    assert "except ImportError" in setup and "%pip install" in setup
