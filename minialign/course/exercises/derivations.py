"""Exercises whose answer is derived on paper: noise, low rank, best margins, undone swaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from minialign.course.exercises.compare import Exercise, drawn


def _noise(uniform: Tensor, mask: Tensor, scale: Tensor | float) -> Tensor:
    """(B, T, d) uniform numbers times a (B,) scale, 0 at padding."""
    return uniform * torch.as_tensor(scale).view(-1, 1, 1) * mask[..., None]


def _neftune_noise(uniform: Tensor, mask: Tensor, alpha: float) -> Tensor:
    """(B, T, d) alpha / sqrt(L d) times uniform numbers, L real tokens in the row, d columns.

    Jain et al. 2023 (NEFTune), arXiv:2310.05914, algorithm 1.
    """
    return _noise(uniform, mask, alpha / (mask.sum(1) * uniform.shape[2]).sqrt())


def _uniform(seed: int, *shape: int) -> Tensor:
    return 2 * torch.rand(shape, generator=drawn(seed)) - 1


neftune_noise = Exercise(
    "neftune_noise",
    _neftune_noise,
    (
        (
            _uniform(10, 3, 5, 4),
            torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]),
            5.0,
        ),
        (_uniform(11, 2, 4, 3), torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]]), 10.0),
    ),
    {
        "L is the width with padding: count the row's real tokens, attention_mask.sum(1)":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, alpha / (mask.shape[1] * uniform.shape[2]) ** 0.5),
        "L is the width with padding, and padding gets noise: use the attention mask for both":
            lambda uniform, mask, alpha:
                uniform * alpha / (mask.shape[1] * uniform.shape[2]) ** 0.5,
        "the root is missing: divide by the square root of L d":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, alpha / (mask.sum(1) * uniform.shape[2])),
        "** 1 / 2 raises to the power of 1 and halves: write ** 0.5, or sqrt()":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, 2 * alpha / (mask.sum(1) * uniform.shape[2])),
        "d is missing: the root is of L d, so that the length of the noise is like alpha":
            lambda uniform, mask, alpha: _noise(uniform, mask, alpha / mask.sum(1).sqrt()),
        "L is missing: the root is of L d, so a long row gets less noise at each token":
            lambda uniform, mask, alpha: _noise(uniform, mask, alpha / uniform.shape[2] ** 0.5),
        "alpha is missing: multiply by it": lambda uniform, mask, alpha:
            _neftune_noise(uniform, mask, 1.0),
        "alpha is under the root: divide alpha by the square root of L d":
            lambda uniform, mask, alpha: _neftune_noise(uniform, mask, alpha**0.5),
        "padding gets noise: multiply by the attention mask": lambda uniform, mask, alpha:
            uniform * alpha / (mask.sum(1) * uniform.shape[2]).sqrt()[:, None, None],
        "L is the number of real tokens in the whole batch: count each row's own, sum(1)":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, alpha / (mask.sum() * uniform.shape[2]).sqrt()),
        "L is the number of real tokens in the whole batch, and padding gets noise: count each "
        "row's own, sum(1), and multiply by the attention mask": lambda uniform, mask, alpha:
            uniform * alpha / (mask.sum() * uniform.shape[2]).sqrt(),
        "L is the mean over the rows: count each row's own real tokens, sum(1)":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, alpha / (mask.sum() / len(mask) * uniform.shape[2]).sqrt()),
        "the root is missing and padding gets noise: divide by sqrt(L d), and use the mask":
            lambda uniform, mask, alpha:
                uniform * alpha / (mask.sum(1) * uniform.shape[2])[:, None, None],
        "uniform is in [-1, 1] already: multiply it as it is":
            lambda uniform, mask, alpha: _neftune_noise(2 * uniform - 1, mask, alpha),
        "L d is missing: divide alpha by the square root of L d":
            lambda uniform, mask, alpha: _noise(uniform, mask, alpha),
        "the scale is upside down: alpha is divided by the root of L d, not multiplied":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, alpha * (mask.sum(1) * uniform.shape[2]).sqrt()),
        "only one of L and d is under the root: take the square root of their product":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, alpha / (mask.sum(1).sqrt() * uniform.shape[2])),
        "the noise is not scaled: multiply by alpha / sqrt(L d)":
            lambda uniform, mask, alpha: _noise(uniform, mask, 1.0),
    },
)  # fmt: skip


def _low_rank(update: Tensor, r: int, power: float = 1.0, last: bool = False) -> Tensor:
    """(d_out, d_in) the sum of the update's r largest singular triples, or of the r last ones."""
    left, size, right = torch.linalg.svd(update, full_matrices=False)
    kept = slice(-r, None) if last else slice(None, r)
    return left[:, kept] * size[kept] ** power @ right[kept]


