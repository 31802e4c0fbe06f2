"""How a model is used for a while: trained, evaluated, frozen as a reference, multiplied faster."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator

import torch
from transformers import PreTrainedModel

from minialign.core.models.architecture import dropouts, jitters


@contextlib.contextmanager
def training(*models: torch.nn.Module, dropout: bool = False) -> Iterator[None]:
    """Models ready for an update; in train mode where gradient checkpointing asks for it.

    Where logprobs are compared there must be no noise (dropout, the jitter and the sampling of
    experts), which train mode switches on. With `dropout` a model is in train mode as it is.
    """
    places = [] if dropout else [p for model in models for p in (*dropouts(model), *jitters(model))]
    rates = [(owner, name, getattr(owner, name)) for owner, name in places]
    try:
        with contextlib.ExitStack() as modes:
            for model in models:
                modes.enter_context(_mode((model,), dropout or _checkpoints(model)))
            for owner, name in places:
                setattr(owner, name, 0.0)
            yield
    except (MemoryError, RuntimeError) as error:  # torch's are of the second kind
        from minialign.core.models.memory import note_if_full

        note_if_full(error, *models)
        raise
    finally:
        for owner, name, rate in rates:
            setattr(owner, name, rate)


def _checkpoints(model: torch.nn.Module) -> bool:
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def evaluating(*models: torch.nn.Module) -> contextlib.AbstractContextManager[None]:
    """Models in eval mode: no dropout."""
    return _mode(models, False)


@contextlib.contextmanager
def _mode(models: tuple[torch.nn.Module, ...], train: bool) -> Iterator[None]:
    before = [(module, module.training) for model in models for module in model.modules()]
    try:
        for model in models:
            model.train(train)
        yield
    finally:
        for module, mode in before:
            module.training = mode


def frozen_reference(policy: PreTrainedModel) -> PreTrainedModel:
    """A copy of the policy as it is now that no training can change.

    A LoRA policy is merged first: with its adapter only switched off, the reference would be the
    base model and not the model that the training started from.
    """
    return merged(copy.deepcopy(policy)).requires_grad_(False).eval()


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """The model with its adapters added into the weights, in place; without any, as it is."""
    from peft import PeftModel  # slow to load, and not for every method

    return model.merge_and_unload() if isinstance(model, PeftModel) else model


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, else float32."""
    native = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device.type == "cuda"
        else device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)
    )
    return torch.bfloat16 if native else torch.float32


def fast_matmul(device: torch.device) -> contextlib.AbstractContextManager:
    """Autocast to `fast_dtype`.

    Where logprobs are compared, both sides need it: an update in bfloat16 on samples in float32
    reads rounded weights, which small steps do not move, while the sampler's do. GRPO on
    SmolLM2-135M then left its samples (`off` .03 to .5 in 12 steps) and collapsed. Not to be nested
    in another autocast, whose copies of the weights would outlive a step.
    """
    dtype = fast_dtype(device)
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)
