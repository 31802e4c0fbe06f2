"""Notebooks as they are kept: bars as text, no widgets, folded, and unchanged by JupyterLab."""

from __future__ import annotations

import copy
import re

import nbformat
import pytest
from course_cases import as_jupyterlab_saves
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from minialign.course.execution import notebooks as files
from tools.notebooks import address as colab
from tools.notebooks import save as saved

BARS = {  # source -> what stays of its widgets
    "bar = tqdm(range(3), 'a <b> & c')\nfor i in bar: bar.set_postfix(loss=i)": [
        r"a <b> & c: 100% 3/3 \[.*loss=2\]"
    ],
    "for i in tqdm(range(3), 'reference', leave=False): pass": [],
    "for name in 'xy':\n    for i in tqdm(range(2), name): pass": [
        r"x: 100% 2/2 \[.*\]",
        r"y: 100% 2/2 \[.*\]",
    ],
    "for i in tqdm(range(9), 'cut'):\n    if i == 4: break": [r"cut: 44% 4/9 \[.*\]"],
    "for i in tqdm(iter(range(2)), 'uncounted'): pass": [r"uncounted: 2/\? \[.*\]"],
    "for i in tqdm([], 'none'): pass": [r"none: 0/0 \[.*\]"],
}
OTHERS = [
    "from minialign.show.transcripts import browse\nbrowse([{'prompt': 'p<1>', 'a': 'x'}] * 3)",
    "from minialign.show.labelling import label_pairs\n"
    "display(label_pairs([{'prompt': 'p', 'first': 'one<i>', 'second': 'two'}], 'none.jsonl'))",
    "import sys\nfor i in range(5): sys.stdout.write(f'\\r{i} of 5'); sys.stdout.flush()\nprint()",
    "print('a', flush=True)\nprint('b', flush=True)",
]


def setup_cell():
    return new_code_cell(colab.setup() + "\nfrom tqdm.auto import tqdm")


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> nbformat.NotebookNode:
    """A notebook with widgets of many kinds, as papermill leaves it."""
    from papermill import execute_notebook

    folder = tmp_path_factory.mktemp("executed")
    cells = [setup_cell(), *map(new_code_cell, [*BARS, *OTHERS])]
    nbformat.write(new_notebook(cells=cells), folder / "in.ipynb")
    execute_notebook(
        str(folder / "in.ipynb"),
        str(folder / "out.ipynb"),
        kernel_name="python3",
        language="python",
        progress_bar=False,
        cwd=folder,
    )
    return nbformat.read(folder / "out.ipynb", as_version=4)


@pytest.fixture
def kept(executed) -> nbformat.NotebookNode:
    return saved.saved(copy.deepcopy(executed))


def cell_of(notebook, source: str):
    return next(cell for cell in notebook.cells if cell.source == source)


def texts(cell) -> list[str]:
    return [o.data["text/plain"] for o in cell.outputs if "data" in o]


def test_papermill_leaves_bars_that_say_0_percent(executed):
    """Else the tests below show nothing."""
    (said,) = texts(cell_of(executed, next(iter(BARS))))
    assert ": 0%" in said.replace("  ", "") and files.STATE in executed.metadata.widgets


@pytest.mark.parametrize("source", BARS)
def test_a_bar_becomes_its_last_line(kept, source):
    found = texts(cell_of(kept, source))
    assert len(found) == len(BARS[source])
    assert all(re.fullmatch(wanted, line) for line, wanted in zip(found, BARS[source], strict=True))


def test_no_widget_is_left(kept):
    text = nbformat.writes(kept)
    assert "widget-view" not in text and "widget-state" not in text and "IPY_MODEL" not in text


def test_other_widgets_leave_their_texts_and_say_how_to_wake_them(kept):
    slider, labeller = (cell_of(kept, source).outputs for source in OTHERS[:2])
    assert len(slider) == 2 and slider[1].data["text/plain"] == f"{files.LIVE}: example"
    (shown,) = labeller
    assert shown.data["text/plain"] == f"{files.LIVE}: first, second, skip, back"
    for text in ("one&lt;i&gt;", "two", "0 of 1 labelled, in none.jsonl", files.LIVE):
        assert text in shown.data["text/html"]


def test_printed_text_is_one_piece_and_keeps_the_last_state(kept):
    redrawn, pieces = (cell_of(kept, source).outputs for source in OTHERS[2:])
    assert [o.text for o in redrawn] == ["4 of 5\n"]
    assert [o.text for o in pieces] == ["a\nb\n"]


def test_nothing_of_the_run_is_left_but_its_outputs(kept, executed):
    assert "papermill" in executed.metadata and "papermill" in executed.cells[1].metadata
    assert set(kept.metadata) == {"kernelspec", "language_info"}
    assert [cell.execution_count for cell in kept.cells] == list(range(1, len(kept.cells) + 1))
    assert all(not cell.metadata for cell in kept.cells)


def test_saving_twice_changes_nothing(kept):
    assert saved.saved(copy.deepcopy(kept)) == kept


