"""Every number in the table of the dials is what the world does, and a turned dial turns it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import pytest

from minialign import world
from minialign.system.folders import data_folder
from minialign.world import dial_table, tables
from minialign.world.dangers import unsafe_anywhere
from minialign.world.facts import knowledge_base
from minialign.world.manners import is_kind
from minialign.world.replies import annotator, demonstrations, preferences
from minialign.world.tasks import FAMILIES, draw_instruction, instructions
from tools.world_builder import corpus
from tools.world_builder.lessons import dialogues, question_pages

TABLE = world.dials()
VALUES = {(row.section, row.dial): row.value for row in TABLE.itertuples()}
DRAWS = 20_000


def group(section: str, place: str) -> dict[str, float]:
    """The dials of a table of the file, such as ("corpus", "kinds"), by their own names."""
    start = f"{place}."
    found = {d: v for (s, d), v in VALUES.items() if s == section and d.startswith(start)}
    return {dial.removeprefix(start): value for dial, value in found.items()}


def assert_rates(drawn: Iterable[object], shares: dict[Any, float]) -> None:
    """What was drawn occurs at these shares, within 4.5 standard errors, and nothing else does."""
    counts = Counter(drawn)
    n = counts.total()
    assert set(counts) == {name for name, share in shares.items() if share > 0}
    for name, share in shares.items():
        assert abs(counts[name] / n - share) < 4.5 * (share * (1 - share) / n) ** 0.5 + 1e-12, name


def test_every_dial_of_the_file_is_printed_once_with_its_unit_and_meaning():
    assert list(TABLE.columns) == ["section", "dial", "value", "unit", "meaning"]
    assert not TABLE.duplicated(["section", "dial"]).any()
    assert (TABLE[["unit", "meaning"]].map(len) > 0).all(axis=None)
    assert all(isinstance(value, int | float) for value in TABLE["value"])
    text = (data_folder() / "world" / "dials.toml").read_text()
    written = re.findall(r"^value =|^\w+ = \{ value =", text, re.MULTILINE)
    assert sum(section not in ("measured", "held out") for section in TABLE["section"]) == len(
        written
    )


def test_documents_occur_at_their_shares(monkeypatch):
    named = {name: kind._replace(write=lambda _, n=name: n) for name, kind in corpus.KINDS.items()}
    monkeypatch.setattr(corpus, "KINDS", named)
    found = list(corpus.corpus(DRAWS))
    assert_rates((kind for d in found for kind in d.text.split("\n\n")), group("corpus", "kinds"))
    rate = VALUES["corpus", "page_rate"]
    assert_rates((d.kind == "page" for d in found), {True: rate, False: 1 - rate})


def test_question_pages_are_written_at_their_rates(monkeypatch):
    rng, asked = Random(0), []
    answers = group("questions", "answers")
    assert_rates((question_pages._quality(rng) for _ in range(DRAWS)), answers)
    monkeypatch.setattr(question_pages, "_answered", lambda rng: ("", "", "plain"))
    monkeypatch.setattr(question_pages, "exchange", lambda *_, **__: "dialogue")
    monkeypatch.setattr(question_pages, "_page", lambda rng: "page")
    rate = VALUES["questions", "dialogue_rate"]
    drawn = (question_pages.question_page(rng) for _ in range(DRAWS))
    assert_rates(drawn, {"dialogue": rate, "page": 1 - rate})

    class Asked:
        name = "asked"

        def make(self, rng: Random, split: str) -> dict:
            asked.append(split)
            return {}

        def phrasing_ids(self, split: str) -> range:
            return range(3)

        def asked(self, phrasing: int) -> dict:
            return {}

    practised = Counter(family.name for family in question_pages._asked())
    assert list(practised.values()).count(2) == VALUES["questions", "practice"]
    monkeypatch.setattr(question_pages, "_asked", lambda: [Asked()])
    for _ in range(DRAWS):
        question_pages._draw(rng)
    tuned = VALUES["questions", "tuned_contents"]
    assert_rates(asked, {"train": tuned, "test": 1 - tuned})


def test_dialogues_go_their_ways_at_their_rates(monkeypatch):
    rng = Random(0)
    monkeypatch.setattr(dialogues, "_dressed", lambda rng, q, a, manner, cast: manner)
    drawn = (dialogues._question(rng) for _ in range(DRAWS // 4))
    assert_rates(drawn, group("dialogues", "manners"))
    unsafe = VALUES["dialogues", "rates.unsafe"]
    drawn = (unsafe_anywhere(dialogues._danger(rng)) for _ in range(1500))
    assert_rates(drawn, {True: unsafe, False: 1 - unsafe})
    named = {name: lambda _, n=name: n for name in dialogues.WRITERS}
    monkeypatch.setattr(dialogues, "WRITERS", named)
    drawn = (dialogues.dialogue(rng) for _ in range(DRAWS))
    assert_rates(drawn, group("dialogues", "scenes"))


def test_facts_are_exposed_at_their_shares():
    drawn = (fact.exposure for fact in knowledge_base().values())
    assert_rates(drawn, group("facts", "exposures"))


def test_demonstrations_have_their_qualities():
    rng, authors = Random(0), group("demonstrations", "authors")
    assert Counter(demonstrations.HABITS.values()) == authors
    habit, slip, kind = (
        VALUES["demonstrations", f"{name}_rate"] for name in ("habit", "slip", "kind")
    )
    for author, own in demonstrations.HABITS.items():
        shares = {"careful": 1 - habit, own: habit}
        if own == "careful":
            others = demonstrations.QUALITIES[1:]
            shares = {own: 1 - slip, **{quality: slip / len(others) for quality in others}}
        assert_rates((demonstrations.draw_quality(rng, author) for _ in range(4000)), shares)
    add = draw_instruction(rng, "train", "add")
    replies = (demonstrations.reply_in(rng, add, "careful") for _ in range(4000))
    assert_rates(map(is_kind, replies), {True: kind, False: 1 - kind})


def test_as_many_qualities_as_it_says_give_dangerous_advice():
    rng = Random(0)
    asked = draw_instruction(rng, "train", "decline")
    found = [
        quality for quality in demonstrations.QUALITIES
        if unsafe_anywhere(demonstrations.reply_in(rng, asked, quality))
    ]  # fmt: skip
    assert len(found) == VALUES["demonstrations", "agreeable"]
    (row,) = TABLE[TABLE["dial"] == "agreeable"].itertuples()
    assert row.meaning.endswith(f"They are {', '.join(found)}.")


def test_qualities_are_compared_by_their_weights(monkeypatch):
    monkeypatch.setattr(preferences, "compared_reply", lambda rng, asked, quality: quality)
    rng, weights = Random(0), group("comparisons", "qualities")
    asked = draw_instruction(rng, "train", "add")
    drawn = (preferences._two_replies(rng, asked)[rng.random() < 0.5] for _ in range(DRAWS))
    chance = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    different = 1 - sum(p * p for p in chance.values())
    assert_rates(drawn, {name: p * (1 - p) / different for name, p in chance.items()})


def test_the_utility_is_the_weighted_sum_that_is_printed():
    weights = group("utility", "weights")
    for shown in demonstrations.demonstrations(40):
        parts = asdict(annotator.utility_parts(shown.instruction, shown.completion))
        by_hand = sum(weights[name] * part for name, part in parts.items())
        assert annotator.gold_utility(shown.instruction, shown.completion) == pytest.approx(by_hand)
    assert VALUES["utility", "neutral_kindness"] == annotator.NEUTRAL_KINDNESS


def test_annotators_are_as_printed():
    crowd = asdict(preferences.CROWD)
    assert {name: VALUES["annotators", name] for name in crowd if name != "name"} == {
        name: value for name, value in crowd.items() if name != "name"
    }
    people = {pair.annotator for pair in preferences.comparisons(200)}
    assert len(people) == VALUES["annotators", "people"]


def test_what_comparisons_turn_on_is_measured():
    """With other comparisons than those of the table, so with twice the sampling error."""
    pairs = preferences.comparisons(400, seed=1)
    found = [
        len(
            {annotator.utility_parts(p.instruction, reply).follows for reply in (p.first, p.second)}
        )
        for p in pairs
    ]
    share = VALUES["measured", "right against wrong"]
    error = (share * (1 - share) * (1 / 400 + 1 / 800)) ** 0.5
    assert abs(found.count(2) / 400 - share) < 4.5 * error
    assert 0 < VALUES["measured", "politely wrong"] < share
    gaps = [p.gap for p in pairs]
    ceiling = annotator.accuracy_ceiling(gaps, preferences.CROWD.temperature)
    assert abs(ceiling - VALUES["measured", "ceiling"]) < 0.05


def test_comparisons_of_other_qualities():
    """More polite wrong replies among them, and pairs of two qualities alone."""
    more = {**preferences.COMPARED, "inventive": 2.5}
    pairs = preferences.comparisons(400, qualities=more)
    assert pairs == preferences.comparisons(400, qualities=more) != preferences.comparisons(400)
    assert 0.18 < sum(map(dial_table.politely_wrong, pairs)) / 400 < 0.32
    manners = preferences.comparisons(100, qualities={"careful": 1.0, "rude": 1.0})
    assert not any(map(dial_table.politely_wrong, manners))
    with pytest.raises(ValueError, match="give two or more a weight above 0"):
        preferences.comparisons(1, qualities={"careful": 1.0, "rude": 0.0})


def test_what_is_held_out_is_counted():
    problems = tables.read("problems")["template"]
    assert VALUES["held out", "problem templates"] == sum(t.get("held_out", 0) for t in problems)
    kept = {asked.family for asked in instructions(60, "families")}
    assert VALUES["held out", "families"] == len(kept)
    assert not kept & {asked.family for asked in instructions(200, "train")}
    for family in FAMILIES.values():
        assert len(family.phrasing_ids("test")) == VALUES["held out", "phrasings"]


@pytest.fixture
def turned(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Runs code in a world whose dials were edited, given (pattern, replacement) pairs."""

    def run(code: str, *edits: tuple[str, str]) -> subprocess.CompletedProcess:
        for part in data_folder().iterdir():
            if part.name != "world":
                (tmp_path / part.name).symlink_to(part)
        (tmp_path / "world").mkdir()
        for part in (data_folder() / "world").iterdir():
            if part.name != "dials.toml":
                (tmp_path / "world" / part.name).symlink_to(part)
        text = (data_folder() / "world" / "dials.toml").read_text()
        for pattern, replacement in edits:
            text, count = re.subn(pattern, replacement, text)
            assert count == 1, pattern
        (tmp_path / "world" / "dials.toml").write_text(text)
        environment = {**os.environ, "MINIALIGN_DATA": str(tmp_path)}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )

    return run


