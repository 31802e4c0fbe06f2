"""The exercises of the notebooks, and the check that shown code is the package's own."""

from __future__ import annotations

import torch
from torch import Tensor

from minialign.algorithms import ppo, sft
from minialign.core.advantages import token_rewards as ppo_rewards
from minialign.core.logprobs import gather_logprobs
from minialign.course.exercises.check_group import clipped, group_advantages
from minialign.course.exercises.check_preference import logistic_loss, summed_logprobs
from minialign.course.exercises.exercise import Exercise, same_code
from minialign.variants import reward_losses

__all__ = [
    "Exercise",
    "bradley_terry",
    "clipped",
    "cross_entropy",
    "group_advantages",
    "last_token",
    "logistic_loss",
    "next_token_logprobs",
    "same_code",
    "summed_logprobs",
    "token_rewards",
    "value_loss",
]  # fmt: skip


def _cases() -> tuple[tuple[Tensor, Tensor], ...]:
    generator = torch.Generator().manual_seed(0)
    logprobs = torch.log(torch.rand(3, 5, generator=generator))
    mask = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0], [0, 1, 1, 1, 0]])
    return (logprobs, mask), (torch.tensor([[0.0, 0.5, 0.25]]).log(), torch.tensor([[0, 1, 1]]))


cross_entropy = Exercise(
    "cross_entropy",
    sft.cross_entropy,
    _cases(),
    {
        "the sign is reversed: minimising it would lower the probability of the reply": (
            lambda logprobs, mask: -sft.cross_entropy(logprobs, mask)
        ),
        "the mask is not used: the prompt's tokens are in the sum": (
            lambda logprobs, mask: -logprobs.sum(-1)
        ),
        "it is a mean over the masked tokens of each row, where a sum is asked for": (
            lambda logprobs, mask: sft.cross_entropy(logprobs, mask) / mask.sum(-1)
        ),
        "the mask is shifted by one once too often": (
            lambda logprobs, mask: sft.cross_entropy(logprobs[:, :-1], mask[:, 1:])
        ),
    },
)


def _logits_case() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 4, 7, generator=generator)
    return logits, torch.randint(7, (2, 4), generator=generator)


def _next_token(logits: Tensor, ids: Tensor) -> Tensor:
    """(B, T): column t is log pi(token t | before), column 0 is 0."""
    return torch.nn.functional.pad(gather_logprobs(logits[:, :-1], ids[:, 1:]), (1, 0))


next_token_logprobs = Exercise(
    "next_token_logprobs",
    _next_token,
    (_logits_case(),),
    {
        "there is no shift: the logits at t are read at token t, which they have already seen": (
            lambda logits, ids: gather_logprobs(logits, ids)
        ),
        "these are raw logits: take log_softmax first": (
            lambda logits, ids: torch.nn.functional.pad(
                logits[:, :-1].gather(-1, ids[:, 1:, None])[..., 0], (1, 0)
            )
        ),
        "these are probabilities: take their logarithm": (
            lambda logits, ids: torch.nn.functional.pad(
                gather_logprobs(logits[:, :-1], ids[:, 1:]).exp(), (1, 0)
            )
        ),
    },
)


def _pairs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    chosen, rejected = torch.randn(2, 5, generator=generator)
    return 3 * chosen, 3 * rejected


bradley_terry = Exercise(
    "bradley_terry",
    reward_losses.bradley_terry,
    (_pairs(), (torch.tensor([-200.0]), torch.tensor([0.0]))),
    {
        "the sign is reversed: minimising it would make the rejected reply win": (
            lambda chosen, rejected: reward_losses.bradley_terry(rejected, chosen)
        ),
        "log(sigmoid(x)) is -inf for far gaps: use logsigmoid": (
            lambda chosen, rejected: -torch.log(torch.sigmoid(chosen - rejected))
        ),
        "it is a probability: take minus its logarithm": (
            lambda chosen, rejected: torch.sigmoid(chosen - rejected)
        ),
    },
)


def _last(attention_mask: Tensor) -> Tensor:
    return attention_mask.shape[1] - 1 - attention_mask.flip(1).argmax(1)


last_token = Exercise(
    "last_token",
    _last,
    (
        (torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]),),
        (torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1]]),),
    ),
    {
        "it is the last column, which may be padding": (
            lambda mask: torch.full((len(mask),), mask.shape[1] - 1)
        ),
        "it counts the real tokens: with padding on the left they do not start in column 0": (
            lambda mask: mask.sum(1) - 1
        ),
        "it is the first real token: search from the right": lambda mask: mask.argmax(1),
    },
)


def _scored() -> tuple[Tensor, Tensor, Tensor, float]:
    generator = torch.Generator().manual_seed(3)
    mask = torch.tensor([[0, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 1, 0]])
    return torch.tensor([2.0, -1.0, 0.5]), torch.randn(3, 5, generator=generator), mask, 0.3


def _at(scores: Tensor, kl: Tensor, mask: Tensor, beta: float, column: Tensor) -> Tensor:
    """The penalty everywhere, and the score in a (B,) column of its own."""
    return (-beta * kl * mask).scatter_add(1, column[:, None], scores[:, None])


token_rewards = Exercise(
    "token_rewards",
    lambda scores, kl, mask, beta: ppo_rewards(scores, kl, mask, beta),
    (_scored(),),
    {
        "the sign of the penalty is reversed: it pays for leaving the reference": (
            lambda scores, kl, mask, beta: ppo_rewards(scores, kl, mask, -beta)
        ),
        "the score is in the last column, which may be padding": (
            lambda scores, kl, mask, beta: _at(scores, kl, mask, beta, 0 * _last(mask) + 4)
        ),
        "the score comes one token early": (
            lambda scores, kl, mask, beta: _at(scores, kl, mask, beta, _last(mask) - 1)
        ),
        "the score is paid at every token": (
            lambda scores, kl, mask, beta: (scores[:, None] - beta * kl) * mask
        ),
        "the penalty is a mean over tokens, where every token pays for itself": (
            lambda scores, kl, mask, beta: ppo_rewards(
                scores, kl / mask.sum(1, keepdim=True), mask, beta
            )
        ),
    },
)


def _critic() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    values, old, returns = torch.randn(3, 4, 6, generator=generator)
    return values, old, returns, (torch.rand(4, 6, generator=generator) < 0.7).long()


def _bounds(values: Tensor, old: Tensor, returns: Tensor) -> tuple[Tensor, Tensor]:
    near = old + (values - old).clamp(-0.2, 0.2)
    return (values - returns).square(), (near - returns).square()


value_loss = Exercise(
    "value_loss",
    lambda values, old, returns, mask: ppo.value_loss(values, old, returns, mask, clip=0.2),
    (_critic(),),
    {
        "it takes the smaller error: then the clip rewards what it should hold back": (
            lambda values, old, returns, mask: (
                0.5 * torch.minimum(*_bounds(values, old, returns)) * mask
            )
        ),
        "the half is missing": (
            lambda values, old, returns, mask: (
                2 * ppo.value_loss(values, old, returns, mask, clip=0.2)
            )
        ),
        "nothing is clipped": (
            lambda values, old, returns, mask: ppo.value_loss(values, old, returns, mask, clip=None)
        ),
        "the mask is not used": (
            lambda values, old, returns, mask: ppo.value_loss(
                values, old, returns, torch.ones_like(mask), clip=0.2
            )
        ),
    },
)
