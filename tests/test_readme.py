"""The README shows what is there: its figure was drawn by a notebook, its links lead somewhere."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import nbformat
import pytest

import minialign

ROOT = Path(minialign.__file__).parents[1]
README = ROOT / "README.md"

if not (ROOT / "notebooks").is_dir():
    pytest.skip("an installed package has no README", allow_module_level=True)


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert len(links) >= 4
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_the_figure_was_drawn_by_the_course():
    (name,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README.read_text())
    notebook = nbformat.read(ROOT / "notebooks" / "00_start_here.ipynb", as_version=4)
    drawn = [
        base64.b64decode(output.data["image/png"])
        for cell in notebook.cells
        if "key-figure" in cell.metadata.get("tags", [])
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert drawn == [(ROOT / name).read_bytes()]


def test_every_notebook_is_in_the_map():
    text = README.read_text()
    for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"):
        assert f"(notebooks/{path.name})" in text
