"""What a loop does to a model besides its weights: nothing that stays."""

from __future__ import annotations

import warnings

import pytest
import torch
from loop_runs import COMPARING, RUNS, SCORERS, trained_model
from tiny_models import gpt2_with_dropout, tiny_llama
from transformers import MixtralConfig, MixtralForCausalLM

from minialign.core.models import evaluating, training
from minialign.core.models.architecture import dropouts
from minialign.core.optim import linear_schedule, make_optimizer

loops = pytest.mark.parametrize("name", RUNS)


def trained(name: str, model) -> None:
    """Two steps of a loop on a model, a reward model where it wants one."""
    RUNS[name](None, **{"model" if name in SCORERS else "policy": model})


def fresh(name: str, kind=tiny_llama):
    (model,) = trained_model(name, kind).values()
    return model


@loops
@pytest.mark.parametrize("mode", [True, False])
def test_every_mode_is_as_it_was(name, mode):
    model = fresh(name).train(mode)
    first = next(m for m in model.modules() if not list(m.children()))
    first.train(not mode)  # one module apart, as a frozen part of a model is
    before = [m.training for m in model.modules()]
    trained(name, model)
    assert [m.training for m in model.modules()] == before


@loops
def test_modes_are_as_they_were_after_an_error(name, monkeypatch):
    model = fresh(name).eval()

    def fail(*args, **kwargs):
        raise RuntimeError("stop")

    monkeypatch.setattr("minialign.core.run.refuse_non_finite", fail)
    with pytest.raises(RuntimeError, match="stop"):
        trained(name, model)
    assert not any(m.training for m in model.modules())


@loops
def test_gradient_checkpointing_is_at_work(name, monkeypatch):
    """Layers run twice: forward, and again in the backward pass."""
    model = fresh(name)
    body = model.body if name in SCORERS else model
    body.gradient_checkpointing_enable()
    passes = {True: 0, False: 0}
    layer = next(m for m in body.modules() if type(m).__name__ == "LlamaDecoderLayer")
    layer.self_attn.register_forward_hook(
        lambda *_: passes.__setitem__(torch.is_grad_enabled(), passes[torch.is_grad_enabled()] + 1)
    )
    counts = []
    for enabled in (True, False):
        if not enabled:
            body.gradient_checkpointing_disable()
        before = passes[True]
        trained(name, model)
        counts.append(passes[True] - before)
    assert counts[0] > counts[1]


@pytest.mark.parametrize("name", COMPARING)
def test_where_ratios_are_compared_there_is_no_dropout(name):
    """Trap 10: also in a model that was loaded elsewhere and is in train mode."""
    model = gpt2_with_dropout().train()
    rates = [(name, getattr(owner, name)) for owner, name in dropouts(model)]
    assert rates
    seen = []
    attention = model.transformer.h[0].attn
    attention.register_forward_hook(
        lambda module, *_: seen.append((module.training and module.attn_dropout.p) or 0.0)
    )
    trained(name, model)
    assert seen and not any(seen)
    assert [(name, getattr(owner, name)) for owner, name in dropouts(model)] == rates


@pytest.mark.parametrize("name", ["sft", "supervised", "reward", "rankings"])
def test_supervised_loops_keep_a_models_dropout(name):
    model, rates = fresh(name, gpt2_with_dropout), []
    body = model.body if name in SCORERS else model.transformer
    body.h[0].attn.register_forward_hook(
        lambda m, *_: rates.extend([m.training * m.attn_dropout.p] * torch.is_grad_enabled())
    )
    trained(name, model)
    assert rates and all(rates)


def test_experts_are_not_jittered_where_logprobs_are_compared():
    """Mixtral multiplies its router's inputs by random numbers in train mode."""
    model = MixtralForCausalLM(MixtralConfig(
        vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, num_local_experts=4,
        router_jitter_noise=0.3, initializer_range=0.5,
    )).eval()  # fmt: skip
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        quiet = model(ids).logits
        with training(model):
            assert torch.equal(model(ids).logits, quiet)
        with training(model, dropout=True):
            assert not torch.equal(model(ids).logits, quiet)


def test_training_restores_rates_and_modes_of_several_models():
    one, two = gpt2_with_dropout(), tiny_llama().train()
    one.gradient_checkpointing_enable()
    with training(one, two):
        assert one.training and not dropouts(one) and not two.training
    with training(two, dropout=True):
        assert two.training
    assert not one.training and two.training and dropouts(one)
    with evaluating(two):
        assert not any(m.training for m in two.modules())
    assert two.training


# --- the optimizer and its rate


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounded_weights_are_said_to_hold_steps_back(dtype):
    with pytest.warns(UserWarning, match="lost in rounding; load the model in float32"):
        make_optimizer(tiny_llama().to(dtype), 1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_optimizer(tiny_llama(), 1e-4)
        frozen = tiny_llama().to(dtype).requires_grad_(False)
        frozen.lm_head.weight = torch.nn.Parameter(frozen.lm_head.weight.float())
        make_optimizer(frozen, 1e-4)


def test_a_model_without_trainable_weights_is_refused():
    with pytest.raises(ValueError, match="no parameter of the model is trainable"):
        make_optimizer(tiny_llama().requires_grad_(False), 1e-4)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 20), (2, 5), (6, 20), (20, 20), (80, 20)])
def test_every_run_reaches_its_peak(steps, warmup):
    optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.0)
    rates = [linear_schedule(optimizer, 1.0, step, steps, warmup) for step in range(steps)]
    assert max(rates) == 1.0
