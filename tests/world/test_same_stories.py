"""The stories that a seed gives: data/*.jsonl and the base model's corpus were made from them.

A change of wording changes these digests; write new ones down only together with new data files
and a new WORLD_VERSION.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from random import Random

import pytest

from minialign.world.families.family import Family
from minialign.world.families.stories import FAMILIES
from minialign.world.stories import continuation, story
from tools.world_builder.events import paraphrase


def digest(texts: Iterator[object]) -> str:
    """The first 16 digits of the SHA-256 of many texts."""
    return sha256("\n".join(map(repr, texts)).encode()).hexdigest()[:16]


STORIES: dict[str, tuple[Callable[[Random], object], str]] = {
    "long": (lambda rng: story(rng), "87dbc9a748b9f825"),
    "short": (lambda rng: story(rng, length="short"), "9b111bd280adb501"),
    "rude": (lambda rng: story(rng, rude_rate=1.0), "e2b5d9405c2a45ed"),
    "continuation": (continuation, "1fd2001b8086db5a"),
    "paraphrase": (paraphrase, "51638fe2a2dcb5bb"),
}


@pytest.mark.parametrize("form", STORIES)
def test_a_seed_still_gives_the_same_stories(form: str) -> None:
    tell, expected = STORIES[form]
    rng = Random(2024)
    assert digest(tell(rng) for _ in range(300)) == expected


def exchanges(family: Family, split: str) -> Iterator[tuple[object, ...]]:
    """Instructions of a family with what their checker needs, and replies of all qualities."""
    rng = Random(11)
    for _ in range(60):
        slots = family.make(rng, split)
        phrasing = rng.choice(family.phrasing_ids(split))
        stored = {key: value for key, value in slots.items() if not key.startswith("_")}
        bare = family.bare(rng, slots) if family.bare else None
        yield (
            family.prompt(slots, phrasing),
            stored,
            family.reply(rng, slots),
            family.wrong(rng, slots),
            bare,
        )


EXCHANGES = {
    "story": ("7219116d1c5ce6bd", "0c3f466eb7101c74"),
    "continue_story": ("6519d59420447181", "02085221a2c868ff"),
    "summarise": ("a4482c2d803a9fc3", "ec0386406fb31b33"),
    "word_problem": ("e7b2fe26bdeb5a9e", "16bf10b40315d0c1"),
}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_seed_still_gives_the_same_instructions(family: Family) -> None:
    made = tuple(digest(exchanges(family, split)) for split in ("train", "test"))
    assert made == EXCHANGES[family.name]
