"""A policy's own replies: what the rows hold, who ranks them, and what is left out."""

from __future__ import annotations

from random import Random

import pytest
from tiny_models import small_tokenizer, tiny_llama

from minialign.batching import prompt_ids
from minialign.own_replies import by_annotators, by_reward, own_rankings
from minialign.world.annotator import Annotator, gold_utility, preference_probability
from minialign.world.preferences import CROWD, noisy_utility
from minialign.world.tasks import instructions

TOKENIZER = small_tokenizer()
ASKED = instructions(9, "train", 0)


def length(prompts, completions):
    return [float(len(text)) for text in completions]


def ranked(**changes):
    settings = {"max_new_tokens": 6, "batch_size": 4, "values": by_reward(length)}
    return own_rankings(tiny_llama(), TOKENIZER, ASKED, **settings | changes)


@pytest.mark.parametrize("group_size", [2, 3])
def test_rows_hold_the_sampled_tokens_best_first(group_size: int):
    found = ranked(group_size=group_size)
    prompts = [prompt_ids(TOKENIZER, i.prompt) for i in ASKED]
    assert 1 < len(found) <= len(ASKED)
    for ranking in found:
        assert len(ranking) == group_size and ranking[0].prompt_ids in prompts
        texts = [TOKENIZER.decode(r.completion_ids, skip_special_tokens=True) for r in ranking]
        assert [len(t) for t in texts] == sorted(map(len, texts), reverse=True)
        for row in ranking:
            ended = row.completion_ids[-1] == TOKENIZER.eos_token_id
            assert ended or len(row.completion_ids) == 6  # cut, so without an end


def test_what_is_alike_or_nearly_as_good_is_left_out():
    all_of_them, far = ranked(), ranked(least=3.0)
    assert 0 < len(far) < len(all_of_them)
    assert all(a.completion_ids != b.completion_ids for a, b in all_of_them)
    assert ranked() == all_of_them and ranked(seed=1) != all_of_them


def test_noisy_utilities_choose_as_bradley_and_terry_have_it():
    """The share of choices of the better reply is sigmoid(gap / temperature)."""
    instruction, rng = ASKED[0], Random(0)
    good, bad = "You are always welcome here.", "You fool."
    gap = gold_utility(instruction, good) - gold_utility(instruction, bad)
    crowd = Annotator(temperature=gap)  # so that it is sigmoid(1) = 0.73
    n, values = 4000, by_annotators(0, crowd)([instruction] * 8000, [good, bad] * 4000)
    wins = sum(values[2 * i] > values[2 * i + 1] for i in range(n)) / n
    assert wins == pytest.approx(preference_probability(gap, gap), abs=0.03)
    assert noisy_utility(Random(1), CROWD, instruction, good) != noisy_utility(
        rng, CROWD, instruction, good
    )
