"""What docstrings and registry say of papers and of other code, where it can be computed."""

from __future__ import annotations

import inspect
import math
from itertools import product

import pytest
import torch
from torch import Tensor

from minialign.algorithms import grpo
from minialign.core import kl, logprobs
from minialign.evaluate.exact import (
    TabularPolicy,
    expected_gradient,
    gradient,
    sequence_logprobs,
    token_logprobs,
)
from minialign.variants import group_advantages, listwise, policy, preference, unpaired
from minialign.variants.loops import critic, preference_loop
from minialign.variants.methods import method
from minialign.variants.ranks import RankLogprobs


def words(thing: object) -> str:
    """A docstring as one line."""
    return " ".join(inspect.getdoc(thing).split())


# --- what can be computed -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 4, 8])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_maxrl_with_g_samples_has_g_minus_1_terms(p: float, size: int):
    """All groups of right and wrong tries; the score of a try is 1 / p or -1 / (1 - p)."""
    rewards = torch.tensor(list(product([0.0, 1.0], repeat=size)), dtype=torch.float64)
    chance = torch.where(rewards == 1, p, 1 - p).prod(1)
    score = torch.where(rewards == 1, 1 / p, -1 / (1 - p))  # of the success rate
    plain = rewards / rewards.mean(1, keepdim=True).clamp(min=1e-9)

    def slope(advantages: Tensor) -> float:
        return (chance * (advantages * score).mean(1)).sum().item()

    terms = [(1 - p) ** k for k in range(size)]
    assert slope(group_advantages.mean_scaled(rewards)) == pytest.approx(sum(terms[:-1]))
    assert slope(plain) == pytest.approx(sum(terms))
    assert sum(terms[:-1]) == pytest.approx((1 - (1 - p) ** (size - 1)) / p)


@pytest.mark.parametrize(("estimator", "forward"), [(kl.k2, False), (kl.k3, True)])
def test_the_gradient_of_a_kl_loss_per_token_is_not_that_of_the_whole_kl(estimator, forward):
    """From two tokens on; at one token it is, and so it is of summed logprobs."""
    cosines = {}
    for length in (1, 3):
        here, there = (TabularPolicy(4, length, seed=seed, scale=1.2) for seed in (0, 1))
        one, two = sequence_logprobs(here), sequence_logprobs(there).detach()
        whole = (two.exp() * (two - one)).sum() if forward else (one.exp() * (one - two)).sum()
        per_token = estimator(token_logprobs(here), token_logprobs(there).detach())
        found = expected_gradient(here, per_token).flatten()
        cosines[length] = torch.cosine_similarity(found, gradient(here, whole).flatten(), 0).item()
    assert cosines[1] == pytest.approx(1.0) and cosines[3] < 0.99


def test_a_kl_paid_whole_and_one_paid_from_each_token_on_have_one_gradient_until_scaled():
    here, there = (TabularPolicy(3, 3, seed=seed, scale=1.5) for seed in (0, 1))
    logprobs, mask = token_logprobs(here), here.mask
    cost = kl.k1(logprobs, token_logprobs(there)).detach() * mask
    whole = cost.sum(1, keepdim=True).expand_as(cost)
    to_go = cost.flip(1).cumsum(1).flip(1)
    one, two = (expected_gradient(here, logprobs * x * mask) for x in (whole, to_go))
    torch.testing.assert_close(one, two)
    chance = sequence_logprobs(here).exp().detach()
    weight = chance[:, None] * mask
    spread = [
        ((x - (weight * x).sum() / weight.sum()).square() * weight).sum() / weight.sum()
        for x in (whole, to_go)
    ]
    assert abs(one / spread[0].sqrt() - two / spread[1].sqrt()).max() > 1e-2 * one.abs().max()
    assert "each of its tokens" in words(group_advantages.batch_zscore)
    assert "each of its tokens" in words(group_advantages.greedy_baseline)


