"""Exercises on preferences: a reward model's loss and its last token, and the loss of DPO."""

from __future__ import annotations

import torch
from torch import Tensor

from minialign.algorithms import dpo, reward_model
from minialign.course.exercises.compare import Exercise, drawn

bradley_terry = Exercise(
    "bradley_terry",
    reward_model.bradley_terry,
    (tuple(3 * torch.randn(2, 5, generator=drawn(2))), torch.tensor([[-200.0], [0.0]]).unbind()),
    {
        "the sign is reversed: minimising it would make the rejected reply win":
            lambda chosen, rejected: reward_model.bradley_terry(rejected, chosen),
        "log(sigmoid(x)) is -inf for far gaps: use logsigmoid":
            lambda chosen, rejected: -torch.log(torch.sigmoid(chosen - rejected)),
        "it is a probability: take minus its logarithm":
            lambda chosen, rejected: torch.sigmoid(chosen - rejected),
    },
)  # fmt: skip


def last_column(attention_mask: Tensor) -> Tensor:
    """(B,) column of each row's last real token."""
    return attention_mask.shape[1] - 1 - attention_mask.flip(1).argmax(1)


last_token = Exercise(
    "last_token",
    last_column,
    (
        (torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]),),
        (torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1]]),),
    ),
    {
        "it is the last column, which may be padding":
            lambda mask: torch.full((len(mask),), mask.shape[1] - 1),
        "it counts the real tokens: with padding on the left they do not start in column 0":
            lambda mask: mask.sum(1) - 1,
        "it is the first real token: search from the right": lambda mask: mask.argmax(1),
    },
)  # fmt: skip


def _dpo(c: Tensor, r: Tensor, ref_c: Tensor, ref_r: Tensor, beta: float) -> Tensor:
    """(B,) the loss of DPO from summed logprobs: chosen, rejected, and the reference's."""
    return dpo.dpo_loss(c - ref_c, r - ref_r, beta=beta)


dpo_loss = Exercise(
    "dpo_loss",
    _dpo,
    (
        (*(4 * torch.randn(4, 6, generator=drawn(5)) - 20), 0.1),
        (*torch.tensor([[-900.0], [-1.0], [-1.0], [-900.0]]), 0.5),
    ),
    {
        "the sign is reversed: minimising it would prefer what was rejected":
            lambda c, r, ref_c, ref_r, beta: _dpo(r, c, ref_r, ref_c, beta),
        "the reference is left out":
            lambda c, r, ref_c, ref_r, beta: _dpo(c, r, 0 * c, 0 * r, beta),
        "the sign of the reference is reversed":
            lambda c, r, ref_c, ref_r, beta: _dpo(c, r, -ref_c, -ref_r, beta),
        "beta is left out": lambda c, r, ref_c, ref_r, beta: _dpo(c, r, ref_c, ref_r, 1.0),
        "it divides by beta: multiply":
            lambda c, r, ref_c, ref_r, beta: _dpo(c, r, ref_c, ref_r, 1 / beta),
        "it is a mean over the batch, where one number per pair is asked for":
            lambda c, r, ref_c, ref_r, beta: _dpo(c, r, ref_c, ref_r, beta).mean().expand(len(c)),
        "log(sigmoid(x)) is -inf for far margins: use logsigmoid":
            lambda c, r, ref_c, ref_r, beta: -torch.log(
                torch.sigmoid(beta * ((c - ref_c) - (r - ref_r)))
            ),
    },
)  # fmt: skip
