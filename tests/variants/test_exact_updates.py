"""What the policy loop and PPO do in a world that can be enumerated: gradients and KLs, exact.

The model is a real one; its samples are many, and what they should average to is a finite sum.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from enumerable import PROMPT, small_policy, to_parameters, tokenizer, world_of
from torch import Tensor
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.core.kl import k3
from minialign.core.models.heads import ValueModel
from minialign.evaluate import exact
from minialign.variants.averages import sequence_sum, token_mean
from minialign.variants.group_advantages import group_centred
from minialign.variants.loops.critic import Critic
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy
from minialign.variants.policy import cispo, clipped, reinforce

MANY = 2048  # samples
ONE = {"prompts": 1, "group_size": MANY, "max_new_tokens": 2}
BETA = 0.02
AWAY = 0.05  # a learning rate with which one step leaves the start by a good part of a nat


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """No bfloat16, in which two policies that are close cannot be told apart."""
    for module in (train_policy.__module__, train_ppo.__module__):
        monkeypatch.setattr(f"{module}.fast_matmul", lambda device: nullcontext())


@pytest.fixture
def gradients() -> Iterator[list[dict[int, Tensor]]]:
    """What an optimizer is given at each step, by the parameter's id."""
    found = []

    def note(optimizer, args, kwargs) -> None:
        every = [p for group in optimizer.param_groups for p in group["params"]]
        found.append({id(p): p.grad.clone() for p in every if p.grad is not None})

    handle = register_optimizer_step_pre_hook(note)
    yield found
    handle.remove()


def paid(completion_ids, **columns) -> list[float]:
    return [0.1 * ids[0] - 0.3 * (len(ids) == 2) for ids in completion_ids]


def worth(world: exact.TabularPolicy) -> Tensor:
    """(N,) what the reward above pays for each completion."""
    return torch.tensor(paid(world.completions())).double()


class PaidOnce:
    """A reward that leads the policy away in the first rollout, and is silent afterwards."""

    __name__ = "paid_once"

    def __init__(self) -> None:
        self.drawn: list = []

    def __call__(self, completion_ids, **columns) -> list[float]:
        first = not self.drawn
        self.drawn.append(completion_ids)
        return paid(completion_ids) if first else [0.0] * len(completion_ids)


def run(policy, config: PolicyConfig, reward, **named):
    """A run whose loss is the sum over tokens, with centred advantages."""
    named = {"advantage": group_centred, "average": sequence_sum} | named
    return train_policy(policy, tokenizer(), [{"prompt": PROMPT}], reward, config, **named)


def agree(policy, found: dict[int, Tensor], norm: float, expected: Tensor, within: float) -> None:
    """The direction of a clipped gradient, and the norm that it had before it was clipped."""
    parts = [found.get(id(p), torch.zeros_like(p)).flatten() for p in policy.parameters()]
    assert torch.cosine_similarity(torch.cat(parts), expected, 0) > 1 - within**2
    assert norm == pytest.approx(expected.norm().item(), rel=within)


@pytest.mark.parametrize("objective", [reinforce, clipped, cispo])
def test_the_first_update_is_the_exact_policy_gradient(gradients, objective):
    """While all ratios are 1, every objective has the gradient of minus the expected reward."""
    policy = small_policy()
    start, before = copy.deepcopy(policy), world_of(policy)
    history = run(policy, PolicyConfig(steps=1, **ONE), paid, objective=objective)
    expected = to_parameters(start, -exact.policy_gradient(before, worth(before)))
    agree(policy, gradients[0], history["grad_norm"][0], expected, within=0.15)
    after = world_of(policy)
    assert exact.expectation(after, worth(after)) > exact.expectation(before, worth(before))


def test_clipping_takes_the_smaller_gain_for_both_signs(gradients):
    """Trap 1, in the loop: the second update of a rollout, from the samples that were drawn."""
    policy, reward, seen = small_policy(), PaidOnce(), []
    start = copy.deepcopy(policy)
    handle = register_optimizer_step_post_hook(lambda *a: seen.append(copy.deepcopy(policy)))
    config = PolicyConfig(steps=1, **ONE, epochs=2, learning_rate=AWAY)
    history = run(policy, config, reward, objective=partial(clipped, clip=0.2))
    handle.remove()
    here, there = world_of(seen[0]), world_of(start)
    share = shares(here, reward.drawn[0])
    gain = worth(here) - (share * worth(here)).sum()
    logratio = exact.token_logprobs(here) - exact.token_logprobs(there).detach()
    ratio = logratio.exp()
    # By cases: outside of the range on the side to which the advantage pulls, there is no slope.
    stopped = torch.where(gain[:, None] > 0, ratio > 1.2, ratio < 0.8)
    kept = (~stopped & here.mask) * ratio * gain[:, None]
    assert stopped[here.mask].any() and not stopped[here.mask].all()
    slope = -exact.gradient(here, (share[:, None] * kept).sum())
    expected = to_parameters(seen[0], slope)
    agree(policy, gradients[1], history["grad_norm"][0], expected, within=0.02)


