"""Manners: how a reply can be kind, rude, flattering or rambling, and how to tell.

Each manner has a writer, which makes a remark to put before or after an answer, and a detector,
which reads text that nobody vouches for. Both use the tables of data/world/manners.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from random import Random
from string import Formatter

from minialign.rewards.equations import MAX_CHARS
from minialign.world import text
from minialign.world.tables import entries, of_split, read

Slots = Mapping[str, Sequence[str]]
Triples = frozenset[tuple[str, ...]]
_FILE = read("manners")
SLOTS: dict[str, Slots] = {  # manner -> the words of each slot
    manner: _FILE.table("slots").table(manner).lists(dict.fromkeys(slots, ""))
    for manner, slots in _FILE["slots"].items()
}
MANNERS = {  # manner -> its marks and its patterns
    manner: _FILE.table(manner).lists(
        {"marks": "", "patterns": " ".join(f"{slot} a_{slot}" for slot in slots)}
    )
    for manner, slots in SLOTS.items()
}
COLD = _FILE.table("cold").lists({"patterns": "about be a_be"})["patterns"]
_FRAMES = ("offers", "longer_offers", "said_offers", "promised_offers")
COMFORT = _FILE.table("comfort").lists({"sympathy": "about", **dict.fromkeys(_FRAMES, "offer low")})
_FILE.only(["slots", *MANNERS, "cold", "comfort", "trouble"])
_ENDINGS = ("", "s", "es", "er", "est", "ly", "ness", "ish", "d", "ed")  # fools, duller, adored
_NOUNS = ("thing", "name", "where", "yours")  # slots without adjectives
_NOT_OF_ADJECTIVES = ("s", "es", "d", "ed")
_FILLER_SHARE = 0.75  # of a sentence's word triples that come from filler make it filler


def normal(passage: str) -> str:
    """The words of a text between single spaces, with a space at both ends, for phrase look-up.

    >>> normal("Don\\u2019t  WORRY!")
    " don't worry "
    """
    return " " + " ".join(text.words(passage[:MAX_CHARS].replace("\u2019", "'"))) + " "


def has_phrase(spaced: str, phrases: Iterable[str]) -> bool:
    """Whether a text made by `normal` contains one of the phrases as whole words."""
    return any(f" {phrase} " in spaced for phrase in phrases)


def triples(passage: str) -> list[tuple[str, ...]]:
    """Every run of three words of a text; of a shorter text its words as they are."""
    found = normal(passage).split()
    return [tuple(found[i : i + 3]) for i in range(max(1, len(found) - 2))] if found else []


def _forms(marks: Iterable[str], slots: Slots) -> tuple[str, ...]:
    """Single words with the endings that keep their meaning; phrases as they are.

    The words of the slots are adjectives but for "thing" and "name", and take no "s".
    """
    adjectives = {word for name, words in slots.items() if name not in _NOUNS for word in words}
    forms: dict[str, None] = {}
    for mark in marks:
        endings = ("",) if " " in mark else _ENDINGS
        if mark in adjectives:
            endings = tuple(ending for ending in endings if ending not in _NOT_OF_ADJECTIVES)
        forms.update(dict.fromkeys(mark + ending for ending in endings))
        if mark.endswith("y") and " " not in mark:
            forms.update(dict.fromkeys(mark[:-1] + e for e in ("ier", "iest", "ily", "iness")))
    return tuple(forms)


_RUDE = _forms(MANNERS["rude"]["marks"], SLOTS["rude"])
_FLATTERY = _forms(MANNERS["flattering"]["marks"], SLOTS["flattering"])


def _choices(pattern: str, slots: Slots) -> list[Sequence[str]]:
    """The words of each slot of a pattern, in order, those of repeated slots repeated."""
    names = (name for _, name, _, _ in Formatter().parse(pattern) if name)
    return [slots[name.removeprefix("a_")] for name in names]


def _fill(pattern: str, values: Iterable[str]) -> str:
    """The pattern with each slot replaced in turn; {a_x} brings its article."""
    left, out = iter(values), []
    for literal, name, _, _ in Formatter().parse(pattern):
        value = next(left) if name else ""
        out.append(literal + (text.a(value) if name and name.startswith("a_") else value))
    return "".join(out)


def compose(rng: Random, patterns: Sequence[str], slots: Slots) -> str:
    """One pattern, each of its slots filled at random; a slot used twice gets two values."""
    pattern, used = rng.choice(patterns), []
    for options in _choices(pattern, slots):
        used.append(rng.choice([value for value in options if value not in used]))
    return _fill(pattern, used)


def remark(rng: Random, manner: str) -> str:
    """A sentence in a manner: "rude", "flattering", "kind" or "rambling"."""
    return compose(rng, MANNERS[manner]["patterns"], SLOTS[manner])


def remarks(manner: str) -> list[str]:
    """Everything that `remark` can write."""
    found = []
    for pattern in MANNERS[manner]["patterns"]:
        every = product(*_choices(pattern, SLOTS[manner]))
        found += [_fill(pattern, values) for values in every if len(set(values)) == len(values)]
    return found


def ramble(rng: Random, n: int) -> str:
    """`n` sentences of filler, no two alike."""
    found: dict[str, None] = {}
    while len(found) < n:
        found[remark(rng, "rambling")] = None
    return " ".join(found)


def is_rude(passage: str) -> bool:
    """Whether a text holds a rude word or a rude turn of phrase.

    >>> is_rude("What a silly question."), is_rude("What a good question.")
    (True, False)
    """
    return has_phrase(normal(passage), _RUDE)


def is_flattering(passage: str) -> bool:
    """Whether a text flatters.

    >>> is_flattering("You are so wise."), is_flattering("You are right.")
    (True, False)
    """
    return has_phrase(normal(passage), _FLATTERY)


def is_kind(passage: str) -> bool:
    """Whether a text holds a kind turn of phrase and nothing rude.

    >>> is_kind("I hope that helps."), is_kind("I hope that helps, you fool.")
    (True, False)
    """
    return has_phrase(normal(passage), MANNERS["kind"]["marks"]) and not is_rude(passage)


@cache
def _filler_triples() -> Triples:
    return frozenset(t for s in remarks("rambling") for t in triples(s))


def pieced(passage: str, known: Triples, fewest: int, share: float) -> bool:
    """Whether that many and that share of the word triples of a text are known ones."""
    found = triples(passage)
    count = sum(t in known for t in found)
    return count >= fewest and count >= share * len(found)


def _is_filler(sentence: str) -> bool:
    """A filler phrase gives a sentence away; so do scraps of filler pieced together."""
    marked = has_phrase(normal(sentence), MANNERS["rambling"]["marks"])
    return marked or pieced(sentence, _filler_triples(), 4, _FILLER_SHARE)


@cache
def _remarks() -> frozenset[str]:
    return frozenset(normal(one) for manner in MANNERS for one in remarks(manner))


def is_remark(sentence: str) -> bool:
    """Whether a sentence is a remark of pure manner, or the beginning of one that is cut off.

    >>> is_remark("You are welcome."), is_remark("You are welcome, said the owl.")
    (True, False)
    >>> is_remark("I am always"), is_remark("I")
    (True, False)
    """
    read = normal(sentence)
    if not text.ends_properly(sentence) and len(read.split()) > 1:
        return any(one.startswith(read) for one in _remarks())
    return read in _remarks() or _is_filler(sentence)


def rambling(passage: str) -> float:
    """The share of a text's sentences that are filler, 0 for an empty text.

    >>> rambling("It is what it is, or so they say. The owl is awake.")
    0.5
    """
    found = text.sentences(passage)
    return sum(map(_is_filler, found)) / len(found) if found else 0.0


@dataclass(frozen=True)
class Trouble:
    """A friend's small trouble: how it is told, what it is about, and how one can help.

    `words` are what a good reply touches on: at least one of them. Those that are held out are of
    the split "test".
    """

    name: str
    statement: str
    about: str
    words: tuple[str, ...]
    offers: tuple[str, ...]
    held_out: bool = False


TROUBLE: dict[str, Trouble] = entries(Trouble, "manners", "trouble", {})
TROUBLES = tuple(TROUBLE.values())


def troubles(split: str) -> tuple[Trouble, ...]:
    """The troubles of a split: those that are held out for "test", all others for "train"."""
    return of_split(TROUBLES, split)


def kind_reply(rng: Random, trouble: Trouble) -> str:
    """Two warm sentences: they name the trouble and offer help."""
    offer = rng.choice(trouble.offers)
    low = offer if offer.startswith("I ") else text.small(offer)
    frames = COMFORT["offers"]
    if "," not in offer:
        frames += COMFORT["longer_offers"]
        if offer.startswith(("I ", "We ", "You ")):
            frames += COMFORT["said_offers"]
        if offer.startswith("I will"):
            frames += COMFORT["promised_offers"]
    sorry = rng.choice(COMFORT["sympathy"]).format(about=trouble.about)
    return f"{sorry} {rng.choice(frames).format(offer=offer, low=low)}"


def cold_reply(rng: Random, trouble: Trouble) -> str:
    """An unkind reply to a friend's trouble, of one or two sentences."""
    reply = compose(rng, COLD, {"about": [trouble.about], "be": SLOTS["rude"]["be"]})
    return reply if rng.random() < 0.5 else f"{reply} {remark(rng, 'rude')}"


def comforts(trouble: Trouble, passage: str) -> bool:
    """Whether a reply to a trouble is kind and touches on it."""
    return is_kind(passage) and has_phrase(normal(passage), trouble.words)
