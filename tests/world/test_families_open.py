"""The families about facts, people, stories and problems: checkers take right replies, refuse near
misses."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slowness import slow_but

from minialign.rewards.equations import MAX_CHARS
from minialign.world import tasks
from minialign.world.families import facts, people
from minialign.world.families import stories as families_stories
from minialign.world.families.family import Family
from minialign.world.replies.annotator import MAX_UTILITY, gold_utility

OPEN = {f.name: f for module in (facts, people, families_stories) for f in module.FAMILIES}
TALES = ("story", "continue_story", "summarise")  # a second tale may follow without harm
HOSTILE = (
    "", " ", ".", "?", "9" * 4000, "not " * 1000, '"' * 4000, "a" * 100_000, "yes no " * 570,
    "\x00", "\ud800", "\u202e", "{value}", "<|assistant|>", "\u0665\u0660 hens", "I", "1/2",
)  # fmt: skip


@pytest.fixture(params=sorted(OPEN))
def family(request: pytest.FixtureRequest) -> Family:
    return OPEN[request.param]


@pytest.mark.parametrize("split", slow_but(["train", "test"], "train"))
def test_right_replies_pass_and_wrong_ones_fail(family: Family, split: str):
    rng = Random(3)
    for _ in range(120):
        slots = family.make(rng, split)
        reply, wrong = family.reply(rng, slots), family.wrong(rng, slots)
        assert family.check(slots, reply), (slots, reply)
        assert family.check(slots, f" {reply}\n"), reply
        if family.bare:
            assert family.check(slots, family.bare(rng, slots)), slots
        assert not family.check(slots, wrong), (slots, wrong)
        if family.name not in TALES:
            assert not family.check(slots, f"{reply} {wrong}"), (reply, wrong)
        assert not family.check(slots, reply + "\u200b"), reply
        assert not family.check(slots, reply + " " * MAX_CHARS), reply


def test_hostile_text_is_refused(family: Family):
    rng = Random(4)
    for _ in range(5):
        slots = family.make(rng, "train")
        for text in HOSTILE:
            assert family.check(slots, text) is False, (slots, text[:40])


# (family, slots, right paraphrases, near misses), the wording unlike the world's own.
FACT = {"subject": "Agnes", "relation": "pet", "value": "goat"}
TRUE = {"subject": "Agnes", "relation": "pet", "value": "goat", "said": "goat"}
FALSE = {**TRUE, "said": "hen"}
GAP = {"subject": "Zelda", "relation": "colour", "noun": "the favourite colour of Zelda"}
LEGS = {"animal": "ant", "relation": "legs", "value": "six"}
STORY = {"hero": "fox", "thing": "kite", "who": "a fox", "a_thing": "a kite"}
START = {
    "hero": "Mira", "thing": "kite", "start": "One day, Mira took her red kite to the hill.",
}  # fmt: skip
SUMMARY = {
    "hero": "Mira", "thing": "kite", "text": "Mira lost her kite by the pond. The owl found it.",
    "about": ["found", "lost", "owl", "pond"],
}  # fmt: skip
TABLE = [
    ("fact", FACT, ["A goat.", "Why, it is a goat!", "She has a goat at home."],
     ["A hen.", "A goat or a hen.", "It is not a goat.", "A goat? I do not know.", "goats, hens"]),
    ("unknown", GAP, ["I really do not know.", "Nobody knows that.", "Sorry, I can't say."],
     ["Blue.", "I do not know. Blue.", "Her favourite colour is red.", "She is nice."]),
    ("animal_fact", LEGS, ["6.", "It has 6 legs.", "Six, like every ant."],
     ["4.", "It has 6 or 8 legs.", "66.", "6.5 legs.", "\u0666."]),
    ("confirm", TRUE, ["Yes.", "Yes, she has a goat.", "You are right."],
     ["No.", "Yes and no.", "Yes, she has a hen.", "Perhaps."]),
    ("confirm", FALSE, ["No, it is a goat.", "That is not true. Agnes has a goat."],
     ["No.", "Yes.", "Yes, it is a goat.", "No, it is a hen.", "No, it is a duck."]),
    ("story", STORY,
     ["A fox had a kite. It flew high. The fox was glad.",
      "Once there were two foxes. They made kites. All day they ran up the hill."],
     ["A fox had a kite.", "A hen had a kite. It flew high. She was glad.",
      "A fox had a kite. A fox had a kite. A fox had a kite.",
      "A fox had a kite. It flew high. The fox was"]),
    ("continue_story", START, ["The wind blew hard. Mira held on and laughed."],
     ["One day, Mira took her red kite to the hill. She ran.", "She ran.",
      "The wolf and the hen and the bear met Tom. They ate."]),
    ("summarise", SUMMARY, ["Mira lost her kite, but the owl found it by the pond."],
     ["Mira had a kite.", "Tom lost his kite, but the owl found it.",
      "Mira lost her kite by the pond. The kite of Mira was found by the owl."]),
    ("word_problem", {"answer": 12},
     ["The answer is 12.", "5 + 7 = 12. So the answer is 12.", "Answer: 12"],
     ["The answer is 13.", "The answer is 12. The answer is 13.", "The answer is 12 or 13.",
      "The answer is 1 2.", "The answer is \uff11\uff12.", "The answer is not 12."]),
]  # fmt: skip


@pytest.mark.parametrize("row", range(len(TABLE)))
def test_paraphrases_and_near_misses(row: int):
    name, slots, right, wrong = TABLE[row]
    check = OPEN[name].check
    assert [r for r in right if not check(slots, r)] == []
    assert [w for w in wrong if check(slots, w)] == []


MARKS = ["\n", "\x00", "\ud800", "\u0660", "\u200b", '"', "'", "=", "?", "The answer is"]
PIECES = st.sampled_from(
    [*sorted({w for _, _, yes, no in TABLE for r in yes + no for w in r.split()}), *MARKS]
)
TEXT = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=14).map(" ".join))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(text=TEXT)
@pytest.mark.parametrize("row", slow_but(range(len(TABLE)), 0, 4))
def test_checkers_never_raise(row: int, text: str):
    name, slots, right, wrong = TABLE[row]
    check = OPEN[name].check
    assert isinstance(check(slots, text), bool)
    assert isinstance(check(slots, f"{right[0]} {text}"), bool)
    if name not in TALES:
        assert not check(slots, f"{right[0]} {text} {wrong[1]}")


INSTRUCTIONS = tasks.instructions(48, "test")


@settings(max_examples=400, deadline=None, derandomize=True)
@given(text=TEXT, index=st.integers(0, len(INSTRUCTIONS) - 1))
def test_gold_utility_reads_any_text(text: str, index: int):
    assert 0.0 <= gold_utility(INSTRUCTIONS[index], text) <= MAX_UTILITY
