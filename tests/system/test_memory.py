"""The memory model against measured peaks of a forward and backward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import torch
from slowness import slow_but
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from benchmarks.gpu.measuring import most_held
from minialign.core import sampling
from minialign.core.logprobs import token_logprobs
from minialign.core.models import fast_dtype, memory
from minialign.core.models.heads import RewardModel
from minialign.core.models.memory import Shape, tokens_that_fit
from minialign.core.optim import make_optimizer, part_size
from minialign.course import profiles
from minialign.course.pipeline import STAGES
from tools.memory_needs import stage_bytes, update_bytes

SMALL = {"vocab_size": 16000, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 2}  # fmt: skip


def measured_peak(step: Callable[[], None]) -> int:
    """The most bytes that torch held at once beyond those held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run:
        step()
    return most_held(run)


def built(attention: str, **changes):
    torch.manual_seed(0)
    config = LlamaConfig(**SMALL | changes, attn_implementation=attention)
    return with_gradients(LlamaForCausalLM(config))


def with_gradients(model):
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return model


def backward(model, tokens: tuple[int, int], dtype: torch.dtype) -> Callable[[], None]:
    ids = torch.randint(0, SMALL["vocab_size"], tokens)
    fast = dtype != torch.float32
    context = torch.autocast("cpu", dtype) if fast else contextlib.nullcontext()

    def step() -> None:
        with context:
            logprobs = token_logprobs(model, ids, torch.ones_like(ids))
        logprobs.mean().backward()

    return step


CHANGES = [
    {},
    {"hidden_size": 256},
    {"intermediate_size": 1024},
    {"num_hidden_layers": 6},
    {"vocab_size": 48000},
    {"num_key_value_heads": 4},
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("changes", slow_but(CHANGES, {}), ids=str)
def test_activations_are_within_a_tenth_of_the_measured(changes, attention, dtype):
    model, (size, length) = built(attention, **changes), (16, 96)
    found = measured_peak(backward(model, (size, length), dtype))
    kept = {"length": length if attention == "eager" else 0, "dtype": dtype}
    expected = update_bytes(Shape.of(model), size * length, **kept)
    assert found == pytest.approx(expected["activations"] + expected["copies"], rel=0.1)


def test_advice_knows_how_many_completions_a_pass_reads():
    assert memory.PART == sampling.PART


def test_another_architecture():
    config = Qwen2Config(**SMALL, attn_implementation="sdpa")
    model = with_gradients(Qwen2ForCausalLM(config))
    found = measured_peak(backward(model, (16, 96), torch.float32))
    assert found == pytest.approx(update_bytes(Shape.of(model), 1536)["activations"], rel=0.1)


def test_a_reward_model_has_no_logits():
    model = with_gradients(RewardModel.from_policy(built("sdpa", num_hidden_layers=6)))
    ids = torch.randint(0, SMALL["vocab_size"], (16, 96))
    found = measured_peak(lambda: model(ids, torch.ones_like(ids)).sum().backward())
    expected = update_bytes(Shape.of(model.body), 1536, head=False)["activations"]
    assert found == pytest.approx(expected, rel=0.1)


def test_training_takes_four_times_the_weights():
    """Weights, gradients and Adam's two averages, in float32 each."""
    model = built("sdpa")
    optimizer = make_optimizer(model, 1e-3)
    model.zero_grad()

    def step() -> None:
        backward(model, (1, 2), torch.float32)()
        optimizer.step()

    expected = update_bytes(Shape.of(model), 2)
    kept = expected["gradients"] + expected["optimizer"]
    assert measured_peak(step) == pytest.approx(kept, rel=0.1)
    assert kept == 3 * expected["weights"]


def test_lora_trains_little_and_a_reference_is_held():
    shape = Shape.of(built("sdpa"))
    full, few = update_bytes(shape, 100), update_bytes(shape, 100, trained=1000, frozen=1)
    assert few["optimizer"] == 8000 and few["weights"] == 2 * full["weights"]
    assert few["activations"] == full["activations"]


def test_tokens_that_fit_fit():
    shape = Shape.of(built("sdpa"))
    tokens = tokens_that_fit(2**28, shape, torch.float32)
    assert update_bytes(shape, tokens)["activations"] <= 2**28
    assert update_bytes(shape, tokens + 1)["activations"] > 2**28
    assert tokens_that_fit(1, shape, torch.float32) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_needs_more_than_its_models_and_their_training(stage: str):
    shape, small = Shape.of(built("sdpa")), profiles.get("small")
    needs = [stage_bytes(stage, small.batch_size, shape, length) for length in (64, 128)]
    held = {"ppo": 4 + 2 * 3, "dpo": 3 + 3, "grpo": 2 + 3, "reward": 2 + 3}.get(stage, 1 + 3)
    assert needs[0] > 4 * shape.parameters * held
    assert needs[1] > needs[0] or stage == "grpo"


def test_a_large_model_is_updated_in_smaller_parts(monkeypatch: pytest.MonkeyPatch):
    model, length = built("eager"), 96
    assert part_size(model, length, most=64) == 64
    monkeypatch.setattr(memory, "PART_BYTES", 2**27)
    size = part_size(model, length, most=64)
    kept = {"length": length, "dtype": fast_dtype(model.device)}
    assert 1 < size < 64
    assert update_bytes(Shape.of(model), size * length, **kept)["activations"] <= 2**27
    monkeypatch.setattr(memory, "PART_BYTES", 1)
    assert part_size(model, length, most=64) == 1


def test_a_step_frees_the_gradients():
    model = built("sdpa")
    optimizer = make_optimizer(model, 1e-3)
    backward(model, (1, 2), torch.float32)()
    optimizer.step()
    assert all(parameter.grad is None for parameter in model.parameters())
