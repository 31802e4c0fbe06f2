"""What an estimator of the policy gradient is worth in an enumerable world: bias and variance.

A completion of `exact.TabularPolicy` is one sample. Its gradient, weighted by its probability,
gives every moment of an estimator without sampling anything.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from minialign.evaluate.exact import TabularPolicy, gradient, sequence_logprobs


def each_gradient(policy: TabularPolicy, gains: Tensor) -> Tensor:
    """(N,) gains, or (N, L) to be summed over tokens, to (N, parameters): one gradient per sample.

    The expectation of its rows under the policy is `exact.expected_gradient`.
    """
    per_completion = gains.sum(-1) if gains.dim() == 2 else gains
    return torch.stack([gradient(policy, gain) for gain in per_completion])


def bias_and_variance(policy: TabularPolicy, gains: Tensor, true: Tensor) -> tuple[float, float]:
    """Of the gradient of one sample's gain: the length of its bias, and its total variance.

    The variance is that of all components added up; the mean of n samples has an nth of it.

    Args:
        policy: that samples and is differentiated.
        gains: (N,) or (N, L), computed from the policy; other factors in it are constants.
        true: (parameters,) what should be estimated.
    """
    chances = sequence_logprobs(policy).exp().detach()
    gradients = each_gradient(policy, gains)
    mean = chances @ gradients
    variance = chances @ (gradients - mean).square().sum(1)
    return (mean - true).norm().item(), variance.item()


def group_moments(
    policy: TabularPolicy,
    rewards: Tensor,
    advantages: Callable[[Tensor], Tensor],
    group_size: int,
    *,
    weights: Tensor | None = None,
) -> tuple[Tensor, float]:
    """Mean and total variance of a group's gradient, over all groups that can be drawn.

    The estimate is the mean over the group of advantage times gradient of log pi(completion), as
    RLOO and GRPO take it on fresh samples.

    Args:
        policy: that samples and is differentiated; N completions, so N^G groups.
        rewards: (N,).
        advantages: (groups, G) rewards to (groups, G), such as `leave_one_out`.
        group_size: G.
        weights: (N,) of each completion's gradient, such as 1 / length; None is 1.

    Returns:
        (parameters,) mean, and the variance of all components added up.
    """
    logprobs = sequence_logprobs(policy)
    scores = each_gradient(policy, logprobs)
    scores = scores if weights is None else weights[:, None] * scores
    each = torch.arange(len(policy))
    groups = torch.cartesian_prod(*[each] * group_size).view(-1, group_size)
    chances = logprobs.detach()[groups].sum(1).exp()
    found = (advantages(rewards[groups])[..., None] * scores[groups]).mean(1)
    mean = chances @ found
    return mean, (chances @ (found - mean).square().sum(1)).item()


def exact_values(policy: TabularPolicy, rewards: Tensor) -> Tensor:
    """The expected reward given what is written so far: (N,) to (N, L), before each token.

    A perfect critic. Column t averages over all completions that share the first t tokens; 0
    outside the mask.
    """
    mask = policy.mask.bool()
    same = policy.prefix_index[:, None] == policy.prefix_index[None]  # (N, N, L)
    chances = sequence_logprobs(policy).exp().detach()[None, :, None]
    weights = (same & mask[:, None] & mask[None]) * chances
    return (weights * rewards[None, :, None]).sum(1) / weights.sum(1).clamp(min=1e-300)
