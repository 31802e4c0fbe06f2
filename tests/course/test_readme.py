"""The README shows what is there: its figure was drawn by a notebook, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
import torch

import minialign
from minialign.core.models.memory import GIB, Shape
from minialign.course import profiles
from minialign.course.execution.notebooks import pictures
from minialign.course.pipeline import STAGES
from tools.memory_needs import stage_bytes

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
        picture
        for cell in notebook.cells
        if "key-figure" in cell.metadata.get("tags", [])
        for output in cell.outputs
        for picture in pictures(output)
    ]
    assert drawn == [(ROOT / name).read_bytes()]


def test_every_notebook_is_in_the_map():
    text = README.read_text()
    for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"):
        assert f"(notebooks/{path.name})" in text


CARDS = {
    "`small`: 16 GB": ("small", torch.bfloat16),
    "`small` on a T4": ("small", torch.float32),
    "`small, batch_size=4`: 8 GB": ("small, batch_size=4", torch.bfloat16),
}
HELD = {  # notebook -> its largest stage, and models that it holds beside it
    "00": ("sft", 1),  # the base
    "01": ("sft", 7),  # base, brief, policy, LoRA and three bugs of section 13
    "02": ("reward", 5),  # policy, reward model and three short runs, while bugs are trained
    "03": ("ppo", 3),  # policy, critic and a second scorer, while another runs away
    "04": ("dpo", 2),  # the policy of written comparisons, and its start
    "05": ("grpo", 1),  # the start
}


@pytest.mark.parametrize("said", CARDS)
def test_what_a_card_must_hold_is_what_the_memory_model_says(said: str):
    """SmolLM2-135M; the longest row of the village's data has 191 of its tokens."""
    shape = Shape(134515008, layers=30, hidden=576, inner=1536, heads=9, keys=192, vocabulary=49152)
    profile, dtype = profiles.get(CARDS[said][0]), CARDS[said][1]
    (line,) = [line for line in README.read_text().splitlines() if line.startswith(f"| {said}")]
    needs = {
        stage: stage_bytes(stage, profile.batch_size, shape, 192, dtype) / GIB for stage in STAGES
    }
    wanted = [
        max(needs["sft"], needs[stage]) + held * 4 * shape.parameters / GIB + 0.5
        for stage, held in HELD.values()
    ]
    assert [float(cell) for cell in line.split("|")[2:-1]] == [round(x, 1) for x in wanted]


def test_no_card_is_promised_too_little_or_too_small_a_card():
    """Whatever the memory model says: weights, gradients and Adam's averages have known sizes."""
    trained = {"00": 1, "01": 1, "02": 1, "03": 2, "04": 1, "05": 1}  # models; 03 has a critic
    frozen = {"03": 2, "04": 1}  # the reference, and in 03 the scorer
    least = [
        4 * 134515008 * (4 * trained[n] + frozen.get(n, 0) + held) / GIB
        for n, (_, held) in HELD.items()
    ]
    lines = [line for line in README.read_text().splitlines() if line.startswith("| `small")]
    table = {line.split("|")[1]: [float(x) for x in line.split("|")[2:-1]] for line in lines[-3:]}
    for title, said in table.items():
        (card,) = map(int, re.findall(r"(\d+) GB", title))
        exceptions = re.findall(r"but for (\d\d)", title)
        for notebook, cell, bytes_known in zip(HELD, said, least, strict=True):
            assert cell > bytes_known, (title, notebook)
            assert (cell < card * 1e9 / GIB) == (notebook not in exceptions), (title, notebook)
    usual, without_bfloat16, small_batch = table.values()
    assert all(a <= b for a, b in zip(usual, without_bfloat16, strict=True))
    assert all(a <= b for a, b in zip(small_batch, usual, strict=True))
