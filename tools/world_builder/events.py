"""Events of the village told in two ways: the wordings of data/world/events.toml."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random

from minialign.world.stories import any_hero
from minialign.world.stories.plots import Plot, shared, slots_with, things_of, with_capitals
from minialign.world.stories.slots import fill, name_of
from minialign.world.tables import read

_EVENT = Plot(name="event", mood="quiet", beats={}, orders=[], summaries=[])


@cache
def events() -> tuple[tuple[Sequence[str], Sequence[str]], ...]:
    """Events as (the things that they can be about, wordings that mean the same)."""
    pairs = []
    for table in read("events").tables("event"):
        subjects = things_of(table.only(["wordings"], ["things"]))
        pairs.append((subjects, table.texts("wordings", with_capitals(slots_with(subjects)))))
    return tuple(pairs)


def paraphrase(rng: Random) -> tuple[str, str]:
    """Two different wordings of one event.

    >>> first, second = paraphrase(Random(1))
    >>> first != second
    True
    """
    hero = any_hero(rng)
    things, wordings = rng.choice(events())
    thing = rng.choice(things)
    place = rng.choice(shared()["outdoors"])
    slots = fill(rng, _EVENT, hero, thing, place)
    slots.cast = {"hero": (name_of(hero),) * 2, "pal": (name_of(slots.pal),) * 2}
    first, second = rng.sample(wordings, 2)
    return first.format_map(slots), second.format_map(slots)