def shares(world: exact.TabularPolicy, drawn: list) -> Tensor:
    """(N,) the share that each completion has of those that were drawn."""
    counts = Counter(map(tuple, drawn))
    assert set(counts) <= set(world.completions())
    return torch.tensor([counts[y] / len(drawn) for y in world.completions()]).double()


@pytest.fixture(scope="module", params=["loss", "reward"])
def two_steps(request) -> SimpleNamespace:
    """A step to the reward, and one with the KL alone."""
    policy, reward, seen = small_policy(), PaidOnce(), []
    start = copy.deepcopy(policy)
    config = PolicyConfig(steps=2, **ONE, learning_rate=AWAY, beta=BETA, kl=request.param)
    grads = []

    def note(optimizer, args, kwargs) -> None:
        grads.append({id(p): p.grad.clone() for p in policy.parameters() if p.grad is not None})

    handle = register_optimizer_step_pre_hook(note)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{train_policy.__module__}.fast_matmul", lambda device: nullcontext())
        history = run(
            policy, config, reward, objective=reinforce,
            on_step=lambda _: seen.append(copy.deepcopy(policy)),
        )  # fmt: skip
    handle.remove()
    return SimpleNamespace(
        kl=request.param, policy=policy, between=seen[0], gradient=grads[1], history=history,
        start=world_of(start), middle=world_of(seen[0]),
        shares=shares(world_of(start), reward.drawn[1]),
    )  # fmt: skip


def assert_exact(logged: float, policy: exact.TabularPolicy, start: exact.TabularPolicy) -> None:
    """A mean of MANY samples of k1 is within four of its standard errors of the KL."""
    true = exact.exact_kl(policy, start).item()
    k1 = exact.sequence_logprobs(policy) - exact.sequence_logprobs(start)
    error = (exact.expectation(policy, (k1 - true).square()).item() / MANY) ** 0.5
    assert 4 * error < 0.3 * true  # else half of it, or one of the other sign, would do
    assert logged == pytest.approx(true, abs=4 * error)


def test_the_kl_that_is_logged_is_the_exact_one(two_steps):
    """Of the policy from its start, in nats per completion: 0 at first, and above 0 afterwards."""
    assert two_steps.history["kl"][0] == pytest.approx(0, abs=1e-5)
    assert_exact(two_steps.history["kl"][1], two_steps.middle, two_steps.start)


def test_the_kl_pulls_back_with_the_size_and_sign_that_are_its_own(two_steps):
    """Traps 2, 4 and 7. In the reward, k1 is summed over tokens and has the gradient of the KL; in
    the loss, k3 of each token is differentiated over the samples that were drawn."""
    here, there = two_steps.middle, two_steps.start
    if two_steps.kl == "reward":
        slope, within = exact.gradient(here, exact.exact_kl(here, there)), 0.15
    else:
        per_token = k3(exact.token_logprobs(here), exact.token_logprobs(there).detach())
        cost = (per_token * here.mask).sum(1)
        slope, within = exact.gradient(here, (two_steps.shares * cost).sum()), 0.02
        assert two_steps.history["loss"][1] == pytest.approx(
            BETA * (two_steps.shares * cost).sum().item(), rel=1e-3
        )
    expected = to_parameters(two_steps.between, BETA * slope)
    norm = two_steps.history["grad_norm"][1]
    agree(two_steps.policy, two_steps.gradient, norm, expected, within)


@pytest.mark.parametrize("general", [False, True], ids=["essay", "loop"])
def test_ppos_kl_is_the_exact_one(general: bool):
    policy, seen = small_policy(), []
    start, value_model = copy.deepcopy(policy), ValueModel.from_policy(policy)
    settings = {
        "steps": 2, "prompts": MANY, "minibatches": 1, "epochs": 1, "max_new_tokens": 2,
        "learning_rate": AWAY,
    }  # fmt: skip
    rows = [{"prompt": PROMPT}] * MANY
    watch = {"on_step": lambda metrics: seen.append(copy.deepcopy(policy))}
    if general:
        config = PolicyConfig(**settings, group_size=1, kl="reward", beta=0.05)
        critic = Critic(value_model, missing_eos=None)
        history = train_policy(
            policy, tokenizer(), rows, paid, config, critic=critic, average=token_mean, **watch
        )
    else:
        config = PpoConfig(**settings, missing_eos=None)
        history = train_ppo(
            policy, tokenizer(), rows, paid, config, value_model=value_model, **watch
        )
    assert history["kl"][0] == pytest.approx(0, abs=1e-5)
    assert_exact(history["kl"][1], world_of(seen[0]), world_of(start))
