"""The plots and things of data/world, checked as they are read: a slip of the pen is an error that
names the file, the plot, the field and the rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from minialign.world.lexicon import ANIMALS, OBJECTS, PLACES
from minialign.world.text import capital, mentioned
from minialign.world.wording import check_fields, check_slots, wording

PALS = ("any", "friend", "new")
INTRODUCE_THEMSELVES = (
    "hero",
    "Hero",
    "pal",
    "Pal",
)  # so nothing that is drawn before can use them
THING_NEEDS = ("use", "look")
THING_MAY_HAVE = ("maker", "signal", "damage", "tool")
PLOT_NEEDS = ("name", "mood", "orders", "summaries", "beats")
PLOT_MAY_HAVE = ("things", "places", "pal", "rude", "draws")

Draws = Mapping[str, list[str] | list[dict[str, str]]]


@dataclass(frozen=True, eq=False)
class Plot:
    """A story's skeleton: named beats to tell in order, and which of them make the short form.

    `draws` are slots drawn once per story, so that all beats agree on them. `rude` plots hold a
    rude speaker and are drawn seldom. `pal` is "friend" where hero and pal know each other, "new"
    where they do not, or "any".
    """

    name: str
    mood: str
    beats: Mapping[str, list[str]]
    orders: list[list[str]]
    summaries: list[str]
    things: tuple[str, ...] = OBJECTS
    places: tuple[str, ...] = tuple(PLACES)
    draws: Draws = field(default_factory=dict)
    pal: str = "any"
    rude: bool = False

    @cached_property
    def animals(self) -> frozenset[str]:
        """Animals that a plot names itself: they cannot be its hero, or two foxes would meet."""
        drawn = (value for texts in self.draws.values() for value in _values(texts))
        texts = (" ".join(wordings) for wordings in (*self.beats.values(), list(drawn)))
        return frozenset(animal for text in texts for animal in mentioned(text, ANIMALS))


def _values(choices: Iterable[str | dict[str, str]]) -> list[str]:
    """The texts among which a draw chooses, those of rows with several slots included."""
    return [text for row in choices for text in (row.values() if isinstance(row, dict) else [row])]


def with_forms(drawn: Mapping[str, str]) -> dict[str, str]:
    """Slots that a plot drew, also with a capital, and "the x" of those that are called "a_x".

    >>> with_forms({"a_tiny": "a small ant"})
    {'a_tiny': 'a small ant', 'the_tiny': 'the small ant', 'A_tiny': 'A small ant'}
    """
    forms = dict(drawn)
    for key, value in drawn.items():
        if key.startswith("a_"):
            forms[f"the_{key[2:]}"] = f"the {value.split(' ', 1)[1]}"
        forms.setdefault(capital(key), capital(value))
    return forms


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
        check_fields(where, entry, THING_NEEDS, THING_MAY_HAVE)
        check_slots(f"{where}, use", entry["use"], [""])
    for name, members in table["groups"].items():
        for thing in members:
            _require(thing, OBJECTS, f"world/things.toml, groups, {name}", "thing")
    return table["thing"]


def group(name: str) -> tuple[str, ...]:
    """The things of a group of things.toml, or those that have a field such as "damage"."""
    groups = wording("things")["groups"]
    if name in groups:
        return tuple(groups[name])
    return tuple(thing for thing, entry in things().items() if name in entry)


@cache
def all_plots() -> tuple[Plot, ...]:
    """Every plot, in the order of the files that stories.toml lists.

    Raises ValueError that names file, plot, field and rule where one is broken.
    """
    read: list[Plot] = []
    for stem in wording("stories")["plots"]:
        file = f"world/plots/{stem}.toml"
        table = wording(f"plots/{stem}")
        check_fields(file, table, ["plot"], ["draws"])
        for entry in table["plot"]:
            where = f"{file}, plot {entry.get('name', 'without a name')!r}"
            read.append(_plot(where, entry, table.get("draws", {})))
            if any(read[-1].name == other.name for other in read[:-1]):
                raise ValueError(f"{where}: another plot has this name; choose one of its own")
    return tuple(read)


def _plot(where: str, entry: dict[str, Any], draws_of_file: Draws) -> Plot:
    """A checked plot of a file, which also draws what all plots of the file do."""
    check_fields(where, entry, PLOT_NEEDS, PLOT_MAY_HAVE)
    groups = wording("stories")["places"]
    places = entry.get("places", "outdoors")
    if isinstance(places, str):
        _require(places, groups, f"{where}, places", "group of places in stories.toml")
        places = groups[places]
    kind = entry.get("things")
    if kind is not None:
        known = (*wording("things")["groups"], *THING_MAY_HAVE)
        _require(kind, known, f"{where}, things", "group or field of things.toml")
    own = {
        "things": OBJECTS if kind is None else group(kind),
        "places": tuple(places),
        "draws": {**draws_of_file, **entry.get("draws", {})},
    }
    plot = Plot(**{**entry, **own})
    _check_words(where, plot)
    _check_texts(where, plot)
    return plot


def _check_words(where: str, plot: Plot) -> None:
    """That mood, pal, places and the beats of all orders are known."""
    _require(plot.mood, wording("stories")["moods"], f"{where}, mood", "mood of stories.toml")
    _require(plot.pal, PALS, f"{where}, pal", "kind of companion")
    for place in plot.places:
        _require(place, PLACES, f"{where}, places", "place of the village")
    for order in _list(f"{where}, orders", plot.orders):
        for beat in order:
            _require(beat, plot.beats, f"{where}, orders", "beat of this plot")


def _check_texts(where: str, plot: Plot) -> None:
    """That every wording is in a list, and all its slots are filled."""
    lacking = {part for part in THING_MAY_HAVE for t in plot.things if part not in things()[t]}
    shared = set(wording("stories")["slots"]) - lacking
    drawn: dict[str, str] = {}
    for label, choices in plot.draws.items():
        place = f"{where}, draws, {label}"
        for row in _list(place, choices):
            slots = row if isinstance(row, dict) else {label: row}
            if isinstance(choices[0], dict):
                check_fields(place, slots, tuple(choices[0]))
            drawn.update(dict.fromkeys(slots, "a thing"))
        for text in _values(choices):
            check_slots(place, text, shared.difference(INTRODUCE_THEMSELVES))
    slots = shared | set(with_forms(drawn))
    fields = {f"beats, {name}": wordings for name, wordings in plot.beats.items()}
    for name, wordings in {**fields, "summaries": plot.summaries}.items():
        for text in _list(f"{where}, {name}", wordings):
            check_slots(f"{where}, {name}", text, slots)


def _require(value: str, known: Iterable[str], where: str, what: str) -> None:
    if value not in known:
        raise ValueError(f"{where}: {value!r} is no {what}; use one of {', '.join(known)}")


def _list(where: str, value: object) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{where} is {value!r}; make it a list with at least one entry")
    return value


@cache
def events() -> tuple[tuple[tuple[str, ...], list[str]], ...]:
    """Events as (the things that they can be about, wordings that mean the same)."""
    slots = wording("stories")["slots"]
    read = []
    for number, entry in enumerate(wording("events")["event"], start=1):
        where = f"world/events.toml, event {number}"
        check_fields(where, entry, ["wordings"], ["things"])
        for text in _list(f"{where}, wordings", entry["wordings"]):
            check_slots(f"{where}, wordings", text, slots)
        kind = entry.get("things")
        read.append((OBJECTS if kind is None else group(kind), entry["wordings"]))
    return tuple(read)
