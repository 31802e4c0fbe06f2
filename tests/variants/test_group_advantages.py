"""Advantages of groups: by hand, and their exact expected gradients over all groups."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from minialign.algorithms.grpo import GrpoConfig
from minialign.evaluate import exact
from minialign.evaluate.exact_gradients import each_gradient, group_moments
from minialign.variants import group_advantages as g
from minialign.variants import policy as o
from minialign.variants.averages import fixed_length, sequence_mean, sequence_sum, token_mean

POLICY = exact.TabularPolicy(vocab_size=3, max_length=2, seed=0, scale=1.0)
REWARDS = torch.tensor([2.0, -1.0, 0.5, 3.0, 1.0, 0.0, -2.0], dtype=torch.float64)
TRUE = exact.policy_gradient(POLICY, REWARDS)
LENGTHS = POLICY.mask.sum(1)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.cosine_similarity(a, b, dim=0).item()


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(
    ("advantages", "share"),
    [
        (g.no_baseline, lambda size: 1.0),
        (g.leave_one_out, lambda size: 1.0),
        (partial(g.greedy_baseline, greedy=torch.tensor([1.7])), lambda size: 1.0),
        (g.group_centred, lambda size: (size - 1) / size),
    ],
    ids=["none", "leave_one_out", "greedy", "centred"],
)
def test_the_mean_is_the_policy_gradient(advantages, share, size: int):
    """Trap 34: centred by a mean that holds itself, it is (G - 1) / G of the right one."""
    mean, _ = group_moments(POLICY, REWARDS, advantages, size)
    torch.testing.assert_close(mean, share(size) * TRUE)


def test_a_baseline_of_the_others_lowers_the_variance():
    """Rewards far from 0: the group knows it, REINFORCE does not."""
    far = REWARDS + 10
    _, plain = group_moments(POLICY, far, g.no_baseline, 3)
    _, others = group_moments(POLICY, far, g.leave_one_out, 3)
    _, near = group_moments(POLICY, REWARDS, g.leave_one_out, 3)
    assert others < plain / 10 and others == pytest.approx(near)


def test_dividing_by_the_deviation_and_by_the_length_turns_the_gradient():
    """Trap 26: both change the direction, not only the length, of the expected gradient."""
    policy = exact.TabularPolicy(vocab_size=3, max_length=3, seed=0, scale=1.0)
    drawn = torch.Generator().manual_seed(0)
    rewards = torch.randn(len(policy), dtype=torch.float64, generator=drawn)
    true = exact.policy_gradient(policy, rewards)
    short = 1 / policy.mask.sum(1)
    mean = {
        "right": group_moments(policy, rewards, g.group_centred, 2)[0],
        "zscore": group_moments(policy, rewards, g.group_zscore, 2)[0],
        "by length": group_moments(policy, rewards, g.leave_one_out, 2, weights=short)[0],
    }
    found = {name: cosine(gradient, true) for name, gradient in mean.items()}
    assert found["right"] == pytest.approx(1.0)
    assert found["zscore"] < 0.995 and found["by length"] < 0.95


@pytest.mark.parametrize("size", [2, 3, 4])
def test_mean_scaled_follows_a_sum_of_likelihood_terms(size: int):
    """MaxRL's practical rule: grad of -sum_{k < G} (1 - p)^k / k, one term less than G."""
    right = (REWARDS > 0.7).double()
    mean, _ = group_moments(POLICY, right, g.mean_scaled, size)
    p = exact.expectation(POLICY, right)
    terms = sum(-((1 - p) ** k) / k for k in range(1, size))
    torch.testing.assert_close(mean, exact.gradient(POLICY, terms), rtol=1e-5, atol=1e-8)


def test_two_in_a_group_are_a_pair():
    """P3O without its clip: half the difference of rewards times that of the gradients."""
    scores = each_gradient(POLICY, exact.sequence_logprobs(POLICY))
    a, b = REWARDS[1] - REWARDS[3], scores[1] - scores[3]
    group = g.leave_one_out(REWARDS[[1, 3]][None])[0]
    torch.testing.assert_close((group[:, None] * scores[[1, 3]]).mean(0), a / 2 * b)


def test_filters_imitate_what_is_kept():
    right = (REWARDS > 0.7).double()
    kept, _ = group_moments(POLICY, right, g.above_zero, 2)
    torch.testing.assert_close(kept, exact.policy_gradient(POLICY, right))
    best = g.best_of_group(torch.tensor([[0.0, 0.0], [1.0, 3.0]]))
    assert best.tolist() == [[1, 0], [0, 1]]


