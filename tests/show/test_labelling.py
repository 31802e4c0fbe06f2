"""The labelling widget saves every answer at once, resumes, escapes, and refuses a damaged file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minialign.show.labelling import label_pairs, read_labels
from minialign.show.tokens import table

PAIRS = [
    {"prompt": "<b>One?</b>", "first": "yes", "second": "no"},
    {"prompt": "Two?", "first": "a \u201cquote\u201d", "second": "line\nbreak"},
    {"prompt": "Three?", "first": "x", "second": "y"},
]


def test_answers_are_saved_at_once_and_asked_once(tmp_path: Path):
    path = tmp_path / "mine" / "labels.jsonl"
    panel, row, count = label_pairs(PAIRS, path).children
    assert "&lt;b&gt;One?" in panel.value and "<b>" not in panel.value
    row.children[1].click()
    assert [r["choice"] for r in read_labels(path)] == ["second"]
    row.children[0].click()
    panel, row, count = label_pairs(PAIRS, path).children  # a new kernel
    assert "Three?" in panel.value and count.value.startswith("2 of 3 labelled")
    row.children[2].click()
    assert panel.value == "All pairs are labelled." and all(b.disabled for b in row.children[:3])
    found = read_labels(path)
    assert [r["choice"] for r in found] == ["second", "first", "skip"]
    assert [{k: r[k] for k in ("prompt", "first", "second")} for r in found] == PAIRS


def test_the_latest_label_can_be_taken_back(tmp_path: Path):
    path = tmp_path / "labels.jsonl"
    other = {"prompt": "of another list", "first": "a", "second": "b", "choice": "first"}
    panel, row, count = label_pairs(PAIRS, path).children
    first, _, _, back = row.children
    assert back.disabled
    first.click()
    first.click()
    path.write_text(path.read_text() + json.dumps(other) + "\n")
    back.click()
    assert "Two?" in panel.value and count.value.startswith("1 of 3 labelled")
    assert [r["prompt"] for r in read_labels(path)] == ["<b>One?</b>", "of another list"]
    row.children[1].click()
    assert read_labels(path)[-1] == {**PAIRS[1], "choice": "second"}
    for _ in range(2):
        back.click()
    assert back.disabled and read_labels(path) == [other]
    panel, row, _ = label_pairs([], path).children
    assert row.children[3].disabled


def test_a_damaged_line_is_named(tmp_path: Path):
    assert read_labels(tmp_path / "none.jsonl") == []
    for wrong in ("{", "[1]", '{"prompt": "a", "first": "b", "second": "c", "choice": "maybe"}'):
        path = tmp_path / "labels.jsonl"
        good = '{"prompt": "a", "first": "b", "second": "c", "choice": "first"}\n'
        path.write_text(good + wrong + "\n")
        with pytest.raises(ValueError, match=r"line 2 of labels.jsonl is no label"):
            read_labels(path)


def test_half_a_surrogate_pair_is_shown_and_saved(tmp_path: Path):
    """As a reader of JSON makes it of a cut emoji; a column of a table may be called so too."""
    pair = {"prompt": "\ud83d?", "first": "\udc00", "second": "b"}
    path = tmp_path / "labels.jsonl"
    panel, row, _ = label_pairs([pair], path).children
    row.children[0].click()
    assert read_labels(path) == [{**pair, "choice": "first"}]
    assert panel.value == "All pairs are labelled."
    assert "\ud83d</th>" in table([{"\ud83d": 1}])
