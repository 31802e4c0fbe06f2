"""The plots and things of data/world, checked as they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from minialign.world.lexicon import ANIMALS, OBJECTS, PLACES
from minialign.world.tables import Table, read
from minialign.world.text import capital, occurrences

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
def shared() -> Table:
    """The tables of stories.toml, which all plots share.

    Raises ValueError if a field is unknown or missing, or nothing fills a slot.
    """
    table = read("stories").only(STORIES_NEED)
    table.table("adjectives").lists(dict.fromkeys(("plain", "size", "colour"), ""))
    table.table("introductions").lists(INTRODUCTIONS)
    table.known("outdoors", table["outdoors"], PLACES)
    table.known("moves", [*table["moves"], *table["always_she"]], ANIMALS)
    return table


@cache
def all_plots() -> tuple[Plot, ...]:
    """Every plot, in the order of the files that stories.toml lists.

    Raises ValueError that names file, plot, field and rule where one is broken.
    """
    plots: dict[str, Plot] = {}
    for stem in shared()["plots"]:
        file = read(f"plots/{stem}").only(["plot"], ["draws"])
        for table in file.tables("plot"):
            if table.get("name") in plots:
                raise table.slip("name", "another plot has it; choose one of its own")
            plot = _plot(table, file.get("draws", {}))
            plots[plot.name] = plot
    return tuple(plots.values())


@cache
def things() -> dict[str, Table]:
    """What each thing of a story is good for, and how it looks.

    Raises ValueError if a field, a thing or a member of a group is unknown or missing.
    """
    file = read("things").only(["thing", "groups"])
    every = file.table("thing").only(OBJECTS)
    found = {thing: every.table(thing) for thing in every}
    for table in found.values():
        table.only(["use", "look"], SOME_THINGS_HAVE).template("use", table["use"], [""])
    groups = file.table("groups")
    for name, members in groups.items():
        groups.known(name, members, OBJECTS)
    return found


def things_of(table: Table) -> Sequence[str]:
    """The things of a group of things.toml, those with a field such as "damage", or all."""
    if "things" not in table:
        return OBJECTS
    groups = {part: [t for t in OBJECTS if part in things()[t]] for part in SOME_THINGS_HAVE}
    groups |= read("things")["groups"]
    table.known("things", [table["things"]], groups)
    return groups[table["things"]]


def _plot(table: Table, draws_of_file: Mapping[str, Any]) -> Plot:
    """A checked plot of a file, which also draws what all plots of the file do."""
    table.only(PLOTS_NEED, ("things", "places", "draws", "pal", "rude"))
    subjects = things_of(table)
    slots = slots_with(subjects)
    drawn = Table(f"{table.where}, draws", {**draws_of_file, **table.get("draws", {})})
    draws = [_rows(drawn, label, slots) for label in drawn]
    slots |= {form for rows in draws for form in with_forms(rows[0])}
    table.setdefault("places", shared()["outdoors"])
    table.known("places", table.texts("places"), PLACES)
    table.known("mood", [table["mood"]], shared()["moods"])
    table.known("pal", [table.get("pal", "any")], PALS)
    beats = table.table("beats")
    for name in beats:
        beats.texts(name, with_capitals(slots))
    table.texts("summaries", with_capitals(slots))
    for order in table.some("orders"):
        table.known("orders", order, beats)
    return Plot(**{**table, "things": subjects, "draws": draws})


def _rows(draws: Table, label: str, slots: set[str]) -> list[Row]:
    """The choices of a draw as rows of slots, with texts that need no more than the slots."""
    rows = [row if isinstance(row, dict) else {label: row} for row in draws.some(label)]
    for row in rows:
        Table(f"{draws.where}, {label}", row).only(rows[0])
        for text in row.values():
            draws.template(label, text, with_capitals(slots.difference(CAST)))
    return rows


def with_forms(row: Row) -> Row:
    """The slots of a row, and for each that is called "a_x" also "the_x".

    >>> with_forms({"a_tiny": "a small ant"})
    {'a_tiny': 'a small ant', 'the_tiny': 'the small ant'}
    """
    nouns = {key[2:]: text.split(" ", 1)[-1] for key, text in row.items() if key.startswith("a_")}
    return row | {f"the_{key}": f"the {noun}" for key, noun in nouns.items()}


def slots_with(subjects: Sequence[str]) -> set[str]:
    """The slots of stories.toml that are filled whichever of these things a story is about."""
    gaps = {part for part in SOME_THINGS_HAVE for t in subjects if part not in things()[t]}
    return set(shared()["slots"]) - gaps


def with_capitals(slots: set[str]) -> set[str]:
    """The slots, and each with a capital."""
    return slots | set(map(capital, slots))
