"""Exercises on the likelihood of a reply: shifts, masks and sums over its tokens."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from minialign.algorithms.sft import cross_entropy as right_cross_entropy
from minialign.core.logprobs import gather_logprobs, masked_sum
from minialign.course.exercises.compare import Exercise, drawn

cross_entropy = Exercise(
    "cross_entropy",
    right_cross_entropy,
    (
        (
            torch.log(torch.rand(3, 5, generator=drawn(0))),
            torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0], [0, 1, 1, 1, 0]]),
        ),
        (torch.tensor([[0.0, 0.5, 0.25]]).log(), torch.tensor([[0, 1, 1]])),
    ),
    {
        "the sign is reversed: minimising it would lower the probability of the reply":
            lambda logprobs, mask: -right_cross_entropy(logprobs, mask),
        "the mask is not used: the prompt's tokens are in the sum":
            lambda logprobs, mask: -logprobs.sum(-1),
        "it is a mean over the masked tokens of each row, where a sum is asked for":
            lambda logprobs, mask: right_cross_entropy(logprobs, mask) / mask.sum(-1),
        "the mask is shifted by one once too often":
            lambda logprobs, mask: right_cross_entropy(logprobs[:, :-1], mask[:, 1:]),
    },
)  # fmt: skip


def _logits_and_ids() -> tuple[Tensor, Tensor]:
    generator = drawn(1)
    logits = torch.randn(2, 4, 7, generator=generator)
    return logits, torch.randint(7, (2, 4), generator=generator)


def _next_token(logits: Tensor, ids: Tensor) -> Tensor:
    """(B, T): column t is log pi(token t | before), column 0 is 0."""
    return pad(gather_logprobs(logits[:, :-1], ids[:, 1:]), (1, 0))


next_token_logprobs = Exercise(
    "next_token_logprobs",
    _next_token,
    (_logits_and_ids(),),
    {
        "there is no shift: the logits at t are read at token t, which they have already seen":
            lambda logits, ids: gather_logprobs(logits, ids),
        "these are raw logits: take log_softmax first":
            lambda logits, ids: pad(logits[:, :-1].gather(-1, ids[:, 1:, None])[..., 0], (1, 0)),
        "these are probabilities: take their logarithm":
            lambda logits, ids: pad(gather_logprobs(logits[:, :-1], ids[:, 1:]).exp(), (1, 0)),
    },
)  # fmt: skip

summed_logprobs = Exercise(
    "summed_logprobs",
    masked_sum,
    (
        (
            torch.rand(3, 6, generator=drawn(6)).log(),
            torch.tensor([[0, 0, 1, 1, 1, 1], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1]]),
        ),
        (torch.tensor([[0.0, -1.0, -torch.inf]]), torch.tensor([[0, 1, 0]])),
    ),
    {
        "it is a mean over the tokens: beta would mean something else for every length":
            lambda logprobs, mask: masked_sum(logprobs, mask) / mask.sum(-1),
        "the mask is not used: the prompt and the padding are in the sum":
            lambda logprobs, mask: logprobs.sum(-1),
        "the end of text is left out":
            lambda logprobs, mask: masked_sum(logprobs[:, :-1], mask[:, 1:] & mask[:, :-1]),
        "0 * -inf is nan: choose with torch.where, or logprobs[mask]":
            lambda logprobs, mask: (logprobs * mask).sum(-1),
    },
)  # fmt: skip
