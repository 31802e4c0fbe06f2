"""The six shapes that rows become, and what their words mean in this room.

A row is a dict of columns, as a file or the hub holds it. An example is a row that was checked: a
frozen object of one shape, whose fields are TRL's column names (Ranking is this course's own), so
that `asdict` of it is a row that TRL trains on. Both hold text. What a model is trained on, token
ids, are the rows and rankings of `core.batching` and the loops; `training_rows` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

Row = Mapping[str, Any]  # column -> value
Messages = list[dict[str, str]]  # [{"role": "user", "content": "Hello."}, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Demonstration:
    """A prompt and the completion to imitate."""

    prompt: str | Messages
    completion: str


@dataclass(frozen=True)
class Pair:
    """A prompt and two different completions, of which one is preferred."""

    prompt: str | Messages
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Feedback:
    """A prompt, one completion, and whether it is wanted."""

    prompt: str | Messages
    completion: str
    label: bool


@dataclass(frozen=True)
class Prompt:
    """A prompt to sample completions for; `answer` is what a verifiable reward compares with."""

    prompt: str | Messages
    answer: str | None = None


@dataclass(frozen=True)
class Ranking:
    """A prompt and two or more different completions, best first."""

    prompt: str | Messages
    completions: tuple[str, ...]


@dataclass(frozen=True)
class Steps:
    """A prompt, the steps of one reply, and for each step whether it is right."""

    prompt: str | Messages
    completions: tuple[str, ...]
    labels: tuple[bool, ...]


SHAPES = (Demonstration, Pair, Feedback, Prompt, Ranking, Steps)
