"""What an instruction family is: phrasings, slots, replies of several qualities, and an exact
checker. Its words lie in the table of its name in data/world/families.toml."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any

from minialign.world import lexicon
from minialign.world.families.checking import (
    PATTERNS,
    plain,
    retracted,
    revised,
    split_of,
    without_idioms,
)
from minialign.world.families.counting import stated_numbers
from minialign.world.tables import Table, read
from minialign.world.text import capital, occurrences, small

# JSON-able, so that a row of a data file can be checked again later. Keys that start with "_" only
# help to write replies and are not stored.
Slots = dict[str, Any]

_POLITE = read("families").table("polite").only(("orders", "forms"))
_PHRASINGS = ("phrasings", "held_out_phrasings")
_ASKS = read("families").table("asks").lists({"work": "", "sentence": ""})
_FLAGS = ("held_out", "unsafe", "agreeable", "calls_for_kindness")
HELD_OUT_PHRASINGS = 3  # the last three phrasings of every family are never used for training


def varied(phrasings: tuple[str, ...]) -> tuple[str, ...]:
    """The phrasings and polite forms of the first three orders to train on among them, the held-out
    ones still last.

    >>> varied(("Name it.", "What is it?", "a", "b", "c"))[2:4]
    ('Please name it.', 'Could you name it?')
    """
    own, held_out = phrasings[:-HELD_OUT_PHRASINGS], phrasings[-HELD_OUT_PHRASINGS:]
    firsts = [p for p in own if p.split()[0].lower() in _POLITE["orders"]]
    made = []
    for order in [p for p in firsts if not re.search(r"[.?!] ", p)][:3]:
        low = small(order)
        for form in _POLITE["forms"]:
            asks = form.startswith(("Could", "Would")) and low.endswith(".")
            made.append(form.replace("{}", low[:-1] + "?" if asks else low))
    return (*own, *(m for m in made if m not in phrasings), *held_out)


NAMES = tuple(dict.fromkeys(
    (*lexicon.PRONOUNS, *lexicon.ANIMALS, *lexicon.OBJECTS, *lexicon.DISHES,
     *(member for members in lexicon.CATEGORIES.values() for member in members))
))  # fmt: skip
_VILLAGERS = (*lexicon.VILLAGERS, *lexicon.STRANGERS)
_SPEAKER = re.compile(rf"\W*(?:{'|'.join(lexicon.PRONOUNS)})\s*:")
_ASKS_ANEW = re.compile(r"\w[^\n]*\n\s*\n[^\n]*\?")  # a question below a blank line
_FOREIGN = 3  # so many things that nobody asked about show that a line is about something else


def runs_on(reply: str, known: str, *, names: bool, numbers: bool) -> bool:
    """Whether a later line of a reply turns to something else: a new question or another text.

    `known` is what the question speaks of. A line is foreign with three names or numbers that are
    not in it; `names` and `numbers` say which of the two count.

    >>> runs_on("It is 3.\\n\\nQ: What is 2 + 2?", "5 - 2", names=True, numbers=False)
    True
    >>> runs_on("It is 3.\\nYou are welcome.", "5 - 2", names=True, numbers=False)
    False
    """
    if _ASKS_ANEW.search(reply):
        return True
    _, *later = [line for line in reply.splitlines() if line.strip(" .")] or [""]
    for line in later:
        if PATTERNS["answers.exchange"].match(line) or _SPEAKER.match(line):
            return True
        foreign: set[str | int | None] = set()
        if names:
            named = set(occurrences(without_idioms(line), NAMES))
            foreign |= named - set(occurrences(known, NAMES))
        if numbers:
            foreign |= set(stated_numbers(line)) - set(stated_numbers(known))
        if len(foreign) >= _FOREIGN:
            return True
    return False


class Family:
    """One kind of instruction; a subclass says how it is drawn, answered and checked.

    `make(rng, split)` draws slots for split "train" or "test" (the two may not share slots where
    the family can keep them apart). `reply` writes a careful reply, `bare` the shortest right one
    (None where no such thing exists), `wrong` a fluent reply that `check` must refuse. `judge` sees
    replies in plain ASCII and is exact: it accepts any right reply, whatever its manner, and
    refuses wrong, missing, extra and contradictory answers. The rest is in families.toml, which
    explains `phrasings`, `length`, and what is true of a family, such as `held_out` or `unsafe`.
    """

    name: str
    replies: tuple[str, ...] = ()  # the table's lists of replies
    fields: tuple[str, ...] = ()  # its further fields
    final = False  # whether replies that take their answer back are refused unread
    revises = False  # whether only what follows "Better: " counts
    roams = False  # whether good replies speak of what the question does not
    make: Callable[[Random, str], Slots]
    reply: Callable[[Random, Slots], str]
    wrong: Callable[[Random, Slots], str]
    bare: Callable[[Random, Slots], str] | None = None
    judge: Callable[[Slots, str], bool]

    def __init__(self) -> None:
        """The family with the words of its table.

        Raises ValueError, with the place in the file and the repair, if the table is missing, lacks
        a field or has an unknown one, has too few phrasings, or nothing fills a slot of a template.
        """
        table = self.table
        phrasings = ("phrasings_of",) if "phrasings_of" in table else _PHRASINGS
        table.only(("length", *phrasings, *self.replies, *self.fields), _FLAGS)
        rng = Random(0)
        slots = self.make(rng, "train")  # any draw shows which slots there are
        filled = {*slots, *_with_capitals(self.reply_slots(rng, slots))}
        self.worded = {field: table.texts(field, filled) for field in self.replies}
        phrased = read("families").table(table.get("phrasings_of", self.name))
        self.phrasings = _phrasings(phrased, slots)
        self.length: tuple[int, int] = tuple(table["length"])  # words of a good reply
        if not (len(self.length) == 2 and 0 < self.length[0] <= self.length[1]):
            rule = "the least and the greatest number of words of a good reply, as in [3, 10]"
            raise table.slip("length", f"{table['length']} will not do; write {rule}")
        flags = (table.get(flag, False) for flag in _FLAGS)
        self.held_out, self.unsafe, self.agreeable, self.calls_for_kindness = flags

    @property
    def table(self) -> Table:
        """The family's table of families.toml."""
        return read("families").table(self.name)

    def check(self, slots: Slots, reply: str) -> bool:
        """Whether a reply is right; what no honest reply looks like is refused before `judge`."""
        clean = plain(reply)
        if clean is None or self._runs_on(slots, reply):
            return False
        clean = revised(clean) if self.revises else clean
        return not (self.final and retracted(clean)) and self.judge(slots, clean)

    def _runs_on(self, slots: Slots, reply: str) -> bool:
        told = [value for name, value in slots.items() if not name.startswith("_")]
        counts = any(isinstance(value, int) for value in told)
        return runs_on(reply, str(told), names=not self.roams, numbers=not counts)

    def asked(self, phrasing: int) -> Slots:
        """The slot "asks" if a phrasing asks for more than an answer: "work" or a "sentence"."""
        text = self.phrasings[phrasing]
        asks = [name for name, words in _ASKS.items() if any(word in text for word in words)]
        return {"asks": asks} if asks else {}

    def prompt(self, slots: Slots, phrasing: int) -> str:
        """The instruction in words."""
        return self.phrasings[phrasing].format(**slots)

    def phrasing_ids(self, split: str) -> range:
        """The phrasings of a split: the last three for "test", all others for "train"."""
        cut = len(self.phrasings) - HELD_OUT_PHRASINGS
        return range(cut) if split == "train" else range(cut, len(self.phrasings))

    def said(self, rng: Random, slots: Slots, field: str = "replies", **more: Any) -> str:
        """One of the family's replies, filled in and capitalised.

        `more` fills further slots, and the same with a capital: {answer} and {Answer}.
        """
        template = rng.choice(self.worded[field])
        return capital(template.format(**{**slots, **_with_capitals(more)}))

    def reply_slots(self, rng: Random, slots: Slots) -> Slots:
        """What `said` fills besides the slots."""
        return {}


