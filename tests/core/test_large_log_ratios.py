"""Log-ratios of a thousand nats: losses and gradients stay finite and point the right way."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from minialign.algorithms.dpo import dpo_loss
from minialign.algorithms.grpo import grpo_loss
from minialign.algorithms.ppo import value_loss
from minialign.core.kl import ESTIMATORS, k3
from minialign.variants import policy as objectives
from minialign.variants import preference, reference_free, unpaired
from minialign.variants.listwise import lambda_loss, order_loss
from minialign.variants.methods import registry
from minialign.variants.preference import DIVERGENCES, fdpo_loss
from minialign.variants.ranks import RankLogprobs

TYPES = [torch.float32, torch.bfloat16]
FAR = [-1000.0, -89.0, -20.0, 20.0, 60.0, 89.0, 1000.0]


def whole_gspo(*given: Tensor) -> Tensor:
    return objectives.gspo(*given, per_token=False, clip=0.2, clip_high=0.2)


OBJECTIVES: dict[str, Callable[..., Tensor]] = {
    "reinforce": objectives.reinforce,
    "clipped": objectives.clipped,
    "gspo": objectives.gspo,
    "whole_gspo": whole_gspo,
    "cispo": objectives.cispo,
    "sapo": objectives.sapo,
    "vespo": objectives.vespo,
    "squared_ratio": objectives.squared_ratio,
}


def slope(
    objective: Callable[..., Tensor], log_ratio: float, advantage: float, dtype=torch.float32
) -> tuple[float, float]:
    """Value and gradient of one token that was sampled with logprob -1100."""
    old = torch.full((1, 1), -1100.0, dtype=dtype)
    logprobs = (old + log_ratio).requires_grad_()
    gain = objective(logprobs, old, torch.full_like(old, advantage), torch.ones(1, 1))
    (found,) = torch.autograd.grad(gain.sum(), logprobs)
    return gain.item(), found.item()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("advantage", [1.0, -1.0, 0.0])
@pytest.mark.parametrize("log_ratio", FAR)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_values_and_gradients_are_finite(name, log_ratio, advantage, dtype):
    assert all(map(math.isfinite, slope(OBJECTIVES[name], log_ratio, advantage, dtype)))


@pytest.mark.parametrize("name", ["clipped", "gspo", "whole_gspo"])
@pytest.mark.parametrize("log_ratio", [19.0, 21.0, 89.0, 1000.0])
def test_a_bad_token_is_still_pushed_down(name, log_ratio):
    """The minimum is pessimistic: nothing is clipped where the ratio went the wrong way."""
    assert slope(OBJECTIVES[name], log_ratio, -1.0)[1] <= -math.exp(19.0) * 0.99
    assert slope(OBJECTIVES[name], log_ratio, 1.0)[1] == 0.0  # a good one has had its push
    assert slope(OBJECTIVES[name], log_ratio, 0.0) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["clipped", "gspo", "whole_gspo", "sapo"])
def test_a_token_that_all_but_vanished_is_left_alone(name):
    for advantage in (1.0, -1.0):
        assert abs(slope(OBJECTIVES[name], -1000.0, advantage)[1]) < 1e-6


def test_soft_gates_close_and_caps_hold():
    assert slope(objectives.sapo, 1000.0, -1.0)[1] == 0.0
    assert slope(objectives.vespo, 1000.0, -1.0)[1] == 0.0
    assert slope(objectives.cispo, 1000.0, -1.0)[1] == -5.0


@pytest.mark.parametrize("bad", [-math.inf, math.inf, math.nan, -1000.0])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_stands_outside_the_mask_reaches_no_gradient(name, bad):
    mask = torch.tensor([[0, 1, 1, 0]])
    inside = torch.tensor([[-1.0, -2.0, -0.5, -3.0]])
    logprobs = torch.where(mask.bool(), inside, bad).requires_grad_()
    old = torch.where(mask.bool(), inside - 0.1, bad)
    advantages = torch.where(mask.bool(), torch.tensor([[0.0, 1.0, -1.0, 0.0]]), bad)
    gain = OBJECTIVES[name](logprobs, old, advantages, mask)
    (found,) = torch.autograd.grad(gain.sum(), logprobs)
    assert gain[0, [0, 3]].tolist() == [0, 0] and found[0, [0, 3]].tolist() == [0, 0]
    clean = inside[:, 1:3].clone().requires_grad_()
    given = clean, inside[:, 1:3] - 0.1, torch.tensor([[1.0, -1.0]]), torch.ones(1, 2)
    wanted = OBJECTIVES[name](*given)
    torch.testing.assert_close(gain[:, 1:3], wanted)
    torch.testing.assert_close(found[:, 1:3], torch.autograd.grad(wanted.sum(), clean)[0])


def test_the_critics_loss_weighs_nothing_outside_the_mask():
    """The essay multiplies by weights that are 0 there; values are finite everywhere."""
    mask = torch.tensor([[0.0, 1.0]])
    bad = torch.tensor([[1e9, 1.0]])
    values = torch.tensor([[-1e9, 0.5]], requires_grad=True)
    loss = (mask / mask.sum() * value_loss(values, bad, bad)).sum()
    loss.backward()
    assert loss.item() == 0.125 and values.grad.tolist() == [[0.0, -0.5]]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("advantage", [1.0, -1.0, 0.0])
@pytest.mark.parametrize("log_ratio", FAR)
def test_the_essays_loss_is_finite(log_ratio, advantage, dtype):
    """GRPO's, whose leash is to the policy that sampled: ratio and KL explode together."""
    old = torch.full((1, 1), -1100.0, dtype=dtype)
    logprobs = (old + log_ratio).requires_grad_()
    loss = grpo_loss(logprobs, old, old, torch.full_like(old, advantage))
    (found,) = torch.autograd.grad(loss.sum(), logprobs)
    assert loss.isfinite().all() and found.isfinite().all()
    if advantage < 0 and log_ratio >= 20 and dtype == torch.float32:
        assert found.item() >= math.exp(19.0) * 0.99  # still pushed down


