"""Reward losses: hand values, fixed points, gradient signs and identities."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minialign.algorithms.reward_model import bradley_terry
from minialign.variants.reward_losses import (
    adjusted_bradley_terry,
    average_weights,
    correctness,
    ensemble,
    plackett_luce,
    split_pairs,
)

SCORE = st.floats(-20, 20)


def test_bradley_terry_hand_values():
    """A lead of log 3 is a chance of 3/4: -log(3/4) = log 4 - log 3."""
    lead = torch.tensor([math.log(3)], dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64)
    assert bradley_terry(lead, zero).item() == pytest.approx(math.log(4 / 3))
    assert bradley_terry(zero, zero).item() == pytest.approx(math.log(2))
    assert adjusted_bradley_terry(lead, zero).item() == pytest.approx(math.log(4 / 3))
    assert adjusted_bradley_terry(lead, zero, margin=lead).item() == pytest.approx(math.log(2))
    smoothed = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    assert adjusted_bradley_terry(lead, zero, label_smoothing=0.1).item() == pytest.approx(smoothed)
    centred = math.log(4 / 3) + 0.5 * math.log(3) ** 2
    assert adjusted_bradley_terry(lead, zero, centering=0.5).item() == pytest.approx(centred)


BOTH = pytest.mark.parametrize("loss", [bradley_terry, adjusted_bradley_terry])


@BOTH
def test_gradients_push_chosen_up_and_rejected_down(loss):
    chosen = torch.tensor([0.3, -2.0], requires_grad=True)
    rejected = torch.tensor([0.1, 1.0], requires_grad=True)
    loss(chosen, rejected).sum().backward()
    assert (chosen.grad < 0).all() and (rejected.grad > 0).all()
    torch.testing.assert_close(chosen.grad, -rejected.grad)
    assert chosen.grad[1].abs() > chosen.grad[0].abs()  # the pair that is wrong pulls harder


def test_label_smoothing_is_least_at_the_log_odds():
    """Where d = log((1 - e) / e), the model says that a share e of the labels is wrong."""
    best = torch.tensor([math.log(0.8 / 0.2)], dtype=torch.float64, requires_grad=True)
    adjusted_bradley_terry(best, torch.zeros(1), label_smoothing=0.2).backward()
    assert best.grad.abs().item() < 1e-12


@BOTH
def test_far_scores_neither_overflow_nor_vanish(loss):
    """Trap 46: logsigmoid, not log(1 + exp(x))."""
    far = torch.tensor([1e4, -1e4])
    found = loss(far, torch.zeros(2))
    assert found.tolist() == [0.0, 1e4]


@BOTH
def test_only_differences_count(loss):
    chosen, rejected = torch.randn(5), torch.randn(5)
    moved = loss(chosen + 7, rejected + 7)
    torch.testing.assert_close(loss(chosen, rejected), moved, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"label_smoothing": 0.5}, {"label_smoothing": -0.1},
                                   {"centering": -1.0}])  # fmt: skip
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must be in \[0, 0.5\)"):
        adjusted_bradley_terry(torch.zeros(1), torch.zeros(1), **wrong)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(SCORE, SCORE), min_size=1, max_size=8))
def test_two_ranked_replies_are_one_comparison(pairs):
    """The identity K = 2: Plackett-Luce is Bradley-Terry, in value and gradient."""
    scores = torch.tensor(pairs, dtype=torch.float64, requires_grad=True)
    ranking = plackett_luce(scores)
    (one,) = torch.autograd.grad(ranking.sum(), scores)
    comparison = bradley_terry(scores[:, 0], scores[:, 1])
    (two,) = torch.autograd.grad(comparison.sum(), scores)
    torch.testing.assert_close(ranking, comparison)
    torch.testing.assert_close(one, two)
    torch.testing.assert_close(split_pairs(scores), comparison)


def test_plackett_luce_is_a_distribution_over_rankings():
    """The probabilities of all 3! orders of three replies sum to 1."""
    scores = torch.tensor([0.2, -1.0, 2.5], dtype=torch.float64)
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    chances = [math.exp(-plackett_luce(scores[order][None]).item()) for order in orders]
    assert sum(chances) == pytest.approx(1.0)
    first = math.exp(2.5) / (math.exp(0.2) + math.exp(-1.0) + math.exp(2.5))
    assert chances[4] + chances[5] == pytest.approx(first)


def test_short_rankings_are_padded():
    full = plackett_luce(torch.tensor([[2.0, 1.0]]))
    ranked = torch.tensor([[1, 1, 0]])
    scores = torch.tensor([[2.0, 1.0, 99.0]], requires_grad=True)
    padded = plackett_luce(scores, ranked)
    torch.testing.assert_close(padded, full)
    padded.sum().backward()
    assert torch.isfinite(scores.grad).all() and scores.grad[0, 2] == 0


def test_correctness_reads_marked_tokens_only():
    """Log-odds 0 cost log 2 each, log-odds log 3 of a right one log(4/3): their mean."""
    logits = torch.tensor([[50.0, 0.0, math.log(3)]])
    labels = torch.tensor([[0, 0, 1]])
    expected = (math.log(2) + math.log(4 / 3)) / 2
    assert correctness(logits, labels, torch.tensor([[0, 1, 1]])).item() == pytest.approx(expected)


def test_ensembles():
    scores = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    assert ensemble(scores).tolist() == [2.0, 5.0]
    assert ensemble(scores, "worst").tolist() == [1.0, 5.0]
    assert ensemble(scores, "cautious", penalty=2.0).tolist() == [0.0, 5.0]
    with pytest.raises(ValueError, match="how is 'best'; use mean, worst or cautious"):
        ensemble(scores, "best")


def test_weights_are_averaged():
    """A linear model's averaged weights score like the mean of the models' scores."""
    models = [nn.Linear(3, 1) for _ in range(3)]
    mean = nn.Linear(3, 1)
    mean.load_state_dict(average_weights(models))
    x = torch.randn(4, 3)
    torch.testing.assert_close(mean(x), torch.stack([m(x) for m in models]).mean(0))
    with pytest.raises(ValueError, match="2 models of different shapes"):
        average_weights([nn.Linear(3, 1), nn.Linear(2, 1)])