class Closed(Family):
    """A family with one answer: replies are templates around it, so that a wrong one reads the
    same.

    A subclass draws slots in `candidate`. `key` tells their split, `right` and `mistake` what is
    answered, `words` and `alone` how that is put.
    """

    replies = ("replies",)
    revises = True
    candidate: Callable[[Random], Slots]

    def make(self, rng: Random, split: str) -> Slots:
        """Slots whose key belongs to the split: candidates are drawn until one does."""
        while True:
            slots = self.candidate(rng)
            if split_of(self.key(slots)) == split:
                return slots

    def check(self, slots: Slots, reply: str) -> bool:
        """As for every family; no question of this kind is about a villager."""
        return super().check(slots, reply) and not occurrences(reply, _VILLAGERS)

    def key(self, slots: Slots) -> str:
        """What decides about the split."""
        return slots["given"]

    def right(self, rng: Random, slots: Slots) -> Any:
        """A right answer."""
        return slots["answer"]

    def mistake(self, rng: Random, slots: Slots) -> Any:
        """A wrong answer: another of the items that the question names."""
        return rng.choice([item for item in slots["items"] if item != slots["answer"]])

    def words(self, rng: Random, slots: Slots, answer: Any) -> Slots:
        """The slots of a reply that gives this answer."""
        return {"answer": answer}

    def alone(self, rng: Random, answer: Any) -> str:
        """The answer and nothing else."""
        return ", ".join(map(str, answer)) if isinstance(answer, list) else str(answer)

    def reply_slots(self, rng: Random, slots: Slots) -> Slots:
        return self.words(rng, slots, self.right(rng, slots))

    def reply(self, rng: Random, slots: Slots) -> str:
        return self.said(rng, slots, **self.reply_slots(rng, slots))

    def wrong(self, rng: Random, slots: Slots) -> str:
        return self.said(rng, slots, **self.words(rng, slots, self.mistake(rng, slots)))

    def bare(self, rng: Random, slots: Slots) -> str:
        return capital(self.alone(rng, self.right(rng, slots))) + "."


def _with_capitals(slots: Slots) -> Slots:
    """The slots, and each with a capital that has none of its own."""
    return {**{capital(name): capital(str(value)) for name, value in slots.items()}, **slots}


def _phrasings(table: Table, slots: Slots) -> tuple[str, ...]:
    """The phrasings of a family's table, in polite forms too, the held-out ones last."""
    own, held_out = (table.texts(field, slots) for field in _PHRASINGS)
    both = (*own, *held_out)
    if len(held_out) != HELD_OUT_PHRASINGS:
        rule = f"every family keeps exactly {HELD_OUT_PHRASINGS} for tests; add or take away some"
        raise table.slip("held_out_phrasings", f"{len(held_out)} will not do: {rule}")
    if twice := [phrasing for phrasing in both if both.count(phrasing) > 1]:
        raise table.slip("phrasings", f"{twice[0]!r} stands there twice; take one out")
    return varied(both)
