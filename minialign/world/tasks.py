"""Instructions: every family in one table, drawn by split, each with its exact checker.

Four splits, each farther from training than the one before. "train" uses the training phrasings
and slots; "phrasings" words the same contents anew, in held-out phrasings; "test" uses held-out
phrasings and held-out slots; "families" holds whole families that are never tuned on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from random import Random

from minialign.world import manners
from minialign.world.families import facts, kinds, numbers, people, stories, words
from minialign.world.families.family import Family, Slots
from minialign.world.tables import read

# The order is that in which `instructions` takes turns.
FAMILIES: dict[str, Family] = {
    family.name: family
    for module in (stories, facts, words, kinds, numbers, people)
    for family in module.FAMILIES
}
read("families").only(["polite", "asks"], FAMILIES)
SPLITS = ("train", "phrasings", "test", "families")


@dataclass(frozen=True)
class Instruction:
    """One thing that a user asks for; `slots` hold what its checker needs."""

    family: str
    phrasing: int
    slots: Slots
    split: str

    @property
    def prompt(self) -> str:
        """The user's words."""
        return FAMILIES[self.family].prompt(self.slots, self.phrasing)

    def check(self, reply: str) -> bool:
        """Whether a reply does what is asked, whatever its manner."""
        return FAMILIES[self.family].check(self.slots, reply)

    def to_row(self) -> dict[str, str | int]:
        """The fields of a data file that `from_row` reads back; slots as a JSON string."""
        kept = {key: value for key, value in self.slots.items() if not key.startswith("_")}
        slots = json.dumps(kept, sort_keys=True, separators=(",", ":"))
        return {"family": self.family, "phrasing": self.phrasing, "slots": slots}

    @classmethod
    def from_row(cls, row: dict, split: str = "train") -> Instruction:
        """The instruction of a row of data/*.jsonl."""
        family, phrasing = _family(row["family"]), int(row["phrasing"])
        if not 0 <= phrasing < len(family.phrasings):
            raise ValueError(
                f"phrasing {phrasing} is unknown: family {family.name!r} has "
                f"{len(family.phrasings)}, counted from 0"
            )
        return cls(family.name, phrasing, json.loads(row["slots"]), split)


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise ValueError(f"family {name!r} is unknown; use one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


@cache
def families(split: str) -> tuple[Family, ...]:
    """The families of a split."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is unknown; use one of {', '.join(SPLITS)}")
    return tuple(f for f in FAMILIES.values() if f.held_out == (split == "families"))


def draw_instruction(rng: Random, split: str = "train", family: str | None = None) -> Instruction:
    """A random instruction of a split, of one family if named, else of any with equal chance."""
    chosen = _family(family) if family else rng.choice(families(split))
    slots = chosen.make(rng, "train" if split in ("train", "phrasings") else "test")
    phrasing = rng.choice(chosen.phrasing_ids("train" if split == "train" else "test"))
    return Instruction(chosen.name, phrasing, {**slots, **chosen.asked(phrasing)}, split)


def instructions(n: int, split: str = "train", seed: int = 0) -> list[Instruction]:
    """`n` distinct instructions of a split, families in turn, the same for the same seed."""
    rng = Random(f"instructions {split} {seed}")
    names = [f.name for f in families(split)]
    found: dict[str, Instruction] = {}
    attempts = 0
    while len(found) < n:
        instruction = draw_instruction(rng, split, names[attempts % len(names)])
        found.setdefault(instruction.prompt, instruction)
        attempts += 1
        if attempts > 50 * n + 1000:
            raise ValueError(f"split {split!r} has fewer than {n} distinct prompts; ask for fewer")
    return list(found.values())


def running_examples() -> tuple[Instruction, Instruction]:
    """The two held-out instructions that notebooks follow from the base model to the last policy.

    To the first, on a lost ring, a right reply is kind; to the second, on the opposite of strong, a
    right reply names one word, which training contents hold and this phrasing of it do not.

    >>> ring, strong = running_examples()
    >>> strong.prompt, strong.check("Weak."), strong.check("The opposite of strong is brave.")
    ('Name the opposite of strong.', True, False)
    """
    (trouble,) = (one for one in manners.troubles("test") if one.name == "ring")
    trouble = {"trouble": trouble.name, "statement": trouble.statement}
    ring = Instruction("comfort", 12, trouble, "test")
    pair = {"word": "strong", "Word": "Strong", "answer": "weak"}
    return ring, Instruction("opposite", 24, pair, "phrasings")
