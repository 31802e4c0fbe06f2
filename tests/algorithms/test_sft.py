"""Supervised fine-tuning: the loss, its mean, the loop, stopping, resuming."""

from __future__ import annotations

import contextlib
import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from loop_inputs import DEMO_TEXTS as PAIRS
from loop_inputs import DEMOS as ROWS
from loop_inputs import TOKENIZER, small
from same_weights import same, weights
from tiny_models import tiny_llama
from torch import nn

from minialign.algorithms.sft import SftConfig, cross_entropy, loss_mask, train_sft
from minialign.core.batching import Row, collate
from minialign.core.logprobs import token_logprobs
from minialign.core.optim import linear_schedule, make_optimizer
from minialign.core.sampling import sample
from minialign.variants.loops.offline_loop import embedding_noise

settings = partial(small, SftConfig)
METRICS = ["loss", "grad_norm", "learning_rate", "tokens"]


class Given(nn.Module):
    """A model whose logits are given."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits, self.dtype = logits, logits.dtype

    def forward(self, **inputs) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits)


# --- the loss


def test_cross_entropy_hand_value_and_gradient():
    """Two tokens of probability 1/2 and 1/8 cost log 2 + log 8 = log 16; each gradient is -1."""
    logprobs = torch.tensor([[9.0, math.log(1 / 2), math.log(1 / 8), 9.0]], requires_grad=True)
    loss = cross_entropy(logprobs, torch.tensor([[0, 1, 1, 0]]))
    assert loss.shape == (1,) and loss.item() == pytest.approx(math.log(16))
    loss.sum().backward()
    assert logprobs.grad.tolist() == [[0, -1, -1, 0]]


def test_the_gradient_reaches_the_logits_of_the_completion_only():
    """Trap 15: column t is predicted by the logits of column t - 1; the prompt pulls at nothing."""
    batch = collate([Row([1, 5, 6], [7, 8, 2]), Row([1], [9, 2])], pad_id=0)
    logits = torch.randn(2, 6, 12, requires_grad=True)
    logprobs = token_logprobs(Given(logits), batch.input_ids, batch.attention_mask)
    cross_entropy(logprobs, loss_mask(batch, "completion")).sum().backward()
    reached = (logits.grad != 0).any(-1).long()
    assert reached.tolist() == [[0, 0, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]]


def test_masks_of_completion_and_all():
    batch = collate([Row([1, 5, 6], [7, 8, 2]), Row([1], [9, 2])], pad_id=0)
    assert torch.equal(loss_mask(batch, "completion"), batch.completion_mask)
    assert loss_mask(batch, "completion").tolist() == [[0, 0, 0, 1, 1, 1], [0, 1, 1, 0, 0, 0]]
    assert loss_mask(batch, "all").tolist() == [[0, 1, 1, 1, 1, 1], [0, 1, 1, 0, 0, 0]]
    assert batch.attention_mask[0, 0] == 1  # the batch itself is not changed


# --- the loop


def test_two_steps_log_the_metrics():
    seen = []
    model = tiny_llama()
    history = train_sft(model, TOKENIZER, ROWS, settings(steps=2), on_step=seen.append)
    assert history.names == METRICS and len(history) == len(seen) == 2
    assert [list(metrics) for metrics in seen] == [METRICS] * 2
    assert history.to_rows() == [{"step": i, **metrics} for i, metrics in enumerate(seen)]
    assert not model.training
    assert history["tokens"].sum() == sum(len(row.completion_ids) for row in ROWS)


def test_the_loss_is_the_token_mean_of_the_batch(monkeypatch):
    """Traps 31 and 52: before any update, and not the mean of the rows' own means."""
    exact = contextlib.nullcontext()
    monkeypatch.setattr("minialign.algorithms.sft.fast_matmul", lambda device: exact)
    model = tiny_llama()
    batch = collate(ROWS, TOKENIZER.pad_token_id)
    with torch.no_grad():
        logprobs = token_logprobs(model, batch.input_ids, batch.attention_mask)
    for loss_on in ("completion", "all"):
        mask = loss_mask(batch, loss_on)
        expected = -float(logprobs[mask.bool()].mean())
        config = settings(steps=1, batch_size=len(ROWS), loss_on=loss_on)
        history = train_sft(tiny_llama(), TOKENIZER, ROWS, config)
        assert history["loss"][0] == pytest.approx(expected, abs=1e-4)
        by_row = -float(((logprobs * mask).sum(1) / mask.sum(1)).mean())
        assert abs(by_row - expected) > 1e-2
        assert history["tokens"][0] == int(mask.sum())


def test_the_loss_falls():
    history = train_sft(tiny_llama(), TOKENIZER, ROWS, settings(steps=30, batch_size=8))
    assert history["loss"][-1] < 0.5 * history["loss"][0]


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_one_seed_gives_one_result(noise):
    found = []
    for seed in (0, 0, 1):
        model = tiny_llama()
        history = train_sft(model, TOKENIZER, ROWS, settings(noise_alpha=noise, seed=seed))
        found.append((history.to_rows(), weights(model)))
    assert found[0][0] == found[1][0] and same(found[0][1], found[1][1])
    assert found[0][0] != found[2][0] and not same(found[0][1], found[2][1])


