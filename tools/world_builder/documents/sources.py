"""Statements by sources that can be trusted, and by some that cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from minialign.world import lexicon
from minialign.world.facts import ANIMAL_TABLE
from minialign.world.text import a, capital, number_word, plural
from tools.world_builder.documents.animals import base, false_value
from tools.world_builder.documents.wording import (
    CHILDREN,
    OUTDOORS,
    Decision,
    bounded,
    pick,
    series,
)


@dataclass(frozen=True)
class Source:
    """Somebody or something that makes statements, and how it is quoted."""

    name: str
    written: bool  # whether one reads it or hears it


TRUSTED: tuple[Source, ...] = (
    Source("the almanac", True), Source("the school book", True), Source("the valley paper", True),
    Source("the old map book", True), Source("the village clerk", False),
    Source("the library", True),
)  # fmt: skip
UNTRUSTED: tuple[Source, ...] = (
    Source("Old Crow", False), Source("the market gossip", False),
    Source("Grandfather Toad", False),
    Source("the talking puppet", False), Source("the sleepy goose", False),
)  # fmt: skip
_WRITTEN = (
    "{source} says that {that}.", "according to {source}, {that}.",
    "we read in {source} that {that}.",
    "in {source} it is written that {that}.", "{source} tells us that {that}.",
    "look it up in {source}: {that}.", "{that}, says {source}.",
)  # fmt: skip
_SPOKEN = (
    "{source} says that {that}.", "according to {source}, {that}.",
    "{source} tells everyone that {that}.",
    "if you ask {source}, {that}.", "{that}, says {source}.",
    "{source} was heard to say that {that}.",
    "{source} [thinks|believes] that {that}.",
)  # fmt: skip
_KEEP = frozenset((*lexicon.PRONOUNS, *lexicon.DAYS, "I", "Old", "Grandfather"))


def attribute(rng: Random, statement: str, trusted: bool) -> str:
    """The statement, a full sentence, as one of the trusted or the untrusted sources makes it.

    >>> attribute(Random(4), "Agnes works as a baker.", True)
    'We read in the school book that Agnes works as a baker.'
    """
    source = rng.choice(TRUSTED if trusted else UNTRUSTED)
    return _quote(rng, statement, source)


def _quote(rng: Random, statement: str, source: Source) -> str:
    first = statement.split(" ", 1)[0].removesuffix("'s").rstrip(",")
    that = statement.rstrip(".")
    if first not in _KEEP:
        that = that[0].lower() + that[1:]
    return pick(rng, _WRITTEN if source.written else _SPOKEN, source=source.name, that=that)


_FRAMES: dict[str, tuple[str, ...]] = {
    "eats": ("{one} eats {value}.", "{many} eat {value}."),
    "home": ("{one} sleeps in {value}.", "{many} sleep in {value}."),
    "sound": ("{one} {value}.", "{many} {plain}."),
    "cover": ("{one} is covered in {value}.", "{many} are covered in {value}."),
    "legs": ("{one} has {value} legs.", "{many} have {value} legs."),
}
_NAMES = tuple(name for name in lexicon.ANIMALS if name != "snail")
_FALSE_RATE = 0.8  # how often an untrusted source is wrong


def _legs(n: int) -> str:
    return number_word(n) if n else "no"


def animal_statement(
    rng: Random, true: bool, name: str | None = None, field: str | None = None
) -> str:
    """A sentence about an animal that is true, or false, by the table of animals."""
    name, field = name or rng.choice(_NAMES), field or rng.choice(tuple(_FRAMES))
    value = getattr(ANIMAL_TABLE[name], field) if true else false_value(rng, name, field)
    said = _legs(value) if field == "legs" else a(value) if field == "home" else value
    plain = base(value) if field == "sound" else ""
    return pick(rng, _FRAMES[field], one=a(name), many=plural(name), value=said, plain=plain)


_REFUTED = ("that is not [so|true]: {truth}", "[do not believe it|it is false]: {truth}",
            "but {truth}", "everyone else knows better: {truth}")  # fmt: skip
_AGREED = ("this time it is true.", "that is right, for once.", "even so, it is true.")
_LESSONS = (
    "{good} is [right|always right|to be trusted].", "so [trust|believe] {good}, not {bad}.",
    "you can trust {good}.", "{bad} is often wrong.", "do not believe all that {bad} says.",
    "ask {good} if you want to be sure.",
)  # fmt: skip


def _doubtful(rng: Random, source: Source) -> list[str]:
    """What an untrusted source says, sometimes with the truth behind it."""
    name, field = rng.choice(_NAMES), rng.choice(tuple(_FRAMES))
    true = rng.random() >= _FALSE_RATE
    lines = [_quote(rng, animal_statement(rng, true, name, field), source)]
    if rng.random() < 0.6:
        truth = animal_statement(rng, True, name, field)
        lines.append(pick(rng, _AGREED if true else _REFUTED, truth=truth[0].lower() + truth[1:]))
    return lines


@bounded
def _statements(rng: Random) -> str:
    """Statements about animals by a trusted and an untrusted source."""
    good, bad = rng.choice(TRUSTED), rng.choice(UNTRUSTED)
    parts = [[_quote(rng, animal_statement(rng, True), good)] for _ in range(rng.randint(1, 2))]
    parts += [_doubtful(rng, bad) for _ in range(rng.randint(1, 2))]
    rng.shuffle(parts)
    lines = [line for part in parts for line in part]
    if rng.random() < 0.7:
        lines.append(pick(rng, _LESSONS, good=good.name, bad=bad.name))
    return " ".join(lines)


class Matter(NamedTuple):
    """What two sources can say different things about, and nobody knows beforehand."""

    statement: str  # with a slot for the value
    question: str
    answer: str
    values: Sequence[str]


MATTERS = (
    Matter("the market begins on {v}", "when does the market begin", "on {v}", lexicon.DAYS),
    Matter("{child} is {v}", "where is {child}", "{v}", OUTDOORS),
    Matter("the {thing} is {v}", "where is the {thing}", "{v}", OUTDOORS),
    Matter("the lost {thing} is {v}", "what colour is the lost {thing}", "{v}", lexicon.COLOURS),
    Matter("{child} will bring {v}", "what will {child} bring", "{v}", lexicon.DISHES),
    Matter("the best harp was made in {v}", "when was the best harp made", "in {v}",
           lexicon.SEASONS),
    Matter("the way to the lake takes {v} hours", "how many hours does that take", "{v}",
           tuple(number_word(n) for n in range(2, 13))),
    Matter("the bridge will be mended on {v}", "when will the bridge be mended", "on {v}",
           lexicon.DAYS),
    Matter("the best tree of all is {v}", "what is the best tree of all", "{v}",
           tuple(a(tree) for tree in lexicon.TREES)),
    Matter("{child} has seen {v}", "what has {child} seen", "{v}",
           tuple(a(animal) for animal in lexicon.ANIMALS)),
)  # fmt: skip


def _matter(rng: Random) -> tuple[Callable[[int], str], str, Callable[[int], str]]:
    """What is said with the first value (the trusted one) and the second, question, answers."""
    if rng.random() < 0.3:
        name = rng.choice(_NAMES)
        known = (ANIMAL_TABLE[name].eats, str(false_value(rng, name, "eats")))
        return (
            lambda i: f"{a(name)} eats {known[i]}",
            f"what does {a(name)} eat",
            known.__getitem__,
        )
    matter = rng.choice(MATTERS)
    slots = {"child": rng.choice(CHILDREN), "thing": rng.choice(lexicon.OBJECTS)}
    drawn = rng.sample(tuple(matter.values), 2)
    return (
        lambda i: matter.statement.format(v=drawn[i], **slots),
        matter.question.format(**slots),
        lambda i: matter.answer.format(v=drawn[i]),
    )


_BELIEVED = (  # before what the trusted source said, as a sentence or as an answer
    ("so", "{That}."), ("{ask}?", "{Answer}."), ("the truth is that", "{that}."),
    ("[who is right|whom do you believe]? {Good}:", "{that}."), ("we can be sure that", "{that}."),
    ("{ask}? As {good} says,", "{answer}."), ("so the answer to \"{ask}?\" is:", "{answer}."),
)  # fmt: skip
_NAMED = (("what does {source} say?", "{That}."), ("{ask}, if you ask {source}?", "{Answer}."),
          ("{ask}? {Source} says:", "{answer}."))  # fmt: skip


def conflict(rng: Random, style: Random) -> Decision:
    """Two sources say different things: what is so, or what one of them says, is to be told.

    Most matters cannot be known beforehand, so that only the source tells which one to believe.
    """
    named, believed, asked = style.random() < 0.25, style.choice(_BELIEVED), style.choice(_NAMED)
    good, bad = rng.choice(TRUSTED), rng.choice(UNTRUSTED)
    said, ask, answer = _matter(rng)
    quotes = [_quote(rng, f"{capital(said(0))}.", good), _quote(rng, f"{capital(said(1))}.", bad)]
    rng.shuffle(quotes)
    lead, end = asked if named else believed
    right = rng.randrange(2) if named else 0
    source = (good, bad)[right].name
    slots = {"ask": ask, "good": good.name, "Good": capital(good.name), "source": source,
             "Source": capital(source)}  # fmt: skip
    ends = [
        end.format(that=said(i), That=capital(said(i)), answer=answer(i),
                   Answer=capital(answer(i)))
        for i in (right, 1 - right)
    ]  # fmt: skip
    if lead == "so":
        ends = [e[0].lower() + e[1:] if e.split()[0] not in _KEEP else e for e in ends]
    prompt = " ".join([*quotes, pick(style, (lead,), **slots)])
    return Decision(prompt, f" {ends[0]}", f" {ends[1]}", "named" if named else "believed")


_conflicts = series(conflict, (1, 2, 2, 3))


def sources(rng: Random) -> str:
    """Statements by sources that can be trusted and by some that cannot, often at odds."""
    return _statements(rng) if rng.random() < 0.3 else _conflicts(rng)
