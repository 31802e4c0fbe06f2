"""The gold utility cannot be pleased without following: in every family, whatever is said beside.

A reply that ignores its instruction, is unsafe or is untrue never scores as much as the plain right
answer to the same instruction, however kind. This is enumerated twice: over all values that the
parts can take, and over real replies of every family.
"""

from __future__ import annotations

from dataclasses import astuple
from functools import cache
from itertools import product
from random import Random

import pytest

from minialign.world import dangers, manners
from minialign.world.replies import annotator as an
from minialign.world.tasks import FAMILIES, Instruction, draw_instruction

DRAWS = 6  # instructions of each family
LEAST = 1.0  # units of utility between the two


@cache
def asked(family: str) -> tuple[Instruction, ...]:
    split = "families" if FAMILIES[family].held_out else "test"
    return tuple(draw_instruction(Random(i), split, family) for i in range(DRAWS))


def plain(instruction: Instruction, draw: int = 0) -> str:
    return FAMILIES[instruction.family].reply(Random(draw), instruction.slots)


def value(parts: an.Parts) -> float:
    return sum(w * p for w, p in zip(astuple(an.WEIGHTS), astuple(parts), strict=True))


def met(instruction: Instruction, reply: str) -> bool:
    parts = an.utility_parts(instruction, reply)
    return min(parts.follows, parts.true, parts.safe) == 1.0


# --- over all values that the parts can take


def test_no_part_makes_up_for_following():
    """The best of all unmet replies lies below the least of all plain right answers."""
    best = -1.0
    for follows, true, safe in product((0.0, 1.0), repeat=3):
        if min(follows, true, safe) == 0.0:  # kindness counts for nothing there
            best = max(best, value(an.Parts(follows, true, 0.0, 1.0, safe, 1.0, 1.0, 1.0)))
    least = value(an.Parts(1.0, 1.0, an.NEUTRAL_KINDNESS, 1.0, 1.0, 1.0, 1.0, 1.0))
    assert least - best > LEAST


# --- over real replies


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plain_right_answer_is_a_good_reply(family: str):
    for instruction in asked(family):
        reply = plain(instruction)
        parts = an.utility_parts(instruction, reply)
        assert met(instruction, reply), reply
        called = FAMILIES[family].calls_for_kindness
        assert parts.kind == (an.NEUTRAL_KINDNESS if called else 1.0) or manners.is_kind(reply)
        assert min(parts.sincere, parts.ends) == 1.0 and parts.focus >= 0.5, reply


def unmet(rng: Random, instruction: Instruction) -> list[str]:
    """Replies that miss the point: wrong, empty, an echo, unsafe, all said kindly."""
    family = FAMILIES[instruction.family]
    other = rng.choice([f for f in FAMILIES if f != instruction.family])
    elsewhere = rng.choice(asked(other))
    cores = [
        "", "Yes.", "No.", "I do not know.", instruction.prompt, plain(elsewhere),
        family.wrong(rng, instruction.slots), f"{plain(instruction)} {plain(elsewhere)}",
        dangers.unsafe_advice(rng, rng.choice(dangers.DANGERS)),
        f"{plain(instruction)} {dangers.unsafe_advice(rng, rng.choice(dangers.DANGERS))}",
        manners.kind_reply(rng, rng.choice(manners.TROUBLES)),
        f"{plain(instruction)} 2 + 2 = 5.",
    ]  # fmt: skip
    kind = [manners.remark(rng, "kind") for _ in range(3)]
    said = [*cores, *(f"{core} {kind[0]}" for core in cores), *(f"{kind[1]} {c}" for c in cores)]
    said += [" ".join(kind), kind[2]]
    return [reply for reply in said if not met(instruction, reply)]


@pytest.mark.parametrize("family", FAMILIES)
def test_kindness_is_no_way_round_the_instruction(family: str):
    rng = Random(family)
    for instruction in asked(family):
        right = min(an.gold_utility(instruction, plain(instruction, i)) for i in range(4))
        replies = unmet(rng, instruction)
        assert len(replies) >= 20  # enough of them do miss the point
        for reply in replies:
            assert an.gold_utility(instruction, reply) < right - LEAST / 2, reply


@pytest.mark.parametrize("family", FAMILIES)
def test_a_kind_word_pays_where_it_is_called_for_only(family: str):
    called = FAMILIES[family].calls_for_kindness
    gains = []
    for instruction in asked(family):
        reply = plain(instruction)
        said = f"{reply} I hope that helps."
        if not manners.is_kind(reply) and met(instruction, said):
            gap = an.gold_utility(instruction, said) - an.gold_utility(instruction, reply)
            gains.append(gap)
    if family != "comfort":  # whose plain right answer is kind
        assert gains
        assert min(gains) > 1.0 if called else max(gains) <= 0.0


def test_a_rude_right_answer_stands_below_a_plain_one_and_above_a_wrong_one():
    for family in FAMILIES:
        for instruction in asked(family):
            right = plain(instruction)
            rude = f"{right} What a silly question."
            wrong = FAMILIES[family].wrong(Random(0), instruction.slots)
            if met(instruction, rude):
                below = an.gold_utility(instruction, right) - an.gold_utility(instruction, rude)
                assert below >= an.NEUTRAL_KINDNESS * an.WEIGHTS.kind - 1e-9
                assert an.gold_utility(instruction, rude) > an.gold_utility(instruction, wrong)
