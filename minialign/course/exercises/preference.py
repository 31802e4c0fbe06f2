"""Exercises on preferences: a reward model's loss, comparisons, DPO's relatives."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from minialign.algorithms import reward_model
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
    trains=True,
)  # fmt: skip


def last_column(attention_mask: Tensor) -> Tensor:
    """(B,) column of each row's last real token."""
    return attention_mask.shape[1] - 1 - attention_mask.flip(1).argmax(1)


def _slope(leads: Tensor, doublings: Tensor) -> Tensor:
    """() lead per doubling: least squares through the origin."""
    return (leads * doublings).sum() / doublings.square().sum()


def _length_free(leads: Tensor, doublings: Tensor) -> Tensor:
    """(N,) what is left of the leads when length is worth nothing."""
    return leads - _slope(leads, doublings) * doublings


def _centred(values: Tensor) -> Tensor:
    return values - values.mean()


def _correlation(leads: Tensor, doublings: Tensor) -> Tensor:
    return torch.corrcoef(torch.stack([leads, doublings]))[0, 1]


def _with_constant(leads: Tensor, doublings: Tensor, *, kept: bool = False) -> Tensor:
    """(N,) the leads less a line with a constant, or less its slope alone."""
    slope = _slope(_centred(leads), _centred(doublings))
    left = leads - slope * doublings
    return left if kept else _centred(left)


def _leads(seed: int, number: int, slope: float) -> tuple[Tensor, Tensor]:
    """Leads that grow with length, and whose means are not 0."""
    generator = drawn(seed)
    doublings = torch.randn(number, generator=generator) + 0.4
    return slope * doublings + torch.randn(number, generator=generator) + 0.5, doublings


length_free = Exercise(
    "length_free",
    _length_free,
    (_leads(22, 6, 0.8), _leads(23, 9, -3.0)),
    {
        "the slope is a ratio of deviations: least squares has the sum of products above":
            lambda leads, doublings: leads - leads.std() / doublings.std() * doublings,
        "a constant is fitted, too: the order within a pair is random, so no length difference "
        "means no lead; fit through the origin": _with_constant,
        "the slope is that of a line with a constant: through the origin it is sum(leads * "
        "doublings) / sum(doublings ** 2)": lambda *given: _with_constant(*given, kept=True),
        "the sign is reversed: subtract what length is worth":
            lambda leads, doublings: leads + _slope(leads, doublings) * doublings,
        "it subtracts the correlation times the doublings: the slope has units, leads per doubling":
            lambda leads, doublings: leads - _correlation(leads, doublings) * doublings,
        "it subtracts the cosine times the doublings: divide sum(leads * doublings) by "
        "sum(doublings ** 2)": lambda leads, doublings:
            leads - torch.cosine_similarity(leads, doublings, 0) * doublings,
        "the regression is the wrong way round: leads are explained by doublings, so divide by "
        "sum(doublings ** 2)":
            lambda leads, doublings: leads - _slope(doublings, leads) * doublings,
        "the slope is one over the one of the opposite regression: divide sum(leads * doublings) "
        "by sum(doublings ** 2)":
            lambda leads, doublings: leads - doublings / _slope(doublings, leads),
        "it is a lead per doubling of each pair: subtract one slope times the doublings":
            lambda leads, doublings: leads / doublings,
        "it is what length is worth: subtract it from the leads":
            lambda leads, doublings: _slope(leads, doublings) * doublings,
        "the slope is returned: subtract it times the doublings from the leads":
            lambda leads, doublings: _slope(leads, doublings).expand(len(leads)),
        "the slope is the mean of leads / doublings, in which pairs of like length weigh most":
            lambda leads, doublings: leads - (leads / doublings).mean() * doublings,
        "the slope is the mean lead over the mean doubling: least squares weighs each pair by its "
        "doublings": lambda leads, doublings: leads - leads.mean() / doublings.mean() * doublings,
        "sum(leads * doublings) is not divided by sum(doublings ** 2)":
            lambda leads, doublings: leads - (leads * doublings).sum() * doublings,
        "it is divided by the number of pairs: divide by sum(doublings ** 2)":
            lambda leads, doublings: leads - (leads * doublings).mean() * doublings,
        "it is divided by sum(doublings), the square is missing: divide by sum(doublings ** 2)":
            lambda leads, doublings:
                leads - (leads * doublings).sum() / doublings.sum() * doublings,
        "the slope is a ratio of sizes, without signs: least squares has the sum of products above":
            lambda leads, doublings: leads - leads.abs().sum() / doublings.abs().sum() * doublings,
        "the slope itself is subtracted: subtract it times the doublings":
            lambda leads, doublings: leads - _slope(leads, doublings),
        "the doublings are subtracted as they are: multiply them by the fitted slope":
            lambda leads, doublings: leads - doublings,
    },
)  # fmt: skip


