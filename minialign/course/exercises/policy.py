"""Exercises on policy optimisation: baselines, advantages and whitening."""

from __future__ import annotations

from collections.abc import Callable

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
        "1 is subtracted from the mean: it belongs to G, so write (sum - reward) / (G - 1)":
            lambda rewards: rewards
                - ((rewards.sum(1, keepdim=True) - rewards) / rewards.shape[1] - 1),
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
    keeps=True,
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


def _one_later(values: Tensor) -> Tensor:
    """(B, T) the column to the left of each, 0 in the first one."""
    return pad(values[:, :-1], (1, 0))


def _alike(rewards: Tensor, values: Tensor, mask: Tensor, lam: float, after: Tensor) -> Tensor:
    """(B, T) advantages with another value after each token."""
    deltas = torch.where(mask.bool(), rewards + after - values, 0.0)
    return torch.where(mask.bool(), _summed(deltas, lam), 0.0)


def _from_left(rewards: Tensor, values: Tensor, mask: Tensor, lam: float) -> Tensor:
    """(B, T) with the columns walked from the first to the last."""
    deltas = torch.where(mask.bool(), rewards + _one_later(values * mask) - values, 0.0)
    return _summed(deltas.flip(1), lam).flip(1) * mask


def _discounted(decay: Callable[[float], float]) -> Callable[..., Tensor]:
    """0.99 of the value after, and `decay(lam)` a token of later jumps."""
    return lambda rewards, values, mask, lam: _alike(
        rewards, values, mask, decay(lam), 0.99 * pad((values * mask)[:, 1:], (0, 1)))  # fmt: skip


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
        "columns outside the mask are not 0: set the running advantage to 0 there":
            lambda rewards, values, mask, lam: _summed(
                rewards + pad((values * mask)[:, 1:], (0, 1)) - values * mask, lam),
        "the jump in column k counts lambda^k: it is lambda^(k - t), as seen from token t":
            lambda rewards, values, mask, lam: mask * _summed(
                _deltas(rewards, values, mask) * float(lam) ** torch.arange(mask.shape[1]), 1.0),
        "lambda is multiplied by 0.99: gamma is 1 here": lambda rewards, values, mask, lam:
            _lambda_advantages(rewards, values, mask, 0.99 * lam),
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
        "column t is read as the value after token t: it is the one before, and that after is in "
        "column t + 1":
            lambda rewards, values, mask, lam: _alike(
                rewards, _one_later(values * mask), mask, lam, values * mask),
        "after the last column its own value is taken again: nothing comes, so it is 0":
            lambda rewards, values, mask, lam: _alike(
                rewards, values, mask, lam,
                torch.cat([(values * mask)[:, 1:], (values * mask)[:, -1:]], 1)),
        "the value after is discounted by 0.99: gamma is 1 here": _discounted(lambda lam: lam),
        "the value after and later jumps are discounted by 0.99: gamma is 1 here":
            _discounted(lambda lam: 0.99 * lam),
        "the columns are walked from the first to the last: later jumps are wanted, so begin at "
        "the end": _from_left,
        "the columns are walked from the first to the last, and then turned: begin at the end":
            lambda *given: _from_left(*given).flip(1),
        "the value is subtracted at the end only (or lambda multiplies the value after): each "
        "delta has one of its own":
            lambda rewards, values, mask, lam: (_summed(rewards * mask, lam) - values) * mask,
    },
    keeps=True,
)  # fmt: skip


def _whitened(values: Tensor, mask: Tensor, correction: int = 1, tiny: float = 1e-8) -> Tensor:
    """(B, T) of mean 0 and variance 1 over the mask, 0 outside."""
    inside = values[mask.bool()]
    scaled = (values - inside.mean()) / (inside.var(correction=correction) + tiny).sqrt()
    return torch.where(mask.bool(), scaled, 0.0)


def _masked_rows(seed: int) -> tuple[Tensor, Tensor]:
    values = 3 * torch.randn(3, 5, generator=drawn(seed)) + 2
    return values, torch.tensor([[0, 1, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 1, 0]])


