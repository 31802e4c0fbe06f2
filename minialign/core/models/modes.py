"""Train and eval mode, for a while: every module of a model is afterwards as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from minialign.core.models.loading import dropouts


@contextlib.contextmanager
def training(*models: torch.nn.Module, dropout: bool = False) -> Iterator[None]:
    """Models ready for an update; in train mode where gradient checkpointing asks for it.

    Where logprobs are compared there must be no noise (dropout, the jitter and the sampling of
    experts), which train mode switches on. With `dropout` a model is in train mode as it is.
    """
    places = [] if dropout else [p for model in models for p in (*dropouts(model), *_jitter(model))]
    rates = [(owner, name, getattr(owner, name)) for owner, name in places]
    try:
        with contextlib.ExitStack() as modes:
            for model in models:
                modes.enter_context(_mode((model,), dropout or _checkpoints(model)))
            for owner, name in places:
                setattr(owner, name, 0.0)
            yield
    finally:
        for owner, name, rate in rates:
            setattr(owner, name, rate)


def _checkpoints(model: torch.nn.Module) -> bool:
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def _jitter(model: torch.nn.Module) -> list[tuple[object, str]]:
    """Where experts' inputs are multiplied by random numbers in train mode alone."""
    names = ("jitter_noise", "input_jitter_noise", "moe_jitter_eps")
    return [
        (m, n) for m in model.modules() for n in names if isinstance(getattr(m, n, None), float)
    ]


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
