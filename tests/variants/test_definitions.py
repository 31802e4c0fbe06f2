"""Losses that no other library here has, against their papers' formulas written out, value and
gradient, on random inputs: numbers in loops where the package has tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from minialign.variants.group_advantages import process_zscore
from minialign.variants.listwise import lipo_loss, plackett_luce_loss, rrhf_loss
from minialign.variants.policy import squared_ratio
from minialign.variants.preference import dpop_loss, rdpo_loss
from minialign.variants.ranks import RankLogprobs
from minialign.variants.reference_free import cpl_loss
from minialign.variants.reward_losses import plackett_luce

DRAWS = 30
ROUNDED = ("rdpo", "lipo_lambda")  # lengths and labels times a constant, in float32


def draws(seed: int = 0) -> Iterator[SimpleNamespace]:
    """Rankings of 2 to 5 completions, and a completion's tokens with what an objective reads."""
    generator = torch.Generator().manual_seed(seed)
    for i in range(DRAWS):
        k, tokens = 2 + i % 4, 1 + i % 5
        normal = torch.randn(6, 5, generator=generator).double()
        logprobs = (10 * normal[0, :k] - 20).requires_grad_()
        ranks = RankLogprobs(
            logprobs[None],
            (logprobs + (0.1, 1, 10)[i % 3] * normal[1, :k]).detach()[None],
            torch.randint(1, 20, (1, k), generator=generator),
        )
        yield SimpleNamespace(
            ranks=ranks, leaf=logprobs, k=k, tokens=(normal[2, :tokens] - 2).requires_grad_(),
            old=normal[3, :tokens] - 2, advantages=normal[4, :tokens],
        )  # fmt: skip


def log_sigmoid(x: Tensor) -> Tensor:
    """-log(1 + e^-x), by the side that does not overflow."""
    return -(1 + (-x).exp()).log() if x > 0 else x - (1 + x.exp()).log()


def logratios(d: SimpleNamespace) -> list[Tensor]:
    return [p - ref for p, ref in zip(d.ranks.logprobs[0], d.ranks.ref_logprobs[0], strict=True)]


def choices(scores: list[Tensor]) -> Tensor:
    """-log of the chance to choose each from those that are left."""
    cost = torch.zeros(()).double()
    for rank, score in enumerate(scores):
        cost = cost - (score.exp() / sum(s.exp() for s in scores[rank:])).log()
    return cost


def dpop(d: SimpleNamespace) -> Tensor:
    """Pal et al. 2024, equation 3."""
    chosen, *_, rejected = logratios(d)
    return -log_sigmoid(0.3 * (chosen - rejected - 50 * max(torch.zeros(()).double(), -chosen)))


def rdpo(d: SimpleNamespace) -> Tensor:
    """Park et al. 2024."""
    chosen, *_, rejected = logratios(d)
    longer = (d.ranks.lengths[0, 0] - d.ranks.lengths[0, -1]).item()
    return -log_sigmoid(0.1 * (chosen - rejected) + 0.02 * longer)


def cpl(d: SimpleNamespace) -> Tensor:
    """Hejna et al. 2023: the share of the chosen one in two exponentials, the other biased."""
    chosen, rejected = (0.1 * p for p in (d.ranks.logprobs[0, 0], d.ranks.logprobs[0, -1]))
    return -(chosen.exp() / (chosen.exp() + (0.5 * rejected).exp())).log()


def lipo(d: SimpleNamespace) -> Tensor:
    """Liu et al. 2024, equation 8: labels in equal steps, ranks by the model's own scores."""
    scores = [0.05 * x for x in logratios(d)]
    labels = [1 - i / (d.k - 1) for i in range(d.k)]
    rank = [1 + sum(other > score for other in scores).item() for score in scores]
    cost = torch.zeros(()).double()
    for i in range(d.k):
        for j in range(i + 1, d.k):
            gain = abs(2 ** labels[i] - 2 ** labels[j])
            discounts = [1 / torch.tensor(1.0 + rank[n]).double().log() for n in (i, j)]
            weight = gain * abs(discounts[0] - discounts[1])
            cost = cost + weight * (1 + (scores[j] - scores[i]).exp()).log()
    return cost


