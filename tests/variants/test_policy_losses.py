"""Policy objectives: hand values, gradients where the clip binds, and exact expectations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from minialign.algorithms.ppo import value_loss
from minialign.core.advantages import gae, token_rewards
from minialign.core.kl import k1
from minialign.evaluate.exact import (
    TabularPolicy,
    draw,
    exact_kl,
    expectation,
    expected_gradient,
    gradient,
    policy_gradient,
    token_logprobs,
)
from minialign.evaluate.exact_gradients import each_gradient, exact_values
from minialign.variants.policy import clipped, reinforce

ONE = torch.ones(1, 1)


def world(seed: int = 0) -> TabularPolicy:
    return TabularPolicy(vocab_size=3, max_length=3, seed=seed, scale=1.5)


def some_scores(policy: TabularPolicy) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(len(policy), generator=generator, dtype=policy.logits.dtype)


@pytest.mark.parametrize(
    "advantage, ratio, moves",
    [(1, 0.5, True), (1, 1.1, True), (1, 2.0, False), (-1, 0.5, False), (-1, 0.9, True),
     (-1, 2.0, True)],
)  # fmt: skip
def test_the_clip_stops_what_the_advantage_wants_and_nothing_else(advantage, ratio, moves):
    """Trap 1: for A < 0 the gradient is 0 at ratio 0.5 and full at ratio 2."""
    logprob = torch.tensor([[ratio]]).log().requires_grad_()
    gain = clipped(logprob, torch.zeros(1, 1), advantage * ONE, ONE)
    (slope,) = torch.autograd.grad(gain.sum(), logprob)
    assert slope.item() == pytest.approx(advantage * ratio if moves else 0.0)
    limit = {2.0: 1.2, 0.5: 0.8}.get(ratio, ratio)
    assert gain.item() == pytest.approx(min(advantage * ratio, advantage * limit))


def test_clip_high_moves_the_upper_bound_only():
    twice, half = torch.tensor([[2.0]]).log(), torch.tensor([[0.5]]).log()
    zero = torch.zeros(1, 1)
    assert clipped(twice, zero, ONE, ONE, clip_high=0.5).item() == pytest.approx(1.5)
    assert clipped(half, zero, -ONE, ONE, clip_high=0.5).item() == pytest.approx(-0.8)
    with pytest.raises(ValueError, match=r"clip=1\.5"):
        clipped(twice, zero, ONE, ONE, clip=1.5)


def test_advantages_and_old_logprobs_are_constants():
    """Those of the essays are made without gradients: see test_ppo.py."""
    tensors = [torch.full((1, 1), x, requires_grad=True) for x in (0.1, 0.2, 0.3)]
    gain = clipped(*tensors, ONE) + reinforce(*tensors, ONE)
    found = torch.autograd.grad(gain.sum(), tensors, allow_unused=True)
    assert found[0] is not None and found[1] is None and found[2] is None


def test_nothing_outside_the_mask_counts():
    """Trap 25: prompts, and what a tool wrote; in the essay, see test_ppo.py."""
    bad = torch.tensor([[float("nan"), 0.0]])
    mask = torch.tensor([[0, 1]])
    assert clipped(bad, bad, bad, mask).tolist() == [[0.0, 0.0]]
    assert reinforce(bad, bad, bad, mask).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    "value, expected, slope",
    [(1.0, 1.62, 0.0), (0.1, 1.805, -1.9), (-1.0, 4.5, -3.0), (5.0, 4.5, 3.0)],
)
def test_value_loss_is_the_worse_of_moved_and_clipped(value, expected, slope):
    """Trap 20, from an old value of 0 with a return of 2 and a clip of 0.2.

    1: moved (1-2)^2, clipped to 0.2: (1.8)^2, the worse, half is 1.62 and flat. 0.1: within the
    clip. -1: it went the wrong way, (3)^2 / 2. 5: overshot, (3)^2 / 2.
    """
    v = torch.tensor([[value]], requires_grad=True)
    loss = value_loss(v, 0 * ONE, 2 * ONE)
    assert loss.item() == pytest.approx(expected)
    assert torch.autograd.grad(loss.sum(), v)[0].item() == pytest.approx(slope)
    assert value_loss(v, 0 * ONE, 2 * ONE, clip=None).item() == pytest.approx((value - 2) ** 2 / 2)


def objective(policy: TabularPolicy, rewards: Tensor, values: Tensor, lam: float) -> Tensor:
    """(N, L) the clipped objective on the first pass over fresh samples."""
    logprobs = token_logprobs(policy)
    advantages = gae(rewards, values, policy.mask, lam=lam)
    return clipped(logprobs, logprobs.detach(), advantages, policy.mask)


def at_the_end(policy: TabularPolicy, scores: Tensor) -> Tensor:
    """(N, L) the score as a reward of the last token."""
    return token_rewards(scores, torch.zeros_like(token_logprobs(policy)), policy.mask, 0.0)


def test_lambda_1_is_unbiased_with_any_critic():
    policy = world()
    scores = some_scores(policy)
    wrong = torch.sin(policy.prefix_index.double() + 1.0)  # some number for every prefix
    found = expected_gradient(policy, objective(policy, at_the_end(policy, scores), wrong, 1.0))
    torch.testing.assert_close(found, policy_gradient(policy, scores), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.95])
def test_a_smaller_lambda_is_unbiased_with_the_exact_critic_only(lam):
    policy = world()
    scores = some_scores(policy)
    rewards, exact = at_the_end(policy, scores), policy_gradient(policy, scores)
    right = exact_values(policy, scores)
    found = expected_gradient(policy, objective(policy, rewards, right, lam))
    torch.testing.assert_close(found, exact, atol=1e-6, rtol=1e-4)
    wrong = torch.sin(policy.prefix_index.double() + 1.0)
    biased = expected_gradient(policy, objective(policy, rewards, wrong, lam))
    assert (biased - exact).abs().max() > 1e-3


@pytest.mark.parametrize("beta", [0.1, 2.0])
def test_kl_in_the_reward_gives_the_gradient_of_reward_less_beta_kl(beta):
    """Traps 2, 4 and 7: the direction, k1 in the reward, a sum over tokens."""
    policy, reference = world(0), world(1)
    scores = some_scores(policy)
    kl = k1(token_logprobs(policy), token_logprobs(reference)).detach()
    rewards = token_rewards(scores, kl, policy.mask, beta)
    found = expected_gradient(policy, objective(policy, rewards, torch.zeros_like(kl), 1.0))
    exact = gradient(policy, expectation(policy, scores) - beta * exact_kl(policy, reference))
    torch.testing.assert_close(found, exact, atol=1e-6, rtol=1e-4)
    reversed_kl = token_rewards(scores, -kl, policy.mask, beta)
    wrong = expected_gradient(policy, objective(policy, reversed_kl, torch.zeros_like(kl), 1.0))
    assert (wrong - exact).abs().max() > 1e-2 * beta


def test_sampled_gradients_scatter_around_the_exact_one():
    """4,000 sampled completions: every coordinate within 5 of the standard errors found."""
    policy = world()
    scores = some_scores(policy)
    values = exact_values(policy, scores)
    gains = objective(policy, at_the_end(policy, scores), values, 0.95).sum(-1)
    each = each_gradient(policy, gains)
    drawn = each[draw(policy, 4000, torch.Generator().manual_seed(0))]
    error = drawn.std(0) / len(drawn) ** 0.5
    off = (drawn.mean(0) - policy_gradient(policy, scores)).abs()
    assert (off <= 5 * error + 1e-9).all() and error.max() > 0
    plain = token_logprobs(policy).sum(-1) * scores  # REINFORCE without a baseline
    noisy = torch.stack([gradient(policy, one) for one in plain])[
        draw(policy, 4000, torch.Generator().manual_seed(0))
    ]
    assert noisy.var(0).sum() > 1.5 * drawn.var(0).sum()  # what the critic is for
