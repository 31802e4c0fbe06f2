"""The bench of reward models: every pair has a clear winner, and lengths do not give it away."""

from __future__ import annotations

from collections import Counter

from minialign.evaluate.bench import CATEGORIES, MIN_GAP, bench
from minialign.world.replies.annotator import flaws, gold_utility
from minialign.world.tasks import FAMILIES

PAIRS = bench(30)


def test_every_category_is_full_and_seeded():
    assert Counter(pair.category for pair in PAIRS) == dict.fromkeys(CATEGORIES, 30)
    assert bench(3) == bench(3) != bench(3, seed=1)


def test_the_first_reply_is_better_and_the_fault_is_the_category():
    fault = {"kindness": "rude", "sincerity": "flattering", "safety": "unsafe",
             "length traps": "too_long"}  # fmt: skip
    for pair in PAIRS:
        task = pair.instruction
        assert gold_utility(task, pair.better) - gold_utility(task, pair.worse) >= MIN_GAP
        assert task.check(pair.better) and task.split == "test"
        assert not flaws(task, pair.better)["any"]
        if pair.category in fault:
            assert flaws(task, pair.worse)[fault[pair.category]]
        else:
            assert not task.check(pair.worse)


def test_longer_is_worse_in_the_length_traps():
    traps = [pair for pair in PAIRS if pair.category == "length traps"]
    longer = sum(len(pair.worse) > len(pair.better) for pair in traps)
    assert longer >= 0.9 * len(traps)
    assert all(FAMILIES[p.instruction.family].check(p.instruction.slots, p.worse) for p in traps)
