"""The loop without a critic: what it logs and refuses, resuming, and what its parts change."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from loop_inputs import PROMPT_ROWS as ROWS
from loop_inputs import TOKENIZER, critic, each_token, small, stop_at, vowels
from same_weights import same, weights
from tiny_models import tiny_llama

from minialign.core.sampling import sample
from minialign.rewards.contract import rewards_of
from minialign.variants.averages import fixed_length, sequence_mean, sequence_sum, token_mean
from minialign.variants.group_advantages import group_centred, leave_one_out, no_baseline
from minialign.variants.loops import policy_loop
from minialign.variants.loops.critic import Critic
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy

settings = partial(small, PolicyConfig)
METRICS = ["reward", "signal", "entropy", "length", "stops", "loss", "grad_norm", "off",
           "learning_rate"]  # fmt: skip


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """Exact arithmetic wherever the tests run."""
    monkeypatch.setattr(policy_loop, "fast_matmul", lambda device: nullcontext())


def test_two_steps_log_the_metrics():
    policy, seen = tiny_llama(), []
    before = weights(policy)
    history = train_policy(
        policy, TOKENIZER, ROWS, vowels, settings(), watch={"again": vowels}, on_step=seen.append
    )
    assert sorted(history.names) == sorted([*METRICS, "again"]) and len(seen) == 2
    assert history["again"].tolist() == history["reward"].tolist()
    assert not same(before, weights(policy))
    assert "kl" in train_policy(tiny_llama(), TOKENIZER, ROWS, vowels, settings(beta=0.1)).names


def test_the_first_ratio_is_1_and_later_ones_are_not():
    """Old logprobs are those of sampling; a second update on a rollout is off-policy."""
    once = train_policy(tiny_llama(), TOKENIZER, ROWS, vowels, settings())
    twice = train_policy(tiny_llama(), TOKENIZER, ROWS, vowels, settings(epochs=2))
    assert once["off"].max() < 1e-4 < twice["off"].max()


def test_samples_and_update_round_alike(monkeypatch):
    """Samples in float32 and an update in bfloat16 are off by more than both in bfloat16."""
    monkeypatch.setattr(
        policy_loop, "fast_matmul", lambda device: torch.autocast("cpu", torch.bfloat16)
    )
    alike = train_policy(tiny_llama(), TOKENIZER, ROWS, vowels, settings())
    assert alike["off"].max() < 0.05
    with_float32 = torch.autocast("cpu", enabled=False)(policy_loop.sample)
    monkeypatch.setattr(policy_loop, "sample", with_float32)
    apart = train_policy(tiny_llama(), TOKENIZER, ROWS, vowels, settings())
    assert alike["off"].mean() < 0.8 * apart["off"].mean()


def test_the_loss_is_near_0_while_its_gradient_is_not():
    """Trap 30: centred advantages and a ratio of 1 add up to nothing."""
    history = train_policy(
        tiny_llama(), TOKENIZER, ROWS, vowels, settings(), advantage=group_centred
    )
    assert abs(history["loss"][0]) < 1e-5 and history["grad_norm"][0] > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_learns_what_is_rewarded(sign: float):
    def reward(prompts, completions, **columns):
        return [sign * value for value in vowels(prompts, completions)]

    config = settings(steps=40, prompts=4, group_size=8, learning_rate=3e-3)
    history = train_policy(tiny_llama(), TOKENIZER, ROWS, reward, config)
    first, last = history["reward"][:5].mean(), history["reward"][-5:].mean()
    assert last > first + 0.3, (first, last)


@pytest.mark.parametrize("average", [sequence_sum, fixed_length, sequence_mean, token_mean])
def test_parts_of_a_batch_change_nothing(monkeypatch, average):
    """Trap 31: the mean over tokens is that of the batch, however it is read."""
    found = []
    for size in (64, 3):
        monkeypatch.setattr(policy_loop, "PART", size)
        policy = tiny_llama()
        history = train_policy(policy, TOKENIZER, ROWS, vowels, settings(steps=1), average=average)
        found.append((weights(policy), history["loss"][0]))
    assert found[0][1] == pytest.approx(found[1][1], abs=1e-5)
    for a, b in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5)


def test_a_cut_completion_stays_in_the_loss(monkeypatch):
    """Trap 32: here it is not masked; it earns what its text earns."""
    seen, real = [], policy_loop.policy_update

    def watched(run, policy, rollout, *rest, **named):
        seen.append((rollout.finished, rollout.completion_mask.sum(1)))
        return real(run, policy, rollout, *rest, **named)

    monkeypatch.setattr(policy_loop, "policy_update", watched)
    train_policy(tiny_llama(), TOKENIZER, ROWS, vowels, settings(steps=1))
    (finished, tokens), = seen  # fmt: skip
    assert not finished.all() and (tokens[~finished] == 5).all()


def test_columns_reach_the_reward_once_per_completion():
    def bonus(prompts, completions, bonus, completion_ids, **columns):
        assert len(prompts) == len(completions) == len(bonus) == len(completion_ids)
        assert all(row["bonus"] == b for row in ROWS for p, b in zip(prompts, bonus, strict=True)
                   if row["prompt"] == p)  # fmt: skip
        return [b + len(ids) / 100 for b, ids in zip(bonus, completion_ids, strict=True)]

    rollout = sample(tiny_llama(), TOKENIZER, [r["prompt"] for r in ROWS], group_size=3)
    found = rollout.grouped(rewards_of(bonus, rollout, ROWS))
    right = torch.tensor([[r["bonus"]] * 3 for r in ROWS]) + rollout.grouped(rollout.lengths) / 100
    torch.testing.assert_close(found, right)


def test_dynamic_sampling_keeps_groups_with_a_signal(monkeypatch):
    """Trap 27: the prompts of even number are always tied."""

    def odd(prompts, completions, bonus, **columns):
        values = vowels(prompts, completions)
        return [v + len(c) / 9 if b % 2 else 0.0 for v, c, b in
                zip(values, completions, bonus, strict=True)]  # fmt: skip

    updates, real = [], policy_loop.policy_update

    def watched(run, policy, rollout, advantages, *rest, **named):
        updates.append((rollout, advantages))
        return real(run, policy, rollout, advantages, *rest, **named)

    monkeypatch.setattr(policy_loop, "policy_update", watched)
    config, train = settings(dynamic=True, steps=1), partial(train_policy, advantage=no_baseline)
    history = train(tiny_llama(), TOKENIZER, ROWS, odd, config)
    (rollout, advantages), = updates  # fmt: skip
    asked = [row["prompt"] for row in ROWS if row["bonus"] % 2]
    assert set(rollout.prompts) == set(asked) and history["signal"][0] == 0.5
    assert len(rollout) == len(rollout.texts) == len(advantages) == 8
    first, second = rollout.prompts[0], rollout.prompts[4]
    assert rollout.prompts == [first] * 4 + [second] * 4 and first != second
    rewards = advantages[:, -1]  # without a baseline they are the rewards
    assert history["reward"][0] < rewards.mean()  # of all that was drawn, not of the kept ones

    def zero(completions, **columns):
        return [0.0] * len(completions)

    tied = train(tiny_llama(), TOKENIZER, ROWS, zero, config)
    assert len(updates[1][0]) == 8 and tied["signal"][0] == 0


@pytest.mark.parametrize("changes", [{}, {"beta": 0.1, "kl": "reward"}, {"dynamic": True}])
def test_an_interrupted_run_ends_bit_equal(tmp_path, changes):
    config, whole, resumed = settings(steps=4, **changes), tiny_llama(), tiny_llama()
    train_policy(whole, TOKENIZER, ROWS, vowels, config)

    train = partial(train_policy, tokenizer=TOKENIZER, rows=ROWS, reward=vowels, config=config)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_llama(), on_step=stop_at(3), checkpoint_dir=tmp_path / "run")
    train(resumed, checkpoint_dir=tmp_path / "run")
    assert same(weights(whole), weights(resumed))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kl": "x"}, "kl='x'"),
        ({"group_size": 0}, "group_size is 0"),
        ({"beta": -1.0}, r"beta=-1\.0"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0; use a number above 0"),
        ({"minibatches": 129}, "128 completions cannot fill 129 minibatches; use fewer"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        PolicyConfig(**changes)


def test_data_that_cannot_be_trained_on_are_refused():
    with pytest.raises(ValueError, match="0 rows: give at least one"):
        train_policy(tiny_llama(), TOKENIZER, [], vowels, settings())
    with pytest.raises(ValueError, match="give at least one, each a dict with a prompt"):
        train_policy(tiny_llama(), TOKENIZER, ["the cat"], vowels, settings())


@pytest.mark.parametrize(
    ("changes", "named", "message"),
    [
        ({"group_size": 1}, {}, "group_size is 1, and group_zscore compares"),
        ({"group_size": 1}, {"advantage": leave_one_out}, "leave_one_out compares a prompt's"),
        ({"group_size": 1, "greedy": True}, {}, "group_zscore compares a prompt's"),
        ({"kl": "reward", "beta": 0.1}, {"step_rewards": each_token}, "use kl='loss', or beta=0"),
        ({}, {"critic": {}}, "a critic with kl='loss': PPO pays its penalty"),
        ({"kl": "reward"}, {"critic": {"target_kl": 6.0}}, "use beta above 0"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(changes: dict, named: dict, message: str):
    if "critic" in named:
        named = {"critic": Critic(critic(tiny_llama()), **named["critic"])}
    with pytest.raises(ValueError, match=message):
        train_policy(tiny_llama(), TOKENIZER, ROWS, vowels, settings(**changes), **named)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"scores": "x"}, "scores is 'x'; use one of plain, normalised, clipped"),
     ({"target_kl": 0.0}, "target_kl is 0.0; use above 0, or None")],
)  # fmt: skip
def test_critics_that_cannot_work_are_refused(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Critic(critic(tiny_llama()), **changes)