def _strengths(wins: Tensor, rounds: int = 300, *, games: Tensor | None = None) -> Tensor:
    """(K,) maximum-likelihood strengths, up to a factor; `games` other than all are a mistake.

    The MM algorithm of Hunter 2004, Annals of Statistics 32, 384-406: wins of i over the sum over j
    of games(i, j) / (p_i + p_j).
    """
    wins = wins.double()
    games = wins + wins.T if games is None else games.double()
    strengths = wins.new_ones(len(wins))
    for _ in range(rounds):
        strengths = wins.sum(1) / (games / (strengths[:, None] + strengths)).sum(1)
        strengths = strengths / strengths.log().mean().exp()
    return strengths


def _fitted_scores(wins: Tensor) -> Tensor:
    """(K,) scores with mean 0 whose differences are log-odds. Bradley and Terry 1952."""
    return _centred(_strengths(wins).log())


def _shares(wins: Tensor) -> Tensor:
    """(K,) share of its games that each has won."""
    return wins.sum(1) / (wins + wins.T).sum(1)


def _affine(mine: Tensor, values: Tensor) -> bool:
    """Whether numbers are others, scaled and shifted."""
    if not mine.isfinite().all():
        return False
    columns = torch.stack([values, torch.ones_like(values)], 1).double()
    left = mine - columns @ torch.linalg.lstsq(columns, mine).solution
    return bool(left.abs().max() < 1e-2 * mine.std())


def _shifted(cases: Sequence[tuple], mine: Sequence[Tensor], right: Sequence[Tensor]) -> str | None:
    """What an answer is but for a shift and a scale, or whether it is near."""
    if all((a - b).std() < 1e-2 for a, b in zip(mine, right, strict=True)):
        return "right but for a constant: subtract the mean"
    if all(map(_affine, mine, right)):
        return "right but for their scale: differences must be log-odds, and the mean 0"
    if all(_affine(a, _shares(*case)) for a, case in zip(mine, cases, strict=True)):
        return (
            "these are shares of wins, shifted or scaled, which depend on who was met: fit scores "
            "to every pair"
        )
    if all(torch.allclose(a, b, atol=0.5) for a, b in zip(mine, right, strict=True)):
        return (
            "near, but not the maximum of the likelihood: did it stop before nothing changed, or "
            "is something else in it, such as a penalty or a mean over pairs?"
        )
    return None


# Strong and weak schedules, two that never met, and one pair that met far more often than others.
_TABLES = (
    torch.tensor([
        [0.0, 9.0, 6.0, 3.0],
        [3.0, 0.0, 30.0, 0.0],
        [1.0, 10.0, 0.0, 5.0],
        [1.0, 0.0, 4.0, 0.0],
    ]),
    torch.tensor([[0.0, 12.0, 1.0], [28.0, 0.0, 2.0], [1.0, 3.0, 0.0]]),
)  # fmt: skip


def _pair_log_odds(wins: Tensor) -> Tensor:
    """(K,) mean over the opponents of log(wins / losses), half a game added to both."""
    return ((wins + 0.5) / (wins.T + 0.5)).log().sum(1) / len(wins)


