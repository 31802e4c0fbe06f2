"""How the documents are worded: templates with alternatives, filled from slots.

A template is a `str.format` string in which "[red|blue]" stands for one of its alternatives, drawn
anew each time. So one line of a table holds many sentences, and all of them can be read there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, wraps
from random import Random

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
