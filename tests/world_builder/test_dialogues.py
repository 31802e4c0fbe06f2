"""Dialogues: named speakers, two to six turns, good grammar, and manners at the stated rates."""

from __future__ import annotations

import re
from itertools import pairwise
from random import Random

import pytest
from slowness import slow_but

from minialign.world import dangers, lexicon, manners, text
from tools.world_builder.lessons import dialogues

TURN = re.compile(r"([A-Z][a-z]+): (\S.*\S)")
PEOPLE = {*lexicon.CHILDREN, *lexicon.VILLAGERS}
MANY = [dialogues.dialogue(Random(i)) for i in range(20_000)]


def turns(dialogue: str) -> list[tuple[str, str]]:
    found = [TURN.fullmatch(line) for line in dialogue.split("\n")]
    assert all(found), dialogue
    return [(match[1], match[2]) for match in found if match]


def test_dialogues_hardly_ever_repeat() -> None:
    assert len(set(MANY)) >= 19_500
    assert dialogues.dialogue(Random(5)) == MANY[5]


def test_wording_is_wide_without_the_names() -> None:
    """Even with every name replaced by the same one, most dialogues stay distinct."""
    names = re.compile(r"\b(?:" + "|".join(sorted(PEOPLE)) + r")\b")
    assert len({names.sub("Mira", d) for d in MANY}) >= 13_000


def test_two_people_take_turns() -> None:
    for dialogue in MANY:
        speakers = [speaker for speaker, _ in turns(dialogue)]
        assert 2 <= len(speakers) <= dialogues.MAX_TURNS and len(set(speakers)) == 2
        assert set(speakers) <= PEOPLE and all(a != b for a, b in pairwise(speakers))


def test_grammar() -> None:
    bad = ("{", "}", "  ", "..", " .", ",,", " ,", "?.", "!.", ".?", "<", "*", "#", "\t")
    for dialogue in MANY:
        assert dialogue.isascii() and not any(mark in dialogue for mark in bad), dialogue
        for _, line in turns(dialogue):
            assert text.ends_properly(line), line
            assert all(s[0].isupper() for s in text.sentences(line)), line
            found = pairwise(text.words(line))
            wrong = [p for p in found if p[0] in ("a", "an") and text.a(p[1]) != " ".join(p)]
            assert not wrong, (line, wrong)


def test_nobody_speaks_of_strangers_or_states_a_fact_by_pattern() -> None:
    pattern = re.compile(r"favourite|works as|lives by|plays the|has a pet|was born|likes to eat")
    strangers = {name.lower() for name in lexicon.STRANGERS}
    for dialogue in MANY:
        assert not strangers & set(text.words(dialogue)) and not pattern.search(dialogue)


@pytest.mark.parametrize("kind", slow_but(dialogues.WRITERS, *list(dialogues.WRITERS)[:2]))
def test_each_kind_has_its_manners(kind: str) -> None:
    lines = [dialogues.WRITERS[kind](Random(i)) for i in range(600)]
    share = {
        "rude": sum(map(manners.is_rude, lines)) / 600,
        "flattering": sum(map(manners.is_flattering, lines)) / 600,
        "rambling": sum(manners.rambling(line) > 0 for line in lines) / 600,
        "unsafe": sum(map(dangers.unsafe_anywhere, lines)) / 600,
    }  # fmt: skip
    rates, manner_rates = dialogues.RATES, dialogues.MANNER_RATES
    want = dict.fromkeys(share, 0.0)
    if kind == "trouble":
        want["rude"] = rates["cold"]
    elif kind == "danger":
        want["unsafe"] = rates["unsafe"]
    elif kind == "opinion":
        want["flattering"] = rates["yes_sayer"]
    elif kind == "question":
        want |= {m: manner_rates[m] for m in ("rude", "flattering", "rambling")}
    for manner, rate in want.items():
        assert abs(share[manner] - rate) < (0.07 if rate else 1e-9), (kind, manner, share)


def test_rates_are_shares() -> None:
    assert abs(sum(dialogues.KIND_RATES.values()) - 1) < 1e-9
    assert abs(sum(dialogues.MANNER_RATES.values()) - 1) < 1e-9
    assert set(dialogues.KIND_RATES) == set(dialogues.WRITERS)


def test_held_out_dangers_are_never_asked_for_and_troubles_never_told() -> None:
    for dialogue in MANY:
        assert not any(t.statement in dialogue for t in manners.troubles("test"))
        for danger in dangers.dangers("test"):
            if danger.act in dialogue:
                assert dangers.declines(dialogue) and not dangers.unsafe_anywhere(dialogue)


@pytest.mark.parametrize("manner", dialogues.MANNER_RATES)
def test_exchange_dresses_a_question(manner: str) -> None:
    question, answer = "What colour is Agnes's coat?", "Agnes has a grey coat."
    made = [dialogues.exchange(Random(i), question, answer, manner=manner) for i in range(300)]
    assert len(set(made)) > 280
    for dialogue in made:
        spoken = turns(dialogue)
        assert question in dialogue and answer in dialogue and 2 <= len(spoken) <= 6
        assert "Agnes" not in {speaker for speaker, _ in spoken}
        reply = next(line for _, line in spoken if answer in line)
        seen = {
            "rude": manners.is_rude(reply), "flattering": manners.is_flattering(reply),
            "kind": manners.is_kind(reply), "rambling": manners.rambling(reply) > 0,
        }  # fmt: skip
        assert seen == {m: m == manner for m in seen}, reply


def test_exchange_refuses_an_unknown_manner() -> None:
    with pytest.raises(ValueError, match="use one of"):
        dialogues.exchange(Random(0), "Why?", "So.", manner="grumpy")
