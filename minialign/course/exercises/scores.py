"""Exercises on scores: what a choice costs, how sure a lead is, what is best among n replies."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid

from minialign.course.exercises.compare import Exercise, drawn
from minialign.variants.reward_losses import plackett_luce


def _best_choice_loss(scores: Tensor) -> Tensor:
    """(B,) nats: minus the log chance that column 0 is picked out of all. Luce 1959."""
    return -log_softmax(scores, 1)[:, 0]


def _pairs(scores: Tensor) -> Tensor:
    """(B, K - 1) losses of Bradley and Terry of column 0 against each other one."""
    return -logsigmoid(scores[:, :1] - scores[:, 1:])


def _far_apart(_: object, mine: Sequence[Tensor], right: Sequence[Tensor]) -> str | None:
    """Whether an answer is right but for the case of far scores."""
    if not torch.allclose(mine[0], right[0], atol=1e-4):
        return None
    costs = [[f"{x:.4g}" for x in (case[1] + 0.0).tolist()] for case in (right, mine)]
    return (
        f"right, but not for scores 200 apart, which cost {' and '.join(costs[0])} and not "
        f"{' and '.join(costs[1])}: use log_softmax, which needs no clamp and no small number"
    )


_OVERFLOW = "exp(200) is more than float32 holds, so {}: use log_softmax, or logsumexp"

best_choice_loss = Exercise(
    "best_choice_loss",
    _best_choice_loss,
    (
        (2 * torch.randn(3, 4, generator=drawn(15)),),
        (torch.tensor([[200.0, 0.0, -200.0], [0.0, 200.0, -100.0]]),),
    ),
    {
        "the sign is reversed: minimising it would make the picked reply less likely":
            lambda scores: log_softmax(scores, 1)[:, 0],
        "the softmax is over the batch: the replies of one prompt stand in a row, dim=1":
            lambda scores: -log_softmax(scores, 0)[:, 0],
        "the softmax is over the batch: the replies of one prompt stand in a row, dim=1 (and take "
        "log_softmax)": lambda scores: -scores.softmax(0)[:, 0].log(),
        "it is a probability: take minus its logarithm": lambda scores: scores.softmax(1)[:, 0],
        "it is minus the probability: take minus its logarithm": lambda scores:
            -scores.softmax(1)[:, 0],
        "it is one minus the probability: take minus the logarithm of the probability":
            lambda scores: 1 - scores.softmax(1)[:, 0],
        "it is the sum of the losses of pairs, which are not independent: it was one choice among "
        "K, one softmax": lambda scores: _pairs(scores).sum(1),
        "it is the mean of the losses of pairs: it was one choice among K, one softmax":
            lambda scores: _pairs(scores).mean(1),
        "it is the loss of a whole ranking: of the replies that were not picked no order is known":
            plackett_luce,
        "the last column is taken for the picked one: it is column 0":
            lambda scores: -log_softmax(scores, 1)[:, -1],
        "the highest score is taken for the picked one: it is column 0, whatever it scores":
            lambda scores: -log_softmax(scores, 1).amax(1),
        "it is the mean over all replies: only the picked one, column 0, has a logarithm":
            lambda scores: -log_softmax(scores, 1).mean(1),
        "it is the sum over all replies: only the picked one, column 0, has a logarithm":
            lambda scores: -log_softmax(scores, 1).sum(1),
        "the score of the picked reply is missing: it is log of the sum of exp(score) minus it":
            lambda scores: scores.logsumexp(1),
        "the picked reply is missing from the sum below: it is one of the K":
            lambda scores: scores[:, 1:].logsumexp(1) - scores[:, 0],
        "it is the loss of one pair, with the last reply: all K are compared, in one softmax":
            lambda scores: _pairs(scores)[:, -1],
        "it is the loss of one pair, with the strongest other one: all K count, in one softmax":
            lambda scores: _pairs(scores).amax(1),
        "it is the loss of one pair, with the mean of the other scores: all K are compared, in one "
        "softmax": lambda scores: -logsigmoid(scores[:, 0] - scores[:, 1:].mean(1)),
        "the highest score stands in the place of the log of the sum of exponentials, to which all "
        "K add: logsumexp": lambda scores: scores.amax(1) - scores[:, 0],
        "the differences have the wrong sign: it is log of the sum of exp(score - picked score)":
            lambda scores: (scores[:, :1] - scores).logsumexp(1),
        "it is the mean over the batch, where one number per prompt is asked for":
            lambda scores: _best_choice_loss(scores).mean().expand(len(scores)),
        _OVERFLOW.format("exp(scores) / sum is nan"):
            lambda scores: -(scores.exp() / scores.exp().sum(1, keepdim=True))[:, 0].log(),
        _OVERFLOW.format("log(sum(exp(scores))) is inf"):
            lambda scores: scores.exp().sum(1).log() - scores[:, 0],
        "softmax(scores) is 0 for a reply 200 behind, and log(0) is -inf: use log_softmax":
            lambda scores: -scores.softmax(1)[:, 0].log(),
    },
    tell=_far_apart,
    trains=True,
)  # fmt: skip


def _root(leads: Tensor, wins: Tensor, *, brier: bool = False) -> tuple[Tensor, Tensor]:
    """Slope 1 / T of the best sigmoid(lead / T), and its mean loss: Newton's method, bisected.

    The mean of -log P is convex in the slope; so its derivative has one root. That of the squared
    error is searched for in the same interval, where the cases have one minimum.
    """
    leads, wins = leads.double(), wins.double()
    low, high = leads.new_tensor(1e-3), leads.new_tensor(1e2)
    for _ in range(60):
        slope = (low * high).sqrt()
        chance = torch.sigmoid(slope * leads)
        weight = chance * (1 - chance) if brier else 1.0
        rising = (weight * (chance - wins) * leads).sum() > 0
        low, high = (low, slope) if rising else (slope, high)
    return slope, _surprise(slope, leads, wins)


def _surprise(slope: Tensor, leads: Tensor, wins: Tensor) -> Tensor:
    """() mean of -log P(outcome), where P(win) is sigmoid(slope * lead)."""
    return -logsigmoid(slope * leads * (2 * wins - 1)).mean()


def _fitted_temperature(leads: Tensor, wins: Tensor) -> Tensor:
    """() the T > 0 that minimises the mean of -log P(outcome) with P(win) = sigmoid(lead / T).

    Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    return 1 / _root(leads, wins)[0]


