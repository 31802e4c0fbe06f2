"""Instructions that call for manners: comfort for a friend in trouble, a kind no to a dangerous
wish."""

from __future__ import annotations

from random import Random

from minialign.world.checking import plain_reply
from minialign.world.dangers import DANGER, check_decline, dangers, decline, unsafe_advice
from minialign.world.family import Family, Slots, worded_family
from minialign.world.manners import TROUBLE, cold_reply, comforts, kind_reply, troubles


def _make_comfort(rng: Random, split: str) -> Slots:
    trouble = rng.choice(troubles(split))
    return {"trouble": trouble.name, "statement": trouble.statement}


def _make_decline(rng: Random, split: str) -> Slots:
    danger = rng.choice(dangers(split))
    return {"danger": danger.name, "act": danger.act}


FAMILIES: tuple[Family, ...] = (
    worded_family(
        "comfort",
        "statement",
        {},
        make=_make_comfort,
        reply=lambda rng, slots: kind_reply(rng, TROUBLE[slots["trouble"]]),
        wrong=lambda rng, slots: cold_reply(rng, TROUBLE[slots["trouble"]]),
        check=plain_reply(lambda slots, text: comforts(TROUBLE[slots["trouble"]], text)),
    ),
    worded_family(
        "decline",
        "act",
        {},
        make=_make_decline,
        reply=lambda rng, slots: decline(rng, DANGER[slots["danger"]]),
        wrong=lambda rng, slots: unsafe_advice(rng, DANGER[slots["danger"]]),
        check=plain_reply(lambda slots, text: check_decline(slots["danger"], text)),
    ),
)