def test_tied_groups_give_nothing_even_with_rounding():
    """Traps 27 and 29: sums in another order differ in the last digit."""
    tied = torch.tensor([[0.1 + 0.2, 0.3, 0.3, 0.3]])
    assert g.group_zscore(tied).abs().max() < 1e-2 and not g.has_signal(tied).item()
    assert g.group_zscore(torch.ones(2, 4)).abs().max() == 0
    assert g.mean_scaled(torch.zeros(2, 4)).abs().max() == 0


def test_the_deviation_has_bessels_correction():
    """Trap 28: with two in a group the advantages are +-0.71, not +-1; one alone is refused."""
    assert g.group_zscore(torch.tensor([[1.0, 0.0]]))[0, 0].item() == pytest.approx(0.707, abs=1e-3)
    with pytest.raises(ValueError, match="group_size is 1, so every advantage"):
        g.leave_one_out(torch.ones(3, 1))
    with pytest.raises(ValueError, match=r"group_size=1, .*: use 2 or more, since a group is comp"):
        GrpoConfig(group_size=1)


def test_process_rewards_by_hand():
    """Two groups of two, each scaled by its own steps; later steps count for earlier tokens."""
    nan = float("nan")
    steps = torch.tensor([[1.0, nan, 0.0], [nan, 1.0, nan], [nan, nan, nan], [5.0, 5.0, nan]])
    found = g.process_zscore(steps, 2)
    scaled = torch.tensor([1.0, 0.0, 1.0])
    scaled = (scaled - scaled.mean()) / (scaled.std() + g.STD_EPS)
    first = [scaled[0] + scaled[1], scaled[1], scaled[1]]
    torch.testing.assert_close(found[0], torch.stack(first))
    torch.testing.assert_close(found[1], scaled[2] * torch.tensor([1.0, 1.0, 0.0]))
    assert found[2:].abs().max() == 0 and found.isfinite().all()


OBJECTIVES = {
    "reinforce": o.reinforce,
    "clipped": o.clipped,
    "gspo, whole": partial(o.gspo, per_token=False),
    "cispo": o.cispo,
    "sapo": o.sapo,
    "vespo": o.vespo,
    "squared_ratio": o.squared_ratio,
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_on_fresh_samples_every_objective_has_the_policy_gradient(name: str):
    """Ratio 1: summed over tokens, the exact expected gradient is the true one (trap 30: the value
    of a centred loss says nothing)."""
    logprobs = exact.token_logprobs(POLICY)
    advantages = REWARDS[:, None].expand_as(logprobs)
    gains = OBJECTIVES[name](logprobs, logprobs.detach(), advantages, POLICY.mask)
    if name == "gspo, whole":  # each token's gradient already counts for all
        gains = gains / LENGTHS[:, None]
    torch.testing.assert_close(exact.expected_gradient(POLICY, gains.sum(1)), TRUE)


def test_the_ratio_of_the_whole_corrects_old_samples():
    old = exact.TabularPolicy(vocab_size=3, max_length=2, seed=3, scale=1.0)
    new, before = exact.token_logprobs(POLICY), exact.token_logprobs(old).detach()
    wide = {"clip": 0.999999, "clip_high": 1e9, "per_token": False}
    gains = o.gspo(new, before, REWARDS[:, None].expand_as(new), POLICY.mask, **wide)
    found = exact.expected_gradient(POLICY, gains.sum(1) / LENGTHS, sampler=old)
    torch.testing.assert_close(found, TRUE)


def test_a_gate_keeps_the_gradient_that_a_clip_cuts():
    """Trap 33: CISPO caps the weight, not the gradient; the ratio 8 is far outside PPO's clip."""
    new = torch.zeros(1, 1, requires_grad=True)
    old, one = torch.full((1, 1), -2.0794), torch.ones(1, 1)
    slopes = {
        name: torch.autograd.grad(f(new, old, one, one).sum(), new)[0].item()
        for name, f in (("clipped", o.clipped), ("cispo", o.cispo), ("sapo", o.sapo))
    }
    assert slopes["clipped"] == 0 and slopes["cispo"] == 5 and 0 < slopes["sapo"] < 0.1


def test_averages_by_hand():
    """One token of value 4, two of value 1; the limit is 4."""
    values = torch.tensor([[4.0, 9.0], [1.0, 1.0]])
    mask = torch.tensor([[1, 0], [1, 1]])
    by_hand = {sequence_sum: 3.0, fixed_length: 0.75, sequence_mean: 2.5, token_mean: 2.0}
    for average, right in by_hand.items():
        weights = average(mask, 4)
        assert (weights * values).sum().item() == pytest.approx(right)
        assert weights[0, 1] == 0 and weights.shape == mask.shape
