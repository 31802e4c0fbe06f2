"""Events of the village told in two ways: the wordings of data/world/events.toml."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random

from minialign.world.stories import any_hero
from minialign.world.stories.plots import Plot, shared, slots_with, things_of, with_capitals
from minialign.world.stories.slots import HE, Slots, fill, name_of
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


def _slots(rng: Random, thing: str, hero: str) -> Slots:
    slots = fill(rng, _EVENT, hero, thing, rng.choice(shared()["outdoors"]))
    slots.cast = {"hero": (name_of(hero),) * 2, "pal": (name_of(slots.pal),) * 2}
    return slots


def paraphrase(rng: Random) -> tuple[str, str]:
    """Two different wordings of one event.

    >>> first, second = paraphrase(Random(1))
    >>> first != second
    True
    """
    hero = any_hero(rng)
    things, wordings = rng.choice(events())
    slots = _slots(rng, rng.choice(things), hero)
    first, second = rng.sample(wordings, 2)
    return first.format_map(slots), second.format_map(slots)


def _swapped(slots: Slots) -> Slots:
    """The slots with the two who take part changing places, pronouns included."""
    pairs = [(he, f"pal_{he}") for he in HE]
    changed = Slots(slots)
    for one, other in pairs:
        changed[one], changed[other] = slots[other], slots[one]
    changed.cast = {"hero": slots.cast["pal"], "pal": slots.cast["hero"]}
    return changed


def _mutual(wordings: Sequence[str]) -> bool:
    """Whether the two do the same thing together, so that nothing changes when they swap."""
    text = " ".join(wordings).lower()
    return "{hero} and {pal}" in text or "{pal} and {hero}" in text


def restated(rng: Random) -> tuple[str, str, str, str]:
    """Two wordings of one event, a sentence that is none, and in what it differs.

    In the third either somebody else does it ("roles"), or something else happens to the same ones
    ("event").

    >>> one, two, other, about = restated(Random(1))
    >>> two != other and about in ("roles", "event")
    True
    """
    things, wordings = rng.choice(events())
    thing = rng.choice(things)
    slots = _slots(rng, thing, any_hero(rng))
    first, second = rng.sample(wordings, 2)
    one, two = first.format_map(slots), second.format_map(slots)
    if rng.random() < 0.5 and "{pal" in second.lower() and not _mutual(wordings):
        return one, two, second.format_map(_swapped(slots)), "roles"
    fitting = [texts for subjects, texts in events() if thing in subjects and texts != wordings]
    return one, two, rng.choice(rng.choice(fitting)).format_map(slots), "event"
