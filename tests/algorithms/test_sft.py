"""Supervised fine-tuning, by essay and general loop: the loss, its mean, stopping, resuming."""

from __future__ import annotations

import contextlib
import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from loop_inputs import DEMO_TEXTS as PAIRS
from loop_inputs import DEMOS as ROWS
from loop_inputs import TOKENIZER, small, stop_at
from same_weights import same, weights
from tiny_models import tiny_llama
from torch import nn

from minialign.algorithms.sft import SftConfig, cross_entropy, train_sft
from minialign.core.batching import Batch, Row, collate
from minialign.core.logprobs import token_logprobs
from minialign.core.optim import linear_schedule, make_optimizer
from minialign.core.sampling import sample
from minialign.core.tokens import encode
from minialign.variants.loops import offline_loop
from minialign.variants.loops.offline_loop import embedding_noise, train_supervised

settings = partial(small, SftConfig)
METRICS = ["loss", "grad_norm", "learning_rate", "tokens"]
BOTH = pytest.mark.parametrize("train", [train_sft, train_supervised])


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
    cross_entropy(logprobs, batch.completion_mask).sum().backward()
    reached = (logits.grad != 0).any(-1).long()
    assert reached.tolist() == [[0, 0, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]]


def test_masks_of_completion_and_all(monkeypatch):
    """The loop imitates the prompt's tokens too, but for the first, which nothing predicts."""
    rows, seen = [Row([1, 5, 6], [7, 8, 2]), Row([1], [9, 2])], []
    real = offline_loop.cross_entropy

    def watched(logprobs, mask):
        seen.append(mask)
        return real(logprobs, mask)

    monkeypatch.setattr(offline_loop, "cross_entropy", watched)
    for loss_on in ("completion", "all"):
        config = settings(steps=1, batch_size=2)
        train_supervised(tiny_llama(), TOKENIZER, rows, config, loss_on=loss_on)
    completion, whole = (sorted(mask.tolist()) for mask in seen)
    assert completion == [[0, 0, 0, 1, 1, 1], [0, 1, 1, 0, 0, 0]]
    assert whole == [[0, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1]]


def gradient(model: nn.Module, parts: list[list[Row]], divide) -> torch.Tensor:
    """Gradient accumulated over micro-batches whose loss is divided by `divide(batch)`."""
    model.zero_grad()
    for rows in parts:
        batch = collate(rows, TOKENIZER.pad_token_id)
        logprobs = token_logprobs(model, batch.input_ids, batch.attention_mask)
        (cross_entropy(logprobs, batch.completion_mask).sum() / divide(batch)).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def test_accumulated_gradients_equal_the_big_batch():
    """Traps 31 and 52: sums over all tokens of the batch; a mean per micro-batch differs."""
    model = tiny_llama()
    short, long = ROWS[6], encode(TOKENIZER, "the cat", "sat on the mat and ran to the house")
    total = len(short.completion_ids) + len(long.completion_ids)
    big = gradient(model, [[short, long]], lambda batch: total)
    split = gradient(model, [[short], [long]], lambda batch: total)
    torch.testing.assert_close(split, big, atol=1e-5, rtol=1e-4)

    def own_mean(batch: Batch) -> float:
        return 2 * float(batch.completion_mask.sum())

    naive = gradient(model, [[short], [long]], own_mean)
    assert (naive - big).norm() > 0.1 * big.norm()


# --- the loop


@BOTH
def test_two_steps_log_the_metrics(train):
    seen = []
    model = tiny_llama()
    history = train(model, TOKENIZER, ROWS, settings(steps=2), on_step=seen.append)
    assert sorted(history.names) == sorted(METRICS) and len(history) == len(seen) == 2
    assert [sorted(metrics) for metrics in seen] == [sorted(METRICS)] * 2
    assert history.to_rows() == [{"step": i, **metrics} for i, metrics in enumerate(seen)]
    assert not model.training
    assert history["tokens"].sum() == sum(len(row.completion_ids) for row in ROWS)


def test_the_loss_is_the_token_mean_of_the_batch(monkeypatch):
    """The first loss, before any update, in exact float32."""
    for module in (train_sft.__module__, offline_loop.__name__):
        monkeypatch.setattr(f"{module}.fast_matmul", lambda device: contextlib.nullcontext())
    model = tiny_llama()
    batch = collate(ROWS, TOKENIZER.pad_token_id)
    with torch.no_grad():
        logprobs = token_logprobs(model, batch.input_ids, batch.attention_mask)
    everything = batch.attention_mask.clone()
    everything[:, 0] = 0  # nothing predicts it
    for train, mask in (
        (train_sft, batch.completion_mask),
        (train_supervised, batch.completion_mask),
        (partial(train_supervised, loss_on="all"), everything),
    ):
        expected = -float(logprobs[mask.bool()].mean())
        history = train(tiny_llama(), TOKENIZER, ROWS, settings(steps=1, batch_size=len(ROWS)))
        assert history["loss"][0] == pytest.approx(expected, abs=1e-4)
        assert history["tokens"][0] == int(mask.sum())


