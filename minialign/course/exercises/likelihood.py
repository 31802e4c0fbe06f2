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
    trains=True,
)  # fmt: skip


def _logits_and_ids(seed: int, *shape: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """(B, T, V) logits and (B, T) ids."""
    generator = drawn(seed)
    logits = scale * torch.randn(shape, generator=generator)
    return logits, torch.randint(shape[-1], shape[:2], generator=generator)


def _next_token(logits: Tensor, ids: Tensor) -> Tensor:
    """(B, T): column t is log pi(token t | before), column 0 is 0."""
    return pad(gather_logprobs(logits[:, :-1], ids[:, 1:]), (1, 0))


_NO_SHIFT = (
    "there is no shift: the logits at t are read at token t, which they have already seen; they "
    "are about token t + 1"
)
_WRONG_WAY = (
    "the shift goes the wrong way: the logits at t are about token t + 1, not about token t - 1; "
    "cut the last column of the logits and the first of the ids"
)

next_token_logprobs = Exercise(
    "next_token_logprobs",
    _next_token,
    (_logits_and_ids(1, 2, 4, 7), _logits_and_ids(2, 3, 6, 5, scale=80.0)),
    {
        _NO_SHIFT: gather_logprobs,
        _NO_SHIFT + " (that column 0 is 0 is right)":
            lambda logits, ids: pad(gather_logprobs(logits, ids)[:, 1:], (1, 0)),
        _WRONG_WAY: lambda logits, ids:
            pad(gather_logprobs(logits[:, 1:], ids[:, :-1]), (0, 1)),
        _WRONG_WAY + "; a 0 in column 0 does not mend it": lambda logits, ids:
            pad(gather_logprobs(logits[:, 1:], ids[:, :-1]), (1, 0)),
        "it is shifted twice: between the logits and the token that they are about lies one step":
            lambda logits, ids: pad(gather_logprobs(logits[:, :-2], ids[:, 2:]), (2, 0)),
        "each value stands one column early, and the 0 at the end: column t is about token t, so "
        "the 0 belongs to column 0":
            lambda logits, ids: pad(gather_logprobs(logits[:, :-1], ids[:, 1:]), (0, 1)),
        "column 0 holds what the last logits of the row say of its first token: nothing predicts "
        "the first token, so put 0 there":
            lambda logits, ids: gather_logprobs(logits.roll(1, 1), ids),
        "these are raw logits: take log_softmax first":
            lambda logits, ids: pad(logits[:, :-1].gather(-1, ids[:, 1:, None])[..., 0], (1, 0)),
        "these are probabilities: take their logarithm":
            lambda logits, ids: pad(gather_logprobs(logits[:, :-1], ids[:, 1:]).exp(), (1, 0)),
        "the logarithm is taken of a softmax, which is 0 for an unlikely token: use log_softmax, "
        "which stays finite": lambda logits, ids:
            pad(logits[:, :-1].softmax(-1).gather(-1, ids[:, 1:, None])[..., 0].log(), (1, 0)),
        "the softmax runs over the columns: it must run over the vocabulary, the last dimension":
            lambda logits, ids: pad(
                logits[:, :-1].log_softmax(1).gather(-1, ids[:, 1:, None])[..., 0], (1, 0)
            ),
        "these are the logprobs of the likeliest tokens: read them at the tokens of the text":
            lambda logits, ids: pad(logits[:, :-1].log_softmax(-1).amax(-1), (1, 0)),
        "the sign is reversed: these are costs, and logprobs are at most 0":
            lambda logits, ids: -_next_token(logits, ids),
    },
    trains=True,
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
    trains=True,
)  # fmt: skip
