"""What the families share: their tables of data/world/families.toml, replies around an answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from random import Random
from typing import Any

from minialign.world.families.checking import plain, retracted, split_of
from minialign.world.families.family import HELD_OUT_PHRASINGS, Family, Slots, varied
from minialign.world.text import capital
from minialign.world.wording import check_fields, check_slots, wording

_FLAGS = ("held_out", "unsafe", "agreeable")


class Worded:
    """A family to be: its functions are the methods, its words lie in the table of its name.

    A subclass has `make`, `reply`, `wrong` and perhaps `bare` of a `Family`, and `judge`, which
    sees replies in plain ASCII; what no honest reply looks like is refused before.
    """

    name: str
    replies: tuple[str, ...] = ()  # the table's lists of replies
    tables: tuple[str, ...] = ()  # its further fields
    phrasings: tuple[str, ...] = ()  # where they lie elsewhere
    final = False  # whether replies that take their answer back are refused unread
    make: Callable[[Random, str], Slots]
    reply: Callable[[Random, Slots], str]
    wrong: Callable[[Random, Slots], str]
    bare: Callable[[Random, Slots], str] | None = None
    judge: Callable[[Slots, str], bool]

    def check(self, slots: Slots, reply: str) -> bool:
        """Whether a reply is right."""
        clean = plain(reply)
        if clean is None or (self.final and retracted(clean)):
            return False
        return self.judge(slots, clean)

    def said(self, rng: Random, slots: Slots, field: str = "replies", **more: Any) -> str:
        """One of the family's replies, filled in and capitalised.

        `more` fills further slots, and the same with a capital: {answer} and {Answer}.
        """
        template = rng.choice(table(self.name)[field])
        return capital(template.format(**{**slots, **_with_capitals(more)}))

    def reply_slots(self, rng: Random, slots: Slots) -> Slots:
        """What `said` fills besides the slots."""
        return {}

    def family(self) -> Family:
        """The family, its table read.

        Raises ValueError, with the place in the file and the repair, if the table is missing, lacks
        a field or has an unknown one, has too few phrasings, or nothing fills a slot of a template.
        """
        row, where = table(self.name), f"world/families.toml, [{self.name}]"
        worded = ("phrasings", "held_out_phrasings")
        if "phrasings_of" in row or self.phrasings:
            worded = () if self.phrasings else ("phrasings_of",)
        check_fields(where, row, ("length", *worded, *self.replies, *self.tables), _FLAGS)
        rng = Random(0)
        slots = self.make(rng, "train")  # any draw shows which slots there are
        named = {*slots, *_with_capitals(self.reply_slots(rng, slots))}
        for field in self.replies:
            check_templates(f"{where} {field}", row[field], named)
        phrasings = self.phrasings or _phrasings(row.get("phrasings_of", self.name), slots)
        flags = {flag: row[flag] for flag in _FLAGS if flag in row}
        length = tuple(row["length"])
        if not (len(length) == 2 and 0 < length[0] <= length[1]):
            raise ValueError(
                f"{where} length is {row['length']}; write the least and the greatest number of "
                "words of a good reply, as in [3, 10]"
            )
        return Family(
            self.name, phrasings, self.make, self.reply, self.wrong, self.check, length, self.bare,
            **flags,
        )  # fmt: skip


class Closed(Worded):
    """A family with one answer: replies are templates around it, so that a wrong one reads the
    same.

    A subclass draws slots in `candidate`. `key` tells their split, `right` and `mistake` what is
    answered, `words` and `alone` how that is put.
    """

    replies = ("replies",)
    candidate: Callable[[Random], Slots]

    def make(self, rng: Random, split: str) -> Slots:
        """Slots whose key belongs to the split: candidates are drawn until one does."""
        while True:
            slots = self.candidate(rng)
            if split_of(self.key(slots)) == split:
                return slots

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


def table(name: str) -> dict[str, Any]:
    """A family's table. Raises ValueError if there is none."""
    check_fields("world/families.toml", wording("families"), [name], wording("families"))
    return wording("families")[name]


def check_templates(where: str, templates: Iterable[str], slots: Collection[str]) -> None:
    """That there is a template at least, and that each slot of each is among `slots`.

    Raises ValueError with `where` (file, family and field), the template and the rule.
    """
    if not templates:
        raise ValueError(f"{where} is empty; write at least one")
    for template in templates:
        check_slots(where, template, slots)


def _with_capitals(slots: Slots) -> Slots:
    """The slots, and each with a capital that has none of its own."""
    return {**{capital(name): capital(str(value)) for name, value in slots.items()}, **slots}


def _phrasings(name: str, slots: Collection[str]) -> tuple[str, ...]:
    """The phrasings of a family's table, in polite forms too, the held-out ones last."""
    row, where = table(name), f"world/families.toml, [{name}]"
    both = [*row["phrasings"], *row["held_out_phrasings"]]
    for field in ("phrasings", "held_out_phrasings"):
        check_templates(f"{where} {field}", row[field], slots)
    if len(row["held_out_phrasings"]) != HELD_OUT_PHRASINGS:
        raise ValueError(
            f"{where} held_out_phrasings has {len(row['held_out_phrasings'])} phrasings; every "
            f"family keeps exactly {HELD_OUT_PHRASINGS} for tests, so add or take away some"
        )
    if twice := [phrasing for phrasing in both if both.count(phrasing) > 1]:
        raise ValueError(f"{where} has the phrasing {twice[0]!r} twice; take one out")
    return varied(tuple(both))