def _with_constant(leads: Tensor, wins: Tensor) -> Tensor:
    """() T of sigmoid(lead / T + c), by Newton's method."""
    columns = torch.stack([leads, torch.ones_like(leads)], 1).double()
    weights = columns.new_zeros(2)
    for _ in range(30):
        chance = torch.sigmoid(columns @ weights)
        hessian = columns.T @ ((chance * (1 - chance))[:, None] * columns)
        weights = weights - torch.linalg.solve(hessian, columns.T @ (chance - wins))
    return 1 / weights[0]


def _outcomes(seed: int, number: int, spread: float, temperature: float) -> tuple[Tensor, Tensor]:
    """Leads, and outcomes that a temperature makes."""
    generator = drawn(seed)
    leads = spread * torch.randn(number, generator=generator) + 0.3 * spread
    chances = torch.sigmoid(leads / temperature)
    return leads, (torch.rand(number, generator=generator) < chances).float()


def _search(cases: Sequence[tuple], mine: Sequence[Tensor], right: Sequence[Tensor]) -> str | None:
    """Whether a search stopped too early, or ran to its end."""
    if all(0.9 < a / b < 1.1 for a, b in zip(mine, right, strict=True)):
        pairs = (f"{a:.4g} where {b:.4g}" for a, b in zip(mine, right, strict=True))
        return f"near, but not within 1%: {', '.join(pairs)} is right; search longer, or finer"
    if torch.stack([*mine]).std() < 1e-3:
        return (
            f"it is {mine[0]:.4g} in every case: are the wins used, as they are and not exchanged, "
            "and not the sign of the leads? If so, the search ran to its end: look at the sign of "
            "the loss"
        )
    if not all(0 < a < torch.inf for a in mine):
        given = ", ".join(f"{a:.4g}" for a in mine)
        return (
            f"it is {given}: the search left T > 0, where the loss has no bottom; search for log "
            "T, or for b = 1 / T, in which the loss is convex"
        )
    i = max(range(len(mine)), key=lambda i: abs((mine[i] / right[i]).log()))  # farthest off
    at = [_surprise(1 / t, *cases[i]) for t in (mine[i], right[i])]
    return (
        f"the loss is {at[0]:.4g} at your T = {mine[i]:.4g}, and {at[1]:.4g} at T = {right[i]:.4g} "
        f"(case {i + 1}): is it the mean of -log P(outcome), for lost comparisons too, and did the "
        "search go on until nothing changes?"
    )


