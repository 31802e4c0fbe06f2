"""A slip in the tables of the families is named: file, family, field, rule and repair."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from minialign.world import lexicon
from minialign.world.families import checking, facts, kinds, words
from minialign.world.families.family import HELD_OUT_PHRASINGS
from minialign.world.tables import wording

OPPOSITE = words.Opposite


def spoil(monkeypatch: pytest.MonkeyPatch, file: str, place: str, value: Any) -> None:
    """Writes a value into a table, "table.field", until the test ends; None takes the field out."""
    *tables, field = place.split(".")
    row = wording(file)
    for name in tables:
        row = row[name]
    if value is None:
        monkeypatch.delitem(row, field)
    else:
        monkeypatch.setitem(row, field, value)


@pytest.mark.parametrize(
    ("place", "value", "kind", "message"),
    [
        ("opposite", None, OPPOSITE, r"families.toml lacks the field 'opposite'"),
        ("opposite.replies", None, OPPOSITE, r"toml, opposite lacks the field 'replies'"),
        ("opposite.phrasing", ["?"], OPPOSITE, r"toml, opposite has the field 'phrasing'; only"),
        (
            "opposite.phrasings",
            [],
            OPPOSITE,
            r"opposite, phrasings: \[\] will not do; write a list of at",
        ),
        ("opposite.phrasings", ["{wrod}?"], OPPOSITE, r"phrasings: nothing fills {wrod} .* {word}"),
        ("opposite.replies", ["{aswer}."], OPPOSITE, r"replies: nothing fills {aswer} .* {answer}"),
        (
            "opposite.held_out_phrasings",
            ["a", "b"],
            OPPOSITE,
            r"phrasings: 2 will not do: .* exactly 3",
        ),
        (
            "opposite.held_out_phrasings",
            ["a", "b", "b"],
            OPPOSITE,
            r"phrasings: 'b' stands there twice; take one",
        ),
        (
            "opposite.length",
            [9, 3],
            OPPOSITE,
            r"opposite, length: \[9, 3\] will not do; write the least",
        ),
        (
            "yes_no_category.no",
            ["{a_lie}"],
            kinds.YesNo,
            r"toml, yes_no_category, no: nothing fills",
        ),
        ("repeat_with_change.lines", ["The {beast}."], words.Repeat, r"lines: .* {beast} .* {day}"),
        ("unknown.phrasings_of", "fcat", facts.Unknown, r"families.toml lacks the field 'fcat'"),
        (
            "animal_fact.relations.legs.noun",
            "{m}",
            facts.AnimalFact,
            r"relations, legs, noun: .* fills {m}",
        ),
        (
            "animal_fact.relations.legs.noun",
            None,
            facts.AnimalFact,
            r"animal_fact, relations, legs lacks .* 'noun'",
        ),
    ],
)
def test_families(place: str, value: Any, kind: type, message: str, monkeypatch):
    assert kind().phrasings
    spoil(monkeypatch, "families", place, value)
    with pytest.raises(ValueError, match=message):
        kind()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (
            "yes_no.hedge",
            ["(or"],
            r"checking.toml, yes_no, hedge: no regular expressions: .*; mend",
        ),
        ("yes_no.hedge", None, r"toml, yes_no lacks the field 'hedge'"),
        ("yes_no.hegde", ["or"], r"toml, yes_no has the field 'hegde'; only"),
    ],
)
def test_patterns(place: str, value: Any, message: str, monkeypatch):
    spoil(monkeypatch, "checking", place, value)
    with pytest.raises(ValueError, match=message):
        checking._patterns()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("birds", None, "lexicon.toml lacks the field 'birds'"),
        ("brids", ["owl"], "lexicon.toml has the field 'brids'; only"),
        (
            "children.Mira",
            "it",
            r"lexicon.toml, children, Mira: 'it' is unknown; use one of she, he",
        ),
        ("categories", ["birds", "stars"], "lexicon.toml lacks the field 'stars'"),
    ],
)
def test_lexicon(place: str, value: Any, message: str, monkeypatch):
    spoil(monkeypatch, "lexicon", place, value)
    with pytest.raises(ValueError, match=message):
        runpy.run_path(lexicon.__file__)


def test_polite_forms_follow_a_new_phrasing(monkeypatch):
    before = OPPOSITE().phrasings
    own = wording("families")["opposite"]["phrasings"]
    spoil(monkeypatch, "families", "opposite.phrasings", [*own, "{Word}! Its opposite?"])
    after = OPPOSITE().phrasings
    assert set(after) == {*before, "{Word}! Its opposite?"}
    assert after[-HELD_OUT_PHRASINGS:] == before[-HELD_OUT_PHRASINGS:]
