"""Preference losses: fixed points, directions, what they are least at, and exact expectations."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from minialign.evaluate import exact
from minialign.variants import preference as p
from minialign.variants.listwise import (
    lambda_loss,
    lipo_loss,
    order_loss,
    plackett_luce_loss,
    rrhf_loss,
)
from minialign.variants.preference import DIVERGENCES, fdpo_loss
from minialign.variants.ranks import RankLogprobs
from minialign.variants.reference_free import cpl_loss, cpo_loss, orpo_loss, simpo_loss
from minialign.variants.reward_losses import plackett_luce
from minialign.variants.unpaired import bco_loss, kto_loss, mismatched_kl

WITH_REFERENCE = [
    p.logistic_loss, p.robust_dpo_loss, p.ipo_loss, p.hinge_loss, p.dpo_norm_loss, p.dpop_loss,
    p.rpo_loss, p.rdpo_loss, p.odpo_loss, p.exo_loss, p.sppo_loss, p.nca_loss, p.bco_pair_loss,
    p.apo_zero_loss, p.aot_loss, *(partial(fdpo_loss, divergence=name) for name in DIVERGENCES),
]  # fmt: skip
ALL = [*WITH_REFERENCE, p.apo_down_loss, simpo_loss, orpo_loss, cpo_loss, cpl_loss]


def name(loss) -> str:
    return getattr(loss, "__name__", None) or f"fdpo_{loss.keywords['divergence']}"


def gradients(loss, pair: RankLogprobs) -> tuple[Tensor, Tensor]:
    chosen, rejected = (x.clone().requires_grad_() for x in (pair.chosen, pair.rejected))
    moved = RankLogprobs(torch.stack([chosen, rejected], 1), pair.ref_logprobs, pair.lengths)
    return torch.autograd.grad(loss(moved).sum(), (chosen, rejected))


@pytest.mark.parametrize("loss", ALL, ids=name)
def test_where_policy_and_reference_agree_the_margin_is_pulled_up(loss):
    """Trap 38: the loss of DPO is log 2 there and the margin 0; its gradient is not 0."""
    at = RankLogprobs.of([-5.0], [-6.0], ref_chosen=[-5.0], ref_rejected=[-6.0], length=4)
    chosen, rejected = gradients(loss, at)
    assert loss(at).shape == (1,) and chosen < rejected
    assert at.margin == 0 and p.logistic_loss(at).item() == pytest.approx(0.6931, abs=1e-4)


def test_discopop_shrinks_the_margin_first_as_its_authors_say():
    at = RankLogprobs.of([0.0], [0.0])
    chosen, rejected = gradients(p.discopop_loss, at)
    assert chosen > 0 > rejected
    chosen, rejected = gradients(p.discopop_loss, RankLogprobs.of([9.0], [0.0]))
    assert chosen < 0 < rejected


@pytest.mark.parametrize("loss", ALL, ids=name)
def test_an_empty_completion_and_a_far_one_stay_finite(loss):
    """Trap 43; and a gap of a thousand nats overflows nowhere."""
    pair = RankLogprobs.of([0.0, -400.0], [-1000.0, -400.0], length=0)
    found = loss(pair)
    assert found.isfinite().all()
    assert all(g.isfinite().all() for g in gradients(loss, pair))


def test_a_mean_per_token_is_another_beta_for_every_length():
    """Trap 35: the same sums over four tokens and over forty; only the sum treats them alike."""
    short, long = (RankLogprobs.of([-4.0], [-8.0], length=n) for n in (4, 40))
    assert p.logistic_loss(short) == p.logistic_loss(long)
    assert p.dpo_norm_loss(short) < p.dpo_norm_loss(long)


def test_ipo_per_token_and_per_sequence_aim_elsewhere():
    """Trap 36: with ten tokens each, the same beta asks for ten times the margin."""
    for per_token, margin in ((False, 5.0), (True, 50.0)):
        pair = RankLogprobs.of([margin], [0.0], length=10)
        assert p.ipo_loss(pair, beta=0.1, per_token=per_token).item() == pytest.approx(0.0)


def test_the_robust_loss_is_unbiased_under_swapped_labels():
    pair = RankLogprobs.of([-5.0, -7.0], [-6.0, -3.0])
    swapped = RankLogprobs.of([-6.0, -3.0], [-5.0, -7.0])
    mean = 0.8 * p.robust_dpo_loss(pair, flip=0.2) + 0.2 * p.robust_dpo_loss(swapped, flip=0.2)
    torch.testing.assert_close(mean, p.logistic_loss(pair))


def test_smoothing_is_least_at_a_finite_lead():
    lead = torch.tensor([[0.2 / 0.8]]).log().neg().item()
    pair = RankLogprobs.of([lead / 0.1], [0.0])
    chosen, rejected = gradients(partial(p.logistic_loss, label_smoothing=0.2), pair)
    assert abs(chosen) < 1e-6 and abs(rejected) < 1e-6


def test_length_regularised_asks_less_where_chosen_is_longer():
    longer = RankLogprobs(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([[20, 10]]))
    assert p.rdpo_loss(longer) < p.logistic_loss(longer)
    (chosen, _), (plain, _) = gradients(p.rdpo_loss, longer), gradients(p.logistic_loss, longer)
    assert abs(chosen) < abs(plain)


# --- on the enumerable world


def all_pairs(policy, reference, wins: Tensor, loss) -> Tensor:
    """Expected loss over all ordered pairs of completions, the first winning with `wins`."""
    n = len(policy)
    first, second = (x.flatten() for x in torch.meshgrid(*[torch.arange(n)] * 2, indexing="ij"))
    logprobs, ref = exact.sequence_logprobs(policy), exact.sequence_logprobs(reference).detach()
    lengths = policy.mask.sum(1).long()
    both = torch.stack([first, second], 1)
    pair = RankLogprobs(logprobs[both], ref[both], lengths[both])
    return (wins[first, second] * loss(pair)).sum() / n**2


def test_dpo_is_least_at_the_tilted_reference():
    """pi* = pi_ref exp(r / beta) / Z: the gradient of the exact expected loss is 0 there."""
    reference = exact.TabularPolicy(vocab_size=3, max_length=2, seed=0, scale=1.0).double()
    rewards = torch.randn(
        len(reference), generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    beta = 0.5
    wins = torch.sigmoid(rewards[:, None] - rewards[None])
    best = exact.to_tabular(exact.optimal_policy(reference, rewards, beta), reference)
    loss = partial(p.logistic_loss, beta=beta)
    at_best = exact.gradient(best, all_pairs(best, reference, wins, loss))
    other = exact.TabularPolicy(vocab_size=3, max_length=2, seed=1, scale=1.0).double()
    elsewhere = exact.gradient(other, all_pairs(other, reference, wins, loss))
    assert at_best.abs().max() < 1e-6 < 1e-3 < elsewhere.abs().max()


def test_without_exceptions_dpo_runs_away_and_ipo_does_not():
    """Deterministic preferences: IPO's margin ends at 1 / (2 beta), DPO's keeps growing."""
    reference = exact.TabularPolicy(vocab_size=2, max_length=1, seed=0, scale=0.0).double()
    wins = torch.triu(torch.ones(2, 2, dtype=torch.float64), 1)  # the first always wins
    margins: dict[str, list[float]] = {"dpo": [], "ipo": []}
    for kind, loss in (("dpo", p.logistic_loss), ("ipo", partial(p.ipo_loss, per_token=False))):
        policy = exact.TabularPolicy(vocab_size=2, max_length=1, seed=0, scale=0.0).double()
        optimizer = torch.optim.SGD(policy.parameters(), lr=1.0)
        for step in range(600):
            optimizer.zero_grad()
            all_pairs(policy, reference, wins, partial(loss, beta=0.5)).backward()
            optimizer.step()
            if step in (299, 599):
                logprobs = exact.sequence_logprobs(policy).detach()
                margins[kind].append((logprobs[0] - logprobs[1]).item())
    assert margins["ipo"] == pytest.approx([1.0, 1.0], abs=1e-6)
    assert margins["dpo"][1] > margins["dpo"][0] + 0.5 > 5


# --- rankings and unpaired feedback


def test_a_ranking_of_two_is_dpo():
    logratios = torch.tensor([[3.0, -2.0], [0.5, 1.0]])
    pair = RankLogprobs.of(logratios[:, 0].tolist(), logratios[:, 1].tolist())
    torch.testing.assert_close(plackett_luce(0.1 * logratios), p.logistic_loss(pair, beta=0.1))
    torch.testing.assert_close(plackett_luce_loss(pair), p.logistic_loss(pair))


def test_lipo_weighs_errors_at_the_top_most_and_ignores_ties():
    utilities = torch.tensor([[1.0, 0.5, 0.0]])
    wrong_top = lambda_loss(torch.tensor([[1.0, 2.0, 0.0]]), utilities, beta=1.0)
    wrong_end = lambda_loss(torch.tensor([[2.0, 0.0, 1.0]]), utilities, beta=1.0)
    assert wrong_top > wrong_end > 0
    assert lambda_loss(torch.zeros(1, 3), torch.ones(1, 3)).item() == 0.0


def test_rrhf_costs_nothing_for_a_ranking_that_holds():
    utilities = torch.tensor([[0.2, 0.9]])
    assert order_loss(torch.tensor([[-2.0, -1.0]]), utilities, nll=0.0).item() == 0.0


def test_losses_of_rankings_take_their_labels_from_the_order():
    ranks = RankLogprobs(
        torch.tensor([[-2.0, -9.0, -3.0]]), torch.full((1, 3), -4.0), torch.tensor([[2, 3, 1]])
    )
    labels = torch.tensor([[1.0, 0.5, 0.0]])
    logratios, means = torch.tensor([[2.0, -5.0, 1.0]]), torch.tensor([[-1.0, -3.0, -3.0]])
    assert ranks.utilities.tolist() == labels.tolist()
    torch.testing.assert_close(lipo_loss(ranks), lambda_loss(logratios, labels))
    torch.testing.assert_close(rrhf_loss(ranks), order_loss(means, labels))


def test_the_reference_point_is_clamped_after_the_mean_and_is_a_constant():
    """Trap 44: KTO's, from rows whose completion belongs to another prompt."""
    logratios = torch.tensor([4.0, -2.0], requires_grad=True)
    kl = mismatched_kl(logratios)
    assert kl.item() == 1.0 and not kl.requires_grad
    with pytest.raises(ValueError, match="batch of 2 or more"):
        mismatched_kl(torch.zeros(1))


def test_unpaired_losses_pull_liked_up_and_disliked_down():
    liked = torch.tensor([True, False])
    for loss in (partial(kto_loss, kl=0.3), bco_loss):
        logratios = torch.zeros(2, requires_grad=True)
        (grad,) = torch.autograd.grad(loss(logratios, liked).sum(), logratios)
        assert grad[0] < 0 < grad[1]
    heavy = kto_loss(torch.zeros(2), liked, 0.0, disliked_weight=3.0)
    assert heavy.tolist() == [0.5, 1.5]
