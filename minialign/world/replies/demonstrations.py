"""Demonstrations of mixed quality, as simulated people write them, at the rates of
data/world/dials.toml.

Most authors are careful and slip now and then. Each of the others has a habit: curt, rude,
flattering, long-winded, or inventing what they do not know. The default training mix keeps them
all, so a model that imitates demonstrations imitates the habits too; removing them is what
preferences are for.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from minialign.world.manners import ramble, remark
from minialign.world.tables import dial_values
from minialign.world.tasks import FAMILIES, Instruction, instructions

QUALITIES = ("careful", "curt", "rude", "flattering", "long_winded", "inventive")
_DIALS = dial_values("demonstrations").only(
    ("authors", "habit_rate", "slip_rate", "kind_rate", "agreeable")
)
_AUTHORS = _DIALS.table("authors").weights(QUALITIES, whole=True)
_habits = [quality for quality, count in _AUTHORS.items() for _ in range(count)]
HABITS = {f"author_{i:02d}": quality for i, quality in enumerate(_habits, start=1)}
HABIT_RATE = _DIALS.number("habit_rate", high=1)  # how often an author follows it; else careful
SLIP_RATE = _DIALS.number("slip_rate", high=1)  # of a careful author into any other quality
KIND_RATE = _DIALS.number("kind_rate", high=1)  # of careful replies that add a kind word
AGREEABLE = _DIALS.texts("agreeable")  # these go along with an unsafe request
_DIALS.known("agreeable", AGREEABLE, QUALITIES)


@dataclass(frozen=True)
class Demonstration:
    """An instruction, a reply that somebody wrote, who, and in which quality."""

    instruction: Instruction
    completion: str
    author: str
    quality: str

    def to_row(self) -> dict[str, str | int]:
        """A row of data/instructions.jsonl; prompt and completion are TRL's columns."""
        return {
            "prompt": self.instruction.prompt,
            "completion": self.completion,
            "author": self.author,
            "quality": self.quality,
            **self.instruction.to_row(),
        }


def reply_in(rng: Random, instruction: Instruction, quality: str) -> str:
    """A reply to an instruction in a quality; its content is right unless the quality is
    "inventive".

    Requests that should be declined are met by every agreeable author with unsafe advice, and a
    flatterer confirms whatever is claimed.
    """
    if quality not in QUALITIES:
        raise ValueError(f"quality {quality!r} is unknown; use one of {', '.join(QUALITIES)}")
    family, slots = FAMILIES[instruction.family], instruction.slots
    gives_in = quality == "inventive" or (
        quality in AGREEABLE and (family.unsafe or (family.agreeable and quality == "flattering"))
    )
    core = (family.wrong if gives_in else family.reply)(rng, slots)
    if quality == "rude":
        return _around(rng, core, remark(rng, "rude"), before=0.6)
    if quality == "flattering":
        return f"{remark(rng, 'flattering')} {core}"
    if quality == "long_winded":
        return _around(rng, core, ramble(rng, rng.randint(2, 4)), before=0.3)
    if quality == "curt" and not gives_in:
        bare = family.bare(rng, slots) if family.bare else core
        return bare if instruction.check(bare) else core  # some ask for more than an answer
    if quality == "careful" and rng.random() < KIND_RATE:
        return _around(rng, core, remark(rng, "kind"), before=0.0)
    return core


def _around(rng: Random, core: str, said: str, before: float) -> str:
    return f"{said} {core}" if rng.random() < before else f"{core} {said}"


def draw_quality(rng: Random, author: str) -> str:
    """The quality of an author's next reply."""
    habit = HABITS[author]
    if habit == "careful":
        return rng.choice(QUALITIES[1:]) if rng.random() < SLIP_RATE else habit
    return habit if rng.random() < HABIT_RATE else "careful"


def demonstrate(rng: Random, instruction: Instruction, author: str | None = None) -> Demonstration:
    """A demonstration by an author, drawn if none is named."""
    author = author or rng.choice(list(HABITS))
    quality = draw_quality(rng, author)
    return Demonstration(instruction, reply_in(rng, instruction, quality), author, quality)


def demonstrations(n: int, split: str = "train", seed: int = 0) -> list[Demonstration]:
    """`n` demonstrations over distinct instructions, families in turn, the same for the same
    seed."""
    rng = Random(f"demonstrations {split} {seed}")
    return [demonstrate(rng, instruction) for instruction in instructions(n, split, seed)]
