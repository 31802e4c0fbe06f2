"""Exercises on policies with a critic: generalised advantages, and their whitening."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import pad

from minialign.course.exercises.compare import Exercise, drawn


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
        "lambda comes once too often: the token's own jump counts lambda^0, which is 1":
            lambda *given: given[3] * _lambda_advantages(*given),
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
        "the values are exchanged: the jump is the value after less the one before":
            lambda rewards, values, mask, lam: _summed(torch.where(
                mask.bool(), rewards + values - pad((values * mask)[:, 1:], (0, 1)), 0.0), lam)
                * mask,
        "lambda and 1 - lambda are exchanged: a jump one token later counts lambda":
            lambda rewards, values, mask, lam: _lambda_advantages(rewards, values, mask, 1 - lam),
        "it is a running mean, (1 - lambda) delta + lambda next: the jumps are summed, the own one "
        "counts 1": lambda rewards, values, mask, lam:
            (1 - lam) * _lambda_advantages(rewards, values, mask, lam),
        "the values are one column off: column t is the value before token t, and not after it":
            lambda rewards, values, mask, lam: _lambda_advantages(
                rewards, pad((values * mask)[:, 1:], (0, 1)), mask, lam),
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
        "it is the flat vector of the real tokens: put it back into (B, T), 0 outside the mask":
            lambda values, mask: _whitened(values, mask, tiny=tiny)[mask.bool()],
    }.items()}  # fmt: skip


def _by_sums(
    values: Tensor, mask: Tensor, *, rows: bool = False, zeros: bool = False, less: int = 1,
    tiny: float = 1e-8,
) -> Tensor:  # fmt: skip
    """(B, T) whitened by masked sums; padding takes part, and where it is nan so is all else."""
    over, kept = 1 if rows else (0, 1), values * mask
    counted = torch.ones_like(mask) if zeros else mask
    number = counted.sum(over, keepdim=True)
    moved = kept - kept.sum(over, keepdim=True) / number
    variance = (moved * counted).square().sum(over, keepdim=True) / (number - less)
    return moved / (variance + tiny).sqrt()


_OF_ROWS = (
    "each row has a mean and a deviation of its own: take those of all tokens of the rollout "
    "together"
)
_OF_ZEROS = "padding counts as zeros: mean and variance are those of real tokens alone"
_OF_ALL = "the variance is the population's: use var with Bessel's correction, torch's default"
_TINY = "equal values are 0 / 0, which is nan: add a tiny number such as 1e-8 under the root"
_NANS = {  # what padding that is nan does -> how it is set to 0
    "": lambda values, mask, white: torch.where(
        mask.bool(), white(values.where(mask.bool(), 0.0), mask), 0.0),
    "padding that is nan makes the sums nan, since 0 times nan is nan: set it to 0 first, with "
    "torch.where": lambda values, mask, white: torch.where(mask.bool(), white(values, mask), 0.0),
    "padding that is nan makes all columns nan, since 0 times nan is nan: set it to 0 first, with "
    "torch.where": lambda values, mask, white: white(values, mask) * mask,
}  # fmt: skip


def _summed_up() -> dict[str, Callable[..., Tensor]]:
    """Mistakes that come together where whitening is written with masked sums."""
    found = {}
    for rows, zeros, population, (nans, cut), tiny in product(
        ("", _OF_ROWS), ("", _OF_ZEROS), ("", _OF_ALL), _NANS.items(), ("", _TINY)
    ):
        faults = [fault for fault in (rows, zeros, population, nans, tiny) if fault]
        if not faults or (zeros and tiny):  # equal values differ from zeros beside them
            continue
        white = partial(
            _by_sums,
            rows=bool(rows),
            zeros=bool(zeros),
            less=0 if population else 1,
            tiny=0.0 if tiny else 1e-8,
        )
        found["; besides, ".join(faults)] = partial(cut, white=white)
    return found


whitened = Exercise(
    "whitened",
    _whitened,
    (_masked_rows(34), _masked_rows(35), _NAN, _EQUAL),
    {
        "padding counts: mean and variance are those of real tokens alone":
            lambda values, mask:
                torch.where(mask.bool(), _whitened(values, torch.ones_like(mask)), 0.0),
        "padding counts, and is cut off too late: take mean and variance of real tokens alone":
            lambda values, mask: _whitened(values, torch.ones_like(mask)) * mask,
        "padding counts as zeros, and ends above or below 0: take the real tokens alone":
            lambda values, mask: _whitened(values * mask, torch.ones_like(mask)),
        "padding counts as zeros, and is above or below 0 at the end: take the real tokens alone":
            lambda values, mask: _by_sums(values.where(mask > 0, 0.0), mask, zeros=True),
        "padding counts, and each row has a mean and a deviation of its own: take those of all "
        "real tokens of the rollout together": lambda values, mask: torch.where(
            mask > 0, _by_sums(values, torch.ones_like(mask), rows=True), 0.0),
        "the mask is not used: mean and variance are those of its tokens, and 0 stands outside":
            lambda values, mask: (values - values.mean()) / values.std(),
        **_rough(1e-8),
        "it is not divided by the deviation": _scaled(1, 0),
        "values outside the mask are left as they were: set them to 0":
            lambda values, mask: torch.where(mask > 0, _whitened(values, mask), values),
        "the mean is added back: it is 0 afterwards": lambda values, mask: torch.where(
            mask > 0, _whitened(values, mask) + values[mask > 0].mean(), 0.0),
        "padding that is nan stays nan, since 0 times nan is nan: set it to 0 with torch.where":
            lambda values, mask: (values - values[mask == 1].mean())
                / (values[mask == 1].var() + 1e-8).sqrt() * mask,
        "equal values and padding may give nan: add a tiny number under the root, use torch.where":
            lambda values, mask: (values - values[mask == 1].mean())
                / values[mask == 1].std() * mask,
        **_summed_up(),
        **_rough(0.0, " (and nothing tiny stands under the root, so equal values give nan)"),
    },
    keeps=True,
)  # fmt: skip
