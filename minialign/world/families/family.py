"""What an instruction family is: phrasings, slots, replies of several qualities, and an exact
checker."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from minialign.world.wording import check_fields, wording

# JSON-able, so that a row of a data file can be checked again later. Keys that start with "_" only
# help to write replies and are not stored.
Slots = dict[str, Any]

check_fields("world/families.toml", wording("families"), ["polite"], wording("families"))
_POLITE = wording("families")["polite"]
check_fields("world/families.toml, [polite]", _POLITE, ("orders", "forms"))
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
        low = order[:1].lower() + order[1:]
        for form in _POLITE["forms"]:
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
