"""GRPO's essay: what it logs and refuses, its reference, learning, resuming."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from loop_inputs import PROMPT_ROWS as ROWS
from loop_inputs import TOKENIZER, small, stop_at, vowels
from same_weights import same, weights
from tiny_models import tiny_llama

from minialign.algorithms import grpo
from minialign.algorithms.grpo import GrpoConfig, group_zscore, grpo_loss, train_grpo

settings = partial(small, GrpoConfig)
METRICS = ["reward", "signal", "kl", "entropy", "length", "stops", "loss", "grad_norm",
           "learning_rate"]  # fmt: skip


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """Exact arithmetic wherever the tests run."""
    monkeypatch.setattr(grpo, "fast_matmul", lambda device: nullcontext())


def test_two_steps_log_the_metrics_and_leave_the_reference_alone(monkeypatch):
    made, real = [], grpo.frozen_reference
    monkeypatch.setattr(grpo, "frozen_reference", lambda p: made.append(real(p)) or made[-1])
    policy, seen = tiny_llama(), []
    before = weights(policy)
    history = train_grpo(
        policy, TOKENIZER, ROWS, vowels, settings(), watch={"again": vowels}, on_step=seen.append
    )
    assert sorted(history.names) == sorted([*METRICS, "again"]) and len(seen) == 2
    assert history["again"].tolist() == history["reward"].tolist()
    assert same(before, weights(made[0])) and not same(before, weights(policy))
    assert history["kl"][0] == pytest.approx(0, abs=1e-4) and history["kl"][1] != 0


def test_the_loss_is_near_0_while_its_gradient_is_not():
    """Trap 30: centred advantages, a ratio of 1 and a KL of 0 add up to nothing."""
    history = train_grpo(tiny_llama(), TOKENIZER, ROWS, vowels, settings())
    assert abs(history["loss"][0]) < 1e-5 and history["grad_norm"][0] > 1e-2


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_learns_what_is_rewarded(sign: float):
    def reward(prompts, completions, **columns):
        return [sign * value for value in vowels(prompts, completions)]

    config = settings(steps=40, prompts=4, group_size=8, learning_rate=3e-3, beta=0.0)
    history = train_grpo(tiny_llama(), TOKENIZER, ROWS, reward, config)
    first, last = history["reward"][:5].mean(), history["reward"][-5:].mean()
    assert last > first + 0.3, (first, last)


def test_a_larger_beta_stays_nearer():
    loose, tight = (
        train_grpo(
            tiny_llama(), TOKENIZER, ROWS, vowels, settings(steps=20, group_size=8, beta=beta)
        )["kl"][-5:].mean()
        for beta in (0.0, 5.0)
    )
    assert tight < 0.5 * loose


def test_parts_of_a_batch_change_nothing(monkeypatch):
    """Trap 31: the mean over completions is that of the batch, however it is read."""
    found = []
    for size in (64, 3):
        monkeypatch.setattr(grpo, "PART", size)
        policy = tiny_llama()
        history = train_grpo(policy, TOKENIZER, ROWS, vowels, settings(steps=1))
        found.append((weights(policy), history["loss"][0]))
    assert found[0][1] == pytest.approx(found[1][1], abs=1e-5)
    for a, b in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("advantage", "ratio", "moves"),
    [(1, 0.5, True), (1, 2.0, False), (-1, 0.5, False), (-1, 2.0, True)],
)
def test_the_clip_stops_what_the_advantage_wants_and_the_leash_pulls_back(advantage, ratio, moves):
    """Trap 1; and beta k3 has the slope beta (1 - exp(ref - logprob))."""
    one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    logprob = torch.tensor([[ratio]]).log().requires_grad_()
    loss = grpo_loss(logprob, zero, zero, advantage * one, clip=0.2, beta=0.5)
    (slope,) = torch.autograd.grad(loss.sum(), logprob)
    pull = 0.5 * (1 - 1 / ratio)
    assert slope.item() == pytest.approx(pull - (advantage * ratio if moves else 0.0))


def test_group_advantages_have_mean_0_and_a_tied_group_none():
    found = group_zscore(torch.tensor([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]]))
    assert found[0].mean().abs() < 1e-6 and found[0].std().item() == pytest.approx(1, abs=1e-3)
    assert found[1].tolist() == [0.0, 0.0, 0.0]


def test_one_seed_gives_one_result_and_resuming_changes_nothing(tmp_path):
    whole, resumed, other = tiny_llama(), tiny_llama(), tiny_llama()
    config, saved = settings(steps=4), {"checkpoint_dir": tmp_path / "run"}
    expected = train_grpo(whole, TOKENIZER, ROWS, vowels, config)
    with pytest.raises(KeyboardInterrupt):
        train_grpo(tiny_llama(), TOKENIZER, ROWS, vowels, config, on_step=stop_at(3), **saved)
    history = train_grpo(resumed, TOKENIZER, ROWS, vowels, config, **saved)
    assert same(weights(whole), weights(resumed)) and history.to_rows() == expected.to_rows()
    train_grpo(other, TOKENIZER, ROWS, vowels, settings(steps=4, seed=1))
    assert not same(weights(whole), weights(other))
    with pytest.raises(ValueError, match="delete the folder to start anew"):
        train_grpo(tiny_llama(), TOKENIZER, ROWS[:3], vowels, config, **saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0; use 1 or more"),
        ({"group_size": 1}, r"group_size=1, .*: use 2 or more, since a group is compared"),
        ({"clip": 1.5}, r"clip=1\.5, .*between 0 and 1"),
        ({"beta": -1.0}, r"beta=-1\.0: .*at least 0"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0; use a number above 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        settings(**changes)


@pytest.mark.parametrize("rows", [[], ["the cat"], [{"question": "the cat"}]])
def test_missing_prompts_are_refused(rows: list):
    with pytest.raises(ValueError, match=f"{len(rows)} rows: give at least one, each a dict with"):
        train_grpo(tiny_llama(), TOKENIZER, rows, vowels, settings())
