"""The preference loop: what it computes once and refuses, resuming, and that every loss runs."""

from __future__ import annotations

import contextlib
from functools import partial

import pytest
import torch
from loop_inputs import PAIRS, TOKENIZER, small, stop_at
from same_weights import same, weights
from tiny_models import tiny_llama

from minialign.core import optim
from minialign.core.batching import Row, collate
from minialign.core.logprobs import masked_sum, token_logprobs
from minialign.core.optim import completion_sums, reference_sums
from minialign.variants import methods, preference_loop
from minialign.variants.loops.preference_loop import (
    LISTWISE,
    PAIRED,
    PreferenceConfig,
    train_preference,
    weighed_logprobs,
)
from minialign.variants.ranks import RankLogprobs

settings = partial(small, PreferenceConfig)
METRICS = ["loss", "accuracy", "margin", "chosen", "rejected", "grad_norm", "learning_rate"]


@pytest.fixture
def float32(monkeypatch):
    """No bfloat16, so that sums can be compared digit by digit."""
    for module in (optim, preference_loop):
        monkeypatch.setattr(module, "fast_matmul", lambda device: contextlib.nullcontext())


def test_two_steps_log_the_metrics_and_leave_the_reference_alone():
    policy, reference = tiny_llama(), tiny_llama(1)
    before, seen = weights(policy), []
    fixed = weights(reference)
    history = train_preference(
        policy, TOKENIZER, PAIRS, settings(steps=2), reference=reference, on_step=seen.append
    )
    assert sorted(history.names) == sorted(METRICS) and len(seen) == 2
    assert same(fixed, weights(reference)) and not same(before, weights(policy))


def test_at_the_start_policy_and_reference_agree(float32):
    """Trap 38: the first loss is log 2 and the first margin 0."""
    history = train_preference(tiny_llama(), TOKENIZER, PAIRS, settings(steps=1))
    assert history["loss"][0] == pytest.approx(0.6931, abs=1e-4)
    assert history["margin"][0] == pytest.approx(0.0, abs=1e-4)


def test_reference_logprobs_are_computed_once_and_right(monkeypatch, float32):
    calls, real = [], optim.token_logprobs
    monkeypatch.setattr(optim, "token_logprobs", lambda m, *a: calls.append(m) or real(m, *a))
    policy, reference = tiny_llama(), tiny_llama(1)
    train_preference(policy, TOKENIZER, PAIRS, settings(steps=6), reference=reference)
    assert sum(m is reference for m in calls) == 1 and sum(m is policy for m in calls) == 6
    found = reference_sums(reference, TOKENIZER, PAIRS)
    for pair, sums in zip(PAIRS, found, strict=True):
        batch = collate(list(pair), TOKENIZER.pad_token_id)
        logprobs = token_logprobs(reference, batch.input_ids, batch.attention_mask)
        torch.testing.assert_close(masked_sum(logprobs, batch.completion_mask), sums)
    calls.clear()
    given, again = tiny_llama(), tiny_llama()
    twice = {"reference": reference, "references": found}
    train_preference(given, TOKENIZER, PAIRS, settings(), **twice)
    train_preference(again, TOKENIZER, PAIRS, settings(), reference=reference)
    assert same(weights(given), weights(again))


def test_a_pair_counts_as_much_as_the_policy_would_write_it(float32):
    """WPO's weight is the product of two, each exp of a mean; it is a constant."""
    policy, batch = tiny_llama(), collate(list(PAIRS[0]), TOKENIZER.pad_token_id)
    logprobs, weights = weighed_logprobs(policy, batch, 2, settings(weigh=True))
    plain = token_logprobs(policy, batch.input_ids, batch.attention_mask)
    torch.testing.assert_close(logprobs, plain)
    logits = policy(batch.input_ids, attention_mask=batch.attention_mask).logits
    expected = 1.0
    for row, mask in enumerate(batch.completion_mask.bool()):
        before = mask.nonzero()[:, 0] - 1
        collisions = logits[row, before].softmax(-1).square().sum(-1).log()
        expected *= min(1.0, (plain[row, mask] - collisions).mean().exp().item())
    assert weights.tolist() == pytest.approx([expected], rel=1e-4) and not weights.requires_grad