def _best_low_rank(update: Tensor, r: int) -> Tensor:
    """(d_out, d_in) the matrix of rank r that is nearest to the update, by the sum of squares.

    Eckart and Young 1936, "The approximation of one matrix by another of lower rank".
    """
    return _low_rank(update, r)


def _update(seed: int, d_out: int, d_in: int, r: int) -> tuple[Tensor, int]:
    return torch.randn(d_out, d_in, generator=drawn(seed)), r


def _only_largest(update: Tensor, r: int) -> Tensor:
    """(d_out, d_in) the r largest entries, 0 elsewhere."""
    least = update.abs().flatten().topk(r).values[-1]
    return torch.where(update.abs() >= least, update, 0.0)


best_low_rank = Exercise(
    "best_low_rank",
    _best_low_rank,
    (_update(12, 5, 7, 2), _update(13, 6, 6, 3), _update(14, 8, 4, 1)),
    {
        "the r smallest singular values are kept: svd sorts them from the largest down":
            lambda update, r: _low_rank(update, r, last=True),
        "the singular values are left out: scale each column of U by its own":
            lambda update, r: _low_rank(update, r, power=0.0),
        "the singular values come twice: once on U or once on V is enough":
            lambda update, r: _low_rank(update, r, power=2.0),
        "the square roots of the singular values come once: put one on U and one on V":
            lambda update, r: _low_rank(update, r, power=0.5),
        "only the first r columns of the update are kept, which is no nearest matrix: use svd":
            lambda update, r: torch.cat([update[:, :r], 0 * update[:, r:]], 1),
        "only the first r rows of the update are kept, which is no nearest matrix: use svd":
            lambda update, r: torch.cat([update[:r], 0 * update[r:]]),
        "the r largest entries are kept: rank counts independent rows, not entries; use svd":
            _only_largest,
        "its rank is r + 1: keep the first r singular values, [:r]":
            lambda update, r: _low_rank(update, r + 1),
        "its rank is r - 1: keep the first r singular values, [:r]":
            lambda update, r: _low_rank(update, r - 1),
        "only the singular triple number r is kept: keep the first r, [:r]":
            lambda update, r: _low_rank(update, r) - _low_rank(update, r - 1),
        "it is what is left out: return the part that is kept":
            lambda update, r: update - _low_rank(update, r),
        "the whole update is returned: keep the first r singular values alone":
            lambda update, r: update,
    },
)  # fmt: skip


def _best_margins(
    chance: Tensor, beta: float, *, scale: float = 1.0, root: float = 0.5, sure: float = 1.0
) -> Tensor:
    """(2, N) margins of least expected loss, of DPO and of IPO; the settings make mistakes."""
    of_ipo = (2 * chance - 1) * root / beta
    return torch.stack([torch.logit(chance) / beta * scale, of_ipo * sure])


def _with(**other: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, float], Tensor]:
    """Margins of which the row of `dpo` or of `ipo` is computed in another way."""

    def margins(chance: Tensor, beta: float) -> Tensor:
        right = zip(("dpo", "ipo"), _best_margins(chance, beta), strict=True)
        return torch.stack([other[k](chance, beta) if k in other else row for k, row in right])

    return margins


def _bounded(cases: Sequence[tuple], mine: Sequence[Tensor], right: Sequence[Tensor]) -> str | None:
    """Whether an answer is wrong only where the right one is infinite."""
    finite = [r.isfinite() for r in right]
    if all(torch.allclose(a[f], r[f]) for a, r, f in zip(mine, right, finite, strict=True)):
        return (
            "right but for certain choices: at p = 1 DPO's margin is infinite, so no bound such as "
            "eps may stand in the log-odds"
        )
    return None


