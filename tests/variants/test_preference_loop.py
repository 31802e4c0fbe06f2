"""The preference loop: what it computes once and refuses, resuming, and that every loss runs."""

from __future__ import annotations

import contextlib
from functools import partial

import pytest
import torch
from loop_inputs import PAIRS, TOKENIZER, small, stop_at
from same_weights import same, weights
from tiny_models import tiny_llama

from minialign.algorithms.dpo import DpoConfig, train_dpo
from minialign.core.batching import Row, collate
from minialign.core.logprobs import masked_sum, token_logprobs
from minialign.core.models import references
from minialign.core.models.references import completion_logprobs
from minialign.variants.loops import preference_loop
from minialign.variants.loops.preference_loop import PreferenceConfig, tail_sum, train_preference
from minialign.variants.preference import ipo_loss, logistic_loss
from minialign.variants.ranks import RankLogprobs

settings = partial(small, PreferenceConfig)
METRICS = ["loss", "accuracy", "margin", "chosen", "rejected", "grad_norm", "learning_rate"]
PAD = TOKENIZER.pad_token_id
# The essay and its general loop, each with its config.
DPO = pytest.mark.parametrize(
    ("train", "config"), [(train_dpo, partial(small, DpoConfig)), (train_preference, settings)]
)


@pytest.fixture
def float32(monkeypatch):
    """No bfloat16, so that sums can be compared digit by digit."""
    for module in (train_dpo.__module__, references.__name__, preference_loop.__name__):
        monkeypatch.setattr(f"{module}.fast_matmul", lambda device: contextlib.nullcontext())


def test_two_steps_log_the_metrics_and_leave_the_reference_alone():
    policy, reference = tiny_llama(), tiny_llama(1)
    before, seen = weights(policy), []
    fixed = weights(reference)
    history = train_preference(
        policy, TOKENIZER, PAIRS, settings(steps=2), reference=reference, on_step=seen.append
    )
    assert sorted(history.names) == sorted(METRICS) and len(seen) == 2
    assert same(fixed, weights(reference)) and not same(before, weights(policy))


@DPO
def test_at_the_start_policy_and_reference_agree(float32, train, config):
    """Trap 38: the first loss is log 2 and the first margin 0."""
    history = train(tiny_llama(), TOKENIZER, PAIRS, config(steps=1))
    assert sorted(history.names) == sorted(METRICS)
    assert history["loss"][0] == pytest.approx(0.6931, abs=1e-4)
    assert history["margin"][0] == pytest.approx(0.0, abs=1e-4)


def test_reference_logprobs_are_computed_once_and_right(monkeypatch, float32):
    calls, real = {"reference": [], "policy": []}, references.token_logprobs
    for module, name in ((references, "reference"), (preference_loop, "policy")):
        monkeypatch.setattr(
            module, "token_logprobs", lambda m, *a, n=name: calls[n].append(m) or real(m, *a)
        )
    policy, reference = tiny_llama(), tiny_llama(1)
    train_preference(policy, TOKENIZER, PAIRS, settings(steps=6), reference=reference)
    assert calls == {"reference": [reference], "policy": [policy] * 6}
    found = completion_logprobs(reference, PAIRS, PAD)
    for pair, sums in zip(PAIRS, found, strict=True):
        batch = collate(list(pair), PAD)
        each = token_logprobs(reference, batch.input_ids, batch.attention_mask)
        torch.testing.assert_close(masked_sum(each, batch.completion_mask), sums)
    given, again = tiny_llama(), tiny_llama()
    twice = {"reference": reference, "ref_logprobs": found}
    train_preference(given, TOKENIZER, PAIRS, settings(), **twice)
    train_preference(again, TOKENIZER, PAIRS, settings(), reference=reference)
    assert same(weights(given), weights(again))


def test_the_essay_reads_its_reference_once_before_the_first_update(monkeypatch, float32):
    calls, real = [], references.token_logprobs
    monkeypatch.setattr(references, "token_logprobs", lambda m, *a: calls.append(m) or real(m, *a))
    policy = tiny_llama()
    before = completion_logprobs(policy, PAIRS, PAD)
    calls.clear()
    config = small(DpoConfig, steps=3, batch_size=4)
    history = train_dpo(policy, TOKENIZER, PAIRS, config)
    assert calls == [policy]
    now = completion_logprobs(policy, PAIRS, PAD) - before
    assert history["margin"][1] != 0 and (now[:, 0] - now[:, 1]).abs().min() > 0


def test_references_of_other_rankings_are_refused(float32):
    reference = tiny_llama(1)
    found = completion_logprobs(reference, PAIRS, PAD)
    for wrong, message in (
        (
            found[:-1],
            r"ref_logprobs has shape \(3, 2\), but needs one finite sum .*\(4, 2",
        ),
        (found.flip(0), "ref_logprobs are not those of these rankings under this reference: of"),
        (found * float("nan"), "needs one finite sum"),
    ):
        with pytest.raises(ValueError, match=message):
            train_preference(
                tiny_llama(), TOKENIZER, PAIRS, settings(), reference=reference, ref_logprobs=wrong
            )


