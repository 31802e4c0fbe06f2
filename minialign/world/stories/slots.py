"""What fills the slots of a story's wordings: who is in it, with which thing, where and when."""

from __future__ import annotations

from random import Random

from minialign.world.lexicon import ANIMALS, CHILDREN, PLACES
from minialign.world.stories.plots import Plot, shared, things, with_forms
from minialign.world.tables import read
from minialign.world.text import a, capital, small

HE = ("he", "him", "his", "himself")
SHE = ("she", "her", "her", "herself")
PAL_OF_CHILD = 0.55  # how often a child's companion is a child
PAL_OF_ANIMAL = 0.25  # how often an animal's is
NEW_PAL = 0.5  # how often an animal comes in as a stranger, where it may be either


class Slots(dict[str, str]):
    """The slots of one story; with a capital, {At}, each gives its text with one.

    cast: "hero" and "pal" -> (what the next mention says, what all later ones say), so that they
    are introduced once and known from then on. pal: "owl" or "Tom".
    """

    cast: dict[str, tuple[str, str]]
    pal: str

    def __missing__(self, key: str) -> str:
        if small(key) != key:
            return capital(self[small(key)])
        mention, later = self.cast[key]
        self.cast[key] = (later, later)
        return mention


def fill(rng: Random, plot: Plot, hero: str, thing: str, place: str) -> Slots:
    """All slots of a story: a companion, looks and the plot's own draws are drawn here."""
    pronouns = _pronouns(rng, hero)
    pal = _pal(rng, plot, hero, pronouns)
    pal_pronouns = HE if pronouns == SHE else SHE
    slots = Slots(zip(HE, pronouns, strict=True))
    slots.update(zip((f"pal_{he}" for he in HE), pal_pronouns, strict=True))
    slots.pal = pal
    slots.update(
        When=rng.choice(shared()["openings"]),
        at=f"{PLACES[place]} the {place}",
        place=f"the {place}",
        ran=shared()["moves"].get(hero, "ran"),
        kind=hero if hero in ANIMALS else _child(hero),
        call_hero=hero if hero in CHILDREN else f"dear {hero}",
        call_pal=pal if pal in CHILDREN else f"dear {pal}",
        someone=someone(hero),
        Someone=capital(rng.choice((someone(hero), name_of(hero)))),
        a_pal=someone(pal),
    )
    slots.update(_thing_slots(rng, thing, slots["his"]))
    for rows in plot.draws:
        row = rng.choice(rows)
        slots.update(with_forms({key: text.format_map(slots) for key, text in row.items()}))
    introduction = _introduction(rng, hero, "animal")
    slots.cast = {
        "hero": (introduction, name_of(hero)),
        "pal": (_pal_introduction(rng, pal, slots["his"], plot.pal), name_of(pal)),
    }
    return slots


def name_of(who: str) -> str:
    """How somebody is called who is known: "Mira", "the fox"."""
    return who if who in CHILDREN else f"the {who}"


def someone(who: str) -> str:
    """How somebody is called who is not known: "Mira", "a fox"."""
    return who if who in CHILDREN else a(who)


def _child(name: str) -> str:
    return "girl" if CHILDREN[name][0] == "she" else "boy"


def _pronouns(rng: Random, who: str) -> tuple[str, ...]:
    """He or she; an animal's is drawn."""
    if who in CHILDREN:
        return SHE if _child(who) == "girl" else HE
    return SHE if who in shared()["always_she"] else rng.choice((HE, SHE))


def _pal(rng: Random, plot: Plot, hero: str, pronouns: tuple[str, ...]) -> str:
    """A companion whose pronoun differs from the hero's, so that "she" is never unclear."""
    if rng.random() < (PAL_OF_CHILD if hero in CHILDREN else PAL_OF_ANIMAL):
        kind = "boy" if pronouns == SHE else "girl"
        return rng.choice([child for child in CHILDREN if _child(child) == kind])
    always_she = shared()["always_she"] if pronouns == SHE else ()
    barred = (*plot.animals, hero, *always_she)
    return rng.choice([animal for animal in ANIMALS if animal not in barred])


def _introduction(rng: Random, who: str, kind: str) -> str:
    """How somebody comes into a story: "little Mira", "a young fox"."""
    introductions = shared()["introductions"]
    if who in CHILDREN:
        return rng.choice(introductions["child"]).format(who=who, child=_child(who))
    return a(rng.choice(introductions[kind]).format(who=who))


def _pal_introduction(rng: Random, who: str, his: str, kind: str) -> str:
    """How a companion comes in: "his friend the owl", or as somebody not known before."""
    if kind == "new" or (kind == "any" and who in ANIMALS and rng.random() < NEW_PAL):
        return _introduction(rng, who, "other")
    friend = rng.choice(shared()["introductions"]["friend"])
    return friend.format(his=his, who=name_of(who))


def _looks(rng: Random, thing: str) -> str:
    """The thing with none, one or two fitting adjectives."""
    adjectives = shared()["adjectives"]
    groups = read("things")["groups"]
    draw = rng.random()
    if draw < 0.12:
        return thing
    if thing in groups["metal"]:
        return f"{rng.choice((*adjectives['plain'], 'silver'))} {thing}"
    if draw < 0.45 or thing in groups["unpainted"]:
        return f"{rng.choice(adjectives['plain'])} {thing}"
    size = f"{rng.choice(adjectives['size'])} " if draw < 0.57 else ""
    return f"{size}{rng.choice(adjectives['colour'])} {thing}"


def _thing_slots(rng: Random, thing: str, his: str) -> dict[str, str]:
    """What is said about a thing, and those of its fields that only some things have."""
    fields = things()[thing]
    full = _looks(rng, thing)
    nouns = {"use": f"the {thing}", "use_it": "it", "use_one": a(thing), "use_his": f"{his} {full}"}
    uses = {slot: fields["use"].format(noun) for slot, noun in nouns.items()}
    return {**fields, **uses, "thing": thing, "one": a(thing), "full": full, "a_thing": a(full)}
