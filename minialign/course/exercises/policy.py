"""Exercises on policy optimisation: baselines, advantages, whitening and the clip."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from minialign.algorithms.grpo import group_zscore
from minialign.course.exercises.compare import Exercise, drawn
from minialign.variants.group_advantages import group_centred


def _others(rewards: Tensor) -> Tensor:
    """(P, G) the mean reward of the other completions of the group."""
    return (rewards.sum(1, keepdim=True) - rewards) / (rewards.shape[1] - 1)


rloo_advantages = Exercise(
    "rloo_advantages",
    lambda rewards: rewards - _others(rewards),
    (
        (torch.tensor([[1.0, 0.0, 0.0, 0.0], [3.0, 2.0, 0.5, -1.0]]),),
        (torch.tensor([[3.0, 1.0], [0.0, 0.5], [2.0, -2.0]]),),
    ),
    {
        "the reward itself is part of its baseline: leave it out of the mean": group_centred,
        "it is the baseline: subtract it from the reward": _others,
        "the sign is reversed: a reward above the others' mean is an advantage above 0":
            lambda rewards: _others(rewards) - rewards,
        "the sum of the others is divided by G: there are G - 1 of them":
            lambda rewards: rewards
                - (rewards.sum(1, keepdim=True) - rewards) / rewards.shape[1],
        "the others are those of the whole batch: a group is a row": lambda rewards: rewards
            - (rewards.sum() - rewards) / (rewards.numel() - 1),
        "the others are those of the column: a group is a row":
            lambda rewards: rewards - _others(rewards.T).T,
        "the mean is the whole batch's: a group is a row":
            lambda rewards: rewards - rewards.mean(),
        "it is divided by the deviation, which RLOO does not do: that is GRPO's": group_zscore,
        "it is divided by the deviation, which RLOO does not do: that is GRPO's (without its 1e-4)":
            lambda rewards: group_centred(rewards) / rewards.std(1, keepdim=True),
        "it is divided by the deviation, which RLOO does not do":
            lambda rewards: (rewards - _others(rewards)) / rewards.std(1, keepdim=True),
    },
)  # fmt: skip


def _deltas(rewards: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """(B, T) jumps of the prediction, 0 outside the mask; after the last token it is 0."""
    inside = torch.where(mask.bool(), values, 0.0)
    after = pad(inside[:, 1:], (0, 1))
    return torch.where(mask.bool(), rewards + after - inside, 0.0)


def _summed(deltas: Tensor, lam: float) -> Tensor:
    """(B, T) sum over k >= t of lam^(k - t) delta_k."""
    distance = torch.arange(deltas.shape[1])[None] - torch.arange(deltas.shape[1])[:, None]
    return deltas @ torch.where(distance >= 0, float(lam) ** distance.clamp(min=0), 0.0).T


def _lambda_advantages(rewards: Tensor, values: Tensor, mask: Tensor, lam: float) -> Tensor:
    """(B, T) generalised advantages: Schulman et al. 2015, arXiv:1506.02438, equation 16."""
    return torch.where(mask.bool(), _summed(_deltas(rewards, values, mask), lam), 0.0)


def _episodes(seed: int, lam: float) -> tuple[Tensor, Tensor, Tensor, float]:
    """Completions that begin and end in different columns; values stand outside them, too."""
    rewards, values = torch.randn(2, 3, 6, generator=drawn(seed))
    mask = torch.tensor([[0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0]])
    return rewards * mask, values, mask, lam


def _full(seed: int, lam: float) -> tuple[Tensor, Tensor, Tensor, float]:
    """Completions of which one fills all columns."""
    rewards, values = torch.randn(2, 2, 4, generator=drawn(seed))
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 0]])
    return rewards * mask, values, mask, lam


def _alike(rewards: Tensor, values: Tensor, mask: Tensor, lam: float, after: Tensor) -> Tensor:
    """(B, T) advantages with another value after each token."""
    deltas = torch.where(mask.bool(), rewards + after - values, 0.0)
    return torch.where(mask.bool(), _summed(deltas, lam), 0.0)


lambda_advantages = Exercise(
    "lambda_advantages",
    _lambda_advantages,
    (_episodes(31, 0.5), _episodes(32, 0.95), _episodes(33, 0.0), _full(41, 0.5)),
    {
        "the value after the last token is read from the padding: nothing comes, so it is 0":
            lambda rewards, values, mask, lam:
                _alike(rewards, values, mask, lam, pad(values[:, 1:], (0, 1))),
        "after the last token comes its own value again: nothing comes, so it is 0":
            lambda rewards, values, mask, lam: _alike(
                rewards, values, mask, lam,
                torch.where(pad(mask[:, 1:], (0, 1)) > 0, pad(values[:, 1:], (0, 1)), values)),
        "the value after the token is missing: delta is reward + value after - value before":
            lambda rewards, values, mask, lam: _alike(rewards, values, mask, lam, 0 * values),
        "lambda is not used: the jump k tokens later counts lambda^k":
            lambda rewards, values, mask, lam: _lambda_advantages(rewards, values, mask, 1.0),
        "these are the jumps alone: later ones count too, by lambda^k":
            lambda rewards, values, mask, lam: _deltas(rewards, values, mask),
        "each jump is passed on to later tokens: credit goes to earlier ones":
            lambda rewards, values, mask, lam:
                _summed(_deltas(rewards, values, mask).flip(1), lam).flip(1) * mask,
        "these are returns: do not add the value": lambda rewards, values, mask, lam:
            _lambda_advantages(rewards, values, mask, lam) + values * mask,
        "columns outside the mask are not 0": lambda rewards, values, mask, lam:
            _summed(_deltas(rewards, values, mask), lam),
        "the sign of the jumps is reversed": lambda rewards, values, mask, lam:
            -_lambda_advantages(rewards, values, mask, lam),
        "values outside the mask enter the sum: set them to 0 first, and end the sum at the mask":
            lambda rewards, values, mask, lam:
                _summed(rewards + pad(values[:, 1:], (0, 1)) - values, lam) * mask,
        "the columns are in reverse order: turn the list before stacking it":
            lambda rewards, values, mask, lam:
                _lambda_advantages(rewards, values, mask, lam).flip(1),
        "after the last column comes the first one, by torch.roll: nothing comes, so it is 0":
            lambda rewards, values, mask, lam: _alike(
                rewards, values * mask, mask, lam, torch.roll(values * mask, -1, 1)),
        "values are not used: subtract from each reward the value before, add the one after":
            lambda rewards, values, mask, lam: _summed(rewards * mask, lam) * mask,
        "the value is subtracted at the end only (or lambda multiplies the value after): each "
        "delta has one of its own":
            lambda rewards, values, mask, lam: (_summed(rewards * mask, lam) - values) * mask,
    },
)  # fmt: skip


def _whitened(values: Tensor, mask: Tensor, correction: int = 1) -> Tensor:
    """(B, T) of mean 0 and variance 1 over the mask, 0 outside."""
    inside = values[mask.bool()]
    scaled = (values - inside.mean()) / (inside.var(correction=correction) + 1e-8).sqrt()
    return torch.where(mask.bool(), scaled, 0.0)


def _masked_rows(seed: int) -> tuple[Tensor, Tensor]:
    values = 3 * torch.randn(3, 5, generator=drawn(seed)) + 2
    return values, torch.tensor([[0, 1, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 1, 0]])


whitened = Exercise(
    "whitened",
    _whitened,
    (_masked_rows(34), _masked_rows(35)),
    {
        "padding counts: mean and variance are those of real tokens alone":
            lambda values, mask:
                torch.where(mask.bool(), _whitened(values, torch.ones_like(mask)), 0.0),
        "padding counts as zeros: mean and variance are those of real tokens alone":
            lambda values, mask: torch.where(
                mask.bool(), _whitened(values * mask, torch.ones_like(mask)), 0.0),
        "columns outside the mask are not 0": lambda values, mask:
            (values - values[mask == 1].mean()) / values[mask == 1].std(),
        "it is divided by the variance: divide by its square root": lambda values, mask:
            (values - values[mask == 1].mean()) / values[mask == 1].var() * mask,
        "the mean is not subtracted":
            lambda values, mask: values / values[mask == 1].std() * mask,
        "it is not divided by the deviation":
            lambda values, mask: (values - values[mask == 1].mean()) * mask,
        "each row has a mean and a deviation of its own: they are the whole rollout's":
            lambda values, mask:
                torch.cat([_whitened(v[None], m[None]) for v, m in zip(values, mask, strict=True)]),
        "the variance is the population's: use var with Bessel's correction, torch's default":
            lambda values, mask: _whitened(values, mask, 0),
    },
)  # fmt: skip


def _still_pulled(ratio: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """(B, T) 1 where PPO's objective has a slope in the ratio, 0 where it is flat."""
    below, above = ratio < 1 + clip, ratio > 1 - clip
    return (((advantages > 0) & below) | ((advantages < 0) & above)).float()


