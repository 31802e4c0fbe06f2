"""Short stories: a hero, a want, a setback and an ending, told from the plots in many wordings.

A story is drawn from a plot of the `plots_*` modules: one wording for each beat, with slots that
are drawn once, so that a story stays about the same people and things. `story` writes the long form
or the short one, `continuation` cuts a story in two, `paraphrase` says one event twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

from minialign.world import (
    plots_adventures,
    plots_finding,
    plots_friends,
    plots_funny,
    plots_making,
    plots_rude,
    plots_sad,
    plots_strangers,
)
from minialign.world.lexicon import ANIMALS, BIRDS, CHILDREN, COLOURS, DAYS, OBJECTS, PLACES
from minialign.world.plots_base import (
    BREAKABLE,
    GUIDED,
    MADE_BY,
    MENDING,
    OUTDOORS,
    UNPAINTED,
    USES,
    Plot,
)
from minialign.world.plots_pairs import PAIRS
from minialign.world.text import a, capital, mentioned, words

PLOTS: tuple[Plot, ...] = (
    *plots_finding.PLOTS,
    *plots_making.PLOTS,
    *plots_friends.PLOTS,
    *plots_funny.PLOTS,
    *plots_sad.PLOTS,
    *plots_adventures.PLOTS,
    *plots_strangers.PLOTS,
    *plots_rude.PLOTS,
)
RUDE_RATE = 0.04
# form -> (fewest sentences, most sentences, fewest words, most words)
FORMS = {"long": (6, 9, 60, 110), "short": (3, 5, 15, 50)}
MAX_DRAWS = 200  # a draw is of the wrong length about one time in ten

OPENINGS = (
    "One morning", "Early one morning", "One day", "One fine day", "One afternoon",
    "One summer day", "One spring morning", "One autumn day", "On a windy day", "On a sunny day",
    "On a grey day", "On a quiet day", "Long ago", "A long time ago", "Not long ago",
    "Some time ago", "Once", "Once upon a time", "Last year", "Last spring", "Last summer",
    "On market day", "One bright morning", "In the first week of spring",
    *(f"One {day}" for day in DAYS),
)  # fmt: skip
PLAIN = ("old", "little", "fine", "small", "lovely", "pretty", "plain")
BRIGHT = tuple(c for c in COLOURS if c not in ("gold", "silver"))
METAL = ("coin", "key", "needle", "ring", "spoon")
LONERS = ("a little {}", "a young {}", "a {}", "a small {}", "a kind {}", "a bright young {}")
OTHERS = ("an old {}", "a kind {}", "a young {}", "a friendly {}", "a {}")
ALWAYS_SHE = ("cow", "hen")
HE, SHE = ("he", "him", "his", "himself"), ("she", "her", "her", "herself")


@dataclass(frozen=True)
class Story:
    """A finished story; `retellings` are its one-sentence summaries, `summary` one of them."""

    plot: str
    mood: str
    hero: str  # "Mira" or "fox"
    hero_name: str  # "Mira" or "the fox"
    thing: str
    place: str
    sentences: tuple[str, ...]
    retellings: tuple[str, ...]
    summary: str

    @property
    def text(self) -> str:
        """The whole story in one paragraph."""
        return " ".join(self.sentences)


class _Slots(dict[str, str]):
    """The slots of one story; hero and pal are introduced once and known from then on."""

    def __init__(self, entries: dict[str, str], cast: dict[str, tuple[str, str]]) -> None:
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


def _pronouns(rng: Random, who: str, *, other_than: tuple[str, ...] | None = None) -> tuple:
    """He or she; an animal's is drawn, and a pal takes the one that the hero does not have."""
    if who in CHILDREN:
        return SHE if CHILDREN[who][0] == "she" else HE
    if other_than is not None:
        return HE if other_than == SHE else SHE
    return SHE if who in ALWAYS_SHE else rng.choice((HE, SHE))


def _pal(rng: Random, plot: Plot, hero: str, pronouns: tuple[str, ...]) -> str:
    """A companion whose pronoun differs from the hero's, so that "she" is never unclear."""
    if rng.random() < (0.55 if hero in CHILDREN else 0.25):
        return rng.choice([c for c in CHILDREN if (CHILDREN[c][0] == "she") != (pronouns == SHE)])
    barred = (*_mentions(plot), hero, *(ALWAYS_SHE if pronouns == SHE else ()))
    return rng.choice([animal for animal in ANIMALS if animal not in barred])


def _introduction(rng: Random, who: str, forms: tuple[str, ...]) -> str:
    """How somebody comes into a story: "little Mira", "a young fox"."""
    if who not in CHILDREN:
        noun = rng.choice(forms).split(" ", 1)[1].format(who)
        return a(noun)
    child = "girl" if CHILDREN[who][0] == "she" else "boy"
    return rng.choice((who, who, who, f"little {who}", f"a {child} called {who}",
                       f"a {child} named {who}"))  # fmt: skip