def test_a_pair_counts_as_much_as_the_policy_would_write_it(monkeypatch, float32):
    """WPO's weight is the product of two, each exp of a mean; it is a constant."""
    policy, batch = tiny_llama(), collate(list(PAIRS[0]), PAD)
    plain = token_logprobs(policy, batch.input_ids, batch.attention_mask)
    logits = policy(batch.input_ids, attention_mask=batch.attention_mask).logits
    expected = 1.0
    for row, mask in enumerate(batch.completion_mask.bool()):
        before = mask.nonzero()[:, 0] - 1
        collisions = logits[row, before].softmax(-1).square().sum(-1).log()
        expected *= min(1.0, (plain[row, mask] - collisions).mean().exp().item())
    seen, real = [], preference_loop.wpo_weights

    def watched(*args):
        seen.append(real(*args))
        return seen[-1]

    monkeypatch.setattr(preference_loop, "wpo_weights", watched)
    history = train_preference(
        policy, TOKENIZER, PAIRS[:1], settings(steps=1, weigh=True), reference=tiny_llama(1)
    )
    alone = train_preference(
        tiny_llama(), TOKENIZER, PAIRS[:1], settings(steps=1), reference=tiny_llama(1)
    )
    (each,) = seen
    assert each.shape == (2,) and not each.requires_grad
    assert each.prod().item() == pytest.approx(expected, rel=1e-4)
    assert history["loss"][0] == pytest.approx(expected * alone["loss"][0], rel=1e-4)
    both, _ = preference_loop._logprobs(tiny_llama(), batch, True)
    torch.testing.assert_close(both, plain * batch.completion_mask)


def test_fast_sums_are_near_the_exact_ones(monkeypatch):
    policy = tiny_llama()
    fast = completion_logprobs(policy, PAIRS, PAD)
    monkeypatch.setattr(references, "fast_matmul", lambda device: contextlib.nullcontext())
    assert (fast - completion_logprobs(policy, PAIRS, PAD)).abs().max() < 0.1


def test_the_tail_of_the_longer_completion_can_count_less():
    """By hand: lengths 3 and 1 with -1 per token, tail 0.5: -1 - 0.5 * 2 and -1."""
    rows = [Row([1], [2, 3, 4]), Row([1], [5])]
    batch = collate(rows, 0)
    mask = batch.completion_mask
    assert masked_sum(-mask.float(), mask).tolist() == [-3.0, -1.0]
    assert tail_sum(-mask.float(), mask, k=2, tail=1.0).tolist() == [-3.0, -1.0]
    assert tail_sum(-mask.float(), mask, k=2, tail=0.5).tolist() == [-2.0, -1.0]


@DPO
def test_dpo_learns_its_pairs(train, config):
    history = train(tiny_llama(), TOKENIZER, PAIRS, config(steps=40))
    assert history["accuracy"][-4:].mean() == 1.0 and history["margin"][-1] > 5


RUNS = [
    (train_dpo, small(DpoConfig, steps=6)),
    (train_preference, settings(steps=6)),
    (partial(train_preference, loss=ipo_loss), settings(steps=6)),
    (train_preference, settings(steps=6, tail=0.5)),
]


@pytest.mark.parametrize(("train", "config"), RUNS, ids=["essay", "loop", "ipo", "tail"])
def test_an_interrupted_run_ends_bit_equal(tmp_path, train, config):
    whole, resumed = tiny_llama(), tiny_llama()
    train(whole, TOKENIZER, PAIRS, config)
    saved = {"checkpoint_dir": tmp_path / "c"}
    with pytest.raises(KeyboardInterrupt):
        train(tiny_llama(), TOKENIZER, PAIRS, config, on_step=stop_at(3), **saved)
    history = train(resumed, TOKENIZER, PAIRS, config, **saved)
    assert same(weights(whole), weights(resumed)) and len(history["loss"]) == 6


def test_a_run_with_another_loss_or_other_settings_of_it_is_not_resumed(tmp_path):
    train = partial(
        train_preference, tokenizer=TOKENIZER, rankings=PAIRS, config=settings(steps=2),
        checkpoint_dir=tmp_path / "c",
    )  # fmt: skip
    train(tiny_llama(), loss=partial(logistic_loss, beta=0.2))
    for loss in (logistic_loss, ipo_loss, partial(logistic_loss, beta=0.3)):
        with pytest.raises(ValueError, match=r"functions .*differ"):
            train(tiny_llama(), loss=loss)
    train(tiny_llama(), loss=partial(logistic_loss, beta=0.2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0; use 1 or more"),
        ({"batch_size": 0}, "batch_size is 0; use 1 or more"),
        ({"max_grad_norm": 0.0}, "max_grad_norm is 0.0; use a number above 0"),
        ({"tail": 2.0}, "tail is 2.0: a weight of tokens, use 0 to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)
    if "tail" not in changes:
        with pytest.raises(ValueError, match=message):
            small(DpoConfig, **changes)


def test_a_beta_that_is_no_price_is_refused():
    with pytest.raises(ValueError, match=r"beta is 0\.0; use a number above 0"):
        small(DpoConfig, beta=0.0)


@DPO
def test_rankings_that_cannot_be_compared_are_refused_with_their_number(train, config):
    """Traps 40 and 41: other prompts, or the same completion twice."""
    a, b = PAIRS[0]
    with pytest.raises(ValueError, match="ranking 1 has different prompts"):
        train(tiny_llama(), TOKENIZER, [PAIRS[0], (a, PAIRS[1][0])], config())
    with pytest.raises(ValueError, match="ranking 0 holds the same completion twice"):
        train(tiny_llama(), TOKENIZER, [(b, b)], config())
    with pytest.raises(ValueError, match="give at least one"):
        train(tiny_llama(), TOKENIZER, [], config())


def test_the_pair_of_a_ranking_is_its_best_and_its_last():
    ranks = RankLogprobs(
        torch.tensor([[1.0, 2.0, 3.0]]), torch.zeros(1, 3), torch.tensor([[4, 5, 6]])
    )
    assert (ranks.chosen.item(), ranks.rejected.item()) == (1.0, 3.0)
    assert (ranks.chosen_length.item(), ranks.rejected_length.item()) == (4, 6)
    assert ranks.utilities.tolist() == [[1.0, 0.5, 0.0]]
