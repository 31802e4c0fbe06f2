"""Exercises on policy optimisation: PPO's rewards and critic, and GRPO, which has none."""

from __future__ import annotations

import torch
from torch import Tensor

from minialign.algorithms import ppo
from minialign.algorithms.grpo import STD_EPS, group_zscore
from minialign.core.advantages import token_rewards as right_rewards
from minialign.course.exercises.compare import Exercise, drawn
from minialign.course.exercises.preference import last_column
from minialign.variants.group_advantages import group_centred


def _paid_at(scores: Tensor, kl: Tensor, mask: Tensor, beta: float, column: Tensor) -> Tensor:
    """(B, T) the penalty everywhere, and the score in a (B,) column of its own."""
    return (-beta * kl * mask).scatter_add(1, column[:, None], scores[:, None])


token_rewards = Exercise(
    "token_rewards",
    lambda scores, kl, mask, beta: right_rewards(scores, kl, mask, beta),
    ((
        torch.tensor([2.0, -1.0, 0.5]),
        torch.randn(3, 5, generator=drawn(3)),
        torch.tensor([[0, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 1, 0]]),
        0.3,
    ),),
    {
        "the sign of the penalty is reversed: it pays for leaving the reference":
            lambda scores, kl, mask, beta: right_rewards(scores, kl, mask, -beta),
        "the score is in the last column, which may be padding":
            lambda scores, kl, mask, beta:
                _paid_at(scores, kl, mask, beta, 0 * last_column(mask) + 4),
        "the score comes one token early":
            lambda scores, kl, mask, beta: _paid_at(scores, kl, mask, beta, last_column(mask) - 1),
        "the score is paid at every token":
            lambda scores, kl, mask, beta: (scores[:, None] - beta * kl) * mask,
        "the penalty is a mean over tokens, where every token pays for itself":
            lambda scores, kl, mask, beta:
                right_rewards(scores, kl / mask.sum(1, keepdim=True), mask, beta),
    },
)  # fmt: skip


def _values_and_mask() -> tuple[Tensor, ...]:
    generator = drawn(4)
    values, old, returns = torch.randn(3, 4, 6, generator=generator)
    return values, old, returns, (torch.rand(4, 6, generator=generator) < 0.7).long()


def _squared_errors(values: Tensor, old: Tensor, returns: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T) each: of the values, and of the values clipped to 0.2 around the old ones."""
    near = old + (values - old).clamp(-0.2, 0.2)
    return (values - returns).square(), (near - returns).square()


def _value_loss(values: Tensor, old: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    return ppo.value_loss(values, old, returns, clip=0.2) * mask


value_loss = Exercise(
    "value_loss",
    _value_loss,
    (_values_and_mask(),),
    {
        "it takes the smaller error: then the clip rewards what it should hold back":
            lambda values, old, returns, mask:
                0.5 * torch.minimum(*_squared_errors(values, old, returns)) * mask,
        "the half is missing":
            lambda values, old, returns, mask: 2 * _value_loss(values, old, returns, mask),
        "nothing is clipped":
            lambda values, old, returns, mask:
                ppo.value_loss(values, old, returns, clip=None) * mask,
        "the mask is not used":
            lambda values, old, returns, mask: ppo.value_loss(values, old, returns, clip=0.2),
    },
    trains=True,
)  # fmt: skip

group_advantages = Exercise(
    "group_advantages",
    group_zscore,
    (
        (torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 2.0, 0.5, 0.0]]),),
        (torch.tensor([[3.0, 1.0], [0.0, 0.0]]),),
    ),
    {
        "mean and deviation are the whole batch's: each prompt is its own group":
            lambda rewards: (rewards - rewards.mean()) / (rewards.std() + STD_EPS),
        "the deviation is the whole batch's: each prompt is its own group":
            lambda rewards: group_centred(rewards) / (rewards.std() + STD_EPS),
        "it is not divided by the deviation": group_centred,
        "it is not centred": lambda rewards: rewards / (rewards.std(1, keepdim=True) + STD_EPS),
        "a tied group is 0 / 0, which is nan: add 1e-4 to the deviation":
            lambda rewards: group_centred(rewards) / rewards.std(1, keepdim=True),
        "the deviation is the population's: use std with Bessel's correction, torch's default":
            lambda rewards: group_centred(rewards)
                / (rewards.std(1, keepdim=True, correction=0) + STD_EPS),
        "groups are rows, (P, G), and not columns":
            lambda rewards: (rewards - rewards.mean(0)) / (rewards.std(0) + STD_EPS),
    },
)  # fmt: skip


def _tokens() -> tuple[Tensor, ...]:
    """Ratios from 1/4 to 4, and an advantage of either sign for each completion."""
    generator = drawn(7)
    old = torch.rand(4, 6, generator=generator).log()
    logprobs = old + 2.8 * (torch.rand(4, 6, generator=generator) - 0.5)
    return logprobs, old, torch.tensor([1.5, -0.5, 1.0, -2.0])


def _clipped(logprobs: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
    return -ppo.policy_loss((logprobs - old).exp(), advantages[:, None], clip=0.2)


def _cut(logprobs: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
    return (logprobs - old).exp().clamp(0.8, 1.2) * advantages[:, None]


def _uncut(logprobs: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
    return (logprobs - old).exp() * advantages[:, None]


clipped = Exercise(
    "clipped",
    _clipped,
    (_tokens(), (torch.zeros(2, 1), torch.zeros(2, 1), torch.tensor([1.0, -1.0]))),
    {
        "the ratio is upside down: new over old":
            lambda logprobs, old, advantages: _clipped(old, logprobs, advantages),
        "it is clipped only: without the minimum, a mistake far outside has no gradient": _cut,
        "it is not clipped": _uncut,
        "the larger of the two is taken: the minimum is the cautious one":
            lambda *tokens: torch.maximum(_uncut(*tokens), _cut(*tokens)),
        "the sign is reversed: it is an objective, to be raised":
            lambda *tokens: -_clipped(*tokens),
        "the ratio is the difference of logprobs: take its exponential":
            lambda logprobs, old, advantages: torch.minimum(
                (logprobs - old) * advantages[:, None],
                (logprobs - old).clamp(0.8, 1.2) * advantages[:, None],
            ),
    },
    trains=True,
)  # fmt: skip
