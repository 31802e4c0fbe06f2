"""Bias, variance and values by enumeration agree with their definitions and with sampling."""

from __future__ import annotations

import torch

from minialign.evaluate import exact
from minialign.evaluate.exact_gradients import bias_and_variance, each_gradient, exact_values


def world() -> tuple[exact.TabularPolicy, torch.Tensor]:
    policy = exact.TabularPolicy(vocab_size=3, max_length=3, seed=1, scale=1.2).double()
    generator = torch.Generator().manual_seed(1)
    return policy, torch.randn(len(policy), generator=generator, dtype=torch.float64)


def test_the_mean_of_each_gradient_is_the_expected_gradient():
    policy, rewards = world()
    gains = exact.token_logprobs(policy) * rewards[:, None]
    chances = exact.sequence_logprobs(policy).exp().detach()
    mean = chances @ each_gradient(policy, gains)
    assert torch.allclose(mean, exact.expected_gradient(policy, gains.sum(-1)))
    assert torch.allclose(mean, exact.policy_gradient(policy, rewards))


def test_bias_and_variance_are_those_of_samples():
    """A planted bias is found to the digit; the variance within four standard errors."""
    policy, rewards = world()
    true = exact.policy_gradient(policy, rewards)
    gains = exact.sequence_logprobs(policy) * rewards
    bias, variance = bias_and_variance(policy, gains, true)
    assert bias < 1e-12
    assert abs(bias_and_variance(policy, 2 * gains, true)[0] - true.norm()) < 1e-12
    drawn = exact.draw(policy, 20_000, torch.Generator().manual_seed(0))
    squares = (each_gradient(policy, gains)[drawn] - true).square().sum(1)
    assert abs(squares.mean() - variance) < 4 * squares.std() / len(drawn) ** 0.5


def test_values_are_means_over_what_can_still_follow():
    """By hand: before the first token the value is the expected reward; below, a tower of means."""
    policy, rewards = world()
    values, mask = exact_values(policy, rewards), policy.mask
    assert torch.allclose(values[:, 0], exact.expectation(policy, rewards).expand(len(policy)))
    assert (values[mask == 0] == 0).all()
    logprobs = exact.token_logprobs(policy).detach()
    last = mask.sum(1).long() - 1
    rows = torch.arange(len(policy))
    for i in rows.tolist():  # V(prefix) = sum over next tokens of pi(token) * V(after it)
        for t in range(last[i]):
            here = policy.prefix_index[:, t] == policy.prefix_index[i, t]
            here &= mask[:, t] > 0
            nexts: dict[int, torch.Tensor] = {}
            for j in here.nonzero()[:, 0].tolist():
                after = rewards[j] if t == last[j] else values[j, t + 1]
                nexts[int(policy.tokens[j, t])] = logprobs[j, t].exp() * after
            assert torch.allclose(sum(nexts.values()), values[i, t])