def test_fast_sums_are_near_the_exact_ones(monkeypatch):
    policy = tiny_llama()
    fast = reference_sums(policy, TOKENIZER, PAIRS)
    monkeypatch.setattr(optim, "fast_matmul", lambda device: contextlib.nullcontext())
    assert (fast - reference_sums(policy, TOKENIZER, PAIRS)).abs().max() < 0.1


def test_the_tail_of_the_longer_completion_can_count_less():
    """By hand: lengths 3 and 1 with -1 per token, tail 0.5: -1 - 0.5 * 2 and -1."""
    rows = [Row([1], [2, 3, 4]), Row([1], [5])]
    batch = collate(rows, 0)
    logprobs = -batch.completion_mask.float()
    assert completion_sums(logprobs, batch, 2).tolist() == [[-3.0, -1.0]]
    assert completion_sums(logprobs, batch, 2, 0.5).tolist() == [[-2.0, -1.0]]


def test_every_loss_is_a_method():
    used = {s["loss"] for s in methods.table("train_preference")["settings"]}
    assert used == {*PAIRED, *LISTWISE}


def test_dpo_learns_its_pairs():
    history = train_preference(tiny_llama(), TOKENIZER, PAIRS, settings(steps=40))
    assert history["accuracy"][-4:].mean() == 1.0 and history["margin"][-1] > 5


@pytest.mark.parametrize("changes", [{}, {"loss": "ipo"}, {"tail": 0.5}])
def test_an_interrupted_run_ends_bit_equal(tmp_path, changes):
    config = settings(steps=6, **changes)
    whole = tiny_llama()
    train_preference(whole, TOKENIZER, PAIRS, config)

    with pytest.raises(KeyboardInterrupt):
        train_preference(
            tiny_llama(),
            TOKENIZER,
            PAIRS,
            config,
            on_step=stop_at(3),
            checkpoint_dir=tmp_path / "c",
        )
    resumed = tiny_llama()
    history = train_preference(resumed, TOKENIZER, PAIRS, config, checkpoint_dir=tmp_path / "c")
    assert same(weights(whole), weights(resumed)) and len(history["loss"]) == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "x"}, "loss is 'x'; use one of dpo"),
        ({"options": {"tau": 1.0}}, "loss 'dpo' has no option 'tau'; it has beta"),
        ({"steps": 0}, "all must be positive"),
        ({"tail": 2.0}, "tail is 2.0: a weight of tokens, use 0 to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)


def test_rankings_that_cannot_be_compared_are_refused_with_their_number():
    """Traps 40 and 41: other prompts, or the same completion twice."""
    a, b = PAIRS[0]
    with pytest.raises(ValueError, match="ranking 1 has different prompts"):
        train_preference(tiny_llama(), TOKENIZER, [PAIRS[0], (a, PAIRS[1][0])], settings())
    with pytest.raises(ValueError, match="ranking 0 holds the same completion twice"):
        train_preference(tiny_llama(), TOKENIZER, [(b, b)], settings())
    with pytest.raises(ValueError, match="give at least one"):
        train_preference(tiny_llama(), TOKENIZER, [], settings())


def test_the_pair_of_a_ranking_is_its_best_and_its_last():
    ranks = RankLogprobs(
        torch.tensor([[1.0, 2.0, 3.0]]), torch.zeros(1, 3), torch.tensor([[4, 5, 6]])
    )
    assert (ranks.pair.chosen.item(), ranks.pair.rejected.item()) == (1.0, 3.0)
    assert (ranks.pair.chosen_length.item(), ranks.pair.rejected_length.item()) == (4, 6)
    assert ranks.utilities.tolist() == [[1.0, 0.5, 0.0]]
