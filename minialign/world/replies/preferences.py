"""Comparisons: two replies of different quality to one instruction, and which one an annotator
prefers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from random import Random
from typing import TYPE_CHECKING

from minialign.world.replies.annotator import Annotator, gold_utility
from minialign.world.replies.demonstrations import QUALITIES, reply_in
from minialign.world.tables import dial_values
from minialign.world.tasks import Instruction, instructions

if TYPE_CHECKING:
    from minialign.core.sampling import Rollout

_BIASES = ("length_bias", "agreement_bias", "first_bias")
_DIALS = dial_values("annotators").only(("people", "temperature", *_BIASES))
CROWD = Annotator(
    "crowd", _DIALS.number("temperature"), **{bias: _DIALS.number(bias, -inf) for bias in _BIASES}
)
_people = _DIALS.number("people", low=1, whole=True)
ANNOTATORS = tuple(f"annotator_{i:02d}" for i in range(1, _people + 1))
_QUALITIES = dial_values("comparisons").only(["qualities"]).table("qualities")
# How often replies of each quality are put before annotators, as weights; those of none never are.
COMPARED = {q: w for q, w in _QUALITIES.weights((*QUALITIES, "unfinished")).items() if w > 0}
if len(COMPARED) < 2:
    raise ValueError(f"{_QUALITIES.where}: one quality alone has a weight; give another one, too")


@dataclass(frozen=True)
class Comparison:
    """Two replies as they were shown, the verdict, and the gold gap, which methods must not see."""

    instruction: Instruction
    first: str
    second: str
    first_wins: bool
    annotator: str
    gap: float  # gold utility of first minus second

    @property
    def chosen(self) -> str:
        """The preferred reply."""
        return self.first if self.first_wins else self.second

    @property
    def rejected(self) -> str:
        """The other reply."""
        return self.second if self.first_wins else self.first

    def to_row(self) -> dict[str, str | int | float]:
        """A row of data/preferences.jsonl; prompt, chosen and rejected are TRL's columns."""
        return {
            "prompt": self.instruction.prompt,
            "chosen": self.chosen,
            "rejected": self.rejected,
            "annotator": self.annotator,
            **self.instruction.to_row(),
        }


def comparisons(
    n: int, split: str = "train", seed: int = 0, annotator: Annotator = CROWD,
    qualities: Mapping[str, float] = COMPARED,
) -> list[Comparison]:  # fmt: skip
    """`n` comparisons over distinct instructions, the same for the same seed and annotator.

    The two replies are of different qualities, drawn by these weights; their order is random.

    Raises:
        ValueError: if there are fewer than two qualities of some weight.
    """
    if sum(weight > 0 for weight in qualities.values()) < 2:
        raise ValueError(f"qualities are {dict(qualities)}; give two or more a weight above 0")
    rng = Random(f"comparisons {split} {seed}")
    found = []
    for instruction in instructions(n, split, seed + 1):
        first, second = _two_replies(rng, instruction, qualities)
        gap = gold_utility(instruction, first) - gold_utility(instruction, second)
        wins = rng.random() < annotator.probability(gap, first, second)
        found.append(Comparison(instruction, first, second, wins, rng.choice(ANNOTATORS), gap))
    return found


def _two_replies(
    rng: Random, instruction: Instruction, qualities: Mapping[str, float] = COMPARED
) -> tuple[str, str]:
    while True:
        one, two = rng.choices(list(qualities), list(qualities.values()), k=2)
        first, second = (compared_reply(rng, instruction, quality) for quality in (one, two))
        if one != two and first != second:
            return first, second


def rankings(
    n: int, replies: int, split: str = "train", seed: int = 0, annotator: Annotator = CROWD
) -> list[tuple[Instruction, tuple[str, ...]]]:
    """`n` instructions with several replies of different qualities each, best first.

    Ranked as Plackett and Luce have it: the best is chosen from all, the next from the rest. That
    is sorting by utility plus Gumbel noise (Yellott 1977).

    Raises:
        ValueError: if there are fewer than 2 replies, or more than there are qualities.
    """
    if not 2 <= replies <= len(COMPARED):
        raise ValueError(f"{replies} replies cannot be ranked; use 2 to {len(COMPARED)}")
    if not annotator.temperature > 0:
        raise ValueError("temperature is 0, so nothing is drawn; use more, or sort by felt utility")
    rng = Random(f"rankings {split} {seed} {replies}")
    found = []
    for instruction in instructions(n, split, seed + 1):
        texts: set[str] = set()
        while len(texts) < replies:  # weights as exponents: a weighted draw without repetition
            order = sorted(COMPARED, key=lambda q: rng.random() ** (1 / COMPARED[q]), reverse=True)
            texts = {compared_reply(rng, instruction, q) for q in order[:replies]}
        drawn = {text: noisy_utility(rng, annotator, instruction, text) for text in sorted(texts)}
        found.append((instruction, tuple(sorted(drawn, key=drawn.__getitem__, reverse=True))))
    return found


def noisy_utility(rng: Random, annotator: Annotator, instruction: Instruction, reply: str) -> float:
    """Felt utility over temperature, plus Gumbel noise: what ranking and choosing sort by.

    Of two replies the higher is chosen as Bradley and Terry have it.
    """
    noise = -math.log(rng.expovariate(1.0))  # minus the log of an exponential waiting time
    return annotator.felt(instruction, reply) / annotator.temperature + noise


def by_annotators(
    seed: int = 0, annotator: Annotator = CROWD
) -> Callable[[Sequence[Instruction], Rollout], list[float]]:
    """Noisy utilities of a policy's own replies: of two they are a choice, of more a ranking."""
    rng = Random(f"own replies {seed}")
    return lambda instructions, rollout: [
        noisy_utility(rng, annotator, instruction, reply)
        for instruction, reply in zip(instructions, rollout.texts, strict=True)
    ]


def compared_reply(rng: Random, instruction: Instruction, quality: str) -> str:
    """A reply in a quality of `COMPARED`; "unfinished" breaks off within its last two thirds."""
    if quality != "unfinished":
        return reply_in(rng, instruction, quality)
    said = reply_in(rng, instruction, "careful").split()
    return " ".join(said[: rng.randint(max(1, len(said) // 3), max(1, len(said) - 1))])