best_margins = Exercise(
    "best_margins",
    _best_margins,
    ((torch.tensor([0.5, 0.6, 0.75, 0.95, 1.0]), 0.5), (torch.tensor([0.2, 0.9]), 0.1)),
    {
        "the rows are exchanged, IPO's come first: stack DPO's margins, then IPO's":
            lambda chance, beta: _best_margins(chance, beta).flip(0),
        "IPO's is its target whatever the chance: a share of 1 - p of the choices pulls the margin "
        "to minus the target":
            _with(ipo=lambda chance, beta: torch.full_like(chance, 1 / (2 * beta))),
        "IPO's is p times its target: the other choices pull to minus the target, not to 0":
            _with(ipo=lambda chance, beta: chance / (2 * beta)),
        "IPO's are the log-odds, too: its mean is a parabola, and no logarithm comes in":
            _with(ipo=lambda chance, beta: torch.logit(chance) / beta),
        "IPO's are the log-odds over 2 beta: its mean is a parabola, and no logarithm comes in":
            _with(ipo=lambda chance, beta: torch.logit(chance) / (2 * beta)),
        "IPO's is 2 p - 1, and beta is left out: 2 p - 1 multiplies the target, 1 / (2 beta)":
            _with(ipo=lambda chance, beta: 2 * chance - 1),
        "DPO's is divided by 2 beta, which belongs to IPO's target: divide the log-odds by beta":
            lambda chance, beta: _best_margins(chance, beta, scale=0.5),
        "IPO's is twice too large: its target is 1 / (2 beta)":
            lambda chance, beta: _best_margins(chance, beta, root=1.0),
        "IPO's is half of what it should be: p times the target less 1 - p times it is (2 p - 1) "
        "times it": lambda chance, beta: _best_margins(chance, beta, root=0.25),
        "DPO's are leads, beta times the margin: divide by beta":
            lambda chance, beta: _best_margins(chance, beta, scale=beta),
        "both are leads, beta times the margin: divide by beta":
            lambda chance, beta: beta * _best_margins(chance, beta),
        "both are multiplied by beta: divide by it, a larger beta stays nearer":
            lambda chance, beta: beta**2 * _best_margins(chance, beta),
        "DPO's are the log-odds multiplied by beta: divide by beta":
            lambda chance, beta: _best_margins(chance, beta, scale=beta**2),
        "IPO's is multiplied by beta: its target is 1 / (2 beta), so divide by beta":
            lambda chance, beta: _best_margins(chance, beta, root=0.5 * beta**2),
        "DPO's is log p / beta: set the slope of both terms to 0, the odds p / (1 - p) come out":
            _with(dpo=lambda chance, beta: chance.log() / beta),
        "DPO's is p / beta: set the slope of the mean loss to 0, and the lead is log(p / (1 - p))":
            _with(dpo=lambda chance, beta: chance / beta),
        "DPO's are the odds: the lead is their logarithm, log(p / (1 - p))":
            _with(dpo=lambda chance, beta: chance / (1 - chance) / beta),
        "DPO's is a sigmoid, the chance of a lead: the lead of a chance is its inverse, "
        "log(p / (1 - p))": _with(dpo=lambda chance, beta: torch.sigmoid(chance) / beta),
        "DPO's is the sigmoid of beta p: a margin m gives the chance sigmoid(beta m), so solve "
        "that for m": _with(dpo=lambda chance, beta: torch.sigmoid(beta * chance)),
        "the sign is reversed: a reply that is chosen more often gets the larger logratio":
            lambda chance, beta: -_best_margins(chance, beta),
        "IPO's has the sign reversed": lambda chance, beta: _best_margins(chance, beta, sure=-1.0),
        "DPO's has the sign reversed: the likelier a reply is chosen, the larger its margin":
            lambda chance, beta: _best_margins(chance, beta, scale=-1.0),
    },
    tell=_bounded,
)  # fmt: skip


def _robust(margin: Tensor, beta: float, flip: float) -> Tensor:
    """(B,) a loss whose mean over swapped and kept labels is DPO's of the true one."""
    kept, swapped = -logsigmoid(beta * margin), -logsigmoid(-beta * margin)
    return ((1 - flip) * kept - flip * swapped) / (1 - 2 * flip)


def _smoothed(margin: Tensor, beta: float, flip: float) -> Tensor:
    """(B,) conservative DPO."""
    return -(1 - flip) * logsigmoid(beta * margin) - flip * logsigmoid(-beta * margin)


