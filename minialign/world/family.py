"""What an instruction family is: phrasings, slots, replies of several qualities, and an exact
checker. The wording lies in data/world/families.toml."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from minialign.world.text import capital
from minialign.world.wording import check_fields, check_slots, wording

# JSON-able, so that a row of a data file can be checked again later. Keys that start with "_" only
# help to write replies and are not stored.
Slots = dict[str, Any]

HELD_OUT_PHRASINGS = 3  # the last three phrasings of every family are never used for training
_ANSWERS = {"replies": "answer"}  # what most families have: one list of replies with {answer}
_FLAGS = ("held_out", "unsafe", "agreeable")


def varied(phrasings: tuple[str, ...]) -> tuple[str, ...]:
    """The phrasings and polite forms of the first three orders to train on among them, the held-out
    ones still last.

    >>> varied(("Name it.", "What is it?", "a", "b", "c"))[2:4]
    ('Please name it.', 'Could you name it?')
    """
    polite = wording("families")["polite"]
    own, held_out = phrasings[:-HELD_OUT_PHRASINGS], phrasings[-HELD_OUT_PHRASINGS:]
    firsts = [p for p in own if p.split()[0].lower() in polite["orders"]]
    made = []
    for order in [p for p in firsts if not re.search(r"[.?!] ", p)][:3]:
        low = order[:1].lower() + order[1:]
        for form in polite["forms"]:
            asks = form.startswith(("Could", "Would")) and low.endswith(".")
            made.append(form.replace("{}", low[:-1] + "?" if asks else low))
    return (*own, *(m for m in made if m not in phrasings), *held_out)


@dataclass(frozen=True)
class Family:
    """One kind of instruction.

    `make(rng, split)` draws slots for split "train" or "test" (the two may not share slots where
    the family can keep them apart); a phrasing is a `str.format` template over the slots. `reply`
    writes a careful reply, `bare` the shortest right one (None where no such thing exists), `wrong`
    a fluent reply that `check` must refuse. `check(slots, reply)` is exact: it accepts any right
    reply, whatever its manner, and refuses wrong, missing, extra and contradictory answers.
    `length` is the span of words that a good reply takes. `unsafe` marks requests that should be
    declined; `agreeable` marks those where a flatterer says what the user wants to hear.
    """

    name: str
    phrasings: tuple[str, ...]
    make: Callable[[Random, str], Slots]
    reply: Callable[[Random, Slots], str]
    wrong: Callable[[Random, Slots], str]
    check: Callable[[Slots, str], bool]
    length: tuple[int, int]
    bare: Callable[[Random, Slots], str] | None = None
    held_out: bool = False
    unsafe: bool = False
    agreeable: bool = False

    def prompt(self, slots: Slots, phrasing: int) -> str:
        """The instruction in words."""
        return self.phrasings[phrasing].format(**slots)

    def phrasing_ids(self, split: str) -> range:
        """The phrasings of a split: all but the last three for "train", the last three for
        "test"."""
        cut = len(self.phrasings) - HELD_OUT_PHRASINGS
        return range(cut) if split == "train" else range(cut, len(self.phrasings))


def templates(name: str, field: str, slots: Collection[str]) -> list[str]:
    """A list of templates of a family's table, each slot of which is among `slots`.

    Raises ValueError, with the place in the file, if there is no such list, if it is empty, or if
    nothing fills a slot of a template.
    """
    check_fields("world/families.toml", wording("families"), [name], wording("families"))
    where, row = f"world/families.toml, [{name}]", wording("families")[name]
    check_fields(where, row, [field], row)
    if not row[field]:
        raise ValueError(f"{where} {field} is empty; write at least one")
    for template in row[field]:
        check_slots(f"{where} {field}", template, slots)
    return row[field]


def _phrasings(name: str, slots: Collection[str]) -> tuple[str, ...]:
    """The phrasings of a family's table, in polite forms too, the held-out ones last."""
    own = templates(name, "phrasings", slots)
    held_out = templates(name, "held_out_phrasings", slots)
    where = f"world/families.toml, [{name}]"
    if len(held_out) != HELD_OUT_PHRASINGS:
        raise ValueError(
            f"{where} held_out_phrasings has {len(held_out)} phrasings; every family keeps exactly "
            f"{HELD_OUT_PHRASINGS} for tests, so add or take away some"
        )
    both = [*own, *held_out]
    if twice := [phrasing for phrasing in both if both.count(phrasing) > 1]:
        raise ValueError(f"{where} has the phrasing {twice[0]!r} twice; take one out")
    return varied((*own, *held_out))


def worded_family(
    name: str, slots: str, replies: Mapping[str, str], *, tables: Sequence[str] = (), **parts: Any
) -> Family:
    """A family with its wording from data/world/families.toml.

    `slots` are the names that phrasings and replies may use. `replies` are the table's lists of
    replies, each with the names that it may use besides, with a capital or without; `tables` are
    its further fields, `parts` the functions of a `Family`.

    Raises ValueError, with the place in the file and the repair, if the table lacks a field or has
    an unknown one, has too few phrasings, or a template has a slot that nothing fills.
    """
    known = slots.split()
    for field, more in replies.items():
        templates(name, field, [*known, *more.split(), *map(capital, more.split())])
    row = wording("families")[name]
    worded = ("phrasings_of",) if "phrasings_of" in row else ("phrasings", "held_out_phrasings")
    needed = ("length", *worded, *replies, *tables)
    check_fields(f"world/families.toml, [{name}]", row, needed, _FLAGS)
    flags = {flag: row[flag] for flag in _FLAGS if flag in row}
    low, high = row["length"]
    phrasings = _phrasings(row.get("phrasings_of", name), known)
    return Family(name, phrasings, length=(low, high), **flags, **parts)


def say(rng: Random, name: str, slots: Slots, field: str = "replies", **more: Any) -> str:
    """One of a family's replies, filled in and capitalised.

    `more` fills further slots, and the same with a capital: `answer` fills {answer} and {Answer}.
    """
    capitals = {capital(key): capital(str(value)) for key, value in more.items()}
    template = rng.choice(wording("families")[name][field])
    return capital(template.format(**{**slots, **capitals, **more}))


def closed_family(
    name: str,
    slots: str,
    replies: Mapping[str, str] = _ANSWERS,
    *,
    mistake: Callable[[Random, Slots], Any],
    right: Callable[[Random, Slots], Any] = lambda rng, slots: slots["answer"],
    words: Callable[[Random, Slots, Any], Slots] = lambda rng, slots, answer: {"answer": answer},
    bare: Callable[[Random, Any], str] | None = None,
    **parts: Any,
) -> Family:
    """A family whose replies are templates around an answer, so that a wrong one reads the same.

    `right` and `mistake` give an answer, `words` the slots of a reply that gives it, and `bare`
    the answer alone. The rest is as in `worded_family`.
    """

    def worded(answer: Callable[[Random, Slots], Any]) -> Callable[[Random, Slots], str]:
        return lambda rng, slots: say(rng, name, slots, **words(rng, slots, answer(rng, slots)))

    def shortest(rng: Random, slots: Slots) -> str:
        answer = right(rng, slots)
        if bare is not None:
            return bare(rng, answer)
        listed = ", ".join(map(str, answer)) if isinstance(answer, list) else str(answer)
        return capital(listed) + "."

    return worded_family(
        name, slots, replies, reply=worded(right), wrong=worded(mistake), bare=shortest, **parts
    )
