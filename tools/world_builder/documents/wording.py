"""How the documents are worded: templates with alternatives, filled from slots.

A template is a `str.format` string in which "[red|blue]" stands for one of its alternatives, drawn
anew each time. So one line of a table holds many sentences, and all of them can be read there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, wraps
from random import Random
from typing import NamedTuple

from minialign.world import lexicon
from minialign.world.text import capital

CHILDREN = tuple(lexicon.CHILDREN)
PLACES = tuple(f"{where} the {place}" for place, where in lexicon.PLACES.items())
OUTDOORS = tuple(
    f"{lexicon.PLACES[place]} the {place}"
    for place in (
        "bridge",
        "forest",
        "garden",
        "hill",
        "lake",
        "meadow",
        "mill",
        "orchard",
        "pond",
        "river",
        "well",
    )
)
Writer = Callable[[Random], str]


class Decision(NamedTuple):
    """A text cut where it must be decided how it goes on; the tests of skills cut it there too."""

    prompt: str
    answer: str  # begins with the blank or the line break before it
    wrong: str = ""  # an answer that the prompt rules out, where there is one to compare with
    about: str = ""  # which decision of its kind this is

    @property
    def text(self) -> str:
        """The whole text, decided rightly."""
        return self.prompt + self.answer


Maker = Callable[[Random, Random], Decision]  # contents, and the style: its layout and its labels
MIN_WORDS, MAX_WORDS = 20, 110
_GAPS = (("  ", " "), (" .", "."), (" ,", ","), (" :", ":"), (" ?", "?"))
_CHOICE = re.compile(r"\[([^\]]*)\]")


@cache
def _pieces(template: str) -> tuple[tuple[str, ...], ...]:
    """A template cut into pieces, each with its alternatives."""
    return tuple(
        tuple(piece.split("|")) if i % 2 else (piece,)
        for i, piece in enumerate(_CHOICE.split(template))
        if piece or i % 2
    )


def fill(rng: Random, template: str, **slots: object) -> str:
    """The template with its alternatives drawn and its slots filled, starting in upper case.

    >>> fill(Random(1), "[the|the] {animal} slept.", animal="owl")
    'The owl slept.'
    """
    text = "".join(p[0] if len(p) == 1 else rng.choice(p) for p in _pieces(template))
    text = text.format(**slots) if slots else text
    for gap, mark in _GAPS:  # what an empty alternative leaves behind
        text = text.replace(gap, mark)
    return capital(text.strip())


def pick(rng: Random, table: Sequence[str], **slots: object) -> str:
    """One template of a table, filled."""
    return fill(rng, rng.choice(table), **slots)


def say(rng: Random, *tables: Sequence[str], **slots: object) -> str:
    """One sentence from each table, in order, as one paragraph."""
    return " ".join(pick(rng, table, **slots) for table in tables)


def some(rng: Random, table: Sequence[str], n: int, **slots: object) -> list[str]:
    """Different templates of a table, filled."""
    return [fill(rng, template, **slots) for template in rng.sample(table, n)]


def two_children(rng: Random) -> tuple[str, str]:
    """Two different children."""
    first, second = rng.sample(CHILDREN, 2)
    return first, second


def bounded(write: Writer) -> Writer:
    """The writer, drawing again until a document has between 20 and 110 words."""

    @wraps(write)
    def writer(rng: Random) -> str:
        text = write(rng)
        while not MIN_WORDS <= len(text.split()) <= MAX_WORDS:
            text = write(rng)
        return text

    return writer


def decided(text: str, right: str, wrong: str, about: str = "") -> Decision:
    """The text cut before `right`, where that stands last, and how it would be with `wrong`.

    >>> decided("Is it red or blue? It is blue.", "blue", "red").wrong
    ' red.'
    """
    at = text.rindex(right)
    end = text[at + len(right) :]
    at -= text[at - 1].isspace()
    gap = text[at] if text[at].isspace() else ""
    return Decision(text[:at], text[at:], gap + wrong + end, about)


def series(make: Maker, sizes: Sequence[int], titles: Sequence[str] = ()) -> Writer:
    """A writer of pages of several texts in one style, so that the first ones show how to go on.

    `sizes` are the numbers of texts, drawn with equal chance; `titles` may stand above them.
    """

    @bounded
    def page(rng: Random) -> str:
        style = rng.getrandbits(32)
        size = rng.choice(sizes)
        lines = [make(rng, Random(style)).text for _ in range(size)]
        if titles and rng.random() < 0.4:
            lines.insert(0, pick(rng, titles))
        return "\n".join(lines)

    return page