# --- within the bound nothing changes -------------------------------------------------------------


def test_within_20_nats_ratio_and_gradient_are_the_plain_ones_to_the_last_bit():
    log_ratio = torch.linspace(-30, 20, 4001)
    logprobs = log_ratio.clone().requires_grad_()
    zero, ones = torch.zeros(1), torch.ones(1, 4001)
    gain = objectives.clipped(logprobs[None], zero, -ones, ones)
    plain = log_ratio.clone().requires_grad_()
    wanted = torch.minimum(-plain.exp(), -plain.exp().clamp(0.8, 1.2))
    assert torch.equal(gain[0], wanted)
    gain.sum().backward()
    wanted.sum().backward()
    assert torch.equal(logprobs.grad, plain.grad)


def test_within_20_nats_k3_is_the_plain_one_to_the_last_bit():
    log_r = torch.linspace(-300, 20, 4001)
    logprobs = (-log_r).requires_grad_()
    plain = (-log_r).requires_grad_()
    found, wanted = k3(logprobs, torch.zeros(1)), torch.expm1(-plain) + plain
    assert torch.equal(found, wanted)
    found.sum().backward()
    wanted.sum().backward()
    assert torch.equal(logprobs.grad, plain.grad)


# --- estimators of the KL -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("log_r", FAR)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_are_finite(name, log_r, dtype):
    logprobs = torch.tensor([-log_r], dtype=dtype, requires_grad=True)
    value = ESTIMATORS[name](logprobs, torch.zeros(1, dtype=dtype))
    value.backward()
    assert value.isfinite().all() and logprobs.grad.isfinite().all()


