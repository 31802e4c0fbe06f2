"""Exercises on the likelihood of replies: shifts, masks, sums over tokens, losses of the sums."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from minialign.algorithms.dpo import dpo_loss
from minialign.algorithms.sft import cross_entropy as right_cross_entropy
from minialign.core.logprobs import gather_logprobs, masked_mean, masked_sum
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


def _sums(
    logits: Tensor, ids: Tensor, mask: Tensor, *, logprobs: Tensor | None = None, mean: bool = False
) -> Tensor:
    """(B,) masked sums of the next tokens' logprobs; the settings make mistakes."""
    logprobs = _next_token(logits, ids) if logprobs is None else logprobs
    return masked_mean(logprobs, mask, -1) if mean else masked_sum(logprobs, mask)


def _from_sums(sums: Tensor, ref_sums: Tensor, beta: float) -> Tensor:
    """(2B,) sums, chosen and rejected in turn, to DPO's (B,) losses."""
    return dpo_loss(*(sums - ref_sums).view(-1, 2).unbind(1), beta=beta)


def _pair_losses(
    logits: Tensor, ids: Tensor, mask: Tensor, ref_sums: Tensor, beta: float, **settings: object
) -> Tensor:
    """(2B, T, V) logits of chosen and rejected rows in turn to DPO's (B,) losses."""
    return _from_sums(_sums(logits, ids, mask, **settings), ref_sums, beta)


def _pairs(
    seed: int, mask: list[list[int]], far: float
) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """Rows of two pairs, and an impossible token (-inf) outside of each mask; `far` of one pair."""
    mask = torch.tensor(mask)
    logits, ids = _logits_and_ids(seed, *mask.shape, 6, scale=2.0)
    outside = (mask == 0)[:, 1:] & (ids[:, 1:] != ids[:, :1])
    row, column = outside.nonzero()[-1].tolist()
    logits[row, column, ids[row, column + 1]] = -torch.inf
    ref_sums = 3 * torch.randn(len(mask), generator=drawn(seed)) - 8
    ref_sums[0] += far
    return logits, ids, mask, ref_sums, 0.5


pair_losses = Exercise(
    "pair_losses",
    _pair_losses,
    (
        _pairs(31, [[0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 0, 0], [0, 1, 1, 0, 0, 0],
                    [0, 1, 1, 1, 1, 1]], 0.0),
        _pairs(32, [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1],
                    [0, 0, 1, 1, 1, 1]], 600.0),
    ),
    {
        _NO_SHIFT: lambda logits, ids, mask, *given:
            _pair_losses(logits, ids, mask, *given, logprobs=gather_logprobs(logits, ids)),
        "the mask stands one column early: column t of the mask is about token t, as the logprobs "
        "are after the shift": lambda logits, ids, mask, *given: _pair_losses(
            logits, ids, mask, *given, logprobs=_next_token(logits, ids).roll(-1, 1)
        ),
        "0 * -inf is nan: choose with torch.where, or with masked_fill":
            lambda logits, ids, mask, *given: _from_sums(
                (_next_token(logits, ids) * mask).sum(1), *given
            ),
        "the mask stands one column early, mask[:, :-1] where mask[:, 1:] is meant; besides, "
        "0 * -inf is nan: choose with torch.where": lambda logits, ids, mask, *given: _from_sums(
            (_next_token(logits, ids)[:, 1:] * mask[:, :-1]).sum(1), *given
        ),
        "it is a mean over the tokens: the derivation needs the logprob of the whole reply, a sum":
            lambda *given: _pair_losses(*given, mean=True),
        "the mask is not used: prompt and padding are in the sums":
            lambda logits, ids, mask, *given: _from_sums(_next_token(logits, ids).sum(1), *given),
        "the last column is dropped, and with it the last token of rows without padding on the "
        "right: of the logits drop the last column, of ids and mask the first":
            lambda logits, ids, mask, *given:
                _pair_losses(logits, ids, pad(mask[:, :-1], (0, 1)), *given),
        "the logratio is divided by the number of tokens: the derivation needs the sum":
            lambda logits, ids, mask, ref_sums, beta: _from_sums(
                (_sums(logits, ids, mask) - ref_sums) / mask.sum(1), 0 * ref_sums, beta
            ),
        "the first half of the rows is taken as chosen, the second as rejected: they come in turn":
            lambda logits, ids, mask, ref_sums, beta: dpo_loss(
                *(_sums(logits, ids, mask) - ref_sums).chunk(2), beta=beta
            ),
        "the reference's sums are split in halves: its rows come in turn, as the policy's do":
            lambda logits, ids, mask, ref_sums, beta:
                _pair_losses(logits, ids, mask, ref_sums.view(2, -1).T.flatten(), beta),
        "the minus of the loss is missing: it is minus logsigmoid, and falls as the lead grows":
            lambda *given: -_pair_losses(*given),
        "the sign is reversed: minimising it would prefer what was rejected":
            lambda *given: _pair_losses(*given[:4], -given[4]),
        "the reference is left out: subtract its sums": lambda logits, ids, mask, ref_sums, beta:
            _pair_losses(logits, ids, mask, 0 * ref_sums, beta),
        "the sign of the reference is reversed": lambda logits, ids, mask, ref_sums, beta:
            _pair_losses(logits, ids, mask, -ref_sums, beta),
        "beta is left out: it multiplies the margin": lambda *given: _pair_losses(*given[:4], 1.0),
        "it divides by beta: the lead is beta times the margin": lambda *given:
            _pair_losses(*given[:4], 1 / given[4]),
        "beta multiplies the policy's sums alone: subtract the reference's first, then multiply":
            lambda logits, ids, mask, ref_sums, beta:
                _pair_losses(logits, ids, mask, ref_sums / beta, beta),
        "the first token of each reply is left out: the mask is that of the shifted ids alone":
            lambda logits, ids, mask, *given:
                _pair_losses(logits, ids, mask * pad(mask[:, :-1], (1, 0)), *given),
        "the end of the reply is left out": lambda logits, ids, mask, *given:
            _pair_losses(logits, ids, mask * pad(mask[:, 1:], (0, 1)), *given),
        "log(sigmoid(x)) is -inf for far margins: use logsigmoid":
            lambda *given: -(-_pair_losses(*given)).exp().log(),
        "these are sums of raw logits: take log_softmax first":
            lambda logits, ids, mask, *given: _pair_losses(
                logits, ids, mask, *given,
                logprobs=pad(logits[:, :-1].gather(-1, ids[:, 1:, None])[..., 0], (1, 0)),
            ),
        "it is a mean over the batch, where one number per pair is asked for":
            lambda *given: _pair_losses(*given).mean().expand(len(given[3]) // 2),
    },
    trains=True,
)  # fmt: skip


