"""The table of the dials: what the village puts in by design, each with its number and meaning.

Most rows are the dials of data/world/dials.toml. What follows from them, and what is held out, is
measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

import pandas as pd

from minialign.world.dangers import DANGERS, dangers
from minialign.world.facts import subjects
from minialign.world.families.checking import split_of
from minialign.world.families.family import HELD_OUT_PHRASINGS
from minialign.world.lexicon import STRANGERS, VILLAGERS
from minialign.world.manners import TROUBLES, troubles
from minialign.world.problems import LEVELS, templates
from minialign.world.replies.annotator import accuracy_ceiling, expected_agreement, flaws
from minialign.world.replies.preferences import CROWD, Comparison, comparisons
from minialign.world.tables import Table, dial_values, is_dial, read
from minialign.world.tasks import FAMILIES, families
from minialign.world.text import ends_properly

MEASURED = 800  # comparisons that are drawn to see what they turn on


class Dial(NamedTuple):
    """A row of the table; section and dial are its place in data/world/dials.toml, if it has one.

    The value of a dial that is a list is how many there are; the meaning names them.
    """

    section: str
    dial: str
    value: float
    unit: str
    meaning: str


@cache
def _rows() -> tuple[Dial, ...]:
    written = (dial for section in read("dials") for dial in _written(section))
    return (*written, *_measured(comparisons(MEASURED)), *_held_out())


def dial_table() -> pd.DataFrame:
    """All dials, a row each, in the order of the file: section, dial, value, unit, meaning."""
    return pd.DataFrame(_rows(), dtype=object)  # so that whole numbers look it


def _written(section: str) -> Iterator[Dial]:
    """The dials of a section of the file."""
    dial_values(section)  # names a slip, if there is one
    return _within(read("dials").table(section), section, "", "")


def _within(table: Table, section: str, place: str, unit: str) -> Iterator[Dial]:
    unit = table.get("unit", unit)
    for name in table:
        if name == "unit":
            continue
        inner, where = table.table(name), f"{place}{name}"
        if not is_dial(inner):
            yield from _within(inner, section, f"{where}.", unit)
            continue
        value, meaning = inner["value"], inner["meaning"]
        if isinstance(value, list):
            value, meaning = len(value), f"{meaning} {_named(value)}"
        yield Dial(section, where, value, inner.get("unit", unit), meaning)


def _named(names: Iterable[str]) -> str:
    return f"They are {', '.join(names)}."


def _measured(pairs: list[Comparison]) -> Iterator[Dial]:
    """What the dials of comparisons, utility and annotators come to."""
    gaps = [pair.gap for pair in pairs]
    one_follows = [_misses(pair) is not None for pair in pairs]
    polite = [politely_wrong(pair) for pair in pairs]
    for dial, value, meaning in (
        ("right against wrong", sum(one_follows) / len(pairs),
         "Pairs in which one reply follows the instruction and the other does not."),
        ("politely wrong", sum(polite) / len(pairs),
         "Those among them whose wrong reply only the answer gives away: it is finished, and "
         "neither rude, flattering, unsafe nor too long. The right reply may be any of these."),
        ("agreement", expected_agreement(gaps, CROWD.temperature),
         "How often two annotators without biases would agree."),
        ("ceiling", accuracy_ceiling(gaps, CROWD.temperature),
         "The best accuracy that any reward model can reach on their labels."),
    ):  # fmt: skip
        yield Dial("measured", dial, round(value, 3), f"share of {len(pairs)} comparisons", meaning)


def politely_wrong(pair: Comparison) -> bool:
    """Whether one reply is wrong and no manner tells it; the right reply may have any manner."""
    wrong = _misses(pair)
    return wrong is not None and not _shows(pair, wrong)


def _misses(pair: Comparison) -> str | None:
    """The reply that does not follow the instruction where the other one does."""
    first, second = (pair.instruction.check(reply) for reply in (pair.first, pair.second))
    if first == second:
        return None
    return pair.second if first else pair.first


def _shows(pair: Comparison, reply: str) -> bool:
    """Whether a reply can be told for a bad one without knowing what is right."""
    found = flaws(pair.instruction, reply)
    seen = ("rude", "flattering", "unsafe", "too_long")
    return not ends_properly(reply) or any(found[flaw] for flaw in seen)


def _held_out() -> Iterator[Dial]:
    """What is kept from what, pretraining included."""
    keys = [split_of(str(number)) for number in range(10_000)]
    kept = [f.name for f in families("families")]
    problems = [t for level in LEVELS for t in templates(level, "test")]
    every = sum(map(len, LEVELS.values()))
    reworded = [t for level in LEVELS for t in templates(level, "wordings")]
    called = [f.name for f in FAMILIES.values() if f.calls_for_kindness]
    tuned = "Tuning never has them; question pages of the corpus do."
    for row in (
        ("phrasings", HELD_OUT_PHRASINGS, "a family",
         "Phrasings that neither tuning nor the corpus uses."),
        ("contents", round(keys.count("test") / len(keys), 2), "of contents",
         f"Contents of questions with one answer. {tuned}"),
        ("families", len(kept), f"of {len(FAMILIES)} families",
         f"Kinds of task that no demonstration, comparison or stage asks for. {_named(kept)}"),
        ("problem wordings", len(reworded), f"of {every} templates",
         "Templates for training that further prompts tell anew, which neither tuning nor "
         "the corpus uses."),
        ("kind words", len(called), f"of {len(FAMILIES)} families",
         f"Families in which a kind word is called for. {_named(called)}"),
        ("villagers", len(subjects("test")), f"of {len(VILLAGERS)} villagers",
         f"Villagers whom questions are about. {tuned}"),
        ("strangers", len(STRANGERS), "names",
         "Names that the corpus never mentions, so that nothing can be known of them."),
        ("problem templates", len(problems), f"of {every} templates",
         "Word problems of a kind that neither tuning nor the corpus poses."),
        ("dangers", len(dangers("test")), f"of {len(DANGERS)} dangers",
         f"Dangerous requests. {tuned}"),
        ("troubles", len(troubles("test")), f"of {len(TROUBLES)} troubles",
         f"Troubles to be comforted in. {tuned}"),
    ):  # fmt: skip
        yield Dial("held out", *row)
