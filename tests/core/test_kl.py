"""k1, k2 and k3 against exact expectations and exact gradients, far from ratio 1 too.

Close to ratio 1 the mean of k3 is the same right or reversed, so the policies here are far apart,
and one test shows that close ones would see nothing.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from minialign.core.kl import ESTIMATORS, k1, k2, k3
from minialign.evaluate.exact import (
    TabularPolicy,
    draw,
    exact_kl,
    expectation,
    expected_gradient,
    gradient,
    sequence_logprobs,
    token_logprobs,
)

WORLDS = [(6, 1), (4, 3), (3, 4)]


def far(vocab_size: int = 4, max_length: int = 3) -> tuple[TabularPolicy, TabularPolicy]:
    """Two unrelated policies, about one nat apart per token."""
    policy, reference = (
        TabularPolicy(vocab_size, max_length, seed=seed, scale=1.2) for seed in (0, 1)
    )
    return policy, reference


def near(distance: float) -> tuple[TabularPolicy, TabularPolicy]:
    """The same policy twice, with logits moved by about `distance`."""
    policy, reference = far()
    reference.logits.data = policy.logits.data + distance * reference.logits.data
    return policy, reference


def both(policy: TabularPolicy, reference: TabularPolicy) -> tuple[Tensor, Tensor]:
    """(N, L) logprobs of every token, the reference's as constants."""
    return token_logprobs(policy), token_logprobs(reference).detach()


def reversed_ratio(estimator, logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    return estimator(ref_logprobs, logprobs)


def zero(like: Tensor) -> Tensor:
    return torch.zeros_like(like)


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("vocab_size", "max_length"), WORLDS)
@pytest.mark.parametrize("estimator", [k1, k3])
def test_summed_over_tokens_the_mean_is_the_exact_kl(estimator, vocab_size, max_length):
    policy, reference = far(vocab_size, max_length)
    exact = exact_kl(policy, reference)
    assert exact > 0.3
    torch.testing.assert_close(expectation(policy, estimator(*both(policy, reference))), exact)


@pytest.mark.parametrize("estimator", [k1, k3])
def test_the_mean_after_each_prefix_is_its_kl(estimator):
    """Given a prefix, the mean over the next token; weighted by visits they sum to the whole."""
    policy, reference = far()
    log_p, log_q = policy(), reference()  # (prefixes, V)
    mean = (log_p.exp() * estimator(log_p, log_q)).sum(-1)
    exact = torch.nn.functional.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)
    torch.testing.assert_close(mean, exact)
    along = expectation(policy, mean[policy.prefix_index])
    torch.testing.assert_close(along, exact_kl(policy, reference))


@pytest.mark.parametrize("estimator", [k1, k3])
def test_of_whole_sequences_the_mean_is_the_exact_kl(estimator):
    policy, reference = far()
    values = estimator(sequence_logprobs(policy), sequence_logprobs(reference))
    torch.testing.assert_close(expectation(policy, values), exact_kl(policy, reference))


def test_reversed_ratio_misses_the_kl():
    """Trap 2: k1 reversed is minus the KL; k3 reversed is far off; neither is the forward KL."""
    policy, reference = far()
    exact, forward = exact_kl(policy, reference), exact_kl(reference, policy)
    wrong = {k: expectation(policy, reversed_ratio(k, *both(policy, reference))) for k in (k1, k3)}
    torch.testing.assert_close(wrong[k1], -exact)
    assert wrong[k3] > 1.3 * exact
    assert abs(wrong[k3] - forward) > 0.3 * forward


def test_near_ratio_one_cannot_see_a_reversed_k3():
    policy, reference = near(0.01)
    exact = exact_kl(policy, reference)
    wrong = expectation(policy, reversed_ratio(k3, *both(policy, reference)))
    assert wrong.item() == pytest.approx(exact.item(), rel=0.02)


def test_samples_of_the_reference_estimate_something_else():
    policy, reference = far()
    exact = exact_kl(policy, reference)
    for estimator in (k1, k3):
        values = estimator(*both(policy, reference))
        assert abs(expectation(reference, values) - exact) > 0.2 * exact