def test_vespos_weight_is_largest_where_its_docstring_says():
    one = torch.ones(1, 1)

    def weight(ratio: float, sign: float) -> float:
        return -policy.vespo(-one, -one - math.log(ratio), sign * one, one).item() * sign

    for sign, top, value in ((1.0, 2 / 3, 1.21), (-1.0, 3 / 2, 1.24)):
        assert weight(1.0, sign) == pytest.approx(1.0)
        assert weight(top, sign) == pytest.approx(value, abs=0.005)
        assert weight(top, sign) > max(weight(1.05 * top, sign), weight(top / 1.05, sign), 1.2)
        assert f"{value}" in words(policy.vespo)


def test_sppos_targets_are_5_nats_away_here_and_500_with_the_papers_eta():
    goal = RankLogprobs.of([5.0], [-5.0]), RankLogprobs.of([500.0], [-500.0])
    assert preference.sppo_loss(goal[0]).item() == 0
    assert preference.sppo_loss(goal[1], beta=1 / 1000).item() == 0
    assert "5 nats" in words(preference.sppo_loss) and "500" in words(preference.sppo_loss)


def test_bcos_reference_point_is_in_nats_and_a_pairs_shift_in_beta_times_nats():
    ratios, labels = torch.tensor([4.0, 8.0]), torch.tensor([True, False])
    for beta in (0.1, 0.5):
        mean = ratios.mean()
        loss = unpaired.bco_loss(mean.expand(2), labels, mean, beta=beta)
        torch.testing.assert_close(loss, torch.full((2,), math.log(2)))
        pair = RankLogprobs.of(mean[None], mean[None])
        loss = preference.bco_pair_loss(pair, beta=beta, shift=beta * mean)
        torch.testing.assert_close(loss, torch.full((1,), 2 * math.log(2)))
    assert "in nats (beta times it is their shift)" in words(unpaired.bco_loss)
    assert "units of beta times nats" in words(preference.bco_pair_loss)


def test_luspo_has_gspos_clip_and_says_whose_it_is():
    row = method("luspo")
    assert row.functions["objective"] == "policy.gspo"  # the recorded runs had GSPO's clip
    clips = [inspect.signature(policy.gspo).parameters[x].default for x in ("clip", "clip_high")]
    assert clips == [3e-4, 4e-4] and "2e-3 and 2.5e-3" in row.paper
    assert "2e-3 and 2.5e-3" in words(policy.gspo)


def test_ppo_max_centres_clips_and_scales_as_it_goes():
    """Where Ziegler et al. normalise once, before, and MOSS-RLHF does not centre."""
    scores = torch.tensor([10.0, 12.0, 14.0])
    assert critic.normalised(scores, [0, 0.0, 0.0], "normalised").tolist() == [-1.0, 0.0, 1.0]
    clipped = critic.normalised(scores, [0, 0.0, 0.0], "clipped")
    assert clipped.tolist() == pytest.approx([-0.3, 0.0, 0.3])
    assert "once, before" in method("ppo_adaptive_kl").paper
    assert "does not centre" in method("ppo_max").paper


# --- what was looked up ---------------------------------------------------------------------------

SAID = [
    (grpo.group_zscore, "as in TRL; the paper says neither", "as in TRL and"),
    (group_advantages.group_centred, "where it runs GRPO, adds 1e-8", "as in TRL and"),
    (listwise.order_loss, "paper sums the cross-entropy", "their code weighs the ranking by 100"),
    (listwise.order_loss, "default 100, and all their scripts pass 1", "and takes sums"),
    (kl, "arXiv:2506.09477", "as a loss it has the gradient"),
    (kl, "hold the visited prefixes fixed", "as a loss its gradient is"),
    (logprobs.bounded_exp, "verl clamps", "TRL clamps"),
    (policy.vespo, "Shen et al. 2026", "VESPO, 2026"),
    (policy.gspo, "Liu et al. 2026", "LUSPO 2026"),
    (group_advantages.mean_scaled, "first G - 1 terms", "a sum of log-likelihood terms"),
    (preference_loop.wpo_weights, "here each weight is capped", "as the loop does"),
]


@pytest.mark.parametrize(("thing", "right", "wrong"), SAID)
def test_docstrings_say_what_the_sources_say(thing, right: str, wrong: str):
    assert right in words(thing) and wrong not in words(thing)
