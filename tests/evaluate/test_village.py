"""Estimates against published values and enumeration, and the judge's table."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from tiny_models import gpt2_with_dropout, small_tokenizer, tiny, tiny_llama

from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.sampling import Rollout
from minialign.evaluate.credit import credit
from minialign.evaluate.problems import pass_rate, passed, solve
from minialign.evaluate.statistics import (
    calibration,
    pass_at_k,
    rank_correlation,
    share,
)
from minialign.evaluate.village import judge, read, summary
from minialign.world.problems import problem_rows
from minialign.world.tasks import instructions

COLUMNS = ["family", "prompt", "reply", "follows", "utility"]
FLAWS = ["rude", "flattering", "unsafe", "untrue", "too_long", "any"]
REPLY = ["stops", "tokens"]


# --- pass at k


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_equals_the_share_of_subsets_with_a_right_one(n):
    for correct in range(n + 1):
        right = [i < correct for i in range(n)]
        for k in range(1, n + 1):
            subsets = list(combinations(right, k))
            expected = sum(map(any, subsets)) / len(subsets)
            assert pass_at_k(correct, n, k) == pytest.approx(expected)


def test_pass_at_k_of_many_samples():
    assert pass_at_k(1, 10_000, 100) == pytest.approx(0.01)
    assert pass_at_k(5000, 10_000, 1000) == pytest.approx(1.0)


@pytest.mark.parametrize(("correct", "n", "k"), [(0, 4, 5), (0, 4, 0), (5, 4, 2), (-1, 4, 2)])
def test_pass_at_k_refuses_what_cannot_be(correct, n, k):
    with pytest.raises(ValueError, match=f"correct={correct}, n={n}, k={k}"):
        pass_at_k(correct, n, k)


# --- judging


@pytest.fixture(scope="module")
def asked():
    return instructions(7, "test", 0)


@pytest.fixture(scope="module")
def judged(asked):
    return judge(tiny_llama(), small_tokenizer(), asked, max_new_tokens=8, batch_size=3)


def test_a_row_per_instruction_in_order(asked, judged):
    assert list(judged["prompt"]) == [one.prompt for one in asked]
    assert list(judged["family"]) == [one.family for one in asked]
    assert set(judged.columns) == {*COLUMNS, *FLAWS, *REPLY}
    for one, row in zip(asked, judged.to_dict("records"), strict=True):
        assert row["follows"] == one.check(row["reply"])
        assert read(one, row["reply"]).items() <= row.items()


def test_columns_have_their_types(judged):
    for name in ("follows", "stops", *FLAWS):
        assert judged[name].dtype == bool, name
    assert judged["utility"].dtype == float
    assert judged["tokens"].between(1, 8).all()
    assert (judged.loc[~judged["stops"], "tokens"] == 8).all()


def test_batches_change_no_greedy_reply(asked):
    one, two = (
        judge(
            tiny_llama(),
            small_tokenizer(),
            asked,
            max_new_tokens=6,
            temperature=0,
            batch_size=size,
        )
        for size in (2, 7)
    )
    assert list(one["reply"]) == list(two["reply"])


def test_judging_is_seeded(asked, judged):
    settings = {"max_new_tokens": 8, "batch_size": 3}
    again = judge(tiny_llama(), small_tokenizer(), asked, **settings)
    other = judge(tiny_llama(), small_tokenizer(), asked, seed=1, **settings)
    assert again.equals(judged) and list(other["reply"]) != list(judged["reply"])


def test_distances_to_a_reference(asked, judged):
    """0 to itself; else the mean estimates the KL of the policy that samples, so it is positive."""
    settings = {"max_new_tokens": 8, "batch_size": 3}
    itself = judge(tiny_llama(), small_tokenizer(), asked, reference=tiny_llama(), **settings)
    other = judge(tiny_llama(), small_tokenizer(), asked, reference=tiny_llama(1), **settings)
    assert itself["kl"].abs().max() < 1e-4 and other["kl"].mean() > 0
    assert itself.drop(columns="kl").equals(judged) and other.drop(columns="kl").equals(judged)


def test_good_replies_are_judged_good(asked):
    """The judge tells a demonstration from silence."""
    from minialign.world.replies.demonstrations import demonstrations

    pairs = [read(d.instruction, d.completion) for d in demonstrations(60, "train", 0)]
    silence = [read(one, "") for one in asked]
    assert np.mean([row["follows"] for row in pairs]) > 0.5
    assert not any(row["follows"] for row in silence)
    assert np.mean([row["utility"] for row in pairs]) > np.mean([r["utility"] for r in silence])


def test_summary_is_the_shares_and_means(judged):
    found = summary(judged)
    assert list(found.index) == ["follows", "stops", "any", "utility", "tokens"]
    assert found["stops"] == judged["stops"].mean()
    assert found["tokens"] == judged["tokens"].mean()


# --- predictions


def test_calibration_bins_by_probability():
    """Ten of 0.25, of which 4 came true; one of 1.0, which falls into the last bin."""
    found = calibration([0.25] * 10 + [1.0], [True] * 4 + [False] * 6 + [True], bins=4)
    assert found.predicted.tolist() == [0.25, 1.0] and found.observed.tolist() == [0.4, 1.0]
    assert found.n.tolist() == [10, 1]
    assert (found.low <= found.observed).all() and (found.observed <= found.high).all()
    for wrong in ([0.5], [1.5, 0.5]):
        with pytest.raises(ValueError, match=r"give one outcome for each"):
            calibration(wrong, [True, False])


def test_rank_correlation_sees_order_only():
    """Ties share their mean rank: ranks 1, 2.5, 2.5 against 1, 2, 3 correlate by 0.866."""
    assert rank_correlation([1, 5, 5], [1, 2, 3]) == pytest.approx(math.sqrt(3) / 2)
    assert rank_correlation([0.1, 0.2, 0.3], [1, 10, 1e6]) == 1.0


def test_credit_telescopes_to_the_score():
    """At lambda = 1 a token's advantage is score minus value; at 0 advantages add up to it."""
    policy, tokenizer = tiny_llama(), small_tokenizer()
    critic = ValueModel.from_reward_model(RewardModel.from_policy(policy))
    tokens, returns = credit(critic, tokenizer, "hi", "a b", 2.0, lam=1.0)
    _, steps = credit(critic, tokenizer, "hi", "a b", 2.0, lam=0.0)
    assert len(tokens) == len(returns) == len(steps) and tokens[-1] == tokenizer.eos_token
    assert sum(steps) == pytest.approx(returns[0], abs=1e-5)
    _, other = credit(critic, tokenizer, "hi", "a b", 3.0, lam=1.0)
    assert np.allclose(np.subtract(other, returns), 1.0, atol=1e-5)