def _pal_introduction(rng: Random, who: str, his: str, kind: str) -> str:
    """How a companion comes in: "his friend the owl", or as somebody not known before."""
    if kind == "new" or (kind == "any" and who in ANIMALS and rng.random() < 0.5):
        return _introduction(rng, who, OTHERS)
    name = who if who in CHILDREN else f"the {who}"
    return f"{his} {rng.choice(('friend', 'good friend', 'best friend'))} {name}"


def _described(rng: Random, thing: str) -> str:
    """The thing with none, one or two fitting adjectives."""
    draw = rng.random()
    if draw < 0.12:
        return thing
    if thing in UNPAINTED:
        return f"{rng.choice((*PLAIN, 'silver') if thing in METAL else PLAIN)} {thing}"
    if draw < 0.45:
        return f"{rng.choice(PLAIN)} {thing}"
    size = rng.choice(("little ", "old ", "fine ", "pretty ")) if draw < 0.57 else ""
    return f"{size}{rng.choice(BRIGHT)} {thing}"


def _move(who: str) -> str:
    if who in BIRDS or who == "bee":
        return "flew"
    return {"snail": "crept", "frog": "hopped", "toad": "hopped"}.get(who, "ran")


def _name(who: str) -> str:
    return who if who in CHILDREN else f"the {who}"


def _thing_slots(rng: Random, thing: str, his: str) -> dict[str, str]:
    use, look = USES[thing]
    full = _described(rng, thing)
    damage, tool = MENDING.get(thing, ("", ""))
    return {
        "thing": thing, "one": a(thing), "One": capital(a(thing)),
        "full": full, "a_thing": a(full), "A_thing_cap": capital(a(full)),
        "use": use.format(f"the {thing}"), "use_it": use.format("it"),
        "use_one": use.format(a(thing)), "use_his": use.format(f"{his} {full}"),
        "look": look,
        "damage": damage, "tool": tool, "guided": GUIDED.get(thing, ""),
        "maker": MADE_BY.get(thing, ""),
    }  # fmt: skip


def _extras(rng: Random, plot: Plot, slots: dict[str, str]) -> dict[str, str]:
    """The plot's own slots; "a|b" draws two together, and "a_x" also gives "the_x"."""
    drawn: dict[str, str] = {}
    for keys, values in plot.extras:
        value = rng.choice(values).format(**slots)
        drawn.update(zip(keys.split("|"), value.split("|"), strict=True))
    for key, value in list(drawn.items()):
        if key.startswith("a_"):
            drawn[f"the_{key[2:]}"] = f"the {value.split(' ', 1)[1]}"
        drawn.setdefault(capital(key), capital(value))
    return drawn


def _slots(rng: Random, plot: Plot, hero: str, thing: str, place: str) -> _Slots:
    he = _pronouns(rng, hero)
    pal = _pal(rng, plot, hero, he)
    pal_he = _pronouns(rng, pal, other_than=he)
    kind = hero if hero in ANIMALS else ("girl" if he == SHE else "boy")
    where = f"{PLACES[place]} the {place}"
    entries = {
        "When": rng.choice(OPENINGS), "at": where, "At": capital(where), "place": f"the {place}",
        "he": he[0], "him": he[1], "his": he[2], "himself": he[3], "He": capital(he[0]),
        "His": capital(he[2]), "pal_he": pal_he[0], "pal_him": pal_he[1], "pal_his": pal_he[2],
        "ran": _move(hero), "kind": kind, "a_kind": a(kind), "pal_noun": pal,
        "call_hero": hero if hero in CHILDREN else f"dear {hero}",
        "call_pal": pal if pal in CHILDREN else f"dear {pal}",
        "someone": hero if hero in CHILDREN else a(hero),
        "a_pal": pal if pal in CHILDREN else a(pal),
    }  # fmt: skip
    entries["Someone"] = rng.choice((entries["someone"], _name(hero)))
    entries["Someone"] = capital(entries["Someone"])
    entries["A_pal"] = capital(entries["a_pal"])
    entries.update(_thing_slots(rng, thing, he[2]))
    entries.update(_extras(rng, plot, entries))
    cast = {
        "hero": (_introduction(rng, hero, LONERS), _name(hero)),
        "pal": (_pal_introduction(rng, pal, he[2], plot.pal), _name(pal)),
    }
    return _Slots(entries, cast)


@cache
def _mentions(plot: Plot) -> frozenset[str]:
    """Animals that a plot names itself: they cannot be its hero, or two foxes would meet."""
    text = " ".join(line for beat in plot.beats for line in beat)
    text += " ".join(value for _, values in plot.extras for value in values)
    return frozenset(m for start in range(0, len(text), 3000)
                     for m in mentioned(text[start : start + 3100], ANIMALS))  # fmt: skip