def test_k2_is_biased_far_away_and_nearly_right_close_by():
    policy, reference = far()
    exact = exact_kl(policy, reference)
    assert abs(expectation(policy, k2(*both(policy, reference))) - exact) > 0.1 * exact
    policy, reference = near(0.01)
    close = exact_kl(policy, reference).item()
    found = expectation(policy, k2(*both(policy, reference))).item()
    assert found == pytest.approx(close, rel=0.02)


def test_k3_is_never_negative_and_varies_less_than_k1_close_by():
    policy, reference = near(0.2)
    found = {}
    for name, estimator in ESTIMATORS.items():
        values = estimator(*both(policy, reference)).sum(1)
        found[name] = expectation(policy, (values - expectation(policy, values)).square())
    assert found["k3"] < 0.1 * found["k1"] and found["k2"] < 0.1 * found["k1"]
    assert (k3(*both(policy, reference)) >= 0).all()
    assert (k1(*both(policy, reference)) < 0).any()


@pytest.mark.parametrize("estimator", [k1, k3])
def test_sample_means_agree_with_the_exact_kl(estimator):
    policy, reference = near(0.5)
    values = estimator(*both(policy, reference)).sum(1).detach()
    sampled = values[draw(policy, 20_000, torch.Generator().manual_seed(0))]
    error = sampled.std() / len(sampled) ** 0.5
    assert abs(sampled.mean() - exact_kl(policy, reference)) < 4 * error


def test_mean_over_tokens_is_not_the_kl():
    """Trap 7: the KL of a completion is a sum over its tokens; a mean shrinks with the length."""
    policy, reference = far()
    values = k1(*both(policy, reference)).sum(1) / policy.mask.sum(1)
    exact = exact_kl(policy, reference)
    assert abs(expectation(policy, values) - exact) > 0.2 * exact


def test_every_estimator_is_zero_at_equality():
    policy, _ = far()
    for estimator in ESTIMATORS.values():
        found = estimator(*both(policy, policy))
        assert torch.equal(found, zero(found))


# --- gradients at a horizon of one token ----------------------------------------------------------


def test_one_token_k1_as_a_loss_has_no_expected_gradient():
    """Trap 3: it is noise alone."""
    policy, reference = far(6, 1)
    found = expected_gradient(policy, k1(*both(policy, reference)))
    torch.testing.assert_close(found, zero(found))
    assert gradient(policy, exact_kl(policy, reference)).abs().max() > 0.1


def test_one_token_k2_as_a_loss_has_the_gradient_of_the_reverse_kl():
    """Trap 4: of KL(policy || reference)."""
    policy, reference = far(6, 1)
    found = expected_gradient(policy, k2(*both(policy, reference)))
    torch.testing.assert_close(found, gradient(policy, exact_kl(policy, reference)))


def test_one_token_k3_as_a_loss_has_the_gradient_of_the_forward_kl():
    """Trap 4: of KL(reference || policy)."""
    policy, reference = far(6, 1)
    found = expected_gradient(policy, k3(*both(policy, reference)))
    torch.testing.assert_close(found, gradient(policy, exact_kl(reference, policy)))
    reverse = gradient(policy, exact_kl(policy, reference))
    assert (found - reverse).abs().max() > 0.1 * reverse.abs().max()


# --- gradients at a horizon of three tokens -------------------------------------------------------


def test_three_tokens_k1_in_the_reward_has_the_gradient_of_the_kl():
    """In the reward it is a constant, and the score function carries it: right at any horizon."""
    policy, reference = far()
    cost = k1(*both(policy, reference)).sum(1).detach()
    exact = gradient(policy, exact_kl(policy, reference))
    torch.testing.assert_close(expected_gradient(policy, sequence_logprobs(policy) * cost), exact)
    wrong = k3(*both(policy, reference)).sum(1).detach()  # unbiased in value, but not here
    found = expected_gradient(policy, sequence_logprobs(policy) * wrong)
    assert (found - exact).abs().max() > 0.1 * exact.abs().max()