@pytest.mark.parametrize("log_r", [15.0, 25.0, 89.0, 1000.0])
def test_k3_keeps_pulling_towards_a_reference_that_finds_a_token_likely(log_r):
    """Descent raises the policy's logprob, however far it is below the reference's."""
    logprobs = torch.tensor([-log_r], requires_grad=True)
    k3(logprobs, torch.zeros(1)).backward()
    assert logprobs.grad.item() < -1e6


def test_k3_goes_on_growing_beyond_the_bound():
    values = k3(-torch.tensor([19.0, 20.0, 21.0, 100.0, 1000.0]), torch.zeros(1))
    assert (values.diff() > 0).all()


# --- losses of sequences --------------------------------------------------------------------------

SUMS = [(-1.0, -1001.0), (-1001.0, -1.0), (-3001.0, -1.0), (-1.0, -3001.0), (-2000.0, -2000.0)]


def essay(ranks: RankLogprobs) -> Tensor:
    return dpo_loss(ranks.chosen_logratio, ranks.rejected_logratio)


def pair_losses() -> dict[str, Callable[[RankLogprobs], Tensor]]:
    """The essay's, those of every row of the registry, and f-DPO's with each divergence."""
    found = {
        name: row.trainer().keywords["loss"]
        for name, row in registry().items()
        if "loss" in row.functions and row.loop.endswith("train_preference")
    }
    assert len(found) > 25
    for name in DIVERGENCES:
        found[f"fdpo {name}"] = lambda pair, name=name: fdpo_loss(pair, divergence=name)
    return {"essay": essay, **found}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", pair_losses())
def test_losses_of_pairs_are_finite_a_thousand_nats_away(name, dtype):
    chosen, rejected = (torch.tensor(x, dtype=dtype) for x in zip(*SUMS, strict=True))
    near = torch.full_like(chosen, -1.0)
    lengths = torch.full((len(SUMS),), 10)
    given = chosen.requires_grad_(), rejected.requires_grad_()
    ranks = RankLogprobs.of(*given, near, near, (lengths, lengths))
    assert ranks.logprobs.dtype == dtype
    loss = pair_losses()[name](ranks)
    slopes = torch.autograd.grad(loss.float().sum(), given)
    assert loss.isfinite().all() and all(x.isfinite().all() for x in slopes)
    norm = torch.cat([x.float() for x in slopes]).norm()
    assert norm.isfinite()  # or a clip of the gradient would scale it to nothing


def test_the_forward_kl_still_pulls_up_a_chosen_completion_that_vanished():
    pair = RankLogprobs.of([-100.0], [0.0])
    pair.logprobs.requires_grad_()
    fdpo_loss(pair, divergence="forward_kl").backward()
    assert pair.logprobs.grad[0, 0].item() < -1e6


@pytest.mark.parametrize("far", [-3000.0, -1000.0, 1000.0, 3000.0])
def test_losses_of_single_completions_and_rankings_are_finite(far):
    ratios = torch.tensor([far, 0.0], requires_grad=True)
    labels = torch.tensor([True, False])
    losses = [
        unpaired.kto_loss(ratios, labels, unpaired.mismatched_kl(ratios)),
        unpaired.kto_loss(ratios, ~labels, 0.0),
        unpaired.bco_loss(ratios, labels, far),
        unpaired.bco_loss(ratios, ~labels),
        lambda_loss(ratios[None], torch.tensor([[1.0, 0.0]])),
        order_loss(ratios[None], torch.tensor([[1.0, 0.0]])),
    ]
    for loss in losses:
        (found,) = torch.autograd.grad(loss.sum(), ratios, retain_graph=True)
        assert loss.isfinite().all() and found.isfinite().all()


def test_losses_without_a_reference_are_finite_for_a_certain_completion():
    """A mean logprob of 0 has infinite odds."""
    pair = RankLogprobs.of([0.0, -1e4], [-1e4, 0.0])
    pair.logprobs.requires_grad_()
    for loss in (reference_free.orpo_loss, reference_free.simpo_loss, preference.exo_loss):
        (found,) = torch.autograd.grad(loss(pair).sum(), pair.logprobs)
        assert found.isfinite().all()
