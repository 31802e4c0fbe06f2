"""Constraints on real models' replies: what keeps a rule, and what only looks as if it did."""

from __future__ import annotations

import pytest

from minialign.rewards.constraints import (
    CONSTRAINTS,
    TOPICS,
    WORDS,
    constraint_kept,
    constraint_rows,
)

CASES = [
    ("lower case", "", "an owl is a bird.", 1),
    ("lower case", "", "An owl is a bird.", 0),
    ("lower case", "", "", 0),
    ("lower case", "", "an owl", 0),  # hardly a reply
    ("lower case", "", "\u00c9l es un ave.", 0),  # a capital beyond ASCII
    ("items", "3", "Oak, elm, and ash.", 1),
    ("items", "3", "oak, elm, ash", 1),
    ("items", "3", "oak, elm, oak", 0),
    ("items", "3", "The trees of my garden are oak, elm, and ash.", 0),
    ("items", "2", "oak, elm, ash", 0),
    ("items", "3", "1. oak\n2. elm, x, y", 0),
    ("items", "3", ", , ,", 0),
    ("mentions", "blue", "The sky is Blue today.", 1),
    ("mentions", "blue", "The bluest sky of all.", 0),
    ("mentions", "blue", "blue", 0),  # the word alone is no sentence
    ("length", "8", "Owls are birds that hunt by night.", 1),
    ("length", "8", "Owls are birds that hunt by night and sleep by day.", 0),
    ("length", "8", "Owls.", 0),
    ("length", "8", "", 0),
]


@pytest.mark.parametrize(("kind", "value", "reply", "wanted"), CASES)
def test_what_keeps_a_rule(kind: str, value: str, reply: str, wanted: int):
    assert constraint_kept(["?"], [reply], [kind], [value]) == [wanted]


def test_hostile_replies_are_survived():
    hostile = ["a, " * 200_000, "\x00" * 9, "blue " * 100_000, "__import__('os').abort()", "\u202e"]
    for kind, rule in CONSTRAINTS.items():
        value = str(next(iter(rule.values("train"))))
        kinds, values = [kind] * len(hostile), [value] * len(hostile)
        assert len(constraint_kept(["?"] * len(hostile), hostile, kinds, values)) == len(hostile)


def test_rows_have_all_kinds_and_are_seeded():
    rows = constraint_rows(40, seed=3)
    assert rows == constraint_rows(40, seed=3) != constraint_rows(40, seed=4)
    assert [row["kind"] for row in rows[:4]] == list(CONSTRAINTS)
    for row in rows:
        assert "{" not in row["prompt"] and (not row["value"] or row["value"] in row["prompt"])


def test_held_out_rows_share_neither_words_nor_wordings():
    assert not set(TOPICS["train"]) & set(TOPICS["test"])
    assert not set(WORDS["train"]) & set(WORDS["test"])
    for rule in CONSTRAINTS.values():
        assert not set(rule.wordings["train"]) & set(rule.wordings["test"])
    trained = {row["prompt"] for row in constraint_rows(2000)}
    assert not trained & {row["prompt"] for row in constraint_rows(400, "test")}


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split is 'dev'; use train or test"):
        constraint_rows(1, "dev")