fitted_temperature = Exercise(
    "fitted_temperature",
    _fitted_temperature,
    (_outcomes(16, 60, 4.0, 2.5), _outcomes(17, 45, 1.0, 0.4)),
    {
        "it is 1 / T, the slope: P(win) is sigmoid(lead / T)": lambda *given: _root(*given)[0],
        "it is log T: take its exponential": lambda *given: _fitted_temperature(*given).log(),
        "the squared error is least there: minimise the mean of -log P(outcome)":
            lambda *given: 1 / _root(*given, brier=True)[0],
        "it is the standard deviation of the leads, which knows nothing of the outcomes":
            lambda leads, wins: leads.std(),
        "the sign is reversed: a lead makes a win likely, and T is above 0":
            lambda *given: -_fitted_temperature(*given),
        "it is the least loss: return the T at which the loss is least":
            lambda *given: _root(*given)[1],
        "a constant is fitted, too: sigmoid(lead / T) alone, so that no lead is a chance of 1/2":
            _with_constant,
        "it is 1 whatever the outcomes are: minimise over T": lambda leads, wins: 1.0,
        "only the wins are counted: a loss costs -log(1 - P(win))": lambda leads, wins:
            _fitted_temperature(leads[wins == 1], wins[wins == 1]),
        "it is the square of T: P(win) is sigmoid(lead / T)":
            lambda *given: _fitted_temperature(*given).square(),
        "it is the mean size of the leads, which knows nothing of the outcomes":
            lambda leads, wins: leads.abs().mean(),
        "the loss at T = 1 is returned: search for the T at which it is least":
            lambda leads, wins: _surprise(1.0, leads, wins),
    },
    rtol=1e-2,
    tell=_search,
)  # fmt: skip


def _weighted(order_by: Tensor, gold: Tensor, weights: list[float]) -> Tensor:
    """(P,) gold in ascending order of a (P, N) score, weighted by rank."""
    ranked = gold.gather(1, order_by.argsort(1))
    return (ranked * torch.tensor(weights)).sum(1)


def _chances(total: int, n: int) -> list[float]:
    """Chances that the best of n drawn without replacement has rank 1, 2, ... total."""
    return [comb(i - 1, n - 1) / comb(total, n) for i in range(1, total + 1)]


def _best_of_n_gold(proxy: Tensor, gold: Tensor, n: int) -> Tensor:
    """(P,) expected gold of the reply that the proxy likes best among n of N.

    The estimator of Nakano et al. 2021 (WebGPT), arXiv:2112.09332, appendix I.
    """
    return _weighted(proxy, gold, _chances(gold.shape[1], n))


def _replaced(proxy: Tensor, gold: Tensor, n: int) -> Tensor:
    """(P,) the same with replacement, where one reply may be drawn twice."""
    total = gold.shape[1]
    weights = [(i / total) ** n - ((i - 1) / total) ** n for i in range(1, total + 1)]
    return _weighted(proxy, gold, weights)


def _blocks(proxy: Tensor, gold: Tensor, n: int) -> Tensor:
    """(P,) mean over disjoint groups of n in the order in which they were sampled."""
    groups, golds = proxy.view(len(proxy), -1, n), gold.view(len(gold), -1, n)
    return golds.gather(-1, groups.argmax(-1, keepdim=True)).mean((1, 2))


def _windows(proxy: Tensor, gold: Tensor, n: int) -> Tensor:
    """(P,) mean over all runs of n neighbours in the order in which they were sampled."""
    groups, golds = proxy.unfold(1, n, 1), gold.unfold(1, n, 1)  # (P, N - n + 1, n)
    return golds.gather(-1, groups.argmax(-1, keepdim=True)).mean((1, 2))


def _judged(seed: int, prompts: int, total: int, n: int) -> tuple[Tensor, Tensor, int]:
    generator = drawn(seed)
    proxy = torch.randn(prompts, total, generator=generator)
    return proxy, 0.5 * proxy + 2 * torch.rand(prompts, total, generator=generator), n


def _random(_: object, mine: Sequence[Tensor], right: Sequence[Tensor]) -> str | None:
    """Whether an answer is near, as a mean over random draws is."""
    if not all(torch.allclose(a, b, atol=0.15) for a, b in zip(mine, right, strict=True)):
        return None
    return "near, as a mean over random draws is: count all choices instead, with math.comb"


