"""Corpus documents in which somebody asks and somebody answers, well or badly, never in chat
format.

They are where a base model meets what instruction tuning later elicits, and what alignment later
removes: `MANNERS` are the rates at which answers are rude, flattering, rambling or confidently
false. Only training phrasings occur, of the families that are tuned on and of `CORPUS_ONLY`.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import NamedTuple

from minialign.world.families.family import Family
from minialign.world.lexicon import STRANGERS
from minialign.world.replies.demonstrations import QUALITIES, reply_in
from minialign.world.tables import dial_values
from minialign.world.tasks import FAMILIES, Instruction, families
from tools.world_builder.lessons.dialogues import exchange


class Answers(NamedTuple):
    """Answers of a quality: their share of all answers, and the manner of a dialogue around one."""

    share: float
    manner: str


_DIALS = dial_values("questions").only(
    ("answers", "dialogue_rate", "tuned_contents", "practice", "corpus_only")
)
_DRESSED = {"rude": "rude", "flattering": "flattering", "long_winded": "rambling"}
MANNERS = {  # quality of an answer -> how it occurs
    quality: Answers(share, _DRESSED.get(quality, "plain"))
    for quality, share in _DIALS.table("answers").shares(QUALITIES).items()
}
# The rest are pages of questions and answers without names.
DIALOGUE_RATE = _DIALS.number("dialogue_rate", high=1)
TUNED_CONTENTS = _DIALS.number("tuned_contents", high=1)
LABELS = (
    ("Question: ", "Answer: "), ("Q: ", "A: "), ("Asked: ", "Answered: "), ("- ", "- "),
    ("", ""), ("A reader asks: ", "We answer: "),
)  # fmt: skip


# Asked about twice as often as the other families: what takes a small model the most practice.
PRACTICE = _DIALS.texts("practice")
_DIALS.known("practice", PRACTICE, [family.name for family in families("train")])
# Held out of every tuning, but met here: what tuning brings out in them, pretraining has taught.
# The other held-out families are in neither, so that the two can be told apart.
CORPUS_ONLY = _DIALS.texts("corpus_only")
_DIALS.known("corpus_only", CORPUS_ONLY, [family.name for family in families("families")])


@cache
def _asked() -> list[Family]:
    every = [*families("train"), *(FAMILIES[name] for name in CORPUS_ONLY)]
    return [*every, *(f for f in every if f.name in PRACTICE)]


def _draw(rng: Random) -> Instruction:
    """A question in a training phrasing, about nobody whom the corpus must not name.

    Some are about what demonstrations never ask for: a base model has read about all of its
    world. Templates of word problems are the exception, so that solving is no memory.
    """
    while True:
        family = rng.choice(_asked())
        known = family.name == "word_problem" or rng.random() < TUNED_CONTENTS
        slots = family.make(rng, "train" if known else "test")
        phrasing = rng.choice(family.phrasing_ids("train"))
        asked = {**slots, **family.asked(phrasing)}
        instruction = Instruction(family.name, phrasing, asked, "train")
        if instruction.slots.get("subject") not in STRANGERS:
            return instruction


def _quality(rng: Random) -> str:
    return rng.choices(list(MANNERS), [answers.share for answers in MANNERS.values()])[0]


def _answered(rng: Random) -> tuple[str, str, str]:
    """A question, its answer without added manner, and the manner."""
    quality = _quality(rng)
    instruction = _draw(rng)
    manner = MANNERS[quality].manner
    core = reply_in(rng, instruction, "careful" if manner != "plain" else quality)
    return instruction.prompt, core, manner


def _page(rng: Random) -> str:
    """Several questions with answers, as a page of a school book or a letters column."""
    ask, answer = rng.choice(LABELS)
    pairs = []
    for _ in range(rng.choice((1, 2, 2, 3))):
        quality = _quality(rng)
        instruction = _draw(rng)
        pairs.append(f"{ask}{instruction.prompt}\n{answer}{reply_in(rng, instruction, quality)}")
    return rng.choice(("\n", "\n\n")).join(pairs)


def question_page(rng: Random) -> str:
    """A dialogue around one question, or a page of several."""
    if rng.random() >= DIALOGUE_RATE:
        return _page(rng)
    question, answer, manner = _answered(rng)
    return exchange(rng, question, answer, manner=manner)
