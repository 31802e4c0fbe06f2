"""Advantages without a critic: a completion against others of the same prompt.

All take rewards of P prompts with G completions each, (P, G), and return (P, G). Every token of a
completion gets the same one. What is subtracted is a baseline: it moves the expected gradient only
where it depends on the completion itself. What is divided by always moves it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minialign.algorithms.grpo import STD_EPS, group_zscore


def no_baseline(rewards: Tensor) -> Tensor:
    """The rewards themselves: REINFORCE, Williams 1992. Unbiased, of high variance.

    >>> no_baseline(torch.tensor([[1.0, 0.0]]))
    tensor([[1., 0.]])
    """
    return rewards


def group_centred(rewards: Tensor) -> Tensor:
    """Reward minus the group's mean: Liu et al. 2025 (Dr. GRPO), arXiv:2503.20783, section 3.2.

    The mean holds the completion itself, so it is (G - 1) / G times `leave_one_out`: the direction
    of the policy gradient, a little shorter. Their code, where it runs GRPO, adds 1e-8 to the
    deviation and verl 1e-6, which matters where rewards hardly differ; `group_zscore` has 1e-4.

    >>> group_centred(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    tensor([[ 0.7500, -0.2500, -0.2500, -0.2500]])
    """
    return rewards - rewards.mean(1, keepdim=True)


def leave_one_out(rewards: Tensor) -> Tensor:
    """Reward minus the mean of the group's *others*: Ahmadian et al. 2024, arXiv:2402.14740, 2.3.

    RLOO, after Kool et al. 2019. Unbiased: the baseline does not depend on the completion.

    >>> leave_one_out(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    tensor([[ 1.0000, -0.3333, -0.3333, -0.3333]])
    """
    size = _group_size(rewards)
    return group_centred(rewards) * (size / (size - 1))


def batch_zscore(rewards: Tensor) -> Tensor:
    """Centred and scaled by mean and deviation of the whole batch: Hu et al. 2025 (REINFORCE++).

    arXiv:2501.03262. Departures: each completion counts once, where verl whitens over tokens; and a
    KL penalty in the reward is that of the whole completion for each of its tokens, where paper and
    verl charge a token with that of the tokens from it on. Before scaling both have one gradient on
    average; scaled, the two differ.

    >>> batch_zscore(torch.tensor([[1.0], [0.0], [0.0], [0.0]])).flatten()
    tensor([ 1.4997, -0.4999, -0.4999, -0.4999])
    """
    if rewards.numel() < 2:
        raise ValueError("one completion has no deviation; use 2 or more")
    return (rewards - rewards.mean()) / (rewards.std() + STD_EPS)


def batch_scaled(rewards: Tensor) -> Tensor:
    """Centred by the group, then scaled by the batch: the variant of REINFORCE++ with a baseline.

    Hu et al. 2025, arXiv:2501.03262.

    >>> batch_scaled(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    tensor([[ 1.2244, -1.2244],
            [ 0.0000,  0.0000]])
    """
    return batch_zscore(group_centred(rewards))


def mean_scaled(rewards: Tensor) -> Tensor:
    """(reward - mean) / mean of the group, 0 where the mean is 0: Tajwar et al. 2026 (MaxRL).

    arXiv:2602.02710, algorithm 1, for rewards of 0 and 1. With it the policy gradient is, on
    average, that of the first G - 1 terms of log p = -sum over k of (1 - p)^k / k, not of the
    success rate p: hard prompts count (1 - (1 - p)^(G - 1)) / p times as much, 1 / p in the limit.
    Rewards over the mean, without the -1, have G terms; the -1 takes the last, since groups with
    nothing right have none.

    >>> mean_scaled(torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    tensor([[ 3., -1., -1., -1.],
            [ 0.,  0.,  0.,  0.]])
    """
    mean = rewards.mean(1, keepdim=True)
    return torch.where(mean > 0, (rewards - mean) / mean.clamp(min=1e-6), 0.0)


def best_of_group(rewards: Tensor) -> Tensor:
    """1 for the best completion of each group, the first of equals, 0 for the rest.

    With the REINFORCE objective this imitates the best: Dong et al. 2023 (RAFT), arXiv:2304.06767,
    algorithm 1.

    >>> best_of_group(torch.tensor([[0.0, 2.0, 1.0]]))
    tensor([[0., 1., 0.]])
    """
    return torch.nn.functional.one_hot(rewards.argmax(1), rewards.shape[1]).to(rewards.dtype)


def above_zero(rewards: Tensor) -> Tensor:
    """1 where the reward is above 0, else 0: expert iteration imitates all that is right.

    The filtered gradient of Singh et al. 2023, arXiv:2312.06585, without starting anew. For rewards
    of 0 and 1 it is REINFORCE without a baseline.

    >>> above_zero(torch.tensor([[0.5, 0.0, -1.0]]))
    tensor([[1., 0., 0.]])
    """
    return (rewards > 0).to(rewards.dtype)


def greedy_baseline(rewards: Tensor, greedy: Tensor) -> Tensor:
    """(P, G) rewards minus the (P,) reward of each prompt's greedy completion.

    Li et al. 2023 (ReMax), arXiv:2310.10505, algorithm 1. Unbiased: the greedy completion does not
    depend on the sampled ones. Departure: a KL penalty in the reward is that of the whole
    completion for each of its tokens, which has more variance and the same gradient on average as
    verl's, where a token is charged with that of the tokens from it on; the authors' code charges
    it with its own alone. The greedy completion pays none, here and there.

    >>> greedy_baseline(torch.tensor([[1.0, 0.0]]), torch.tensor([1.0]))
    tensor([[ 0., -1.]])
    """
    return rewards - greedy[:, None]


def process_zscore(step_rewards: Tensor, group_size: int) -> Tensor:
    """(B, T) rewards at the last token of each step, nan elsewhere, to (B, T) advantages.

    All step rewards of a group are made mean 0 and deviation 1 together; a token's advantage is the
    sum of those at its own place and after it: Shao et al. 2024 (GRPO with process rewards),
    arXiv:2402.03300, section 4.1.3.

    Steps of 1 and 0 in one completion, of 1 and 1 in the other; mean 0.75, deviation 0.5:

    >>> nan = float("nan")
    >>> process_zscore(torch.tensor([[nan, 1.0, 0.0], [1.0, nan, 1.0]]), 2)
    tensor([[-0.9998, -0.9998, -1.4997],
            [ 0.9998,  0.4999,  0.4999]])
    """
    grouped = step_rewards.view(-1, group_size * step_rewards.shape[1])
    present = ~grouped.isnan()
    count = present.sum(1, keepdim=True)
    filled = torch.where(present, grouped, 0.0)
    mean = filled.sum(1, keepdim=True) / count.clamp(min=1)
    squares = torch.where(present, (grouped - mean).square(), 0.0).sum(1, keepdim=True)
    deviation = (squares / (count - 1).clamp(min=1)).sqrt()
    scaled = torch.where(present, (grouped - mean) / (deviation + STD_EPS), 0.0)
    return scaled.view_as(step_rewards).flip(1).cumsum(1).flip(1)


def has_signal(rewards: Tensor) -> Tensor:
    """(P,) whether a group's rewards differ: without that, centred advantages are all 0.

    >>> has_signal(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    tensor([ True, False])
    """
    return rewards.max(1).values - rewards.min(1).values > 1e-6


def _group_size(rewards: Tensor) -> int:
    size = rewards.shape[1]
    if size < 2:
        raise ValueError(
            f"group_size is {size}, so every advantage is 0 or undefined; use 2 or more"
        )
    return size


for _function in (group_centred, leave_one_out, group_zscore, batch_scaled):
    _function.compares = True  # with the others of a group, so a group of 1 teaches nothing