def test_jupyterlab_would_save_the_same_bytes(kept, executed, tmp_path):
    files.write(kept, tmp_path / "kept.ipynb")
    assert as_jupyterlab_saves(tmp_path / "kept.ipynb") == (tmp_path / "kept.ipynb").read_text()
    files.write(executed, tmp_path / "as_it_ran.ipynb")
    assert (
        as_jupyterlab_saves(tmp_path / "as_it_ran.ipynb")
        != (tmp_path / "as_it_ran.ipynb").read_text()
    )


def notebook_of(*cells) -> nbformat.NotebookNode:
    language = {"name": "python", "version": "3.12.0"}
    return new_notebook(cells=[setup_cell(), *cells], metadata={"language_info": language})


@pytest.mark.parametrize(
    ("given", "tags", "folds"),
    [
        (new_code_cell("1", metadata={"tags": ["solution"]}), ["solution"], {"source_hidden"}),
        (
            new_code_cell("1", metadata={"tags": ["predict-output"]}),
            ["predict-output"],
            {"outputs_hidden"},
        ),
        (
            new_code_cell("1", metadata={"tags": ["solution", "predict-output"]}),
            ["solution", "predict-output"],
            {"source_hidden", "outputs_hidden"},
        ),
        (new_code_cell("1", metadata={"jupyter": {"source_hidden": True}}), [], {"source_hidden"}),
        (new_code_cell("1", metadata={"tags": []}), [], set()),
        (new_code_cell("'<details><summary>1</summary>'"), [], set()),
        (new_markdown_cell("**1.** Why?\n<details><summary>answer</summary>"), ["answer"], set()),
        (new_markdown_cell("<details><summary>1. Why?</summary>So</details>"), ["answer"], set()),
        (new_markdown_cell("<details><summary>Hint 1</summary>Try</details>"), [], set()),
        (new_markdown_cell("no answer", metadata={"tags": ["answer", "x"]}), ["x"], set()),
    ],
)
def test_cells_are_folded_by_their_tags(given, tags, folds):
    cell = saved.saved(notebook_of(copy.deepcopy(given))).cells[1]
    assert cell.metadata.get("tags", []) == tags
    assert {name for name, on in cell.metadata.get("jupyter", {}).items() if on} == folds
    assert cell.metadata.get("collapsed", False) == ("outputs_hidden" in folds)


def test_a_bar_without_its_state_is_refused_or_said_to_be_lost():
    view = {files.VIEW: {"model_id": "gone"}, "text/plain": "sft:   0%|  | 0/800"}
    notebook = notebook_of(new_code_cell("1", outputs=[new_output("display_data", view)]))
    with pytest.raises(ValueError, match="cell 2 shows a widget whose state was not kept; execute"):
        saved.saved(copy.deepcopy(notebook))
    files.stilled(notebook, cut_short=True)
    assert texts(notebook.cells[1]) == ["a widget; what it last showed was not kept"]


INJECTED = new_code_cell("SEED = 1", metadata={"tags": ["injected-parameters"]})
NO_RUN = {  # message -> what is done to a notebook
    "it was executed with parameters": lambda notebook: notebook.cells.insert(0, INJECTED),
    "profile 'smoke'": lambda notebook: notebook.metadata.update(minialign={"profile": "smoke"}),
    "no code cell begins with the set-up": lambda notebook: notebook.cells.pop(0),
}


@pytest.mark.parametrize("message", NO_RUN)
def test_what_is_no_run_of_the_course_is_refused(message, tmp_path, capsys, monkeypatch):
    notebook = notebook_of(new_code_cell("1"))
    NO_RUN[message](notebook)
    nbformat.write(notebook, tmp_path / "01_a.ipynb")
    monkeypatch.setattr(saved, "ROOT", tmp_path)
    assert saved.main([str(tmp_path / "01_a.ipynb"), "--into", str(tmp_path / "n")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "n").exists()


def test_the_command_saves_into_a_folder_and_follows_the_address(tmp_path, monkeypatch):
    notebook = notebook_of(new_code_cell("1", metadata={"tags": ["solution"]}))
    notebook.cells[0].source = "try:\n    import x\nexcept ImportError:\n    %pip x\nrest"
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook, tmp_path / "01_a.ipynb")
    (tmp_path / "README.md").write_text("x\n- **Colab**: old\n  lines.\n- **Next**: y\n")
    monkeypatch.setattr(saved, "ROOT", tmp_path)
    into = ["--into", str(tmp_path / "notebooks")]
    assert saved.main([str(tmp_path / "01_a.ipynb"), *into]) == 0
    kept = nbformat.read(tmp_path / "notebooks" / "01_a.ipynb", as_version=4)
    assert kept.cells[0].source == colab.setup("") + "rest"
    monkeypatch.setattr(colab, "REPOSITORY", address := "https://github.com/owner/name")
    assert saved.main(into) == 0  # those of the folder, in place
    kept = nbformat.read(tmp_path / "notebooks" / "01_a.ipynb", as_version=4)
    assert kept.cells[0].source == colab.setup(address) + "rest" != colab.setup("") + "rest"
    readme = (tmp_path / "README.md").read_text()
    assert readme == f"x\n{colab.readme(address)}\n- **Next**: y\n" and "old" not in readme
