"""PPO in the general loop: what a critic's settings change, the pretraining mix, resuming."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import pytest
import torch
from loop_inputs import ASK, DEMOS, PROMPTS, TOKENIZER, brevity, critic, small, stop_at
from same_weights import same, weights
from tiny_models import tiny_llama

from minialign.core.advantages import token_rewards, whiten
from minialign.core.batching import collate
from minialign.core.logprobs import token_logprobs
from minialign.core.sampling import sample
from minialign.core.tokens import encode
from minialign.variants.averages import token_mean
from minialign.variants.loops import critic as critic_module
from minialign.variants.loops import policy_loop
from minialign.variants.loops.critic import (
    SCORE_CLIP,
    Critic,
    adapt_beta,
    imitation,
    normalised,
)
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy
from minialign.variants.policy import clipped

PPO = {
    "prompts": 4, "group_size": 1, "minibatches": 2, "epochs": 2, "max_new_tokens": 6,
    "beta": 0.05, "kl": "reward", "steps": 4,
}  # fmt: skip
SHOWN = [encode(TOKENIZER, "the cat", "sat on the mat")]


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """Exact arithmetic wherever the tests run."""
    for module in (critic_module, policy_loop):
        monkeypatch.setattr(module, "fast_matmul", lambda device: nullcontext())


def trained(of_critic: dict | None = None, *, reward=brevity, named: dict | None = None, **changes):
    """Policy, value model and history of a short run."""
    policy = tiny_llama()
    value_model = critic(policy)
    history = train_policy(
        policy, TOKENIZER, ASK, reward, small(PolicyConfig, **PPO | changes), average=token_mean,
        critic=Critic(value_model, **of_critic or {}), **named or {},
    )  # fmt: skip
    return policy, value_model, history


def test_it_logs_what_ppo_shows():
    *_, history = trained(named={"watch": {"again": brevity}})
    shown = {"beta", "explained_variance", "value_loss", "clip_fraction", "kl", "off", "again"}
    assert shown <= set(history.names) and history["beta"].tolist() == [0.05] * 4
    assert history["kl"][0] == pytest.approx(0, abs=1e-4)
    *_, fresh = trained(epochs=1, minibatches=1)  # one update, of the policy that sampled
    assert fresh["clip_fraction"].tolist() == [0.0] * 4 and fresh["off"].max() < 1e-4


def test_clip_fraction_is_of_the_clip_that_the_objective_has():
    """A clip that nothing leaves is never passed; one that every move leaves is."""
    for clip, above in ((0.999, False), (1e-6, True)):
        objective = partial(clipped, clip=clip, clip_high=1e3)
        *_, history = trained(named={"objective": objective})
        assert (history["clip_fraction"].max() > 0.3) == above


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of_critic", "named"),
    [({}, {}), ({"scores": "clipped", "target_kl": 0.5}, {}), ({"whiten_rewards": True}, {}),
     ({}, {"extra_loss": imitation(SHOWN, weight=0.5)})],
    ids=["plain", "adaptive", "whitened", "ptx"],
)  # fmt: skip
def test_an_interrupted_run_ends_bit_equal(tmp_path, of_critic: dict, named: dict):
    whole = trained(of_critic, named=named)
    saved = named | {"checkpoint_dir": tmp_path / "c"}
    with pytest.raises(KeyboardInterrupt):
        trained(of_critic, named=saved | {"on_step": stop_at(3)})
    resumed = trained(of_critic, named=saved)
    assert same(weights(*whole[:2]), weights(*resumed[:2]))
    assert whole[2].to_rows() == resumed[2].to_rows()


def test_another_critic_or_other_demonstrations_are_not_resumed(tmp_path):
    saved = {"checkpoint_dir": tmp_path / "c"}
    trained(named=saved | {"extra_loss": imitation(SHOWN)})
    for of_critic, extra in (
        ({"lam": 0.5}, imitation(SHOWN)), ({"scores": "clipped"}, imitation(SHOWN)),
        ({}, imitation(DEMOS)), ({}, imitation(SHOWN, weight=2.0)), ({}, None),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="delete the folder to start anew"):
            trained(of_critic, named=saved | {"extra_loss": extra})


@pytest.mark.parametrize("missing_eos", [-1.0, None])
def test_a_cut_completion_gets_the_fixed_low_score(monkeypatch, missing_eos: float | None):
    """Trap 11."""
    rollout = sample(tiny_llama(), TOKENIZER, PROMPTS, max_new_tokens=3)
    finished = torch.tensor([True, False, True, False, True])
    rollout = replace(rollout, finished=finished)
    monkeypatch.setattr(policy_loop, "sample", lambda *args, **named: rollout)
    calls = []

    def watched(scores, *args):
        calls.append(scores.tolist())
        return token_rewards(scores, *args)

    monkeypatch.setattr(critic_module, "token_rewards", watched)
    *_, history = trained(
        {"missing_eos": missing_eos}, steps=1, prompts=5,
        reward=lambda completions, **_: [5.0] * len(completions),
    )  # fmt: skip
    low = 5.0 if missing_eos is None else missing_eos
    assert calls == [[5.0, low, 5.0, low, 5.0]]
    assert history["reward"][0] == pytest.approx((15 + 2 * low) / 5)


def test_scores_are_normalised_by_all_that_were_seen():
    running = [0, 0.0, 0.0]
    first, second = torch.tensor([1.0, 3.0]), torch.tensor([5.0, 100.0])
    assert normalised(first, running, "plain").tolist() == [1.0, 3.0]
    found = normalised(second, running, "normalised")
    everything = torch.cat([first, second])
    torch.testing.assert_close(found, (second - everything.mean()) / everything.std())
    far = torch.cat([torch.zeros(200), torch.tensor([1e6])])
    assert normalised(far, [0, 0.0, 0.0], "clipped").max().item() == pytest.approx(SCORE_CLIP)
    assert normalised(torch.tensor([2.0]), [0, 0.0, 0.0], "normalised").tolist() == [0.0]


def test_rewards_are_whitened_before_the_advantages(monkeypatch):
    seen, real = [], critic_module.gae

    def watched(rewards, values, mask, **named):
        seen.append((rewards, mask.bool()))
        return real(rewards, values, mask, **named)

    monkeypatch.setattr(critic_module, "gae", watched)
    for whiten_rewards in (False, True):
        trained({"whiten_rewards": whiten_rewards}, steps=1)
    (plain, mask), (white, _) = seen
    torch.testing.assert_close(white, whiten(plain, mask, shift_mean=False))
    assert white[mask].var().item() == pytest.approx(1.0, abs=1e-3)
    assert plain[mask].var().item() < 0.5


def test_the_adaptive_penalty_follows_its_target_within_a_fifth():
    assert adapt_beta(1.0, 6.0, 6.0, 500) == 1.0
    assert adapt_beta(1.0, 100.0, 6.0, 500) == pytest.approx(1.1)
    assert adapt_beta(1.0, 0.0, 6.0, 500) == pytest.approx(0.9)
    *_, history = trained({"target_kl": 1e-6}, learning_rate=3e-3, prompts=16, steps=8)
    betas, kls = history["beta"], history["kl"]
    assert betas[-1] > betas[1]  # the first step's KL is 0 but for rounding
    for before, kl, after in zip(betas, kls, betas[1:], strict=False):
        assert after == pytest.approx(adapt_beta(before, kl, 1e-6, 16))


def test_ptx_pulls_towards_the_demonstrations():
    def surprise(policy) -> float:
        batch = collate(SHOWN, TOKENIZER.pad_token_id)
        with torch.no_grad():
            found = token_logprobs(policy, batch.input_ids, batch.attention_mask)
        return -found[batch.completion_mask.bool()].mean().item()

    without, _, _ = trained(steps=10)
    mixed, _, _ = trained(steps=10, named={"extra_loss": imitation(SHOWN, weight=1.0)})
    assert surprise(mixed) < surprise(without) - 0.5


@pytest.mark.parametrize(("rows", "weight"), [([], 1.0), (SHOWN, 0.0), (SHOWN, -1.0)])
def test_a_mix_of_nothing_is_refused(rows: list, weight: float):
    with pytest.raises(ValueError, match=f"{len(rows)} demonstrations with weight {weight}: give"):
        imitation(rows, weight=weight)


def test_a_critic_alone_asks_for_no_group():
    """PPO's group of one is refused for advantages that compare, and not with a critic."""
    with pytest.raises(ValueError, match="group_size is 1, and group_zscore compares"):
        train_policy(tiny_llama(), TOKENIZER, ASK, brevity, small(PolicyConfig, **PPO))
    assert len(trained(steps=1)[2]) == 1
