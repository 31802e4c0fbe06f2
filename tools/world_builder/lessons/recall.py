"""Dialogues of several turns in which an answer depends on what was said earlier.

Each speaker tells something, they speak of other things, and then one of them asks what was told.
Both values stand in the dialogue, so that only who said it, or of what, tells the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from minialign.world import lexicon, text
from tools.world_builder.documents.wording import Decision
from tools.world_builder.lessons import dialogue_words as say

_PLACES = tuple(f"{lexicon.PLACES[place]} the {place}" for place in lexicon.PLACES)
_THINGS = tuple(text.a(thing) for thing in lexicon.OBJECTS)


class Topic(NamedTuple):
    """What both speakers tell of themselves, each with a value of their own."""

    tells: tuple[str, ...]  # "I want to {v}."
    asks: tuple[str, ...]  # one asks the other what that one told
    asks_own: tuple[str, ...]  # one asks the other what one has told oneself
    asks_third: tuple[str, ...]  # a third person asks what {who} told
    values: Sequence[str]


TOPICS = (
    Topic(("I want to {v} today.", "Today I will {v}.", "I am going to {v}."),
          ("What did you want to do?", "What were you going to do?"),
          ("What did I want to do?", "What was I going to do?"),
          ("What does {who} want to do?", "And {who}?"), say.ACTIVITIES),
    Topic(("I need {v}.", "I am looking for {v}.", "I have to buy {v}."),
          ("What did you need?", "What are you looking for?"),
          ("What did I need?", "What am I looking for?"),
          ("What does {who} need?", "And {who}?"), _THINGS),
    Topic(("I was {v} this morning.", "I come from a walk; I was {v}."),
          ("Where were you?", "Where did you say that you were?"),
          ("Where was I?", "Where did I say that I was?"),
          ("Where was {who}?", "And {who}?"), _PLACES),
    Topic(("I brought {v}.", "I have some {v} with me."),
          ("What did you bring?", "What do you have there?"),
          ("What did I bring?", "Do you know what I have?"),
          ("What did {who} bring?", "And {who}?"), say.FOODS),
    Topic(("My birthday is on {v}.", "I was born on a {v}, like my uncle."),
          ("Which day was it for you?", "Which day did you say?"),
          ("Which day did I say?", "Which day was it for me?"),
          ("Which day did {who} say?", "And {who}?"), lexicon.DAYS),
    Topic(("My coat is {v}.", "I have a coat that is all {v}."),
          ("Which colour is your coat?", "What colour did you say?"),
          ("Which colour is my coat?", "What colour did I say?"),
          ("Which colour is the coat of {who}?", "And {who}?"), lexicon.COLOURS),
)  # fmt: skip
_BETWEEN = (
    ("It is cold today.", "Yes, and it will rain."), ("Did you sleep well?", "Yes, very well."),
    ("Listen, the bell.", "I can hear it."), ("Shall we sit down?", "Yes, over there."),
    ("What a fine day!", "I think so too."), ("Are you hungry?", "Not yet."),
)  # fmt: skip
_ANSWERS = ("{V}.", "{V}, of course.")
_THINGS_PLACED = (
    ("The {one} is {v}, and the {two} is {w}.", "I put the {one} {v} and the {two} {w}."),
    ("Where is the {one}?", "Where was the {one}?", "I need the {one}."),
)


def recalled(rng: Random, style: Random) -> Decision:
    """A dialogue cut where somebody answers what only earlier turns tell."""
    kind = style.choice(("told", "told", "own", "third", "placed"))
    filler, both, said_again = (style.random() < rate for rate in (0.4, 0.5, 0.4))
    a, b, third = rng.sample(tuple(lexicon.CHILDREN), 3)
    if kind == "placed":
        return _placed(rng, a, b, filler)
    topic = rng.choice(TOPICS)
    values = rng.sample(tuple(topic.values), 2)
    tells = [rng.choice(topic.tells) for _ in (a, b)]
    turns = [(a, tells[0].format(v=values[0])), (b, tells[1].format(v=values[1]))]
    if filler:
        turns += zip((a, b), rng.choice(_BETWEEN), strict=True)
    if kind == "third":
        who = rng.randrange(2)
        if both:  # about the other one first
            turns += [(third, topic.asks_third[0].format(who=(a, b)[1 - who])),
                      ((a, b)[who], f"{text.capital(values[1 - who])}.")]  # fmt: skip
        turns += [(third, rng.choice(topic.asks_third).format(who=(a, b)[who]))]
        answers = (values[who], values[1 - who])
        return _cut(rng, turns, (a, b)[1 - who], *answers, "third, both" if both else kind)
    asker = rng.randrange(2)
    about = asker if kind == "own" else 1 - asker  # whose value is asked for
    question = rng.choice(topic.asks_own if kind == "own" else topic.asks)
    if asker == 1:  # who has just spoken
        turns[-1] = (b, f"{turns[-1][1]} {question}")
    else:
        turns.append((a, question))
    if kind == "told" and said_again:
        ends = [f" {tells[about].format(v=values[i])}" for i in (about, 1 - about)]
        return Decision(_prompt(turns, (a, b)[about]), *ends, "told again")
    return _cut(rng, turns, (a, b)[1 - asker], values[about], values[1 - about], kind)


def _placed(rng: Random, a: str, b: str, filler: bool) -> Decision:
    """One says where two things are, the other asks for one of them."""
    one, two = rng.sample(lexicon.OBJECTS, 2)
    v, w = rng.sample(say.SPOTS, 2)
    told, asked = _THINGS_PLACED
    turns = [(a, rng.choice(told).format(one=one, two=two, v=v, w=w))]
    if filler:
        turns += zip((b, a), rng.choice(_BETWEEN), strict=True)
    first = rng.random() < 0.5
    turns += [(b, rng.choice(asked).format(one=one if first else two))]
    return _cut(rng, turns, a, *((v, w) if first else (w, v)), "placed")


def _prompt(turns: list[tuple[str, str]], who: str) -> str:
    return "\n".join([*(f"{name}: {said}" for name, said in turns), f"{who}:"])


def _cut(
    rng: Random, turns: list[tuple[str, str]], who: str, right: str, wrong: str, about: str
) -> Decision:
    """The turns, before `who` answers with the right value."""
    answer = rng.choice(_ANSWERS)
    return Decision(
        _prompt(turns, who),
        *(" " + answer.format(V=text.capital(v)) for v in (right, wrong)),
        about,
    )


def recall_page(rng: Random) -> str:
    """One dialogue of this kind, or two."""
    style, n = rng.getrandbits(32), rng.choice((1, 1, 2))
    return "\n\n".join(recalled(rng, Random(style)).text for _ in range(n))