def _log_squares(logits: Tensor) -> Tensor:
    """(B, T) at column t the log of the sum of squared probabilities of token t."""
    return pad((2 * logits[:, :-1].log_softmax(-1)).logsumexp(-1), (1, 0))


def _weight(logits: Tensor, ids: Tensor, mask: Tensor, *, squares: Tensor | None = None) -> Tensor:
    """(B,) WPO's weights of completions; other alignments than the squares' are mistakes."""
    squares = _log_squares(logits) if squares is None else squares
    return masked_mean(_next_token(logits, ids) - squares, mask, -1).exp()


def _early_weight(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """(B,) weights that read the mask one column early; a mask of T columns counts the last one."""
    aligned = (_next_token(logits, ids) - _log_squares(logits))[:, 1:]
    return masked_mean(pad(aligned, (0, mask.shape[1] - aligned.shape[1])), mask, -1).exp()


def _counted(logits: Tensor, ids: Tensor, mask: Tensor, more: int) -> Tensor:
    """(B,) weights whose mean divides by so many tokens more than there are."""
    each = _next_token(logits, ids) - _log_squares(logits)
    return (masked_sum(each, mask) / (mask.sum(1) + more)).exp()


def _completions(seed: int, mask: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
    mask = torch.tensor(mask)
    return *_logits_and_ids(seed, *mask.shape, 5, scale=1.5), mask


wpo_weight = Exercise(
    "wpo_weight",
    _weight,
    (
        _completions(35, [[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]]),
        _completions(36, [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1]]),
    ),
    {
        "it is a sum over the tokens, which falls with the length: take the mean":
            lambda logits, ids, mask:
                masked_sum(_next_token(logits, ids) - _log_squares(logits), mask).exp(),
        "the mask is cut at its end, mask[:, :-1], and stands one column early: after the shift "
        "column t is about token t + 1, so take mask[:, 1:]": lambda logits, ids, mask:
            _early_weight(logits, ids, mask[:, :-1]),
        "the mask is not shifted, and the last column of the logprobs is filled up: column t is "
        "about token t + 1 there, so take mask[:, 1:]": lambda logits, ids, mask:
            _early_weight(logits, ids, mask),
        "the sum of squared probabilities is left out, or its squares are: a reply that the policy "
        "itself drew must weigh about 1": lambda logits, ids, mask:
            _weight(logits, ids, mask, squares=torch.zeros_like(mask)),
        "it is aligned with the likeliest token (the paper's greedy alignment): divide by the sum "
        "of squared probabilities": lambda logits, ids, mask: _weight(
            logits, ids, mask,
            squares=pad(logits[:, :-1].log_softmax(-1).amax(-1), (1, 0)),
        ),
        "it is aligned with the entropy, the mean of the logprob: take the logarithm of the mean "
        "probability, the sum of squares": lambda logits, ids, mask: _weight(
            logits, ids, mask,
            squares=pad(
                (logits[:, :-1].softmax(-1) * logits[:, :-1].log_softmax(-1)).sum(-1), (1, 0)
            ),
        ),
        "the squares are of the logits' exponentials: take log_softmax first":
            lambda logits, ids, mask: _weight(
                logits, ids, mask, squares=pad((2 * logits[:, :-1]).logsumexp(-1), (1, 0))
            ),
        "both numbers are taken from the logits as they are: take log_softmax first":
            lambda logits, ids, mask: _weight(
                logits, ids, mask,
                squares=_log_squares(logits) + pad(logits[:, :-1].logsumexp(-1), (1, 0)),
            ),
        "the token's own number is a raw logit: take log_softmax first": lambda logits, ids, mask:
            _weight(
                logits, ids, mask,
                squares=_log_squares(logits) - pad(logits[:, :-1].logsumexp(-1), (1, 0)),
            ),
        "the token's own logprob is doubled, too: only the sum is of squares":
            lambda logits, ids, mask: _weight(
                logits, ids, mask, squares=_log_squares(logits) - _next_token(logits, ids)
            ),
        "the sum of squares is subtracted from the logprob as it is: take its logarithm first":
            lambda logits, ids, mask:
                _weight(logits, ids, mask, squares=_log_squares(logits).exp()),
        "the logprobs are squared: the logarithm of a squared probability is twice the logprob":
            lambda logits, ids, mask: _weight(
                logits, ids, mask,
                squares=pad(logits[:, :-1].log_softmax(-1).square().logsumexp(-1), (1, 0)),
            ),
        "the logarithm of the sum is added: divide by the sum, so subtract its logarithm":
            lambda logits, ids, mask: _weight(logits, ids, mask, squares=-_log_squares(logits)),
        "the sum of squares is of the next column: token t and its alternatives are predicted by "
        "the logits at t - 1": lambda logits, ids, mask: _weight(
            logits, ids, mask, squares=(2 * logits.log_softmax(-1)).logsumexp(-1)
        ),
        _NO_SHIFT: lambda logits, ids, mask: masked_mean(
            gather_logprobs(logits, ids) - (2 * logits.log_softmax(-1)).logsumexp(-1), mask, -1
        ).exp(),
        "the mask is not used: prompt and padding are in the mean": lambda logits, ids, mask:
            _weight(logits, ids, pad(torch.ones_like(mask[:, 1:]), (1, 0))),
        "it divides by all columns: divide by the tokens of the reply":
            lambda logits, ids, mask: (
                masked_sum(_next_token(logits, ids) - _log_squares(logits), mask) / mask.shape[1]
            ).exp(),
        "it divides by T - 1, the shifted columns: divide by the tokens of the reply":
            lambda logits, ids, mask: (
                masked_sum(_next_token(logits, ids) - _log_squares(logits), mask)
                / (mask.shape[1] - 1)
            ).exp(),
        "it divides by one token too many": lambda *given: _counted(*given, 1),
        "it divides by one token too few": lambda *given: _counted(*given, -1),
        "it is cut off at 1: one reply may weigh more, the weight of the pair is cut off below":
            lambda logits, ids, mask: _weight(logits, ids, mask).clamp(max=1),
        "it is the logarithm of the weight: take exp":
            lambda logits, ids, mask: _weight(logits, ids, mask).log(),
        "it is one over the weight: a likely reply must weigh more":
            lambda logits, ids, mask: 1 / _weight(logits, ids, mask),
        "the mean is of the ratios and not of their logarithms": lambda logits, ids, mask:
            masked_mean((_next_token(logits, ids) - _log_squares(logits)).exp(), mask, -1),
    },
)  # fmt: skip