def rrhf(d: SimpleNamespace) -> Tensor:
    """Yuan et al. 2023, with the cross-entropy per token."""
    means = [p / n for p, n in zip(d.ranks.logprobs[0], d.ranks.lengths[0], strict=True)]
    behind = (
        max(torch.zeros(()).double(), means[j] - means[i])
        for i in range(d.k)
        for j in range(i + 1, d.k)
    )
    return sum(behind) - means[0]


def kimi(d: SimpleNamespace) -> Tensor:
    """Kimi Team 2025, equation 3, of one completion."""
    gain = sum(p * a for p, a in zip(d.tokens, d.advantages, strict=True))
    return gain - 0.05 * (d.tokens.sum() - d.old.sum()) ** 2


PAIRS = {  # name -> what the package has, the formula, the leaf
    "dpop": (lambda d: dpop_loss(d.ranks), dpop, "leaf"),
    "rdpo": (lambda d: rdpo_loss(d.ranks), rdpo, "leaf"),
    "cpl": (lambda d: cpl_loss(d.ranks), cpl, "leaf"),
    "plackett_luce": (
        lambda d: plackett_luce(0.1 * d.ranks.logprobs),
        lambda d: choices([0.1 * p for p in d.ranks.logprobs[0]]), "leaf",
    ),
    "plackett_luce_dpo": (
        lambda d: plackett_luce_loss(d.ranks), lambda d: choices([0.1 * x for x in logratios(d)]),
        "leaf",
    ),
    "lipo_lambda": (lambda d: lipo_loss(d.ranks), lipo, "leaf"),
    "rrhf": (lambda d: rrhf_loss(d.ranks), rrhf, "leaf"),
    "kimi": (
        lambda d: squared_ratio(
            d.tokens[None], d.old[None], d.advantages[None], torch.ones(1, len(d.old))
        ).sum(), kimi, "tokens",
    ),
}  # fmt: skip


def slopes(function: Callable, d: SimpleNamespace, leaf: str) -> tuple[Tensor, Tensor]:
    value = function(d).reshape(())
    (slope,) = torch.autograd.grad(value, getattr(d, leaf))
    return value.detach(), slope


@pytest.mark.parametrize("name", PAIRS)
def test_a_loss_is_its_formula_written_out(name: str):
    ours, formula, leaf = PAIRS[name]
    steepest, rtol = 0.0, 1e-6 if name in ROUNDED else 1e-10
    for d in draws():
        (a, one), (b, two) = (slopes(f, d, leaf) for f in (ours, formula))
        torch.testing.assert_close(a, b, rtol=rtol, atol=1e-12)
        torch.testing.assert_close(one, two, rtol=rtol, atol=rtol * two.abs().max().item())
        steepest = max(steepest, two.abs().max().item())
    assert steepest > 1e-2


def test_advantages_of_steps_are_their_sums_written_out():
    """Shao et al. 2024, section 4.1.3, with Bessel's correction and 1e-4, as for outcomes."""
    generator = torch.Generator().manual_seed(1)
    for i in range(DRAWS):
        rewards = torch.randn(4, 2 + i % 5, generator=generator).double()
        rewards[torch.rand(rewards.shape, generator=generator) < 0.3] = torch.nan
        found = process_zscore(rewards, group_size=2)
        for rows in ((0, 1), (2, 3)):
            given = [x for r in rows for x in rewards[r].tolist() if x == x]
            if len(given) < 2:
                continue
            mean = sum(given) / len(given)
            deviation = (sum((x - mean) ** 2 for x in given) / (len(given) - 1)) ** 0.5
            for r in rows:
                for t in range(rewards.shape[1]):
                    later = [x for x in rewards[r, t:].tolist() if x == x]
                    expected = sum((x - mean) / (deviation + 1e-4) for x in later)
                    assert found[r, t].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