def test_eos_is_learnt_and_greedy_sampling_stops():
    """Traps 12 and 13: the last token of the completion is supervised like any other."""
    model = tiny_llama()
    prompt, completion = PAIRS[0]
    train_sft(model, TOKENIZER, ROWS[:1], settings(steps=40, batch_size=1, learning_rate=1e-2))
    rollout = sample(model, TOKENIZER, [prompt], max_new_tokens=40, temperature=0)
    assert rollout.finished.all() and rollout.texts == [completion]


def test_only_trainable_parameters_move():
    model = tiny_llama()
    model.get_input_embeddings().requires_grad_(False)
    before = model.get_input_embeddings().weight.clone()
    other = weights(model.model.layers[0])
    train_sft(model, TOKENIZER, ROWS, settings(steps=2))
    assert torch.equal(model.get_input_embeddings().weight, before)
    assert not same(weights(model.model.layers[0]), other)


# --- resuming


class Stop(Exception):
    """Stands for a kill."""


def stop_at(step: int):
    calls = []

    def on_step(metrics: dict[str, float]) -> None:
        calls.append(metrics)
        if len(calls) == step:
            raise Stop

    return on_step


@pytest.mark.parametrize("noise", [0.0, 5.0])
@pytest.mark.parametrize("killed_at", [1, 3, 6])
def test_a_resumed_run_equals_one_that_was_never_stopped(tmp_path, noise, killed_at):
    config = settings(steps=8, save_every=2, noise_alpha=noise)
    straight = tiny_llama()
    expected = train_sft(straight, TOKENIZER, ROWS, config)
    with pytest.raises(Stop):
        train_sft(
            tiny_llama(),
            TOKENIZER,
            ROWS,
            config,
            on_step=stop_at(killed_at),
            checkpoint_dir=tmp_path / "run",
        )
    torch.manual_seed(99)  # whatever came in between
    resumed, seen = tiny_llama(seed=0 if killed_at == 1 else 3), []  # 1: nothing was saved yet
    history = train_sft(
        resumed, TOKENIZER, ROWS, config, on_step=seen.append, checkpoint_dir=tmp_path / "run"
    )
    assert len(seen) == 8 - 2 * ((killed_at - 1) // 2)  # the steps since the last save, again
    assert history.to_rows() == expected.to_rows()
    assert same(weights(resumed), weights(straight))
    done = tiny_llama(seed=4)  # a run that is complete is only loaded
    again = train_sft(done, TOKENIZER, ROWS, config, checkpoint_dir=tmp_path / "run")
    assert again.to_rows() == expected.to_rows() and same(weights(done), weights(straight))


def test_other_settings_are_not_resumed(tmp_path):
    train_sft(tiny_llama(), TOKENIZER, ROWS, settings(steps=2), checkpoint_dir=tmp_path / "run")
    others = [*ROWS[:-1], ROWS[0]]  # as many, but not the same
    for config, rows in [(settings(steps=3), ROWS), (settings(steps=2), others)]:
        with pytest.raises(ValueError, match="delete the folder to start anew"):
            train_sft(tiny_llama(), TOKENIZER, rows, config, checkpoint_dir=tmp_path / "run")


# --- noise, schedule, optimizer, settings


def test_noise_is_bounded_as_in_the_paper_and_removed_afterwards():
    """alpha / sqrt(T d) at most, per entry of (B, T, d); a uniform value has std bound / sqrt 3."""
    model, ids = tiny_llama(), torch.arange(40).view(2, 20)
    clean = model.get_input_embeddings()(ids)
    with embedding_noise(model, alpha=5.0):
        noise = model.get_input_embeddings()(ids) - clean
    bound = 5 / math.sqrt(20 * clean.shape[2])
    assert 0.95 * bound < noise.abs().max() <= bound * (1 + 1e-5)
    assert noise.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert torch.equal(model.get_input_embeddings()(ids), clean)
    with pytest.raises(Stop), embedding_noise(model, alpha=5.0):
        raise Stop
    assert torch.equal(model.get_input_embeddings()(ids), clean)


def test_the_schedule_warms_up_and_falls_to_a_twentieth():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    rates = [linear_schedule(optimizer, 2.0, step, 100, 10) for step in range(101)]
    assert rates[:2] == pytest.approx([0.2, 0.4]) and rates[9] == rates[10] == 2.0 == max(rates)
    assert rates[100] == pytest.approx(0.1) and rates[55] == pytest.approx(2 * (1 - 0.95 * 0.5))
    assert optimizer.param_groups[0]["lr"] == rates[-1]


def test_weight_decay_is_on_matrices_only():
    optimizer = make_optimizer(tiny_llama(), 1e-3, weight_decay=0.1)
    for group in optimizer.param_groups:
        assert {p.dim() > 1 for p in group["params"]} == {group["weight_decay"] > 0}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loss_on": "prompt"}, "'prompt'; use one of completion, all"),
        ({"steps": 0}, "steps=0.*must be positive"),
        ({"batch_size": 0}, "batch_size=0.*must be positive"),
        ({"learning_rate": 0.0}, "learning_rate=0.0.*all four must be positive"),
        ({"save_every": 0}, "save_every=0.*must be positive"),
        ({"max_grad_norm": 0.0}, "max_grad_norm=0.0.*must be positive"),
        ({"noise_alpha": -1.0}, "noise_alpha=-1.0.*at least 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        settings(**wrong)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="at least one row"):
        train_sft(tiny_llama(), TOKENIZER, [], settings())
