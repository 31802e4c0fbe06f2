"""Exercises of preference optimisation."""

from __future__ import annotations

import torch
from torch import Tensor

from minialign.core.logprobs import masked_sum
from minialign.course.exercises.exercise import Exercise
from minialign.variants.preference import logistic_loss as ours
from minialign.variants.ranks import RankLogprobs


def _sums() -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(5)
    return tuple(4 * torch.randn(4, 6, generator=generator) - 20)


def _dpo(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float
) -> Tensor:
    ones = torch.ones_like(chosen)
    return ours(RankLogprobs(chosen, rejected, ref_chosen, ref_rejected, ones, ones), beta=beta)


logistic_loss = Exercise(
    "logistic_loss",
    _dpo,
    ((*_sums(), 0.1), (*torch.tensor([[-900.0], [-1.0], [-1.0], [-900.0]]), 0.5)),
    {
        "the sign is reversed: minimising it would prefer what was rejected": (
            lambda c, r, ref_c, ref_r, beta: _dpo(r, c, ref_r, ref_c, beta)
        ),
        "the reference is left out": (
            lambda c, r, ref_c, ref_r, beta: _dpo(c, r, 0 * c, 0 * r, beta)
        ),
        "the sign of the reference is reversed": (
            lambda c, r, ref_c, ref_r, beta: _dpo(c, r, -ref_c, -ref_r, beta)
        ),
        "beta is left out": lambda c, r, ref_c, ref_r, beta: _dpo(c, r, ref_c, ref_r, 1.0),
        "it divides by beta: multiply": (
            lambda c, r, ref_c, ref_r, beta: _dpo(c, r, ref_c, ref_r, 1 / beta)
        ),
        "it is a mean over the batch, where one number per pair is asked for": (
            lambda c, r, ref_c, ref_r, beta: _dpo(c, r, ref_c, ref_r, beta).mean().expand(len(c))
        ),
        "log(sigmoid(x)) is -inf for far margins: use logsigmoid": (
            lambda c, r, ref_c, ref_r, beta: (
                -torch.log(torch.sigmoid(beta * ((c - ref_c) - (r - ref_r))))
            )
        ),
    },
)


def _tokens() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(6)
    logprobs = torch.rand(3, 6, generator=generator).log()
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1]])
    return logprobs, mask


summed_logprobs = Exercise(
    "summed_logprobs",
    masked_sum,
    (_tokens(), (torch.tensor([[0.0, -1.0, -torch.inf]]), torch.tensor([[0, 1, 0]]))),
    {
        "it is a mean over the tokens: beta would mean something else for every length": (
            lambda logprobs, mask: masked_sum(logprobs, mask) / mask.sum(-1)
        ),
        "the mask is not used: the prompt and the padding are in the sum": (
            lambda logprobs, mask: logprobs.sum(-1)
        ),
        "the end of text is left out": (
            lambda logprobs, mask: masked_sum(logprobs[:, :-1], mask[:, 1:] & mask[:, :-1])
        ),
        "0 * -inf is nan: choose with torch.where, or logprobs[mask]": (
            lambda logprobs, mask: (logprobs * mask).sum(-1)
        ),
    },
)
