"""Exercises on policies without a critic: baselines and advantages of groups."""

from __future__ import annotations

import torch
from torch import Tensor

from minialign.algorithms.grpo import group_zscore
from minialign.course.exercises.compare import Exercise
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
        "1 is subtracted from the mean: it belongs to G, so write (sum - reward) / (G - 1)":
            lambda rewards: rewards
                - ((rewards.sum(1, keepdim=True) - rewards) / rewards.shape[1] - 1),
        "the others are those of the whole batch: a group is a row": lambda rewards: rewards
            - (rewards.sum() - rewards) / (rewards.numel() - 1),
        "the others are those of the column: a group is a row":
            lambda rewards: rewards - _others(rewards.T).T,
        "the factor is upside down: reward less the group's mean, times G / (G - 1)":
            lambda rewards: group_centred(rewards) * (1 - 1 / rewards.shape[1]),
        "the mean is that of the column: a group is a row":
            lambda rewards: rewards - rewards.mean(0, keepdim=True),
        "the mean is the whole batch's: a group is a row":
            lambda rewards: rewards - rewards.mean(),
        "it is divided by the deviation, which RLOO does not do: that is GRPO's": group_zscore,
        "it is divided by the deviation, which RLOO does not do: that is GRPO's (without its 1e-4)":
            lambda rewards: group_centred(rewards) / rewards.std(1, keepdim=True),
        "it is divided by the deviation, which RLOO does not do":
            lambda rewards: (rewards - _others(rewards)) / rewards.std(1, keepdim=True),
    },
    keeps=True,
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
        "the sum leaves the try itself out, and the number does not: there is one other fewer":
            lambda r, c: _less(
                _baseline(r, c)[0] / _baseline(r, c, own=True)[1].clamp(min=1), r, c),
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
        "the sum is not masked, and the number is: multiply the rewards by counted before summing":
            lambda r, c: torch.where(c > 0, r - (r.sum(1, keepdim=True) - r)
                / (c.sum(1, keepdim=True) - c).clamp(min=1), 0.0),
        "the number of others is fixed: divide by the counted others, which may be fewer":
            lambda r, c: torch.where(c > 0, r - _baseline(r, c)[0] / (r.shape[1] - 1), 0.0),
        "it is the z-score, whose mean holds the try itself and which divides by a deviation":
            lambda r, c: torch.where(c > 0, group_zscore(r), 0.0),
        "it is the z-score, and the column of counted tries is not used":
            lambda r, c: group_zscore(r),
        "it is divided by a deviation, which was not asked for": lambda r, c:
            _leave_out(r, c) / (r.std(1, keepdim=True) + 1e-4),
        "groups are rows, (P, G), and not columns": lambda r, c: _leave_out(r.T, c.T).T,
    },
)  # fmt: skip
