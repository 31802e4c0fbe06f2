"""The enumerable world against a tree in plain Python, finite differences and sampling."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from minialign.evaluate.exact import (
    TabularPolicy,
    draw,
    exact_entropy,
    exact_kl,
    expectation,
    expected_gradient,
    gradient,
    optimal_policy,
    policy_gradient,
    sequence_logprobs,
    tilted,
    to_tabular,
    token_logprobs,
)

WORLDS = [(2, 1), (3, 2), (4, 3), (3, 4), (10, 1)]


def pair(vocab_size: int = 4, max_length: int = 3, scale: float = 1.5, **settings):
    """Two random policies of one world, far from each other."""
    return [
        TabularPolicy(vocab_size, max_length, seed=seed, scale=scale, **settings) for seed in (0, 1)
    ]


def some_rewards(policy: TabularPolicy, seed: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(policy), generator=generator, dtype=torch.float64)


def next_token(policy: TabularPolicy, prefix: tuple[int, ...]) -> list[float]:
    """Probabilities after a prefix, in plain Python."""
    logits = policy.logits[policy.prefixes().index(prefix)].tolist()
    weights = [math.exp(logit) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def walk(policy: TabularPolicy, prefix: tuple[int, ...] = (), p: float = 1.0) -> dict:
    """completion -> probability, by walking the tree: independent of the code under test."""
    if prefix and (prefix[-1] == policy.eos or len(prefix) == policy.max_length):
        return {prefix: p}
    found = {}
    for token, q in enumerate(next_token(policy, prefix)):
        found |= walk(policy, (*prefix, token), p * q)
    return found


def kl_along_prefixes(policy: TabularPolicy, reference: TabularPolicy) -> float:
    """Chain rule: KL between next-token distributions, weighted by the visits to each prefix."""
    total = 0.0
    for prefix in policy.prefixes():
        visits = sum(p for y, p in walk(policy).items() if y[: len(prefix)] == prefix)
        both = zip(next_token(policy, prefix), next_token(reference, prefix), strict=True)
        total += visits * sum(p * math.log(p / q) for p, q in both)
    return total


@pytest.mark.parametrize(("vocab_size", "max_length"), WORLDS)
@pytest.mark.parametrize("last_is_eos", [False, True])
def test_completions_are_all_and_sum_to_one(vocab_size, max_length, last_is_eos):
    eos = vocab_size - 1 if last_is_eos else 0
    policy = TabularPolicy(vocab_size, max_length, eos=eos, scale=2.0)
    tree, completions = walk(policy), policy.completions()
    ended_early = sum((vocab_size - 1) ** k for k in range(max_length))
    assert len(completions) == len(policy) == ended_early + (vocab_size - 1) ** max_length
    assert set(completions) == set(tree) and len(tree) == len(completions)
    expected = torch.tensor([tree[y] for y in completions], dtype=torch.float64)
    torch.testing.assert_close(sequence_logprobs(policy).exp(), expected)
    torch.testing.assert_close(expected.sum().item(), 1.0)
    for row, y in enumerate(completions):
        assert policy.tokens[row][policy.mask[row]].tolist() == list(y)
        assert bool(policy.finished[row]) == (y[-1] == eos)


def test_token_logprobs_are_of_the_token_and_its_prefix():
    policy = TabularPolicy(3, 3)
    found = token_logprobs(policy)
    for row, y in enumerate(policy.completions()):
        for t in range(policy.max_length):
            expected = math.log(next_token(policy, y[:t])[y[t]]) if t < len(y) else 0.0
            assert found[row, t].item() == pytest.approx(expected)
            if t < len(y):
                assert policy.prefixes()[policy.prefix_index[row, t]] == y[:t]


def test_kl_is_positive_and_zero_at_equality():
    for seed in range(5):
        policy, reference = TabularPolicy(seed=seed), TabularPolicy(seed=seed + 1)
        assert exact_kl(policy, reference) > 0.01
        assert exact_kl(policy, copy.deepcopy(policy)) == 0


def test_kl_by_hand():
    """A coin of 3/4 against a fair one: 3/4 log(3/2) + 1/4 log(1/2) = 0.3041 - 0.1733 = 0.1308."""
    fair = TabularPolicy(2, 1, scale=0)
    policy = to_tabular(torch.tensor([0.75, 0.25], dtype=torch.float64), fair)
    assert exact_kl(policy, fair).item() == pytest.approx(0.1308, abs=1e-4)


@pytest.mark.parametrize(("vocab_size", "max_length"), WORLDS)
def test_chain_rule(vocab_size, max_length):
    policy, reference = pair(vocab_size, max_length)
    per_token = token_logprobs(policy) - token_logprobs(reference)
    expected = pytest.approx(kl_along_prefixes(policy, reference))
    assert exact_kl(policy, reference).item() == expected
    assert expectation(policy, per_token).item() == expected


def test_entropy_of_uniform_by_hand():
    """One token of 5: log 5. Two throws of 3, the first of which may end it: log 3 + 2/3 log 3."""
    assert exact_entropy(TabularPolicy(5, 1, scale=0)).item() == pytest.approx(math.log(5))
    twice = exact_entropy(TabularPolicy(3, 2, scale=0)).item()
    assert twice == pytest.approx(5 / 3 * math.log(3))


def test_entropy_is_that_of_the_tokens_along_the_way():
    policy = TabularPolicy(4, 3)
    per_token = torch.distributions.Categorical(logits=policy.logits).entropy()[policy.prefix_index]
    torch.testing.assert_close(expectation(policy, per_token), exact_entropy(policy))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    policy, reference = pair(dtype=dtype)
    assert sequence_logprobs(policy).dtype == exact_kl(policy, reference).dtype == dtype
    doubled = [copy.deepcopy(p).double() for p in (policy, reference)]
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    difference = exact_kl(policy, reference).double() - exact_kl(*doubled)
    assert difference.abs() < tolerance


@pytest.mark.parametrize(("vocab_size", "max_length"), WORLDS)
def test_policy_gradient_equals_finite_differences(vocab_size, max_length):
    policy = TabularPolicy(vocab_size, max_length)
    rewards, step = some_rewards(policy), 1e-5
    of = dict(zip(policy.completions(), rewards.tolist(), strict=True))
    found = policy_gradient(policy, rewards)
    assert found.shape == (policy.logits.numel(),)
    for i in range(min(found.numel(), 12)):
        value = []
        for sign in (1, -1):
            moved = copy.deepcopy(policy)
            with torch.no_grad():
                moved.logits.view(-1)[i] += sign * step
            value.append(sum(p * of[y] for y, p in walk(moved).items()))
        slope = (value[0] - value[1]) / (2 * step)
        assert found[i].item() == pytest.approx(slope, abs=1e-8)


def test_gradients_of_kl_and_entropy_equal_finite_differences():
    policy, reference = pair(3, 2)
    for exact in (
        lambda p: exact_kl(p, reference),
        exact_entropy,
        lambda p: exact_kl(reference, p),
    ):
        moved = copy.deepcopy(policy)

        def at(logits, moved=moved, exact=exact):
            return exact(_with_logits(moved, logits))

        start = policy.logits.detach()
        steps = 1e-5 * torch.eye(start.numel(), dtype=start.dtype).view(-1, *start.shape)
        slopes = torch.stack([(at(start + s) - at(start - s)) / 2e-5 for s in steps])
        torch.testing.assert_close(
            gradient(policy, exact(policy)), slopes.detach(), atol=1e-8, rtol=0
        )


def _with_logits(policy: TabularPolicy, logits: Tensor) -> TabularPolicy:
    policy.logits.data.copy_(logits)
    return policy


def test_score_function_has_expectation_zero():
    policy = TabularPolicy(5, 3, scale=2.0)
    found = expected_gradient(policy, sequence_logprobs(policy))
    torch.testing.assert_close(found, torch.zeros_like(found))


def test_reinforce_is_the_policy_gradient_with_any_constant_baseline():
    policy = TabularPolicy(4, 3)
    rewards = some_rewards(policy)
    exact = policy_gradient(policy, rewards)
    assert exact.abs().max() > 0.01
    for baseline in (0.0, 3.0):
        loss = -sequence_logprobs(policy) * (rewards - baseline)
        torch.testing.assert_close(expected_gradient(policy, loss), -exact)


def test_rewards_to_go_leave_the_policy_gradient_as_it_is():
    """What was paid before a token is no credit of its own, if the pay never looks ahead."""
    policy = TabularPolicy(3, 3)
    paid = torch.where(policy.mask, policy.tokens.double() ** 2, 0.0)
    to_go = paid.flip(1).cumsum(1).flip(1)
    exact = policy_gradient(policy, paid)
    torch.testing.assert_close(expected_gradient(policy, token_logprobs(policy) * to_go), exact)


def test_off_policy_samples_need_the_ratio():
    policy, old = pair()
    rewards = some_rewards(policy)
    exact = policy_gradient(policy, rewards)
    ratio = (sequence_logprobs(policy) - sequence_logprobs(old).detach()).exp()
    torch.testing.assert_close(expected_gradient(policy, ratio * rewards, sampler=old), exact)
    without = expected_gradient(policy, sequence_logprobs(policy) * rewards, sampler=old)
    assert (without - exact).abs().max() > 0.1 * exact.abs().max()


@pytest.mark.parametrize("beta", [0.1, 1.0, 10.0])
def test_optimal_policy_is_the_best(beta):
    reference = TabularPolicy(4, 3)
    rewards = some_rewards(reference)

    def value(policy: TabularPolicy) -> float:
        return (expectation(policy, rewards) - beta * exact_kl(policy, reference)).item()

    found = optimal_policy(reference, rewards, beta)
    best = to_tabular(found, reference)
    _, log_z = tilted(sequence_logprobs(reference), rewards, beta)
    assert value(best) == pytest.approx(beta * log_z.item())
    objective = expectation(best, rewards) - beta * exact_kl(best, reference)
    flat = gradient(best, objective)
    torch.testing.assert_close(flat, torch.zeros_like(flat), atol=1e-10, rtol=0)
    generator = torch.Generator().manual_seed(0)
    for scale in (0.01, 0.1, 1.0):
        for _ in range(20):
            other = copy.deepcopy(best)
            noise = torch.randn(other.logits.shape, generator=generator, dtype=torch.float64)
            other.logits.data += scale * noise
            assert value(other) < value(best)
            lost = beta * exact_kl(other, best).item()  # exactly this much
            assert value(best) - value(other) == pytest.approx(lost, abs=1e-9)


def test_optimal_policy_by_hand():
    """A fair coin, rewards 0 and log 3 at beta 1: weights 1 and 3, so 1/4 and 3/4; Z = 2.

    At beta 2 the weights are 1 and sqrt 3.
    """
    coin = TabularPolicy(2, 1, scale=0)
    rewards = torch.tensor([0.0, math.log(3)], dtype=torch.float64)
    assert optimal_policy(coin, rewards, 1.0).tolist() == pytest.approx([0.25, 0.75])
    logp, log_z = tilted(sequence_logprobs(coin), rewards, 1.0)
    assert logp.exp().sum().item() == pytest.approx(1) and log_z.exp().item() == pytest.approx(2)
    second = math.sqrt(3) / (1 + math.sqrt(3))
    assert optimal_policy(coin, rewards, 2.0).tolist() == pytest.approx([1 - second, second])


def test_equal_rewards_leave_the_reference():
    reference = TabularPolicy()
    found = optimal_policy(reference, torch.full((len(reference),), 3.0), 0.5)
    torch.testing.assert_close(found, sequence_logprobs(reference).exp())


@pytest.mark.parametrize(("vocab_size", "max_length"), WORLDS)
def test_to_tabular_has_exactly_the_distribution(vocab_size, max_length):
    like = TabularPolicy(vocab_size, max_length, eos=1)
    before = like.logits.detach().clone()
    distribution = (3 * some_rewards(like)).softmax(0)
    found = to_tabular(distribution, like)
    torch.testing.assert_close(sequence_logprobs(found).exp(), distribution)
    assert torch.equal(like.logits, before) and found.logits.requires_grad


def test_sampling_frequencies_match():
    policy = TabularPolicy(4, 3)
    n = 40_000
    drawn = draw(policy, n, torch.Generator().manual_seed(0))
    p = sequence_logprobs(policy).exp().detach()
    found = torch.bincount(drawn, minlength=len(policy)) / n
    standard_error = (p * (1 - p) / n).sqrt()
    assert ((found - p).abs() < 4.5 * standard_error).all()
    again = draw(policy, n, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again) and drawn.shape == (n,)


def test_seeds():
    state = torch.random.get_rng_state()
    one, same, other = (TabularPolicy(seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.logits, same.logits) and not torch.equal(one.logits, other.logits)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert list(one.state_dict()) == ["logits"]


def test_errors_name_the_repair():
    policy = TabularPolicy(3, 2)
    with pytest.raises(ValueError, match="use 2 to 10 tokens"):
        TabularPolicy(11, 2)
    with pytest.raises(ValueError, match="ids 0 to 2"):
        TabularPolicy(3, 2, eos=3)
    with pytest.raises(ValueError, match="same vocab_size"):
        exact_kl(policy, TabularPolicy(3, 2, eos=1))
    with pytest.raises(ValueError, match=r"one per completion, \(7,\)"):
        expectation(policy, torch.zeros(2))
    with pytest.raises(ValueError, match="without detach"):
        expected_gradient(policy, sequence_logprobs(policy).detach())
    with pytest.raises(ValueError, match="must be > 0"):
        optimal_policy(policy, torch.zeros(7), 0.0)
    with pytest.raises(ValueError, match="one per completion"):
        optimal_policy(policy, torch.zeros(6), 1.0)
    with pytest.raises(ValueError, match="of sum 1"):
        to_tabular(torch.full((7,), 0.2), policy)
    with pytest.raises(ValueError, match="mix in"):
        to_tabular(torch.tensor([1.0, 0, 0, 0, 0, 0, 0]), policy)