# --- solving


def test_solutions_are_judged_by_their_own_problem(monkeypatch):
    """Right replies to all problems but the first, in one draw of two."""
    rows = problem_rows(5, levels=(1, 2))
    right = {row["prompt"]: row["solution"] for row in rows[1:]}

    def told(policy, tokenizer, prompts, group_size, **limits):
        each = [p for p in prompts for _ in range(group_size)]
        texts = [right.get(p, "I do not know.") if i % 2 else "" for i, p in enumerate(each)]
        mask = torch.ones(len(each), 3, dtype=torch.long)
        fields = {"input_ids": mask, "attention_mask": mask, "completion_mask": mask}
        finished = torch.tensor([bool(text) for text in texts])
        return Rollout(
            **fields, logprobs=mask.float(), texts=texts, prompts=each, finished=finished,
            group_size=group_size,
        )  # fmt: skip

    monkeypatch.setattr("minialign.evaluate.problems.sample", told)
    found = solve(tiny_llama(), small_tokenizer(), rows, group_size=2, batch_size=2)
    assert list(found["problem"]) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert list(found["right"]) == [False, False] + [False, True] * 4
    assert list(found["format"]) == list(found["right"]) == list(found["sound"] > 0)
    assert list(found["level"]) == [1, 1, 2, 2, 1, 1, 2, 2, 1, 1] and (found["tokens"] == 3).all()
    assert passed(found, 1) == [0, 0.5, 0.5, 0.5, 0.5] and passed(found, 2) == [0, 1, 1, 1, 1]
    rate = pass_rate(found, 2)
    assert rate.mean == 0.8 and rate.n == 5
    assert rate.interval == share([False, True, True, True, True]).interval


def test_solving_is_seeded_and_measures_the_distance():
    rows, settings = problem_rows(3), {"group_size": 2, "max_new_tokens": 6}
    one, two = (
        solve(tiny_llama(), small_tokenizer(), rows, reference=tiny_llama(), **settings)
        for _ in range(2)
    )
    assert one.equals(two) and one["kl"].abs().max() < 1e-4 and len(one) == 6
    other = solve(tiny_llama(), small_tokenizer(), rows, seed=1, **settings)
    assert list(other["reply"]) != list(one["reply"]) and "kl" not in other


# --- modes


@pytest.mark.parametrize("mode", [True, False])
def test_a_critic_gives_credit_without_dropout(mode):
    critic = ValueModel.from_policy(gpt2_with_dropout()).train(mode)
    given = small_tokenizer(), "it", "the cat sat.", 1.0
    found = [credit(critic, *given)[1] for _ in range(2)]
    assert critic.training == critic.body.training == mode
    assert found[0] == found[1] == credit(critic.eval(), *given)[1]


@pytest.mark.parametrize("mode", [True, False])
def test_a_reference_measures_distances_without_dropout(mode):
    policy, reference = tiny("gpt2"), gpt2_with_dropout(seed=1).train(mode)
    asked = [{"prompt": "it", "answer": 5, "numbers": [2, 3], "level": 1}]
    found = [
        solve(policy, small_tokenizer(), asked, group_size=2, max_new_tokens=4, reference=each)
        for each in (reference, gpt2_with_dropout(seed=1).eval())
    ]
    assert reference.training == mode
    assert found[0].kl.tolist() == found[1].kl.tolist() and found[0].kl.abs().max() > 0