def test_three_tokens_k1_as_a_loss_has_no_expected_gradient():
    policy, reference = far()
    found = expected_gradient(policy, k1(*both(policy, reference)))
    torch.testing.assert_close(found, zero(found))


@pytest.mark.parametrize(("estimator", "forward"), [(k2, False), (k3, True)])
def test_three_tokens_a_loss_per_token_takes_the_visits_as_given(estimator, forward):
    """Each visited prefix gets the gradient of its own KL: reverse for k2, forward for k3.

    How a token changes which prefixes are visited is missing: only a part of the gradient of the
    whole KL. Tang and Munos, "On a few pitfalls in KL divergence gradient estimation for RL"
    (2025), arXiv:2506.09477.
    """
    policy, reference = far()
    found = expected_gradient(policy, estimator(*both(policy, reference)))
    log_p, log_q = policy(), reference().detach()
    first, second = (log_q, log_p) if forward else (log_p, log_q)
    kl = (first.exp() * (first - second)).sum(-1)  # (prefixes,)
    drawn = sequence_logprobs(policy).exp().detach()
    visited = (drawn[:, None] * kl[policy.prefix_index] * policy.mask).sum()
    torch.testing.assert_close(found, gradient(policy, visited))
    whole = exact_kl(reference, policy) if forward else exact_kl(policy, reference)
    exact = gradient(policy, whole)
    assert (found - exact).abs().max() > 0.1 * exact.abs().max()


@pytest.mark.parametrize(("estimator", "forward"), [(k2, False), (k3, True)])
def test_three_tokens_a_loss_of_the_whole_sequence_has_the_whole_gradient(estimator, forward):
    """Of summed logprobs a completion is one token of a large vocabulary, so the horizon is one."""
    policy, reference = far()
    values = estimator(sequence_logprobs(policy), sequence_logprobs(reference).detach())
    whole = exact_kl(reference, policy) if forward else exact_kl(policy, reference)
    torch.testing.assert_close(expected_gradient(policy, values), gradient(policy, whole))


def test_off_policy_a_kl_loss_needs_the_ratio():
    """Trap 5: with the ratio k1 and k3 have the KL's gradient on old samples, else neither."""
    policy, reference = far()
    old = TabularPolicy(seed=5)
    exact = gradient(policy, exact_kl(policy, reference))
    mine, theirs = sequence_logprobs(policy), sequence_logprobs(reference).detach()
    ratio = (mine - sequence_logprobs(old).detach()).exp()
    for estimator in (k1, k3):
        values = estimator(mine, theirs)
        torch.testing.assert_close(expected_gradient(policy, ratio * values, sampler=old), exact)
        without = expected_gradient(policy, values, sampler=old)
        assert (without - exact).abs().max() > 0.1 * exact.abs().max()


# --- digits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_r", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("sign", [1, -1])
def test_k3_keeps_digits_near_zero_in_float32(log_r, sign):
    """Trap 6: exp(x) - 1 - x is about x^2 / 2; at 1e-4 the naive form is only rounding."""
    ref_logprobs, logprobs = torch.tensor([sign * log_r]), torch.tensor([0.0])
    x = ref_logprobs.double()
    exact = x**2 / 2 + x**3 / 6 + x**4 / 24
    torch.testing.assert_close(k3(logprobs, ref_logprobs).double(), exact, rtol=2e-3, atol=0)
    if log_r == 1e-4:
        naive = ref_logprobs.exp() - 1 - ref_logprobs
        assert abs(naive.double() - exact) > 0.5 * exact


def test_k3_is_finite_for_a_token_the_reference_finds_unlikely():
    logprobs = torch.tensor([-0.1], requires_grad=True)
    value = k3(logprobs, torch.tensor([-200.0]))
    value.backward()
    assert value.item() == pytest.approx(198.9) and logprobs.grad.item() == pytest.approx(1.0)
