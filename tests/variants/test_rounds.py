"""Rounds: where the reference is, replies of the policy's own, who ranks them, resuming."""

from __future__ import annotations

from functools import partial
from random import Random
from types import SimpleNamespace

import pytest
import torch
from loop_inputs import ASKED, PAIRS, TOKENIZER, small, stop_at
from same_weights import same, weights
from tiny_models import tiny_llama

from minialign.core.tokens import prompt_ids
from minialign.variants.loops import rounds as rounds_module
from minialign.variants.loops.preference_loop import PreferenceConfig
from minialign.variants.loops.rounds import (
    by_reward,
    mix_into,
    own_rankings,
    train_on_own_replies,
    train_stepwise,
)
from minialign.variants.methods import method, table
from minialign.variants.preference import ipo_loss
from minialign.world.replies.annotator import Annotator, gold_utility, preference_probability
from minialign.world.replies.demonstrations import reply_in
from minialign.world.replies.preferences import CROWD, by_annotators, noisy_utility

settings = partial(small, PreferenceConfig)


# --- where the reference is


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_the_reference_moves_by_its_share_after_each_round(monkeypatch, share: float):
    seen, real = [], rounds_module.train_preference

    def watched(policy, *args, reference, **named):
        seen.append((weights(policy), weights(reference)))
        return real(policy, *args, reference=reference, **named)

    monkeypatch.setattr(rounds_module, "train_preference", watched)
    histories = train_stepwise(
        tiny_llama(), TOKENIZER, [PAIRS[:2], PAIRS[2:]], settings(steps=3), share=share
    )
    (first_policy, first_reference), (policy, reference) = seen
    assert len(histories) == 2 and same(first_policy, first_reference)
    for start, now, moved in zip(first_reference, policy, reference, strict=True):
        torch.testing.assert_close(moved, torch.lerp(start, now, share))
    zero = abs(histories[1]["margin"][0]) < 1e-4
    assert zero == (share == 1.0)  # only then does the second round start at its reference


@pytest.mark.parametrize("name", table("train_stepwise").index)
def test_a_method_with_a_moving_reference_trains_in_every_round(name: str):
    policy = tiny_llama()
    before = weights(policy)
    train = method(name).trainer()
    histories = train(policy, TOKENIZER, [PAIRS[:2], PAIRS[2:]], settings(steps=2))
    assert len(histories) == 2 and not same(before, weights(policy))


def test_every_round_has_the_loss_that_is_given():
    one, two = tiny_llama(), tiny_llama()
    train_stepwise(one, TOKENIZER, [PAIRS, PAIRS], settings(steps=1))
    history = train_stepwise(two, TOKENIZER, [PAIRS, PAIRS], settings(steps=1), loss=ipo_loss)
    assert history[0]["loss"][0] == pytest.approx(25.0, abs=0.5)  # (0 - 1 / (2 beta))^2
    assert not same(weights(one), weights(two))


def test_an_interrupted_run_goes_on_in_its_round(tmp_path):
    rounds, config = [PAIRS[:2], PAIRS[2:]], settings(steps=4)
    whole, resumed = tiny_llama(), tiny_llama()
    train_stepwise(whole, TOKENIZER, rounds, config)

    with pytest.raises(KeyboardInterrupt):
        train_stepwise(
            tiny_llama(), TOKENIZER, rounds, config, on_step=stop_at(7), checkpoint_dir=tmp_path
        )
    train_stepwise(resumed, TOKENIZER, rounds, config, checkpoint_dir=tmp_path)
    assert same(weights(whole), weights(resumed))


def test_a_share_outside_the_way_is_refused():
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        mix_into(tiny_llama(), tiny_llama(), 1.5)


def test_as_many_settings_as_rounds():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        train_stepwise(tiny_llama(), TOKENIZER, [PAIRS, PAIRS], [settings(steps=1)])


# --- replies of the policy's own


def length(prompts, completions, **columns):
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
    good, bad = (reply_in(Random(0), instruction, quality) for quality in ("careful", "rude"))
    gap = gold_utility(instruction, good) - gold_utility(instruction, bad)
    crowd = Annotator(temperature=gap)  # so that it is sigmoid(1) = 0.73
    n, values = (
        4000,
        by_annotators(0, crowd)([instruction] * 8000, SimpleNamespace(texts=[good, bad] * 4000)),
    )
    wins = sum(values[2 * i] > values[2 * i + 1] for i in range(n)) / n
    assert wins == pytest.approx(preference_probability(gap, gap), abs=0.03)
    assert noisy_utility(Random(1), CROWD, instruction, good) != noisy_utility(
        rng, CROWD, instruction, good
    )


CONFIG = PreferenceConfig(steps=4, batch_size=2, warmup=1, learning_rate=1e-3, save_every=1)


def learn(policy, config=CONFIG, **changes):
    settings = {"max_new_tokens": 6, "values": by_reward(length), "config": config}
    return train_on_own_replies(policy, TOKENIZER, ASKED, **settings | changes)


@pytest.mark.parametrize("name", table("train_on_own_replies").index)
def test_each_round_samples_from_the_policy_as_it_is(monkeypatch, name: str):
    seen, real = [], rounds_module.own_rankings

    def watched(policy, tokenizer, asked, *args, **named):
        seen.append((weights(policy), [i.prompt for i in asked]))
        return real(policy, tokenizer, asked, *args, **named)

    monkeypatch.setattr(rounds_module, "own_rankings", watched)
    rounds = method(name).arguments["rounds"]
    histories = learn(tiny_llama(), rounds=rounds)
    assert [len(h["loss"]) for h in histories] == [4 // rounds] * rounds
    assert sorted(p for _, asked in seen for p in asked) == sorted(i.prompt for i in ASKED)
    first = [torch.equal(a, b) for a, b in zip(seen[0][0], seen[-1][0], strict=True)]
    assert all(first) == (rounds == 1)


def test_the_reference_stays_that_of_the_start():
    """In the second round the policy has left it: the margin does not begin at 0."""
    first, second = learn(tiny_llama(), rounds=2)
    assert abs(first["margin"][0]) < 0.05 < abs(second["chosen"][0])


def test_an_interrupted_run_ends_bit_equal(tmp_path):
    whole, resumed = tiny_llama(), tiny_llama()
    learn(whole)

    with pytest.raises(KeyboardInterrupt):
        learn(tiny_llama(), on_step=stop_at(4), checkpoint_dir=tmp_path)
    learn(resumed, checkpoint_dir=tmp_path)
    assert same(weights(whole), weights(resumed))


def test_rounds_that_have_nothing_to_do_are_refused():
    with pytest.raises(ValueError, match="rounds is 5, with 4 steps and 9 instructions"):
        learn(tiny_llama(), rounds=5)
