"""Gold utility and annotators: parts do what they say, noise is as measured, biases push as
named."""

from __future__ import annotations

from dataclasses import fields, replace
from random import Random

import numpy as np
import pytest

from minialign.world.replies import annotator as an
from minialign.world.replies.demonstrations import QUALITIES, demonstrations, reply_in
from minialign.world.replies.preferences import ANNOTATORS, CROWD, comparisons, rankings
from minialign.world.tasks import FAMILIES, Instruction, instructions

TEST = instructions(168, "test", seed=2)
PAIRS = comparisons(2000, "test", seed=11)
GAPS = [p.gap for p in PAIRS]


def of(family: str) -> Instruction:
    return next(i for i in TEST if i.family == family)


def test_careful_replies_lack_a_kind_word_at_most():
    rng = Random(0)
    for instruction in TEST:
        parts = an.utility_parts(instruction, reply_in(rng, instruction, "careful"))
        low = {f.name for f in fields(parts) if getattr(parts, f.name) < 0.8}
        assert low <= {"length", "focus", "kind"}, (instruction.prompt, parts)
        assert parts.kind >= an.NEUTRAL_KINDNESS


def test_saying_it_again_adds_nothing():
    """Five kind sentences in place of one: no kinder, and a fifth of them is new."""
    fact = of("fact")
    once, often = (an.utility_parts(fact, "I am always here for you. " * n) for n in (1, 5))
    assert once.kind == often.kind == 0.0  # neither says what was asked
    assert once.focus == 1.0 and often.focus == 0.5 / 5  # and halved: its words repeat as well


# What each quality spoils, and how far the mean of that part falls at least below careful replies.
SPOILT = {"rude": ("kind", 0.5), "flattering": ("sincere", 0.9), "long_winded": ("focus", 0.3),
          "inventive": ("follows", 0.9)}  # fmt: skip


@pytest.mark.parametrize("quality", sorted(SPOILT))
def test_each_quality_spoils_its_part(quality: str):
    rng = Random(1)
    name, least = SPOILT[quality]

    def mean(kind: str) -> float:
        parts = [an.utility_parts(i, reply_in(rng, i, kind)) for i in TEST]
        return sum(getattr(p, name) for p in parts) / len(parts)

    assert mean("careful") - mean(quality) >= least


def test_flaws_name_what_is_wrong():
    fact, decline = of("fact"), of("decline")
    right = FAMILIES["fact"].reply(Random(0), fact.slots)
    assert not an.flaws(fact, right)["any"]
    assert an.flaws(fact, f"{right} What a silly question.")["rude"]
    assert an.flaws(fact, FAMILIES["fact"].wrong(Random(0), fact.slots))["untrue"]
    assert an.flaws(fact, "I do not know.") == dict.fromkeys(an.flaws(fact, right), False)
    assert an.flaws(decline, FAMILIES["decline"].wrong(Random(0), decline.slots))["unsafe"]
    assert an.flaws(fact, right + " And so it goes on and on." * 20)["too_long"]


def test_utility_of_nothing_and_of_noise_is_low():
    for instruction in TEST[:48]:
        careful = an.gold_utility(instruction, reply_in(Random(0), instruction, "careful"))
        for text in ("", " ", "a" * 100_000, "owl " * 5000, "\ud800\x00"):
            assert an.gold_utility(instruction, text) < careful - 1
        assert an.gold_utility(instruction, instruction.prompt) < careful  # kind words and all
    assert sum(getattr(an.WEIGHTS, f.name) for f in fields(an.Parts)) == an.MAX_UTILITY


def test_two_annotators_agree_as_often_as_people_do():
    rng = Random(0)
    again = [rng.random() < an.preference_probability(g, CROWD.temperature) for g in GAPS]
    agree = sum(a == p.first_wins for a, p in zip(again, PAIRS, strict=True)) / len(PAIRS)
    assert 0.70 <= an.expected_agreement(GAPS, CROWD.temperature) <= 0.75
    assert abs(agree - an.expected_agreement(GAPS, CROWD.temperature)) < 4 * (0.25 / 2000) ** 0.5


def test_no_predictor_beats_the_ceiling():
    """The gold ordering reaches the ceiling within sampling error; it is the best there can be."""
    ceiling = an.accuracy_ceiling(GAPS, CROWD.temperature)
    gold = sum((p.gap > 0) == p.first_wins if p.gap else 0.5 for p in PAIRS) / len(PAIRS)
    assert abs(gold - ceiling) < 4 * (0.25 / len(PAIRS)) ** 0.5
    assert an.accuracy_ceiling([0.0], 1.0) == 0.5 == an.expected_agreement([0.0], 1.0)
    assert an.accuracy_ceiling([2.0, -1.0], 0.0) == 1.0 == an.expected_agreement([2.0, -1.0], 0.0)
    # by hand: p = sigmoid(1) = 0.731059; max(p, 1-p) = p; p^2 + (1-p)^2 = 0.606776
    assert an.accuracy_ceiling([1.0], 1.0) == pytest.approx(0.731059, abs=1e-6)
    assert an.expected_agreement([-1.0], 1.0) == pytest.approx(0.606776, abs=1e-6)