fitted_scores = Exercise(
    "fitted_scores",
    _fitted_scores,
    tuple((table,) for table in _TABLES),
    {
        "these are shares of wins, which depend on who was met: fit scores to every pair": _shares,
        "these are the log-odds of each one's share of wins, which depend on who was met: fit all "
        "scores together": lambda wins: torch.logit(_shares(wins)),
        "these are the log-odds of each one's share of wins, centred: a win over a strong one must "
        "count more; fit all scores together": lambda wins: _centred(torch.logit(_shares(wins))),
        "the table is read the other way round: wins[i, j] is how often i beat j":
            lambda wins: _fitted_scores(wins.T),
        "these are strengths, exp(score): take the logarithm, then subtract the mean":
            lambda wins: _strengths(wins),
        "these are strengths that add up to 1: take the logarithm, then subtract the mean":
            lambda wins: _strengths(wins) / _strengths(wins).sum(),
        "the strengths add up to 1, so their logarithms are all below 0: subtract the mean":
            lambda wins: _strengths(wins).log() - _strengths(wins).sum().log(),
        "the first is 0: subtract the mean": lambda wins:
            _fitted_scores(wins) - _fitted_scores(wins)[0],
        "the last is 0: subtract the mean": lambda wins:
            _fitted_scores(wins) - _fitted_scores(wins)[-1],
        "the lowest is 0: subtract the mean": lambda wins:
            _fitted_scores(wins) - _fitted_scores(wins).min(),
        "these are logarithms to base 10: take natural ones, so that differences are log-odds":
            lambda wins: _fitted_scores(wins) / math.log(10),
        "these are Elo points, 400 for odds of 10 to 1: multiply by log(10) / 400":
            lambda wins: _fitted_scores(wins) * 400 / math.log(10),
        "it is one step from equal strengths, the logarithm of each one's share of wins: repeat "
        "until nothing changes":
            lambda wins: _centred(_strengths(wins, 1).log()),
        "all are 0: the sum over j holds all games of i and j, not the wins of i alone; or the "
        "loop never ran": lambda wins: 0 * wins.sum(1),
        "these are strengths, exp(score), less their mean: take the logarithm first":
            lambda wins: _centred(_strengths(wins)),
        "games were added to those that were played: no prior was asked for":
            lambda wins: _fitted_scores(wins + 0.5 * (1 - torch.eye(len(wins), dtype=wins.dtype))),
        "these are mean log-odds of each pair, but some met more often than others, or never: fit "
        "scores to all wins together":
            lambda wins: _centred(((wins + 1) / (wins.T + 1)).log().mean(1)),
        "these are logarithms of numbers of wins, centred: fit scores to every pair":
            lambda wins: _centred(wins.sum(1).log()),
        "the sum over j holds the losses of i alone: it holds all games of i and j, won and lost":
            lambda wins: _centred(_strengths(wins, games=wins.T).log()),
        "these are wins less losses: fit scores whose differences are log-odds":
            lambda wins: wins.sum(1) - wins.sum(0),
        "these are numbers of wins: fit scores whose differences are log-odds":
            lambda wins: wins.sum(1),
        "these are means of each pair's own log-odds: a pair that met often must count more":
            _pair_log_odds,
    },
    atol=1e-2,
    tell=_shifted,
)  # fmt: skip


def _best_margins(
    chance: Tensor, beta: float, *, scale: float = 1.0, root: float = 0.5, sure: float = 1.0
) -> Tensor:
    """(2, N) margins of least expected loss, of DPO and of IPO; the settings make mistakes."""
    of_ipo = (2 * chance - 1) * root / beta
    return torch.stack([torch.logit(chance) / beta * scale, of_ipo * sure])


best_margins = Exercise(
    "best_margins",
    _best_margins,
    ((torch.tensor([0.5, 0.6, 0.75, 0.95, 1.0]), 0.5), (torch.tensor([0.2, 0.9]), 0.1)),
    {
        "the rows are exchanged, IPO's come first: stack DPO's margins, then IPO's":
            lambda chance, beta: _best_margins(chance, beta).flip(0),
        "IPO's is its target whatever the chance: a share of 1 - p of the choices pulls the margin "
        "to minus the target": lambda chance, beta: torch.stack(
            [torch.logit(chance) / beta, torch.full_like(chance, 1 / (2 * beta))]
        ),
        "IPO's is p times its target: the other choices pull to minus the target, not to 0":
            lambda chance, beta: torch.stack(
                [torch.logit(chance) / beta, chance / (2 * beta)]
            ),
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
            lambda chance, beta: torch.stack(
                [chance.log() / beta, _best_margins(chance, beta)[1]]
            ),
        "the sign is reversed: a reply that is chosen more often gets the larger logratio":
            lambda chance, beta: -_best_margins(chance, beta),
        "IPO's has the sign reversed": lambda chance, beta: _best_margins(chance, beta, sure=-1.0),
    },
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
        "the shares are exchanged: 1 - e belongs to the label as it is noted":
            lambda margin, beta, flip: _robust(-margin, beta, flip),
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
    trains=True,
)  # fmt: skip
