"""Exercises on preferences: a reward model's loss, comparisons, thumbs up and down."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from minialign.algorithms import reward_model
from minialign.course.exercises.compare import Exercise, drawn
from minialign.variants import unpaired

comparison_loss = Exercise(
    "comparison_loss",
    reward_model.bradley_terry,
    (tuple(3 * torch.randn(2, 5, generator=drawn(2))), torch.tensor([[-200.0], [0.0]]).unbind()),
    {
        "the sign is reversed: minimising it would make the rejected reply win":
            lambda chosen, rejected: reward_model.bradley_terry(rejected, chosen),
        "log(sigmoid(x)), or log(1 + exp(-x)), is infinite at margins far below 0: use logsigmoid":
            lambda chosen, rejected: -torch.log(torch.sigmoid(chosen - rejected)),
        "the minus is missing: the surprise is minus the logarithm, and is never below 0":
            lambda chosen, rejected: -reward_model.bradley_terry(chosen, rejected),
        "it is a probability: take minus its logarithm":
            lambda chosen, rejected: torch.sigmoid(chosen - rejected),
        "it is the chance of the other order: take minus the logarithm of the chosen one's":
            lambda chosen, rejected: torch.sigmoid(rejected - chosen),
        "it is the mean over the pairs: return one loss per pair, (B,)":
            lambda chosen, rejected: reward_model.bradley_terry(chosen, rejected).mean(),
        "the rejected score is left out: the chance depends on the difference of the two":
            lambda chosen, rejected: reward_model.bradley_terry(chosen, 0 * rejected),
        "the scores are judged one by one, chosen as right and rejected as wrong: only their "
        "difference comes in": lambda chosen, rejected:
            -logsigmoid(chosen) - logsigmoid(-rejected),
        "it is in bits, a logarithm to base 2: take the natural one, nats": lambda chosen, rejected:
            reward_model.bradley_terry(chosen, rejected) / math.log(2),
        "a small number is added to the probability, or bounds it, so a margin far below 0 has no "
        "slope: use logsigmoid":
            lambda chosen, rejected: -torch.sigmoid(chosen - rejected).clamp(min=1e-8).log(),
        "it is a hinge, which stops at a margin of 1: the surprise is minus logsigmoid":
            lambda chosen, rejected: (1 - chosen + rejected).clamp(min=0),
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
        "2 per doubling is subtracted, which the annotators were told: fit the slope to the leads":
            lambda leads, doublings: leads - 2 * doublings,
        "it is divided by the length of doublings: divide by its square, sum(doublings ** 2)":
            lambda leads, doublings:
                leads - (leads * doublings).sum() / doublings.norm() * doublings,
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
    if all(_affine(a, b.exp()) for a, b in zip(mine, right, strict=True)):
        return "these are strengths, exp(score), shifted or scaled: take the logarithm first"
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


def _kto(
    logratios: Tensor, liked: Tensor, mismatched: Tensor, beta: float, z: Tensor | None = None
) -> Tensor:
    """(B,) KTO's losses; a reference point of another kind is a mistake."""
    point = unpaired.mismatched_kl(mismatched) if z is None else z
    return unpaired.kto_loss(logratios, liked, point, beta=beta)


def _thumbs(seed: int, mismatched: list[float]) -> tuple[Tensor, Tensor, Tensor, float]:
    """Logratios of replies, which were liked, and logratios of mismatched replies."""
    liked = torch.tensor([True, False, False, True, False])
    return 5 * torch.randn(5, generator=drawn(seed)) + 2, liked, torch.tensor(mismatched), 0.3


kto_losses = Exercise(
    "kto_losses",
    _kto,
    (_thumbs(43, [3.0, -1.0, 2.0, -0.5, 1.5]), _thumbs(44, [-3.0, 1.0, -2.0, 0.5, -1.0])),
    {
        "the reference point may fall below 0: clamp it there":
            lambda u, liked, other, beta: _kto(u, liked, other, beta, other.mean()),
        "the reference point is clamped before the mean: take the mean first":
            lambda u, liked, other, beta: _kto(u, liked, other, beta, other.clamp(min=0).mean()),
        "the reference point is one per row, bounded without a mean: z is one number of the batch, "
        "so take the mean of the mismatched logratios, then the bound":
            lambda u, liked, other, beta: _kto(u, liked, other, beta, other.clamp(min=0)),
        "the reference point is each row's own mismatched logratio: z is one number of the batch, "
        "so take their mean, then the bound":
            lambda u, liked, other, beta: _kto(u, liked, other, beta, other),
        "the reference point is a sum over the mismatched logratios: take their mean":
            lambda u, liked, other, beta: _kto(u, liked, other, beta, other.sum().clamp(min=0)),
        "the reference point is the size of the mean: below 0 it must be 0":
            lambda u, liked, other, beta: _kto(u, liked, other, beta, other.mean().abs()),
        "the reference point is added where a reply was disliked: it is z - u there":
            lambda u, liked, other, beta: torch.where(
                liked, _kto(u, liked, other, beta),
                _kto(u, liked, other, beta, -unpaired.mismatched_kl(other)),
            ),
        "the reference point is left out":
            lambda u, liked, other, beta: _kto(u, liked, other, beta, other.new_zeros(())),
        "the reference point is the mean of the replies' own logratios: it is that of the "
        "mismatched ones": lambda u, liked, other, beta: _kto(u, liked, u, beta),
        "the reference point is added: a reply must gain more than it":
            lambda u, liked, other, beta: _kto(
                u, liked, other, beta, -unpaired.mismatched_kl(other)
            ),
        "beta multiplies the logratio alone: it multiplies the difference to the reference point":
            lambda u, liked, other, beta: _kto(beta * u, liked, other, 1.0),
        "beta is left out: it multiplies the difference": lambda u, liked, other, beta:
            _kto(u, liked, other, 1.0),
        "the direction is reversed: liked and disliked are exchanged, or these are values, of "
        "which the loss is 1 minus": lambda u, liked, other, beta: _kto(u, ~liked, other, beta),
        "it is minus the loss: minimising it would make liked replies less likely":
            lambda *given: -_kto(*given),
        "disliked replies have the sign of liked ones": lambda u, liked, other, beta:
            _kto(u, torch.ones_like(liked), other, beta),
        "it is minus the logarithm of the sigmoid, as in BCO: KTO takes 1 minus the sigmoid":
            lambda u, liked, other, beta: unpaired.bco_loss(
                u, liked, unpaired.mismatched_kl(other), beta=beta
            ),
        "it is a mean over the batch, where one number per reply is asked for":
            lambda u, liked, other, beta: _kto(u, liked, other, beta).mean().expand(len(u)),
    },
    trains=True,
    if_slopes="z is a constant: detach it",
)  # fmt: skip