best_of_n_gold = Exercise(
    "best_of_n_gold",
    _best_of_n_gold,
    (_judged(18, 3, 6, 3), _judged(19, 2, 5, 1), _judged(20, 2, 8, 2), _judged(21, 2, 4, 4)),
    {
        "only the first n replies are used: average over all choices of n out of the N":
            lambda proxy, gold, n: _best_of_n_gold(proxy[:, :n], gold[:, :n], n),
        "it is the best of all N: only n of them are drawn":
            lambda proxy, gold, n: gold.gather(1, proxy.argmax(1, keepdim=True))[:, 0],
        "n is not used, this is the mean gold: weigh ranks by the chance to be best among n":
            lambda proxy, gold, n: gold.mean(1),
        "one reply may be drawn twice: without replacement the chance of rank i is "
        "C(i - 1, n - 1) / C(N, n)": _replaced,
        "it is the worst of n: rank 1 is the lowest proxy, so sort in ascending order":
            lambda proxy, gold, n: _best_of_n_gold(-proxy, gold, n),
        "the ranks are those of gold, which nobody has when choosing: sort by the proxy":
            lambda proxy, gold, n: _best_of_n_gold(gold, gold, n),
        "it is the mean gold of the n best: one of n is kept, the best, and the n are drawn":
            lambda proxy, gold, n:
                gold.gather(1, proxy.argsort(1, descending=True)[:, :n]).mean(1),
        "the expected proxy is returned: take gold in the order of the proxy":
            lambda proxy, gold, n: _best_of_n_gold(proxy, proxy, n),
        "gold is not sorted by the proxy: its columns need the order of proxy.argsort(1)":
            lambda proxy, gold, n: (gold * torch.tensor(_chances(gold.shape[1], n))).sum(1),
        "it is the highest gold among the n that are drawn first: the proxy chooses, and all "
        "choices of n count": lambda proxy, gold, n: gold[:, :n].amax(1),
        "it is a mean over disjoint groups of n, one of many ways to draw: average over all "
        "C(N, n) choices": _blocks,
        "every prompt has the order of the first: gather takes each row's own proxy.argsort(1)":
            lambda proxy, gold, n: _best_of_n_gold(proxy[:1].expand_as(proxy), gold, n),
        "argsort(argsort) gives ranks, and gold wants the order: gather with one argsort":
            lambda proxy, gold, n: _weighted(proxy.argsort(1), gold, _chances(gold.shape[1], n)),
        "the binomials are C(i, n): the other n - 1 come from the i - 1 below, C(i - 1, n - 1)":
            lambda proxy, gold, n: _weighted(
                proxy, gold,
                [comb(i, n) / comb(gold.shape[1], n) for i in range(1, gold.shape[1] + 1)],
            ),
        "the binomials are C(i - 1, n): the other n - 1 come from the i - 1 below, C(i - 1, n - 1)":
            lambda proxy, gold, n: _weighted(
                proxy, gold,
                [comb(i, n) / comb(gold.shape[1], n) for i in range(gold.shape[1])],
            ),
        "they are divided by C(N, n - 1): the choices are C(N, n)":
            lambda proxy, gold, n: _weighted(
                proxy, gold,
                [comb(i, n - 1) / comb(gold.shape[1], n - 1) for i in range(gold.shape[1])],
            ),
        "they are divided by C(N - 1, n - 1), and do not sum to 1: the choices are C(N, n)":
            lambda proxy, gold, n:
                _best_of_n_gold(proxy, gold, n) * gold.shape[1] / n,
        "it is a mean over neighbours, n in a row as they were sampled: all C(N, n) choices count":
            _windows,
        "the ranks are counted from 0 and the binomials from 1: it is C(i - 1, n - 1) for rank i "
        "of 1 to N, so C(i, n - 1) for i of 0 to N - 1": lambda proxy, gold, n: _weighted(
            proxy, gold,
            [comb(i, n - 1) / comb(gold.shape[1], n) for i in range(1, gold.shape[1] + 1)],
        ),
        "it is the highest gold of all: the proxy chooses, among n of them":
            lambda proxy, gold, n: gold.amax(1),
        "the chances are not divided by C(N, n), the number of choices": lambda proxy, gold, n:
            _best_of_n_gold(proxy, gold, n) * comb(gold.shape[1], n),
    },
    tell=_random,
)  # fmt: skip
