"""Train and eval mode, for a while: every module of a model is afterwards as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from minialign.models import dropouts


@contextlib.contextmanager
def training(*models: torch.nn.Module, dropout: bool = False) -> Iterator[None]:
    """Models in train mode, which gradient checkpointing asks for.

    Where logprobs are compared there must be no noise: dropout, and the jitter of experts, are 0 in
    here unless `dropout` is set.
    """
    places = [] if dropout else [p for model in models for p in (*dropouts(model), *_jitter(model))]
    rates = [(owner, name, getattr(owner, name)) for owner, name in places]
    try:
        with _mode(models, True):
            for owner, name in places:
                setattr(owner, name, 0.0)
            yield
    finally:
        for owner, name, rate in rates:
            setattr(owner, name, rate)


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
