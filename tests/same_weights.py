"""Copies of weights, and whether two are equal bit by bit."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def weights(*models: nn.Module) -> list[Tensor]:
    """Copies of all parameters."""
    return [p.detach().clone() for model in models for p in model.parameters()]


def same(one: Iterable[Tensor], two: Iterable[Tensor]) -> bool:
    """Whether tensors are equal bit by bit."""
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
