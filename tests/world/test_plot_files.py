"""A slip of the pen in data/world is an error that names file, plot, field and rule."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

import pytest

from minialign.world import tables as module
from minialign.world.lexicon import ANIMALS, CHILDREN, OBJECTS
from minialign.world.stories.plots import SOME_THINGS_HAVE, all_plots, shared, things
from minialign.world.stories.slots import fill
from minialign.world.tables import wording
from tools.world_builder.events import events

READERS = (shared, all_plots, events, things)
FILES = ("stories", "things", "events", *(f"plots/{stem}" for stem in wording("stories")["plots"]))


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Copies of all tables, read in place of the files and forgotten afterwards."""
    copies = {name: deepcopy(wording(name)) for name in FILES}
    monkeypatch.setattr(module, "wording", lambda name: copies[name])
    for reader in READERS:
        reader.cache_clear()
    yield copies
    for reader in READERS:
        reader.cache_clear()


def entry(tables: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The plot "lost and found", the first of plots/finding.toml."""
    return tables["plots/finding"]["plot"][0]


def test_untouched_copies_are_read(tables: dict[str, dict[str, Any]]) -> None:
    assert entry(tables)["name"] == all_plots()[0].name == "lost and found"
    assert len(events()) == len(tables["events"]["event"])
    assert tuple(things()) == tuple(sorted(OBJECTS, key=OBJECTS.index))


Edit = Callable[[dict[str, dict[str, Any]]], object]
PLOT = r"world/plots/finding\.toml, plot 'lost and found'"
SLIPS: dict[str, tuple[Edit, str]] = {
    "unknown field": (
        lambda t: entry(t).update(colour="red"),
        rf"{PLOT} has the field 'colour'; only name, mood, orders, .* are known",
    ),
    "missing field": (
        lambda t: entry(t).pop("summaries"),
        rf"{PLOT} lacks the field 'summaries'; add it",
    ),
    "field of the file": (
        lambda t: t["plots/finding"].update(plots=[]),
        r"world/plots/finding\.toml has the field 'plots'; only plot, draws are known",
    ),
    "no name": (
        lambda t: entry(t).pop("name"),
        r"finding\.toml, plot 1 lacks the field 'name'",
    ),
    "name of another plot": (
        lambda t: t["plots/sad"]["plot"][0].update(name="lost and found"),
        r"sad\.toml, plot 'lost and found', name: another plot has it; choose",
    ),
    "unknown beat": (
        lambda t: entry(t)["orders"].append(["outing", "los"]),
        rf"{PLOT}, orders: 'los' is unknown; use one of outing, distraction, loss, search, ",
    ),
    "no orders": (
        lambda t: entry(t).update(orders=[]),
        rf"{PLOT}, orders: \[\] will not do; write a list of at least one entry",
    ),
    "text instead of a list": (
        lambda t: entry(t)["beats"].update(loss="It was gone."),
        rf"{PLOT}, beats, loss: 'It was gone\.' will not do; write a list",
    ),
    "slot that nothing fills": (
        lambda t: entry(t)["beats"]["loss"].append("{Hero} lost {his} {ting}."),
        rf"{PLOT}, beats, loss: nothing fills \{{ting\}} of '\{{Hero\}} lost .*; use \{{",
    ),
    "slot in a summary": (
        lambda t: entry(t)["summaries"].append("{Someone} met {friend}."),
        rf"{PLOT}, summaries: nothing fills \{{friend\}}",
    ),
    "slot that only some things fill": (
        lambda t: entry(t)["beats"]["help"].append("{Pal} brought {tool}."),
        rf"{PLOT}, beats, help: nothing fills \{{tool\}}",
    ),
    "hero in a draw": (
        lambda t: entry(t)["draws"]["spot"].append("behind {hero}"),
        rf"{PLOT}, draws, spot: nothing fills \{{hero\}}",
    ),
    "rows that differ": (
        lambda t: entry(t)["draws"].update(
            danger=[{"fear": "bees", "way": "up"}, {"fear": "owls"}]
        ),
        rf"{PLOT}, draws, danger lacks the field 'way'",
    ),
    "unknown mood": (
        lambda t: entry(t).update(mood="hapy"),
        rf"{PLOT}, mood: 'hapy' is unknown; use one of happy, quiet",
    ),
    "unknown companion": (
        lambda t: entry(t).update(pal="enemy"),
        rf"{PLOT}, pal: 'enemy' is unknown; use one of any, friend, new",
    ),
    "unknown place": (
        lambda t: entry(t).update(places=["moon"]),
        rf"{PLOT}, places: 'moon' is unknown; use one of barn, ",
    ),
    "unknown group": (
        lambda t: entry(t).update(things="flying"),
        rf"{PLOT}, things: 'flying' is unknown; use one of maker, signal, damage, tool, warm",
    ),
    "stories.toml": (
        lambda t: t["stories"].update(closings=[]),
        r"world/stories\.toml has the field 'closings'",
    ),
    "introduction": (
        lambda t: t["stories"]["introductions"]["animal"].append("{child} {who}"),
        r"world/stories\.toml, introductions, animal: nothing fills \{child\}",
    ),
    "animal that moves": (
        lambda t: t["stories"]["moves"].update(dragon="flew"),
        r"world/stories\.toml, moves: 'dragon' is unknown; use one of ant, ",
    ),
    "thing without a look": (
        lambda t: t["things"]["thing"]["kite"].pop("look"),
        r"world/things\.toml, thing, kite lacks the field 'look'",
    ),
    "thing that nobody knows": (
        lambda t: t["things"]["thing"].update(rocket={"use": "fly {}", "look": "long"}),
        r"world/things\.toml, thing has the field 'rocket'; only ball, ",
    ),
    "use of a thing": (
        lambda t: t["things"]["thing"]["kite"].update(use="fly {it}"),
        r"world/things\.toml, thing, kite, use: nothing fills \{it\}",
    ),
    "member of a group": (
        lambda t: t["things"]["groups"]["warm"].append("fire"),
        r"world/things\.toml, groups, warm: 'fire' is unknown",
    ),
    "event": (
        lambda t: t["events"]["event"][1]["wordings"].append("{Hero} broke {tool}."),
        r"world/events\.toml, event 2, wordings: nothing fills \{tool\}",
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_of_the_pen_is_named(slip: str, tables: dict[str, dict[str, Any]]) -> None:
    edit, message = SLIPS[slip]
    edit(tables)
    with pytest.raises(ValueError, match=message):
        for reader in READERS:
            reader()


def test_every_slot_that_is_described_is_filled() -> None:
    described = set(wording("stories")["slots"])
    rng = Random(3)
    for plot in all_plots():
        for who in ("Mira", "Tom", rng.choice([x for x in ANIMALS if x not in plot.animals])):
            slots = fill(rng, plot, who, rng.choice(plot.things), rng.choice(plot.places))
            own = {key for rows in plot.draws for row in rows for key in row}
            own |= {f"the_{key[2:]}" for key in own if key.startswith("a_")} | {"Someone"}
            filled = set(slots) | set(slots.cast)
            assert described - set(SOME_THINGS_HAVE) <= filled <= described | own


def test_hero_and_pal_introduce_themselves_once_and_capitals_follow() -> None:
    slots = fill(Random(5), all_plots()[0], "fox", "kite", "lake")
    first, later = "{Hero}".format_map(slots), "{Hero} {hero}".format_map(slots)
    assert first.startswith(("A ", "An ")) and first.endswith(" fox")
    assert later == "The fox the fox"
    assert slots.pal in "{Pal}".format_map(slots)
    assert "{At}, {at}.".format_map(slots) == "By the lake, by the lake."
    with pytest.raises(KeyError, match="ghost"):
        "{Ghost}".format_map(slots)
    assert slots.pal not in CHILDREN or "{pal}".format_map(slots) == slots.pal