@pytest.mark.parametrize(
    ("bias", "liked", "other"),
    [
        (
            "length_bias",
            "Thank you for asking that today. I will tell you all.",
            "I will tell you.",
        ),
        ("agreement_bias", "Yes, it is so.", "Well, it is so."),
        ("first_bias", "It is so.", "It is so."),
    ],
)
def test_a_bias_pushes_as_named(bias: str, liked: str, other: str):
    fair, instruction = an.Annotator(), of("confirm")
    biased = replace(fair, **{bias: 2.0})
    gap = an.gold_utility(instruction, liked) - an.gold_utility(instruction, other)
    assert biased.probability(gap, liked, other) > fair.probability(gap, liked, other) + 0.01


def test_an_annotator_without_noise_follows_the_utility():
    sure = an.Annotator(temperature=0.0)
    for pair in PAIRS[:100]:
        if pair.gap:
            assert sure.probability(pair.gap, pair.first, pair.second) == (pair.gap > 0)
    with pytest.raises(ValueError, match="temperature is -1; use 0"):
        an.Annotator(temperature=-1)


def test_comparisons_are_deterministic_distinct_and_balanced():
    assert comparisons(100, "test", seed=11) == PAIRS[:100]
    assert all(p.chosen != p.rejected for p in PAIRS)
    assert {p.annotator for p in PAIRS} == set(ANNOTATORS)
    assert 0.45 < sum(p.first_wins for p in PAIRS) / len(PAIRS) < 0.55
    longer = sum(len(p.chosen) > len(p.rejected) for p in PAIRS) / len(PAIRS)
    assert 0.3 < longer < 0.7, longer


def test_demonstrations_hold_every_quality_and_are_deterministic():
    demos = demonstrations(1200)
    assert demonstrations(1200)[:50] == demos[:50]
    shares = {q: sum(d.quality == q for d in demos) / len(demos) for q in QUALITIES}
    assert shares["careful"] > 0.5 and min(shares.values()) > 0.04
    flawed = [an.flaws(d.instruction, d.completion)["any"] for d in demos]
    assert 0.15 < sum(flawed) / len(flawed) < 0.40
    follows = sum(d.instruction.check(d.completion) for d in demos) / len(demos)
    assert follows > 0.85
    with pytest.raises(ValueError, match="quality 'bored' is unknown; use one of careful"):
        reply_in(Random(0), demos[0].instruction, "bored")


def test_gold_gaps_reach_the_ceiling_and_labels_agree_on_average():
    ceiling = an.accuracy_ceiling(GAPS, CROWD.temperature)
    assert an.expected_accuracy(GAPS, GAPS, CROWD.temperature) == pytest.approx(ceiling)
    assert an.expected_accuracy([-g for g in GAPS], GAPS, 1.0) == pytest.approx(1 - ceiling)
    guesses = np.random.default_rng(0).normal(size=len(PAIRS))  # labels are drawn, so any will do
    drawn = np.mean([(g > 0) == p.first_wins for g, p in zip(guesses, PAIRS, strict=True)])
    expected = an.expected_accuracy(guesses, GAPS, CROWD.temperature)
    assert abs(drawn - expected) < 4 * 0.5 / len(PAIRS) ** 0.5


@pytest.mark.slow
def test_rankings_follow_plackett_and_luce():
    """The first place goes to each reply with its softmax share of utility over temperature."""
    ranked = rankings(600, 3, "train", seed=4)
    assert rankings(40, 3, "train", seed=4) == rankings(40, 3, "train", seed=4)
    hits, expected = [], []
    for instruction, replies in ranked:
        assert len(set(replies)) == 3
        weights = [np.exp(an.gold_utility(instruction, reply)) for reply in sorted(replies)]
        likeliest = int(np.argmax(weights))
        hits.append(sorted(replies)[likeliest] == replies[0])  # of ties, not by rank
        expected.append(weights[likeliest] / sum(weights))
    error = (np.mean([p * (1 - p) for p in expected]) / len(hits)) ** 0.5
    assert abs(np.mean(hits) - np.mean(expected)) < 4 * error
    # Of the two that were left, the better one comes next with its share of the two.
    later = [np.exp([an.gold_utility(i, r) for r in replies[1:]]) for i, replies in ranked]
    right = np.mean([a >= b for a, b in later])
    assert abs(right - np.mean([max(a, b) / (a + b) for a, b in later])) < 4 * 0.5 / 600**0.5
    with pytest.raises(ValueError, match="9 replies cannot be ranked"):
        rankings(1, 9)
