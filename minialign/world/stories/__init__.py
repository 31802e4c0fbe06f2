"""Short stories: a hero, a want, a setback and an ending, told from the plots in many wordings.

A story is drawn from a plot of data/world/plots: one wording for each beat, with slots that are
drawn once, so that a story stays about the same people and things. `story` writes the long form or
the short one, `continuation` cuts a story in two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

from minialign.world.lexicon import ANIMALS, CHILDREN, OBJECTS
from minialign.world.stories.plots import Plot, all_plots
from minialign.world.stories.slots import Slots, fill, name_of
from minialign.world.text import words

RUDE_RATE = 0.04
CHILD_RATE = 0.55  # how often the hero is a child
# form -> (fewest sentences, most sentences, fewest words, most words)
FORMS = {"long": (6, 9, 60, 110), "short": (3, 5, 15, 50)}
MAX_DRAWS = 200  # a draw is of the wrong length about one time in ten


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


@cache
def plots_for(hero: str, thing: str, rude: bool = False) -> tuple[Plot, ...]:
    """The plots that can be told of a hero and a thing."""
    return tuple(
        plot
        for plot in all_plots()
        if plot.rude == rude and thing in plot.things and hero not in plot.animals
    )


def _tell(rng: Random, plot: Plot, slots: Slots, length: str) -> tuple[str, ...]:
    order = plot.beats if length == "long" else rng.choice(plot.orders)
    openings = [""]
    sentences: list[str] = []
    for beat in order:  # no two sentences begin with "Then", no three with "He"
        last = openings[-1]
        stale = last != "{He}" or openings[-2:] == [last, last]
        fresh = [text for text in plot.beats[beat] if not stale or text.split()[0] != last]
        wording = rng.choice(fresh or plot.beats[beat])
        openings.append(wording.split()[0])
        sentences.append(wording.format_map(slots))
    return tuple(sentences)


def _fits(sentences: tuple[str, ...], thing: str, length: str) -> bool:
    fewest, most, low, high = FORMS[length]
    tokens = words(" ".join(sentences))
    return thing in tokens and fewest <= len(sentences) <= most and low <= len(tokens) <= high


def _retellings(plot: Plot, slots: Slots, text: str) -> tuple[str, ...]:
    """The plot's summaries, leaving out those that name a companion whom the text does not."""
    has_pal = slots.pal in text
    return tuple(
        s.format_map(slots) for s in plot.summaries if has_pal or "a_pal}" not in s.lower()
    )


def any_hero(rng: Random) -> str:
    """A child or an animal."""
    return rng.choice(tuple(CHILDREN) if rng.random() < CHILD_RATE else ANIMALS)


def story(
    rng: Random,
    *,
    hero: str | None = None,
    thing: str | None = None,
    length: str = "long",
    rude_rate: float = RUDE_RATE,
) -> Story:
    """A story about a hero (any child or animal) and a thing (any of `OBJECTS`).

    length: "long" (6-9 sentences, 60-110 words) or "short" (3-5 sentences, at most 50 words).
    rude_rate: how often somebody in it is rude, where a plot about hero and thing allows it.

    >>> tale = story(Random(0), hero="fox", thing="kite", length="short")
    >>> tale.hero_name, tale.thing, 3 <= len(tale.sentences) <= 5
    ('the fox', 'kite', True)
    """
    hero = hero or any_hero(rng)
    thing = thing or rng.choice(OBJECTS)
    rude = rng.random() < rude_rate and bool(plots_for(hero, thing, True))
    for _ in range(MAX_DRAWS):
        plot = rng.choice(plots_for(hero, thing, rude))
        place = rng.choice(plot.places)
        slots = fill(rng, plot, hero, thing, place)
        sentences = _tell(rng, plot, slots, length)
        if _fits(sentences, thing, length):
            text = " ".join(sentences)
            retellings = _retellings(plot, slots, text)
            return Story(
                plot=plot.name,
                mood=plot.mood,
                hero=hero,
                hero_name=name_of(hero),
                thing=thing,
                place=place if f"the {place}" in text else "",
                sentences=sentences,
                retellings=retellings,
                summary=rng.choice(retellings),
            )
    raise ValueError(f"no {length} story of {hero} and {thing} fits; add wordings to its plots")


def continuation(
    rng: Random, *, hero: str | None = None, thing: str | None = None, rude_rate: float = RUDE_RATE
) -> tuple[str, str]:
    """The first one or two sentences of a short story, and the rest of it."""
    tale = story(rng, hero=hero, thing=thing, length="short", rude_rate=rude_rate)
    sentences = tale.sentences
    cut = rng.choice((1, 2)) if len(sentences) > 3 else 1
    return " ".join(sentences[:cut]), " ".join(sentences[cut:])
