"""The contract of a reward: TRL's signature, so that a function moves both ways."""

from __future__ import annotations

from collections.abc import Callable

Reward = Callable[..., list[float]]
