"""What fills the slots of a story's wordings: who is in it, with which thing, where and when."""

from __future__ import annotations

from random import Random

from minialign.world.lexicon import ANIMALS, CHILDREN, PLACES
from minialign.world.stories.plots import Plot, group, things, with_forms
from minialign.world.text import a, capital
from minialign.world.wording import wording

HE = ("he", "him", "his", "himself")
SHE = ("she", "her", "her", "herself")
PAL_OF_CHILD = 0.55  # how often a child's companion is a child
PAL_OF_ANIMAL = 0.25  # how often an animal's is
NEW_PAL = 0.5  # how often an animal comes in as a stranger, where it may be either

Introductions = dict[str, tuple[str, str]]


class Slots(dict[str, str]):
    """The slots of one story; hero and pal are introduced once and known from then on.

    cast: "hero" and "pal" -> (the first mention, every later one).
    """

    def __init__(self, entries: dict[str, str], cast: Introductions) -> None:
        super().__init__(entries)
        self.cast = cast
        self.met: set[str] = set()

    def __missing__(self, key: str) -> str:
        role = key.lower()
        if role not in self.cast:
            raise KeyError(key)
        form = self.cast[role][role in self.met]
        self.met.add(role)
        return form if key == role else capital(form)


def name_of(who: str) -> str:
    """How somebody is called who is known.

    >>> name_of("Mira"), name_of("fox")
    ('Mira', 'the fox')
    """
    return who if who in CHILDREN else f"the {who}"


def fill(rng: Random, plot: Plot, hero: str, thing: str, place: str) -> Slots:
    """All slots of a story: a companion, looks and the plot's own draws are drawn here."""
    he = _pronouns(rng, hero)
    pal = _pal(rng, plot, hero, he)
    pal_he = _pronouns(rng, pal, other_than=he)
    kind = hero if hero in ANIMALS else ("girl" if he == SHE else "boy")
    where = f"{PLACES[place]} the {place}"
    child, pal_is_child = hero in CHILDREN, pal in CHILDREN
    entries = {
        "When": rng.choice(wording("stories")["openings"]),
        "at": where, "At": capital(where), "place": f"the {place}",
        "he": he[0], "him": he[1], "his": he[2], "himself": he[3],
        "He": capital(he[0]), "His": capital(he[2]),
        "pal_he": pal_he[0], "pal_him": pal_he[1], "pal_his": pal_he[2],
        "ran": wording("stories")["moves"].get(hero, "ran"),
        "kind": kind, "a_kind": a(kind), "pal_noun": pal,
        "call_hero": hero if child else f"dear {hero}",
        "call_pal": pal if pal_is_child else f"dear {pal}",
        "someone": hero if child else a(hero), "a_pal": pal if pal_is_child else a(pal),
    }  # fmt: skip
    entries["Someone"] = capital(rng.choice((entries["someone"], name_of(hero))))
    entries["A_pal"] = capital(entries["a_pal"])
    entries.update(_thing_slots(rng, thing, he[2]))
    entries.update(_draws(rng, plot, entries))
    introduction = _introduction(rng, hero, "animal")
    pal_introduction = _pal_introduction(rng, pal, he[2], plot.pal)
    cast = {
        "hero": (introduction, name_of(hero)),
        "pal": (pal_introduction, name_of(pal)),
    }
    return Slots(entries, cast)


def _pronouns(
    rng: Random, who: str, *, other_than: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    """He or she; an animal's is drawn, and a pal takes the one that the hero does not have."""
    if who in CHILDREN:
        return SHE if CHILDREN[who][0] == "she" else HE
    if other_than is not None:
        return HE if other_than == SHE else SHE
    return SHE if who in wording("stories")["always_she"] else rng.choice((HE, SHE))


def _pal(rng: Random, plot: Plot, hero: str, pronouns: tuple[str, ...]) -> str:
    """A companion whose pronoun differs from the hero's, so that "she" is never unclear."""
    if rng.random() < (PAL_OF_CHILD if hero in CHILDREN else PAL_OF_ANIMAL):
        return rng.choice([c for c in CHILDREN if (CHILDREN[c][0] == "she") != (pronouns == SHE)])
    always_she = wording("stories")["always_she"] if pronouns == SHE else ()
    barred = (*plot.animals, hero, *always_she)
    return rng.choice([animal for animal in ANIMALS if animal not in barred])


def _introduction(rng: Random, who: str, kind: str) -> str:
    """How somebody comes into a story: "little Mira", "a young fox"."""
    introductions = wording("stories")["introductions"]
    if who not in CHILDREN:
        return a(rng.choice(introductions[kind]).format(who=who))
    child = "girl" if CHILDREN[who][0] == "she" else "boy"
    return rng.choice(introductions["child"]).format(who=who, child=child)


def _pal_introduction(rng: Random, who: str, his: str, kind: str) -> str:
    """How a companion comes in: "his friend the owl", or as somebody not known before."""
    if kind == "new" or (kind == "any" and who in ANIMALS and rng.random() < NEW_PAL):
        return _introduction(rng, who, "other")
    friend = rng.choice(wording("stories")["introductions"]["friend"])
    return friend.format(his=his, who=name_of(who))


def _looks(rng: Random, thing: str) -> str:
    """The thing with none, one or two fitting adjectives."""
    adjectives = wording("stories")["adjectives"]
    plain = adjectives["plain"]
    draw = rng.random()
    if draw < 0.12:
        return thing
    if thing in group("unpainted"):
        return f"{rng.choice((*plain, 'silver') if thing in group('metal') else plain)} {thing}"
    if draw < 0.45:
        return f"{rng.choice(plain)} {thing}"
    size = f"{rng.choice(adjectives['size'])} " if draw < 0.57 else ""
    return f"{size}{rng.choice(adjectives['colour'])} {thing}"


def _thing_slots(rng: Random, thing: str, his: str) -> dict[str, str]:
    entry = things()[thing]
    use = entry["use"]
    full = _looks(rng, thing)
    optional = {part: entry.get(part, "") for part in ("maker", "signal", "damage", "tool")}
    return {
        "thing": thing, "one": a(thing), "One": capital(a(thing)),
        "full": full, "a_thing": a(full), "A_thing_cap": capital(a(full)),
        "use": use.format(f"the {thing}"), "use_it": use.format("it"),
        "use_one": use.format(a(thing)), "use_his": use.format(f"{his} {full}"),
        "look": entry["look"], **optional,
    }  # fmt: skip


def _draws(rng: Random, plot: Plot, slots: dict[str, str]) -> dict[str, str]:
    """The plot's own slots; a row of several is drawn together."""
    drawn: dict[str, str] = {}
    for label, choices in plot.draws.items():
        row = rng.choice(choices)
        row = row if isinstance(row, dict) else {label: row}
        drawn.update({key: text.format(**slots) for key, text in row.items()})
    return with_forms(drawn)