@BOTH
def test_the_loss_falls(train):
    history = train(tiny_llama(), TOKENIZER, ROWS, settings(steps=30, batch_size=8))
    assert history["loss"][-1] < 0.5 * history["loss"][0]


TRAINERS = pytest.mark.parametrize(
    "train", [train_sft, partial(train_supervised, noise_alpha=5.0)], ids=["essay", "noise"]
)


@TRAINERS
def test_one_seed_gives_one_result(train):
    found = []
    for seed in (0, 0, 1):
        model = tiny_llama()
        history = train(model, TOKENIZER, ROWS, settings(seed=seed))
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


@TRAINERS
@pytest.mark.parametrize("killed_at", [1, 3, 6])
def test_a_resumed_run_equals_one_that_was_never_stopped(tmp_path, train, killed_at):
    config = settings(steps=8, save_every=2)
    straight = tiny_llama()
    expected = train(straight, TOKENIZER, ROWS, config)
    with pytest.raises(KeyboardInterrupt):
        train(
            tiny_llama(),
            TOKENIZER,
            ROWS,
            config,
            on_step=stop_at(killed_at),
            checkpoint_dir=tmp_path / "run",
        )
    torch.manual_seed(99)  # whatever came in between
    resumed, seen = tiny_llama(seed=0 if killed_at == 1 else 3), []  # 1: nothing was saved yet
    history = train(
        resumed, TOKENIZER, ROWS, config, on_step=seen.append, checkpoint_dir=tmp_path / "run"
    )
    assert len(seen) == 8 - 2 * ((killed_at - 1) // 2)  # the steps since the last save, again
    assert history.to_rows() == expected.to_rows()
    assert same(weights(resumed), weights(straight))
    done = tiny_llama(seed=4)  # a run that is complete is only loaded
    again = train(done, TOKENIZER, ROWS, config, checkpoint_dir=tmp_path / "run")
    assert again.to_rows() == expected.to_rows() and same(weights(done), weights(straight))


@BOTH
def test_other_settings_are_not_resumed(tmp_path, train):
    train(tiny_llama(), TOKENIZER, ROWS, settings(steps=2), checkpoint_dir=tmp_path / "run")
    others = [*ROWS[:-1], ROWS[0]]  # as many, but not the same
    for config, rows in [(settings(steps=3), ROWS), (settings(steps=2), others)]:
        with pytest.raises(ValueError, match="delete the folder to start anew"):
            train(tiny_llama(), TOKENIZER, rows, config, checkpoint_dir=tmp_path / "run")
    for other in ({"noise_alpha": 5.0}, {"loss_on": "all"}):
        with pytest.raises(ValueError, match="delete the folder to start anew"):
            train_supervised(
                tiny_llama(), TOKENIZER, ROWS, settings(steps=2), checkpoint_dir=tmp_path / "run",
                **other,
            )  # fmt: skip


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
    with pytest.raises(KeyboardInterrupt), embedding_noise(model, alpha=5.0):
        raise KeyboardInterrupt
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
        ({"steps": 0}, "steps is 0; use 1 or more"),
        ({"batch_size": 0}, "batch_size is 0; use 1 or more"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0; use a number above 0"),
        ({"save_every": 0}, "save_every is 0; use 1 or more"),
        ({"max_grad_norm": 0.0}, r"max_grad_norm is 0\.0; use a number above 0"),
        ({"eps": 0.0}, r"eps is 0\.0; use a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; use a number above 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        settings(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loss_on": "prompt"}, "loss_on is 'prompt'; use one of completion, all"),
        ({"noise_alpha": -1.0}, r"noise_alpha is -1\.0; use 0 \(no noise\) or more"),
    ],
)
def test_variants_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        train_supervised(tiny_llama(), TOKENIZER, ROWS, settings(), **wrong)


@BOTH
def test_no_rows_are_refused(train):
    with pytest.raises(ValueError, match="at least one row"):
        train(tiny_llama(), TOKENIZER, [], settings())
    with pytest.raises(TypeError, match="a loop takes rows of ids; encode it"):
        train(tiny_llama(), TOKENIZER, ["the cat sat"], settings())