still_pulled = Exercise(
    "still_pulled",
    _still_pulled,
    (
        (
            torch.tensor([[0.5, 0.9, 1.1, 2.0], [0.5, 0.9, 1.1, 2.0], [0.7, 1.0, 1.4, 3.0]]),
            torch.tensor([[1.0, 2.0, 1.0, 0.5], [-1.0, -2.0, -1.0, -0.5], [0.0, 0.0, -1.0, 1.0]]),
            0.2,
        ),
        (torch.tensor([[1.25, 0.75]]), torch.tensor([[1.0, -1.0]]), 0.3),
    ),
    {
        "it is 1 within the clip alone: a token that went the wrong way is pulled back from any "
        "distance": lambda ratio, A, clip: (((ratio - 1).abs() < clip) & (A != 0)).float(),
        "it is 1 within the clip alone: a token that went the wrong way is pulled back from any "
        "distance (and an advantage of 0 pulls nothing)":
            lambda ratio, A, clip: ((ratio - 1).abs() < clip).float(),
        "the bounds are exchanged: a good token is let go above 1 + clip, a bad one below 1 - clip":
            lambda ratio, A, clip: (
                ((A > 0) & (ratio < 1 - clip)) | ((A < 0) & (ratio > 1 + clip))).float(),
        "clip is not used: 0.2 is only its usual value":
            lambda ratio, A, clip: _still_pulled(ratio, A, 0.2),
        "the signs are exchanged: a good token is let go above 1 + clip, a bad one below 1 - clip":
            lambda ratio, A, clip: _still_pulled(ratio, -A, clip),
        "it is the complement: 1 is where there is a slope":
            lambda ratio, A, clip: 1 - _still_pulled(ratio, A, clip),
        "an advantage of 0 pulls nothing": lambda ratio, A, clip:
            torch.where(A == 0, 1.0, _still_pulled(ratio, A, clip)),
        "a bad token is let go, too: once its ratio is below 1 - clip": lambda ratio, A, clip:
            ((ratio < 1 + clip) & (A != 0)).float(),
        "a good token is let go, too: once its ratio is above 1 + clip": lambda ratio, A, clip:
            ((ratio > 1 - clip) & (A != 0)).float(),
        "it is the slope itself, which is the advantage: 1 or 0 is asked for":
            lambda ratio, A, clip: A * _still_pulled(ratio, A, clip),
    },
)  # fmt: skip