@cache
def plots_for(hero: str, thing: str, rude: bool = False) -> tuple[Plot, ...]:
    """The plots that can be told of a hero and a thing."""
    return tuple(p for p in PLOTS
                 if p.rude == rude and thing in p.things and hero not in _mentions(p))  # fmt: skip


def _tell(rng: Random, plot: Plot, slots: _Slots, length: str) -> tuple[str, ...]:
    beats = range(len(plot.beats)) if length == "long" else rng.choice(plot.short)
    told: list[str] = []
    openings: list[str] = []
    for beat in beats:  # no two sentences begin with "Then", no three with "He"
        last = openings[-1] if openings else ""
        worn = last != "{He}" or openings[-2:] == [last, last]
        lines = [x for x in plot.beats[beat] if not worn or x.split()[0] != last]
        line = rng.choice(lines or plot.beats[beat])
        openings.append(line.split()[0])
        told.append(line.format_map(slots))
    return tuple(told)


def _fits(sentences: tuple[str, ...], thing: str, length: str) -> bool:
    fewest, most, low, high = FORMS[length]
    told = words(" ".join(sentences))
    return thing in told and fewest <= len(sentences) <= most and low <= len(told) <= high


def _retellings(plot: Plot, slots: _Slots, text: str) -> tuple[str, ...]:
    """The plot's summaries, leaving out those that name a companion whom the text does not."""
    known = slots["pal_noun"] in text
    return tuple(s.format_map(slots) for s in plot.summaries if known or "a_pal}" not in s.lower())


def story(
    rng: Random, *, hero: str | None = None, thing: str | None = None, length: str = "long",
    rude_rate: float = RUDE_RATE,
) -> Story:  # fmt: skip
    """A story about a hero (any child or animal) and a thing (any of `OBJECTS`).

    length: "long" (6-9 sentences, 60-110 words) or "short" (3-5 sentences, at most 50 words).
    rude_rate: how often somebody in it is rude, where a plot about hero and thing allows it.

    >>> tale = story(Random(0), hero="fox", thing="kite", length="short")
    >>> tale.hero_name, tale.thing, 3 <= len(tale.sentences) <= 5
    ('the fox', 'kite', True)
    """
    hero = hero or rng.choice(tuple(CHILDREN) if rng.random() < 0.55 else ANIMALS)
    thing = thing or rng.choice(OBJECTS)
    rude = rng.random() < rude_rate and bool(plots_for(hero, thing, True))
    for _ in range(MAX_DRAWS):
        plot = rng.choice(plots_for(hero, thing, rude))
        place = rng.choice(plot.places)
        slots = _slots(rng, plot, hero, thing, place)
        sentences = _tell(rng, plot, slots, length)
        if _fits(sentences, thing, length):
            text = " ".join(sentences)
            retellings = _retellings(plot, slots, text)
            return Story(plot.name, plot.mood, hero, _name(hero), thing,
                         place if f"the {place}" in text else "",
                         sentences, retellings, rng.choice(retellings))  # fmt: skip
    raise ValueError(f"no {length} story of {hero} and {thing} fits; add wordings to its plots")


def summaries(story: Story, rng: Random) -> str:
    """One sentence that names the hero, the thing and the outcome, in one of many wordings."""
    return rng.choice(story.retellings)


def continuation(
    rng: Random, *, hero: str | None = None, thing: str | None = None, rude_rate: float = RUDE_RATE
) -> tuple[str, str]:
    """The first one or two sentences of a short story, and the rest of it."""
    told = story(rng, hero=hero, thing=thing, length="short", rude_rate=rude_rate).sentences
    cut = rng.choice((1, 2)) if len(told) > 3 else 1
    return " ".join(told[:cut]), " ".join(told[cut:])


_SCENE = Plot("event", "quiet", (), (), (), places=OUTDOORS)


def paraphrase(rng: Random) -> tuple[str, str]:
    """Two different wordings of one event.

    >>> first, second = paraphrase(Random(1))
    >>> first != second
    True
    """
    hero = rng.choice(tuple(CHILDREN) if rng.random() < 0.55 else ANIMALS)
    wordings = rng.choice(PAIRS)
    things = BREAKABLE if "broke" in wordings[0] else OBJECTS
    slots = _slots(rng, _SCENE, hero, rng.choice(things), rng.choice(OUTDOORS))
    slots.cast = {"hero": (_name(hero),) * 2, "pal": (_name(slots["pal_noun"]),) * 2}
    first, second = rng.sample(wordings, 2)
    return first.format_map(slots), second.format_map(slots)
