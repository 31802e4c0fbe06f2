"""What a run of the course leaves: a page of what is there, and a page of every notebook."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime
from pathlib import Path

import nbformat
import pytest
from course_cases import code, png, write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from minialign.course.execution import plan as plans
from minialign.course.execution import report
from minialign.course.execution.outcome import highlights
from minialign.course.execution.run import execute


def test_the_page_shows_figures_and_headlines(executed):
    _, _, root = executed
    page = (root / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 1
    assert png(1) in page and png(2) not in page, "the tagged figure is the key figure"
    assert "smoke 7 &lt;b&gt; smoke" in page and "returned" in page and "no headline" not in page
    assert 'href="01_one.html"' in page and 'href="02_two.html"' in page
    assert "failed at cell 4: ValueError" in page
    for part in ("python 3.", "torch ", "transformers ", "minialign 0", " core", "profile smoke"):
        assert part in page


def test_whatever_a_notebook_wrote_is_escaped(executed):
    _, _, root = executed
    page = (root / "out" / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page.lower() and "&lt;script&gt;alert(1)" in page
    assert "\x1b" not in page and "\x07" not in page and "\u202e" not in page
    assert "default-src 'none'" in page


def test_progress_bars_do_not_flood_the_copy(executed):
    _, _, root = executed
    text = (root / "out" / "01_one.ipynb").read_text(encoding="utf-8")
    assert "98 of 99" in text and "50 of 99" not in text


def test_a_table_under_the_headline_is_readable(executed):
    _, _, root = executed
    page = (root / "out" / "index.html").read_text(encoding="utf-8")
    assert "was  &lt;b&gt; 1" in page and "IPython.core" not in page and "style>x" not in page


def test_a_bar_of_the_copy_has_come_to_its_end(executed):
    _, _, root = executed
    for name in ("01_one.ipynb", "01_one.html"):
        text = (root / "out" / name).read_text(encoding="utf-8")
        assert "sft: 100% 3/3 [" in text and "widget-view" not in text and "0%|" not in text


def test_every_link_of_the_page_is_a_page(executed):
    """Each executed copy has one, failed ones as well, with every cell and output."""
    _, _, root = executed
    page = (root / "out" / "index.html").read_text(encoding="utf-8")
    links = set(re.findall(r'href="([^"#]+)"', page))
    assert links == {"01_one.html", "02_two.html"}
    texts = [(root / "out" / link).read_text(encoding="utf-8") for link in sorted(links)]
    assert all(text.startswith("<!DOCTYPE html>") for text in texts)
    assert "smoke 7" in texts[0] and png(1) in texts[0] and "98 of 99" in texts[0]
    assert "too small" in texts[1] and "never" in texts[1]


def test_a_copys_page_loads_mathjax_alone_and_runs_no_script_of_the_notebook(executed):
    _, _, root = executed
    text = (root / "out" / "01_one.html").read_text(encoding="utf-8")
    head, policy = text.index("<script"), text.index("Content-Security-Policy")
    assert policy < head and f'content="{report.POLICY}"' in text
    addresses = set(re.findall(r'(?:src|href)="(?!#|data:)([^"]*)"', text))
    assert addresses == {report.MATHJAX}
    allowed = report.POLICY.split("script-src ")[1].split()
    for script in re.findall(r"<script>(.*?)</script>", text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert (f"'sha256-{digest}'" in allowed) == ("MathJax" in script), script
    assert "'unsafe-inline'" not in allowed and "'unsafe-eval'" not in allowed


def test_what_is_folded_in_a_notebook_is_folded_on_its_page():
    folds = [{"source_hidden": True}, {"outputs_hidden": True}, {}]
    cells = [
        new_code_cell(
            f"source_{i}",
            metadata={"jupyter": fold},
            outputs=[nbformat.v4.new_output("stream", text=f"output_{i}")],
        )
        for i, fold in enumerate(folds)
    ]
    text = report.page_of(new_notebook(cells=cells), "a<b")
    assert "<title>a&lt;b</title>" in text
    inside = re.findall(r'<details class="folded">(.*?)</details>', text, re.DOTALL)
    assert len(inside) == 2 and "source_0" in inside[0] and "output_0" not in inside[0]
    assert "output_1" in inside[1] and "source_1" not in inside[1]


def test_smoke_says_that_nothing_is_learnt(executed):
    _, _, root = executed
    page = (root / "out" / "index.html").read_text(encoding="utf-8")
    assert report.LEARNS_NOTHING in page
    assert page.count("profile smoke: nothing is learnt") == 2  # once for each notebook


@pytest.fixture
def lying_there(tmp_path) -> Path:
    """The folder of a page with copies of earlier runs: passed, failed, stopped, no notebook."""
    out = write(tmp_path / "out")
    error = nbformat.v4.new_output("error", ename="ValueError", evalue="<no>", traceback=[])
    done = new_code_cell("1", execution_count=1)
    banner = new_markdown_cell("", metadata={"tags": ["papermill-error-cell-tag"]})
    copies = {
        "01_one": ([done, new_code_cell("")], "smoke, steps=4"),
        "03_three": ([banner, done, new_code_cell("2", outputs=[error])], "tiny"),
        "05_five": ([done, new_code_cell("2")], "tiny"),
    }
    for name, (cells, profile) in copies.items():
        metadata = {"minialign": {"profile": profile}}
        nbformat.write(new_notebook(cells=cells, metadata=metadata), out / f"{name}.ipynb")
        (out / f"{name}.html").touch()
    (out / "07_seven.ipynb").write_text("{")
    return out


@pytest.mark.slow
def test_copies_of_earlier_runs_stay_on_the_page(lying_there, tmp_path, monkeypatch):
    monkeypatch.delenv("MINIALIGN_PROFILE", raising=False)
    folder = write(tmp_path / "n", n01_one=[code("1")], n04_four=[code("1")])
    (lying_there / "04_four.ipynb").write_text("{")  # of this run: begun anew
    plan = plans.plan(["4"], out=lying_there, folder=folder)
    assert execute(plan) == 0
    page = (lying_there / "index.html").read_text(encoding="utf-8")
    rows = re.findall(r'<tr><td><a href="#(\w+)">.*?<td class="([\w-]+)">(.*?)</td>', page)
    assert [row[:2] for row in rows] == [
        ("01_one", "passed"),
        ("03_three", "failed"),
        ("04_four", "passed"),
        ("05_five", "stopped"),
        ("07_seven", "failed"),
    ]
    assert "failed at cell 2: ValueError: &lt;no&gt;" in rows[1][2]
    year = str(datetime.now().year)
    assert [year in status for *_, status in rows] == [True, True, False, True, True]
    assert f"{report.LEARNS_NOTHING} (01_one)" in page
    assert page.count("nothing is learnt</p>") == 1
    assert 'href="01_one.html"' in page and 'href="07_seven.html"' not in page


@pytest.mark.slow
def test_a_page_that_learnt_something_does_not_warn(lying_there, tmp_path):
    (lying_there / "01_one.ipynb").unlink()
    folder = write(tmp_path / "n", n04_four=[code("1")])
    execute(plans.plan(out=lying_there, folder=folder, profile="tiny"))
    page = (lying_there / "index.html").read_text(encoding="utf-8")
    assert "nothing is learnt" not in page and "profile tiny" in page


def test_the_page_is_no_wider_than_a_phone():
    """By its style: words break anywhere, pictures shrink, printed text wraps."""
    rules = dict(re.findall(r"^(\w+) \{(.*?)\}", report.PAGE.read_text(), re.DOTALL | re.MULTILINE))
    assert "overflow-wrap: anywhere" in rules["body"] and "white-space: pre-wrap" in rules["pre"]
    assert "max-width: 100%" in rules["img"]


@pytest.mark.slow
def test_a_kernel_that_dies_leaves_a_page(tmp_path, capsys):
    cells = [
        code("from tqdm.auto import tqdm\nfor _ in tqdm(range(3), 'sft'): pass"),
        code("import os, time; time.sleep(1); os._exit(1)"),
    ]
    folder = write(tmp_path / "n", n01_one=cells)
    assert execute(plans.plan(out=tmp_path / "out", folder=folder)) == 1
    assert "FAILED  cell 2: DeadKernelError" in capsys.readouterr().out
    text = (tmp_path / "out" / "01_one.html").read_text(encoding="utf-8")
    assert "what it last showed was not kept" in text and "0%|" not in text


def test_without_a_tag_the_last_figure_is_shown(tmp_path):
    bad = ("bm90IGEgcG5n", '"><script>', "x" * 5)
    kinds = {
        "image/png": "{}",
        "text/html": '<img alt="a line" style="x" src="data:image/png;base64,{}">',
    }
    for kind, form in kinds.items():
        outputs = [
            nbformat.v4.new_output(
                "display_data", {kind: form.format(data), "text/plain": "<Figure>"}
            )
            for data in (png(1), png(2), *bad)
        ]
        folder = write(tmp_path / "n", n01=[new_code_cell("", outputs=outputs)])
        shown = highlights(folder / "01.ipynb")
        assert (shown.title, shown.figure, shown.headlines) == ("01", png(2), "")
    (folder / "02.ipynb").write_text("{")
    assert highlights(folder / "02.ipynb").title == "02"
