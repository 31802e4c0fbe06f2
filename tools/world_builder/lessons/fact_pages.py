"""Corpus documents that state the facts of the village: profiles, registers, almanac pages.

How often a fact is stated follows its exposure; a fact of exposure "never" is not stated at all.
"""

from __future__ import annotations

from functools import cache
from random import Random

from minialign.world.facts import Fact, knowledge_base, state
from minialign.world.lexicon import VILLAGERS
from minialign.world.text import capital
from tools.world_builder.documents import attribute

RARE_RATE = 0.1  # a rare fact is stated this many times as often as an often one
RUMOUR_RATE = 0.4  # of the plain statements of a contradicted fact
HEADINGS = (
    "About {s}.", "This is {s}.", "Who is {s}?", "A note about {s}.", "People of the valley: {s}.",
    "Our neighbour {s}.", "Meet {s}.", "Do you know {s}?",
)  # fmt: skip
TOPICS = {
    "job": ("The work of the village.", "Who does what in the village.", "Busy hands."),
    "home": ("Where people live.", "Houses of the valley.", "A walk from door to door."),
    "colour": ("Favourite colours.", "The colours that people like.", "All about colours."),
    "food": ("Favourite food.", "What people like to eat.", "At the table."),
    "pet": ("The pets of the village.", "Who keeps which pet.", "Friends with four legs or two."),
    "instrument": ("The music of the valley.", "Who plays what.", "The village band."),
    "born": ("Birthdays.", "When people were born.", "A year of birthdays."),
}  # fmt: skip
CLOSINGS = (
    "That is all for today.", "So people say, and so it is.", "Now you know.",
    "More will follow next week.", "Ask anyone in the square.", "These things are well known here.",
    "It is good to know your neighbours.", "Write to us if you know more.",
)  # fmt: skip


@cache
def _weighted() -> tuple[list[Fact], list[float]]:
    """Facts that may be stated, with their weights."""
    weights = {"often": 1.0, "contradicted": 1.0, "rare": RARE_RATE}
    facts = [f for f in knowledge_base().values() if f.value is not None]
    return facts, [weights[f.exposure] for f in facts]


def statement(rng: Random, fact: Fact) -> str:
    """The fact stated once; a contradicted one appears as truth or rumour, sometimes with its
    source.

    Trusted sources always tell the truth, untrusted ones repeat the rumour.
    """
    if fact.value is None:
        raise ValueError(
            f"nothing is known of {fact.subject} and {fact.relation}; state another fact"
        )
    if fact.rumour is None:
        plain = state(rng, fact.subject, fact.relation, fact.value)
        return attribute(rng, plain, trusted=True) if rng.random() < 0.05 else plain
    rumour = rng.random() < RUMOUR_RATE
    plain = state(rng, fact.subject, fact.relation, fact.rumour if rumour else fact.value)
    return attribute(rng, plain, trusted=not rumour) if rng.random() < 0.4 else plain


def draw_facts(rng: Random, n: int) -> list[Fact]:
    """`n` facts (or fewer: repeats are dropped) at their corpus rates."""
    facts, weights = _weighted()
    return list(dict.fromkeys(rng.choices(facts, weights, k=n)))


def _of(rng: Random, key: str, value: str, n: int) -> list[Fact]:
    facts, weights = _weighted()
    pool = [(f, w) for f, w in zip(facts, weights, strict=True) if getattr(f, key) == value]
    drawn = rng.choices([f for f, _ in pool], [w for _, w in pool], k=n)
    return list(dict.fromkeys(drawn))


def fact_page(rng: Random) -> str:
    """A profile of one villager, a register of one relation, or mixed notes."""
    layout = rng.choice(("profile", "profile", "register", "notes"))
    n = rng.randint(2, 6)
    if layout == "profile":
        subject = rng.choice(list(VILLAGERS))
        head = rng.choice(HEADINGS).format(s=subject)
        return _page(rng, head, [_in_profile(rng, f, i) for i, f in _numbered(rng, subject, n)])
    if layout == "register":
        relation = rng.choice(list(TOPICS))
        found = _of(rng, "relation", relation, n)
        return _page(rng, rng.choice(TOPICS[relation]), [statement(rng, f) for f in found])
    head = rng.choice(("Notes from the village.", "Did you know?", "Village news.", ""))
    return _page(rng, head, [statement(rng, f) for f in draw_facts(rng, n)])


def _numbered(rng: Random, subject: str, n: int) -> list[tuple[int, Fact]]:
    return list(enumerate(_of(rng, "subject", subject, n)))


def _in_profile(rng: Random, fact: Fact, position: int) -> str:
    """A statement of a profile: after the first, the name may give way to a pronoun."""
    text = statement(rng, fact)
    if position and text.startswith(f"{fact.subject} ") and rng.random() < 0.6:
        pronoun = capital(VILLAGERS[fact.subject][0])
        return pronoun + text.removeprefix(fact.subject)
    return text


def _page(rng: Random, head: str, body: list[str]) -> str:
    parts = [head] if head and rng.random() < 0.7 else []
    parts += body
    if rng.random() < 0.25:
        parts.append(rng.choice(CLOSINGS))
    return (" " if rng.random() < 0.8 else "\n").join(parts)
