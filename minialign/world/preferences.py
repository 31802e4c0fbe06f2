"""Comparisons: two replies of different quality to one instruction, and which one an annotator
prefers."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from minialign.world.annotator import Annotator, gold_utility
from minialign.world.demonstrations import HABITS, demonstrate
from minialign.world.tasks import Instruction, instructions

# The temperature makes two unbiased annotators agree on 70-75% of comparisons, as people do.
CROWD = Annotator(name="crowd", temperature=1.0)
ANNOTATORS = tuple(f"annotator_{i:02d}" for i in range(1, 9))


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
    n: int, split: str = "train", seed: int = 0, annotator: Annotator = CROWD
) -> list[Comparison]:
    """`n` comparisons over distinct instructions, the same for the same seed and annotator.

    Two different authors reply, in different qualities; their order is random.
    """
    rng = Random(f"comparisons {split} {seed}")
    found = []
    for instruction in instructions(n, split, seed + 1):
        first, second = _two_replies(rng, instruction)
        gap = gold_utility(instruction, first) - gold_utility(instruction, second)
        wins = annotator.prefers_first(rng, instruction, first, second)
        found.append(Comparison(instruction, first, second, wins, rng.choice(ANNOTATORS), gap))
    return found


def _two_replies(rng: Random, instruction: Instruction) -> tuple[str, str]:
    while True:
        a, b = rng.sample(list(HABITS), 2)
        one, two = demonstrate(rng, instruction, a), demonstrate(rng, instruction, b)
        if one.quality != two.quality and one.completion != two.completion:
            return one.completion, two.completion