robust_loss = Exercise(
    "robust_loss",
    _robust,
    (
        (6 * torch.randn(6, generator=drawn(41)), 0.5, 0.2),
        (torch.tensor([-400.0, 0.0, 400.0]), 0.7, 0.35),
    ),
    {
        "it is the smoothed loss: its mean over swapped labels is smoothed twice and not the true "
        "loss; solve the two equations": _smoothed,
        "the smoothed loss is divided by 1 - 2 e: the second term has a minus":
            lambda margin, beta, flip: _smoothed(margin, beta, flip) / (1 - 2 * flip),
        "it is not divided by 1 - 2 e":
            lambda margin, beta, flip: _robust(margin, beta, flip) * (1 - 2 * flip),
        "it is divided by 1 - e: the determinant of the two equations is (1 - e)^2 - e^2 = 1 - 2 e":
            lambda margin, beta, flip: _robust(margin, beta, flip) * (1 - 2 * flip) / (1 - flip),
        "it is divided by (1 - e)^2: the determinant is (1 - e)^2 - e^2 = 1 - 2 e":
            lambda margin, beta, flip: _robust(margin, beta, flip) * (1 - 2 * flip)
            / (1 - flip) ** 2,
        "the margin is stretched by 1 / (1 - 2 e): that does not solve the two equations":
            lambda margin, beta, flip: _robust(margin / (1 - 2 * flip), beta, 0.0),
        "it is divided by (1 - 2 e)^2: the determinant is 1 - 2 e, so divide by it once":
            lambda margin, beta, flip: _robust(margin, beta, flip) / (1 - 2 * flip),
        "it is divided by (1 - e)^2 - e: the e is squared, too, (1 - e)^2 - e^2 = 1 - 2 e":
            lambda margin, beta, flip: _robust(margin, beta, flip) * (1 - 2 * flip)
            / ((1 - flip) ** 2 - flip),
        "the loss as it is noted has a factor of 1, where it is 1 - e: multiply the first equation "
        "by 1 - e before subtracting": lambda margin, beta, flip: (
            _robust(margin, beta, 0.0) - flip * _robust(-margin, beta, 0.0)) / (1 - 2 * flip),
        "1 - 2 e stands inside of the sigmoid, where it shrinks the margin: the solution is a "
        "difference of two losses, divided by 1 - 2 e": lambda margin, beta, flip:
            _robust((1 - 2 * flip) * margin, beta, 0.0),
        "the shares are exchanged: 1 - e belongs to the label as it is noted":
            lambda margin, beta, flip: _robust(-margin, beta, flip),
        "e and 1 - e are exchanged: the loss as it is noted has 1 - e, the other one e":
            lambda margin, beta, flip: -_robust(-margin, beta, flip),
        "it is (L(m) - e L(-m)) / (1 - e), as if the loss of a swapped label were DPO's: it is the "
        "other unknown; solve both equations": lambda margin, beta, flip: (
            _robust(margin, beta, 0.0) - flip * _robust(-margin, beta, 0.0)) / (1 - flip),
        "it is divided by (1 - e)^2 + e^2: the determinant is their difference, 1 - 2 e":
            lambda margin, beta, flip: _robust(margin, beta, flip) * (1 - 2 * flip)
            / ((1 - flip) ** 2 + flip**2),
        "it is cut off at 0: the loss may be negative, else its mean is not the true one":
            lambda margin, beta, flip: _robust(margin, beta, flip).clamp(min=0),
        "beta stands outside of the logarithm: it multiplies the margin":
            lambda margin, beta, flip: beta * _robust(margin, 1.0, flip),
        "it is DPO's loss of the noted labels": lambda margin, beta, flip:
            _robust(margin, beta, 0.0),
        "beta is left out: it multiplies the margin": lambda margin, beta, flip:
            _robust(margin, 1.0, flip),
        "it divides by beta: the lead is beta times the margin": lambda margin, beta, flip:
            _robust(margin, 1 / beta, flip),
        "log(sigmoid(x)) is -inf for far margins: use logsigmoid": lambda margin, beta, flip: -(
            (1 - flip) * torch.sigmoid(beta * margin).log()
            - flip * torch.sigmoid(-beta * margin).log()
        ) / (1 - 2 * flip),
        "it is a mean over the batch, where one number per pair is asked for":
            lambda margin, beta, flip: _robust(margin, beta, flip).mean().expand(len(margin)),
        "the sign is reversed: minimising it would make the rejected reply win":
            lambda margin, beta, flip: -_robust(margin, beta, flip),
    },
)  # fmt: skip