_NAN = (torch.tensor([[1.0, 3.0, torch.nan]]), torch.tensor([[1, 1, 0]]))
_EQUAL = (torch.tensor([[2.0, 2.0, 2.0, 5.0]]), torch.tensor([[1, 1, 1, 0]]))


def _scaled(shift: float, power: float, tiny: float = 1e-8) -> Callable[..., Tensor]:
    """Values less `shift` times their mean, over their deviation to a power."""

    def white(values: Tensor, mask: Tensor) -> Tensor:
        inside = values[mask.bool()]
        moved = values - shift * inside.mean()
        return torch.where(mask.bool(), moved / (inside.var() + tiny) ** (power / 2), 0.0)

    return white


def _over_all(values: Tensor, mask: Tensor, tiny: float = 1e-8) -> Tensor:
    """Whitened by a variance whose sum over real tokens is divided by the number of columns."""
    moved = torch.where(mask.bool(), values - values[mask.bool()].mean(), 0.0)
    return moved / (moved.square().mean() + tiny).sqrt()


def _rough(tiny: float, note: str = "") -> dict[str, Callable[..., Tensor]]:
    """Mistakes that one makes with a tiny number under the root, or without."""
    return {text + note: wrong for text, wrong in {
        "columns outside the mask are not 0": lambda values, mask:
            (values - values[mask == 1].mean()) / (values[mask == 1].var() + tiny).sqrt(),
        "it is divided by the variance: divide by its square root": _scaled(1, 2, tiny),
        "the mean is not subtracted": _scaled(0, 1, tiny),
        "the variance is divided by all columns: count the real tokens alone":
            lambda values, mask: _over_all(values, mask, tiny),
        "the variance is the population's: use var with Bessel's correction, torch's default":
            lambda values, mask: _whitened(values, mask, 0, tiny),
    }.items()}  # fmt: skip


whitened = Exercise(
    "whitened",
    _whitened,
    (_masked_rows(34), _masked_rows(35), _NAN, _EQUAL),
    {
        "padding counts: mean and variance are those of real tokens alone":
            lambda values, mask:
                torch.where(mask.bool(), _whitened(values, torch.ones_like(mask)), 0.0),
        "padding counts as zeros: mean and variance are those of real tokens alone":
            lambda values, mask: torch.where(
                mask.bool(), _whitened(values.where(mask > 0, 0.0), torch.ones_like(mask)), 0.0),
        "padding counts, and is cut off too late: take mean and variance of real tokens alone":
            lambda values, mask: _whitened(values, torch.ones_like(mask)) * mask,
        "padding counts as zeros, and ends above or below 0: take the real tokens alone":
            lambda values, mask: _whitened(values * mask, torch.ones_like(mask)),
        **_rough(1e-8),
        "it is not divided by the deviation": _scaled(1, 0),
        "the mean is added back: it is 0 afterwards": lambda values, mask: torch.where(
            mask > 0, _whitened(values, mask) + values[mask > 0].mean(), 0.0),
        "padding that is nan stays nan, since 0 times nan is nan: set it to 0 with torch.where":
            lambda values, mask: (values - values[mask == 1].mean())
                / (values[mask == 1].var() + 1e-8).sqrt() * mask,
        "equal values are 0 / 0, which is nan: add a tiny number such as 1e-8 under the root":
            lambda values, mask: _whitened(values, mask, tiny=0.0),
        "equal values and padding may give nan: add a tiny number under the root, use torch.where":
            lambda values, mask: (values - values[mask == 1].mean())
                / values[mask == 1].std() * mask,
        "each row has a mean and a deviation of its own: they are the whole rollout's":
            lambda values, mask:
                torch.cat([_whitened(v[None], m[None]) for v, m in zip(values, mask, strict=True)]),
        **_rough(0.0, " (and nothing tiny stands under the root, so equal values give nan)"),
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
