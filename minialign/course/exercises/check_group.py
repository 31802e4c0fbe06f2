"""Exercises of reinforcement learning without a critic."""

from __future__ import annotations

import torch
from torch import Tensor

from minialign.algorithms.grpo import STD_EPS, group_zscore
from minialign.course.exercises.exercise import Exercise
from minialign.variants import policy
from minialign.variants.group_advantages import group_centred


def _groups() -> tuple[Tensor]:
    rewards = [[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 2.0, 0.5, 0.0]]
    return (torch.tensor(rewards),)


group_advantages = Exercise(
    "group_advantages",
    group_zscore,
    (_groups(), (torch.tensor([[3.0, 1.0], [0.0, 0.0]]),)),
    {
        "mean and deviation are the whole batch's: each prompt is its own group": (
            lambda rewards: (rewards - rewards.mean()) / (rewards.std() + STD_EPS)
        ),
        "the deviation is the whole batch's: each prompt is its own group": (
            lambda rewards: group_centred(rewards) / (rewards.std() + STD_EPS)
        ),
        "it is not divided by the deviation": group_centred,
        "it is not centred": lambda rewards: rewards / (rewards.std(1, keepdim=True) + STD_EPS),
        "a tied group is 0 / 0, which is nan: add 1e-4 to the deviation": (
            lambda rewards: group_centred(rewards) / rewards.std(1, keepdim=True)
        ),
        "the deviation is the population's: use std with Bessel's correction, torch's default": (
            lambda rewards: (
                group_centred(rewards) / (rewards.std(1, keepdim=True, correction=0) + STD_EPS)
            )
        ),
        "groups are rows, (P, G), and not columns": (
            lambda rewards: (rewards - rewards.mean(0)) / (rewards.std(0) + STD_EPS)
        ),
    },
)


def _tokens() -> tuple[Tensor, ...]:
    """Ratios from 1/4 to 4, and an advantage of either sign for each completion."""
    generator = torch.Generator().manual_seed(7)
    old = torch.rand(4, 6, generator=generator).log()
    logprobs = old + 2.8 * (torch.rand(4, 6, generator=generator) - 0.5)
    return logprobs, old, torch.tensor([1.5, -0.5, 1.0, -2.0])


def _clipped(logprobs: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
    each = advantages[:, None].expand_as(logprobs)
    return policy.clipped(logprobs, old, each, torch.ones_like(logprobs))


def _cut(logprobs: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
    return (logprobs - old).exp().clamp(0.8, 1.2) * advantages[:, None]


clipped = Exercise(
    "clipped",
    _clipped,
    (_tokens(), (torch.zeros(2, 1), torch.zeros(2, 1), torch.tensor([1.0, -1.0]))),
    {
        "the ratio is upside down: new over old": (
            lambda logprobs, old, advantages: _clipped(old, logprobs, advantages)
        ),
        "it is clipped only: without the minimum, a mistake far outside has no gradient": _cut,
        "it is not clipped": (
            lambda logprobs, old, advantages: (logprobs - old).exp() * advantages[:, None]
        ),
        "the larger of the two is taken: the minimum is the cautious one": (
            lambda logprobs, old, advantages: torch.maximum(
                (logprobs - old).exp() * advantages[:, None], _cut(logprobs, old, advantages)
            )
        ),
        "the sign is reversed: it is an objective, to be raised": (
            lambda logprobs, old, advantages: -_clipped(logprobs, old, advantages)
        ),
        "the ratio is the difference of logprobs: take its exponential": (
            lambda logprobs, old, advantages: torch.minimum(
                (logprobs - old) * advantages[:, None],
                (logprobs - old).clamp(0.8, 1.2) * advantages[:, None],
            )
        ),
    },
)