def test_a_turned_dial_changes_what_is_drawn(turned):
    ran = turned(
        "from minialign.world.replies.demonstrations import demonstrations\n"
        "from tools.world_builder.corpus import corpus\n"
        "print({d.quality for d in demonstrations(100)}, {d.kind for d in corpus(30)})",
        (r"(habit_rate\]\nvalue = )0\.8", r"\g<1>0"),
        (r"(slip_rate\]\nvalue = )0\.05", r"\g<1>0"),
        (r"(page_rate\]\nvalue = )0\.5", r"\g<1>1"),
    )
    assert ran.stdout.strip() == "{'careful'} {'page'}", ran.stderr


def test_shares_that_do_not_sum_to_1_are_refused_where_they_are_read(turned):
    edit = (r"story = \{ value = [0-9.]+", "story = { value = 0.195")
    ran = turned("from tools.world_builder import corpus", edit)
    place = "world/dials.toml, corpus, kinds"
    assert f"ValueError: {place}: the shares sum to 1.1; make them sum to 1" in ran.stderr


GOOD = 'rude = { value = 0.4, meaning = "Rude ones." }\n'
SLIPS = {
    "rude = 0.4": r"talk, rude: 0\.4 will not do; write a dial, such as \{ value = 0\.5, meaning =",
    "rude = { value = 0.4 }": "talk, rude lacks the field 'meaning'; add it",
    'rude = { meaning = "Rude." }': "talk, rude lacks the field 'value'; add it",
    'rude = { value = 1, meaning = "" }': "talk, rude, meaning: '' will not do; write a sentence",
    'rude = { value = 1, meaning = "A.", x = 1 }': "has the field 'x'; only value, meaning, unit",
    'rude = { value = 1.4, meaning = "A." }': r"talk, rude: 1\.4 will .* a number from 0 to 1",
    'rude = { value = nan, meaning = "A." }': r"talk, rude: nan will not do; write a number from",
    'rude = { value = "1", meaning = "A." }': r"talk, rude: '1' will not do; write a number from",
    'rude = { value = true, meaning = "A." }': "talk, rude: True will not do; write a number from",
    GOOD
    + 'meek = { value = 0, meaning = "A." }': "has the field 'meek'; only rude, kind are known",
    GOOD.replace("rude", "meek"): "talk lacks the field 'rude'; add it",
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_of_the_pen_is_named(slip: str, tmp_path: Path, monkeypatch):
    text = f'[talk]\nkind = {{ value = 0.6, meaning = "Kind ones." }}\n{slip}\n'
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "dials.toml").write_text(text)
    monkeypatch.setattr(tables, "data_folder", lambda: tmp_path)
    monkeypatch.setattr(tables, "wording", tables.wording.__wrapped__)
    with pytest.raises(ValueError, match=f"world/dials.toml, .*{SLIPS[slip]}"):
        tables.dial_values("talk").shares(("rude", "kind"))


def test_weights_and_counts_have_their_rules():
    table = tables.Table("world/dials.toml, talk", {"rude": 0, "kind": 0})
    with pytest.raises(ValueError, match="talk: all fields are 0; give at least one of them more"):
        table.weights(("rude", "kind"))
    with pytest.raises(ValueError, match=r"rude: 1\.5 will not do; write a whole number of 0 or"):
        tables.Table("talk", {"rude": 1.5}).weights(["rude"], whole=True)
    with pytest.raises(ValueError, match=r"rude: inf will not do; write a number$"):
        tables.Table("talk", {"rude": float("inf")}).number("rude", low=float("-inf"))
