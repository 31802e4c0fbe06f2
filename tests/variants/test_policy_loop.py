"""The loop without a critic: what it logs and refuses, resuming, and that every method trains."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from loop_inputs import PROMPT_ROWS as ROWS
from loop_inputs import TOKENIZER, small, stop_at, vowels
from same_weights import same, weights
from slowness import slow_but
from tiny_models import tiny_llama

from minialign.core.sampling import sample
from minialign.rewards.contract import rewards_of
from minialign.variants import policy_loop
from minialign.variants.loops.policy_loop import RlConfig, roll_out, train_rl

settings = partial(small, RlConfig)
METRICS = ["reward", "signal", "entropy", "length", "stops", "loss", "grad_norm", "off",
           "learning_rate"]  # fmt: skip


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """Exact arithmetic wherever the tests run."""
    monkeypatch.setattr(policy_loop, "fast_matmul", lambda device: nullcontext())


def test_two_steps_log_the_metrics():
    policy, seen = tiny_llama(), []
    before = weights(policy)
    history = train_rl(
        policy, TOKENIZER, ROWS, vowels, settings(), watch={"again": vowels}, on_step=seen.append
    )
    assert sorted(history.names) == sorted([*METRICS, "again"]) and len(seen) == 2
    assert history["again"].tolist() == history["reward"].tolist()
    assert not same(before, weights(policy))
    assert "kl" in train_rl(tiny_llama(), TOKENIZER, ROWS, vowels, settings(beta=0.1)).names


def test_the_first_ratio_is_1_and_later_ones_are_not():
    """Old logprobs are those of sampling; a second update on a rollout is off-policy."""
    once = train_rl(tiny_llama(), TOKENIZER, ROWS, vowels, settings())
    twice = train_rl(tiny_llama(), TOKENIZER, ROWS, vowels, settings(epochs=2))
    assert once["off"].max() < 1e-4 < twice["off"].max()


def test_samples_and_update_round_alike(monkeypatch):
    """Samples in float32 and an update in bfloat16 are off by more than both in bfloat16."""
    monkeypatch.setattr(
        policy_loop, "fast_matmul", lambda device: torch.autocast("cpu", torch.bfloat16)
    )
    alike = train_rl(tiny_llama(), TOKENIZER, ROWS, vowels, settings())
    assert alike["off"].max() < 0.05
    with_float32 = torch.autocast("cpu", enabled=False)(policy_loop.sample)
    monkeypatch.setattr(policy_loop, "sample", with_float32)
    apart = train_rl(tiny_llama(), TOKENIZER, ROWS, vowels, settings())
    assert alike["off"].mean() < 0.8 * apart["off"].mean()


def test_the_loss_is_near_0_while_its_gradient_is_not():
    """Trap 30: centred advantages and a ratio of 1 add up to nothing."""
    history = train_rl(tiny_llama(), TOKENIZER, ROWS, vowels, settings(advantage="centred"))
    assert abs(history["loss"][0]) < 1e-5 and history["grad_norm"][0] > 1e-2


@pytest.mark.parametrize("sign", slow_but([1.0, -1.0], 1.0))
def test_it_learns_what_is_rewarded(sign: float):
    def reward(prompts, completions, **columns):
        return [sign * value for value in vowels(prompts, completions)]

    config = settings(steps=40, prompts=4, group_size=8, learning_rate=3e-3)
    history = train_rl(tiny_llama(), TOKENIZER, ROWS, reward, config)
    first, last = history["reward"][:5].mean(), history["reward"][-5:].mean()
    assert last > first + 0.3, (first, last)


@pytest.mark.parametrize("average", ["sum", "fixed", "sequence", "token"])
def test_parts_of_a_batch_change_nothing(monkeypatch, average: str):
    """Trap 31: the mean over tokens is that of the batch, however it is read."""
    found = []
    for size in (64, 3):
        monkeypatch.setattr(policy_loop, "PART", size)
        policy = tiny_llama()
        history = train_rl(policy, TOKENIZER, ROWS, vowels, settings(average=average, steps=1))
        found.append((weights(policy), history["loss"][0]))
    assert found[0][1] == pytest.approx(found[1][1], abs=1e-5)
    for a, b in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5)


def test_a_cut_completion_stays_in_the_loss(monkeypatch):
    """Trap 32: here it is not masked; it earns what its text earns."""
    seen, real = [], policy_loop.policy_update

    def watched(policy, optimizer, rollout, *rest):
        seen.append((rollout.finished, rollout.completion_mask.sum(1)))
        return real(policy, optimizer, rollout, *rest)

    monkeypatch.setattr(policy_loop, "policy_update", watched)
    train_rl(tiny_llama(), TOKENIZER, ROWS, vowels, settings(steps=1))
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


def test_dynamic_sampling_keeps_groups_with_a_signal():
    """Trap 27: the prompts of even number are always tied."""

    def odd(prompts, completions, bonus, **columns):
        values = vowels(prompts, completions)
        return [v + len(c) / 9 if b % 2 else 0.0 for v, c, b in
                zip(values, completions, bonus, strict=True)]  # fmt: skip

    generator = torch.Generator().manual_seed(0)
    config = settings(dynamic=True)
    rollout, rewards, rows, drawn = roll_out(tiny_llama(), TOKENIZER, ROWS, odd, config, generator)
    assert [row["bonus"] for row in rows] == [1.0, 3.0] and drawn["signal"] == 0.5
    assert drawn["reward"] < rewards.mean()  # of all that was drawn, not of the kept ones
    assert rewards.shape == (2, 4) and len(rollout) == len(rollout.texts) == 8
    assert rollout.prompts == [rows[0]["prompt"]] * 4 + [rows[1]["prompt"]] * 4

    def zero(completions, **columns):
        return [0.0] * len(completions)

    tied = roll_out(tiny_llama(), TOKENIZER, ROWS, zero, config, generator)
    assert len(tied[2]) == 2 and tied[3]["signal"] == 0


@pytest.mark.parametrize("changes", [{}, {"beta": 0.1, "kl": "reward"}, {"dynamic": True}])
def test_an_interrupted_run_ends_bit_equal(tmp_path, changes):
    config, whole, resumed = settings(steps=4, **changes), tiny_llama(), tiny_llama()
    train_rl(whole, TOKENIZER, ROWS, vowels, config)

    train = partial(train_rl, tokenizer=TOKENIZER, rows=ROWS, reward=vowels, config=config)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_llama(), on_step=stop_at(3), checkpoint_dir=tmp_path / "run")
    train(resumed, checkpoint_dir=tmp_path / "run")
    assert same(weights(whole), weights(resumed))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"advantage": "x"}, "advantage is 'x'; use one of none, centred"),
        ({"objective": "x"}, "objective is 'x'; use one of reinforce"),
        ({"average": "x"}, "average is 'x'; use one of sum"),
        ({"options": {"cap": 2.0}}, "objective 'clipped' has no option 'cap'; it has clip"),
        ({"kl": "x"}, "kl='x'"),
        ({"group_size": 0}, "group_size is 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        RlConfig(**changes)


def test_data_that_cannot_be_trained_on_are_refused():
    with pytest.raises(ValueError, match="0 rows: give at least one"):
        train_rl(tiny_llama(), TOKENIZER, [], vowels, settings())
    with pytest.raises(ValueError, match="rewards of steps belong to the advantage process"):
        train_rl(tiny_llama(), TOKENIZER, ROWS, vowels, settings(advantage="process"))
