"""The plots, things and events of data/world, checked as they are read: a slip of the pen is an
error that names the file, the plot, the field and the rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from minialign.world.lexicon import ANIMALS, OBJECTS, PLACES
from minialign.world.text import capital, occurrences
from minialign.world.wording import check_fields, check_slots, wording

PALS = ("any", "friend", "new")
CAST = ("hero", "pal")  # they introduce themselves, so what is drawn before cannot name them
STORIES_NEED = (
    "plots", "moods", "openings", "outdoors", "always_she", "introductions", "adjectives",
    "moves", "slots",
)  # fmt: skip
# kind -> the slots that it may use
INTRODUCTIONS = {"child": "who child", "animal": "who", "other": "who", "friend": "who his"}
PLOTS_NEED = ("name", "mood", "orders", "summaries", "beats")
SOME_THINGS_HAVE = ("maker", "signal", "damage", "tool")

Row = dict[str, str]  # slots that are drawn together


@dataclass(frozen=True, eq=False)
class Plot:
    """A story's skeleton: named beats to tell in order, and which of them make the short form.

    `draws` are slots drawn once per story, so that all beats agree on them. `rude` plots hold a
    rude speaker and are drawn seldom. `pal` is "friend" where hero and pal know each other, "new"
    where they do not, or "any".
    """

    name: str
    mood: str
    beats: Mapping[str, Sequence[str]]
    orders: Sequence[Sequence[str]]
    summaries: Sequence[str]
    things: Sequence[str] = OBJECTS
    places: Sequence[str] = ()
    draws: Sequence[Sequence[Row]] = ()
    pal: str = "any"
    rude: bool = False

    @cached_property
    def animals(self) -> frozenset[str]:
        """Animals that a plot names itself: they cannot be its hero, or two foxes would meet."""
        texts = [" ".join(wordings) for wordings in self.beats.values()]
        texts += [" ".join(row.values()) for choices in self.draws for row in choices]
        return frozenset(animal for text in texts for animal in occurrences(text, ANIMALS))


@cache
def shared() -> dict[str, Any]:
    """The tables of stories.toml, which all plots share.

    Raises ValueError if a field is unknown or missing, or nothing fills a slot.
    """
    where = "world/stories.toml"
    table = wording("stories")
    check_fields(where, table, STORIES_NEED)
    check_fields(f"{where}, adjectives", table["adjectives"], ("plain", "size", "colour"))
    check_fields(f"{where}, introductions", table["introductions"], INTRODUCTIONS)
    for kind, slots in INTRODUCTIONS.items():
        for text in _list(f"{where}, {kind}", table["introductions"][kind]):
            check_slots(f"{where}, introductions, {kind}", text, slots.split())
    _check_known(f"{where}, outdoors", table["outdoors"], PLACES)
    _check_known(f"{where}, moves", [*table["moves"], *table["always_she"]], ANIMALS)
    return table


@cache
def all_plots() -> tuple[Plot, ...]:
    """Every plot, in the order of the files that stories.toml lists.

    Raises ValueError that names file, plot, field and rule where one is broken.
    """
    plots: dict[str, Plot] = {}
    for stem in shared()["plots"]:
        file = f"world/plots/{stem}.toml"
        table = wording(f"plots/{stem}")
        check_fields(file, table, ["plot"], ["draws"])
        for entry in table["plot"]:
            name = entry.get("name", "without a name")
            where = f"{file}, plot {name!r}"
            if name in plots:
                raise ValueError(f"{where}: another plot has this name; choose one of its own")
            plots[name] = _plot(where, entry, table.get("draws", {}))
    return tuple(plots.values())


@cache
def events() -> tuple[tuple[Sequence[str], Sequence[str]], ...]:
    """Events as (the things that they can be about, wordings that mean the same)."""
    pairs = []
    for number, entry in enumerate(wording("events")["event"], start=1):
        where = f"world/events.toml, event {number}"
        check_fields(where, entry, ["wordings"], ["things"])
        subjects = _things_of(where, entry.get("things"))
        _check_texts(f"{where}, wordings", entry["wordings"], _slots_with(subjects))
        pairs.append((subjects, entry["wordings"]))
    return tuple(pairs)


@cache
def things() -> dict[str, dict[str, str]]:
    """What each thing of a story is good for, and how it looks.

    Raises ValueError if a field, a thing or a member of a group is unknown or missing.
    """
    table = wording("things")
    check_fields("world/things.toml", table, ["thing", "groups"])
    check_fields("world/things.toml, thing", table["thing"], OBJECTS)
    for thing, entry in table["thing"].items():
        where = f"world/things.toml, thing {thing!r}"
        check_fields(where, entry, ["use", "look"], SOME_THINGS_HAVE)
        check_slots(f"{where}, use", entry["use"], [""])
    for name, members in table["groups"].items():
        _check_known(f"world/things.toml, groups, {name}", members, OBJECTS)
    return table["thing"]


def _things_of(where: str, group: str | None) -> Sequence[str]:
    """The things of a group of things.toml, those with a field such as "damage", or all."""
    if group is None:
        return OBJECTS
    groups = {part: [t for t in OBJECTS if part in things()[t]] for part in SOME_THINGS_HAVE}
    groups |= wording("things")["groups"]
    _check_known(f"{where}, things", [group], groups)
    return groups[group]


def _plot(where: str, entry: dict[str, Any], draws_of_file: dict[str, Any]) -> Plot:
    """A checked plot of a file, which also draws what all plots of the file do."""
    check_fields(where, entry, PLOTS_NEED, ("things", "places", "draws", "pal", "rude"))
    subjects = _things_of(where, entry.get("things"))
    slots = _slots_with(subjects)
    draws = [
        _rows(f"{where}, draws, {label}", label, choices, slots)
        for label, choices in {**draws_of_file, **entry.get("draws", {})}.items()
    ]
    slots |= {form for rows in draws for form in with_forms(rows[0])}
    places = entry.get("places", shared()["outdoors"])
    plot = Plot(**{**entry, "things": subjects, "places": places, "draws": draws})
    _check_known(f"{where}, mood", [plot.mood], shared()["moods"])
    _check_known(f"{where}, pal", [plot.pal], PALS)
    _check_known(f"{where}, places", _list(f"{where}, places", plot.places), PLACES)
    for order in _list(f"{where}, orders", plot.orders):
        _check_known(f"{where}, orders", order, plot.beats)
    for name, wordings in plot.beats.items():
        _check_texts(f"{where}, beats, {name}", wordings, slots)
    _check_texts(f"{where}, summaries", plot.summaries, slots)
    return plot


def _rows(where: str, label: str, choices: object, slots: set[str]) -> list[Row]:
    """The choices of a draw as rows of slots, with texts that need no more than the slots."""
    rows = [row if isinstance(row, dict) else {label: row} for row in _list(where, choices)]
    for row in rows:
        check_fields(where, row, tuple(rows[0]))
        _check_texts(where, [*row.values()], slots.difference(CAST))
    return rows


def with_forms(row: Row) -> Row:
    """The slots of a row, and for each that is called "a_x" also "the_x".

    >>> with_forms({"a_tiny": "a small ant"})
    {'a_tiny': 'a small ant', 'the_tiny': 'the small ant'}
    """
    nouns = {key[2:]: text.split(" ", 1)[-1] for key, text in row.items() if key.startswith("a_")}
    return row | {f"the_{key}": f"the {noun}" for key, noun in nouns.items()}


def _slots_with(subjects: Sequence[str]) -> set[str]:
    """The slots of stories.toml that are filled whichever of these things a story is about."""
    gaps = {part for part in SOME_THINGS_HAVE for t in subjects if part not in things()[t]}
    return set(shared()["slots"]) - gaps


def _list(where: str, value: object) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{where} is {value!r}; make it a list with at least one entry")
    return value


def _check_known(where: str, values: Sequence[str], allowed: Collection[str]) -> None:
    for value in values:
        if value not in allowed:
            raise ValueError(f"{where}: {value!r} is unknown; use one of {', '.join(allowed)}")


def _check_texts(where: str, texts: object, slots: set[str]) -> None:
    """That a list of texts has one, and all slots in them are filled, with a capital or without."""
    both = slots | set(map(capital, slots))
    for text in _list(where, texts):
        check_slots(where, text, both)