def _baseline(rewards: Tensor, counted: Tensor, *, own: bool = False) -> tuple[Tensor, Tensor]:
    """(P, G) sum of a group's counted rewards, and their number, each without the try's own."""
    kept, own = rewards * counted, 1.0 * own
    return (kept.sum(1, keepdim=True) - (1 - own) * kept,
            counted.sum(1, keepdim=True) - (1 - own) * counted)  # fmt: skip


def _less(middle: Tensor, rewards: Tensor, counted: Tensor) -> Tensor:
    """(P, G) rewards less a middle, 0 where a try, or the rest of its group, is not counted."""
    alone = counted.sum(1, keepdim=True) < 2
    return torch.where((counted > 0) & ~alone, rewards - middle, torch.zeros(()))


def _leave_out(rewards: Tensor, counted: Tensor) -> Tensor:
    """(P, G) rewards less the mean of the group's other counted ones; 0 where that has none.

    Leave-one-out, Ahmadian et al. 2024, arXiv:2402.14740, section 2.3, among some of a group.
    """
    total, number = _baseline(rewards, counted)
    return _less(total / number.clamp(min=1), rewards, counted)


leave_out = Exercise(
    "leave_out",
    _leave_out,
    (
        (
            torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 0.5, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0]]),
            torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]]),
        ),
        (torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])),
    ),
    {
        "the try itself is in its baseline: take the mean of the others, one less":
            lambda r, c: _less(torch.div(*_baseline(r, c, own=True)), r, c),
        "tries that are not counted are in the baseline: leave them out of sum and number":
            lambda r, c: _less((r.sum(1, keepdim=True) - r) / (r.shape[1] - 1), r, c),
        "the sum leaves uncounted tries out, and the number does not: divide by the counted others":
            lambda r, c: _less(_baseline(r, c)[0] / (r.shape[1] - 1), r, c),
        "tries that are not counted have an advantage: theirs is 0":
            lambda r, c: r - _baseline(r, c)[0] / _baseline(r, c)[1].clamp(min=1),
        "a try without any other is 0 / 0, which is nan: its advantage is 0":
            lambda r, c: torch.where(c > 0, r - torch.div(*_baseline(r, c)), 0.0),
        "a try without any other keeps its reward: its advantage is 0, since nothing is known":
            lambda r, c: c * (r - _baseline(r, c)[0] / _baseline(r, c)[1].clamp(min=1)),
        "the sign is reversed: what is better than the others becomes likelier":
            lambda r, c: -_leave_out(r, c),
        "the column of counted tries is not used": lambda r, c:
            _leave_out(r, torch.ones_like(r)),
        "it is divided by a deviation, which was not asked for": lambda r, c:
            _leave_out(r, c) / (r.std(1, keepdim=True) + 1e-4),
        "groups are rows, (P, G), and not columns": lambda r, c: _leave_out(r.T, c.T).T,
    },
)  # fmt: skip
