"""Figures have an alternative text that says what they show, in JupyterLab and on pages."""

from __future__ import annotations

import re
from base64 import b64decode
from html import unescape
from io import BytesIO

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from minialign.core.history import History
from minialign.course.execution import notebooks as files
from minialign.course.execution.report import page_of
from minialign.evaluate import statistics
from minialign.show import curves, describing

pytestmark = pytest.mark.usefixtures("figures_closed")


def test_bars_are_read_out_with_their_names_and_values():
    figure, _ = curves.bars(["safe", "kind"], [0.25, 0.5], title="Half are kind", unit="share")
    text = describing.alternative(figure)
    assert text == "Half are kind. x axis: share. Bars: safe 0.25; kind 0.5."


def test_bars_side_by_side_name_their_group():
    rates = {"base": [statistics.share([True, False])], "tuned": [statistics.share([True] * 4)]}
    figure, _ = curves.compare(["follows"], rates)
    assert "Bars of base: follows 0.5. Bars of tuned: follows 1." in describing.alternative(figure)


def test_curves_are_read_from_end_to_end():
    history = History()
    for step in range(50):
        history.log(step, loss=float(50 - step), learning_rate=0.1)
    figure, _ = curves.curves(history, "loss", "learning_rate", titles=["It falls", "It stays"])
    text = describing.alternative(figure)
    assert "Panel 1: It falls. x axis: step. y axis: loss." in text
    assert re.search(r"loss: from 50 at 0 to 1\.5 at 49, lowest", text)
    assert "Panel 2: It stays." in text


def test_other_figures_say_what_they_label():
    figure, (left, right, third) = plt.subplots(1, 3)
    left.plot([1, 2], [3, 4], label="a line")
    left.plot([1, 2], [9, 9])
    left.set_xscale("log")
    left.set_xlabel("n")
    right.scatter([1, 3], [2, 4], label="replies")
    right.errorbar([0, 1], [2, 3], yerr=[1, 1], fmt="o", label="seen")
    right.text(0, 0, "here")
    third.bar(["x", "y"], [1, 2])
    text = describing.alternative(figure)
    for said in ("x axis: n (log scale)", "a line: 3 at 1, 4 at 2", "Bars: x 1; y 2"):
        assert said in text
    for said in ("2 points of replies, around (2, 3)", "seen: 2 at 0, 3 at 1", "in it: here"):
        assert said in text
    assert "9" not in text
    figure, ax = plt.subplots()
    ax.plot(["few", "1,600"], [0.5, 0.75], label="gold")
    ax.axhline(0.8, label="ceiling")
    text = describing.alternative(figure)
    assert "gold: 0.5 at few, 0.75 at 1,600. ceiling: 0.8 throughout." in text
    assert describing.alternative(plt.figure()) == "An empty figure."


def test_rows_of_dots_are_read_along_the_row():
    runs = pd.DataFrame({"kind": ["pairs", "ranks"] * 2, "accuracy": [0.5, 0.75, 0.625, 0.875]})
    figure, ax = curves.dots(runs, "accuracy", by="kind")
    ax.plot([0.25, 1.0], [0, 0], label="pairs, 95%")
    ax.axvline(0.5)
    text = describing.alternative(figure)
    for said in ("pairs: 0.5, 0.625.", "ranks: 0.75, 0.875.", "pairs, 95%: 0.25, 1."):
        assert said in text
    assert "throughout" not in text
    figure, (left, right) = plt.subplots(1, 2, sharey=True)
    left.set_yticks([0, 1], ["pairs", "ranks"])
    right.plot([0.5, 0.75], [1, 1], label="95%")
    assert "Panel 2: 95%: 0.5, 0.75." in describing.alternative(figure)


def test_boxes_and_long_texts():
    figure, _ = curves.flow({"a": (0, 0, "raw\ntext", "policy"), "b": (3, 0, "model", "policy")},
                            {("a", "b"): "learns"})  # fmt: skip
    assert "Written in it: raw text; model; learns." in describing.alternative(figure)
    figure, ax = plt.subplots()
    ax.set_title("word " * 1000)
    assert len(describing.alternative(figure)) <= describing.LONGEST


def test_an_image_is_sharper_than_the_page_and_keeps_its_colours():
    figure, ax = plt.subplots(figsize=(3, 2), layout="constrained")
    ax.set_facecolor("#0072B2")
    html = describing.image(figure)
    picture = Image.open(BytesIO(b64decode(re.search(r"base64,([^\"]+)", html)[1])))
    (width,) = re.findall(r"width:(\d+)px", html)
    assert picture.width == pytest.approx(describing.SHARPNESS * int(width), abs=1)
    colours = {colour for _, colour in picture.convert("RGB").getcolors(256)}
    assert picture.mode == "P" and {(0, 0x72, 0xB2), (255, 255, 255)} <= colours


def test_what_a_figure_says_is_escaped():
    figure, ax = plt.subplots()
    ax.set_title('"><script>')
    assert "<script" not in describing.image(figure)
    (alt,) = re.findall(r'alt="([^"]*)"', describing.image(figure))
    assert unescape(alt) == '"><script>.'


@pytest.mark.slow
def test_a_notebook_s_figures_are_images_with_a_description(tmp_path):
    """After the set-up; in an output that JupyterLab shows first, and on the site."""
    from papermill import execute_notebook

    cells = [
        "from minialign.show import curves\nimport matplotlib.pyplot as plt\ncurves.style()",
        "figure, ax = curves.bars(['safe'], [0.25], title='A bar')",
        "plt.plot([1, 2]);\nplt.title('Its own');",
    ]
    nbformat.write(new_notebook(cells=[*map(new_code_cell, cells)]), tmp_path / "in.ipynb")
    execute_notebook(
        str(tmp_path / "in.ipynb"), str(tmp_path / "out.ipynb"),
        kernel_name="python3", language="python", progress_bar=False, cwd=tmp_path,
    )  # fmt: skip
    notebook = files.read(tmp_path / "out.ipynb")
    for cell, title in zip(
        notebook.cells[1:], ("A bar. Bars: safe 0.25.", "Its own."), strict=True
    ):
        (output,) = cell.outputs
        assert set(output.data) == {"text/html", "text/plain"}
        assert f'alt="{title}"' in output.data["text/html"] and len(files.pictures(output)) == 1
    page = page_of(notebook, "page")
    assert page.count('<img alt="') == 2
