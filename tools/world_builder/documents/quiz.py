"""Question and answer pairs of one kind in one document.

Whoever reads on must find the rule from the first pairs: that is in-context learning, and a base
model learns it from pages like these. All answers are true; codes are invented anew on every page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from minialign.world import lexicon
from minialign.world.facts import ANIMAL_TABLE
from minialign.world.text import a, capital, number_word, plural
from tools.world_builder.documents.wording import bounded, pick


class Pair(NamedTuple):
    """A question, in full and as a short cue, with its answer."""

    cue: str
    question: str
    answer: str
    wrong: str = ""  # what another rule would answer, where only the other pairs tell the rule


_NOUNS = tuple(sorted({*lexicon.ANIMALS, *lexicon.FRUITS, *lexicon.OBJECTS, *lexicon.TREES}))
_SINGLE = {
    "animals": "animal", "fruits": "fruit", "vegetables": "vegetable", "colours": "colour",
    "tools": "tool", "instruments": "instrument", "trees": "tree", "flowers": "flower",
    "days": "day",
}  # fmt: skip
_CODE_STARTS, _CODE_ENDS = ("bl", "d", "fl", "gr", "m", "sn", "t", "z"), ("ab", "ip", "om", "ug")
_CODES = tuple(start + end for start in _CODE_STARTS for end in _CODE_ENDS if start + end not in
               ("grab", "dug", "dip", "flip", "snip", "snug", "tab", "tip", "tug", "tom", "mug",
                "mom", "dab", "blab", "grip",
                "zip"))  # fmt: skip


def _opposites(rng: Random, n: int) -> list[Pair]:
    words = rng.sample(tuple(lexicon.OPPOSITE_OF), n)
    form = rng.choice(("what is the opposite of {}?", "which word is the opposite of {}?"))
    return [Pair(w, form.format(w), lexicon.OPPOSITE_OF[w]) for w in words]


def _categories(rng: Random, n: int) -> list[Pair]:
    pairs, form = [], rng.choice(("what is {}?", "what kind of thing is {}?"))
    for category in rng.sample(tuple(_SINGLE), n):
        word = rng.choice(lexicon.CATEGORIES[category])
        named = word if category in ("colours", "days") else a(word)
        pairs.append(Pair(word, form.format(named), a(_SINGLE[category])))
    return pairs


def _plurals(rng: Random, n: int) -> list[Pair]:
    form = rng.choice(
        ("one {}, but many what?", "what is the plural of {}?", "one {}, and then two what?")
    )
    return [Pair(w, form.format(w), plural(w)) for w in rng.sample(_NOUNS, n)]


def _codes(rng: Random, n: int) -> list[Pair]:
    table = rng.choice((lexicon.COLOURS, lexicon.ANIMALS, lexicon.FRUITS))
    codes, meanings = rng.sample(_CODES, n), rng.sample(table, n)
    form = rng.choice(("what is {}?", "what does {} mean?", "which word is {}?"))
    others = meanings[1:] + meanings[:1]
    return [Pair(c, form.format(c), m, o) for c, m, o in zip(codes, meanings, others, strict=True)]


_LABELS = (("yes", "no"), ("left", "right"), ("one", "two"), ("red", "blue"), ("up", "down"))


def _labels(rng: Random, n: int) -> list[Pair]:
    """Words of two kinds, each kind with a label that means nothing elsewhere."""
    kinds = rng.sample(("animals", "fruits", "tools", "colours", "trees", "clothes", "days"), 2)
    names = rng.choice(_LABELS) if rng.random() < 0.6 else tuple(rng.sample(_CODES, 2))
    if rng.random() < 0.5:
        names = names[::-1]
    turns = [0, 1] + [rng.randrange(2) for _ in range(n - 2)]  # each label is shown at once
    shown = turns[:2]
    rng.shuffle(shown)
    form = rng.choice(("which side is {} on?", "where do we put {}?", "what about {}?"))
    words = [rng.sample(lexicon.CATEGORIES[kind], min(n, 7)) for kind in kinds]
    pairs = []
    for i in [*shown, *turns[2:]]:
        word = words[i].pop()
        pairs.append(Pair(word, form.format(word), names[i], names[1 - i]))
    return pairs


def _sums(rng: Random, n: int) -> list[Pair]:
    pairs, plus, form = [], rng.random() < 0.6, rng.choice(("what is {}?", "how much is {}?"))
    for _ in range(n):
        big = rng.randint(2, 20)
        small = rng.randint(1, big)
        if plus:
            cue, answer = f"{small} + {big - small}", big
        else:
            cue, answer = f"{big} - {small}", big - small
        pairs.append(Pair(cue, form.format(cue), str(answer)))
    return pairs


def _changes(rng: Random, n: int) -> list[Pair]:
    """Lists copied with the same change each time."""
    colour, animal = rng.choice(lexicon.COLOURS), rng.choice(lexicon.ANIMALS)
    nouns = [noun for noun in _NOUNS if noun != animal]
    rules = (
        lambda w: " ".join(reversed(w)), lambda w: f"{w[0]} {w[0]} {w[1]}", lambda w: w[0],
        lambda w: " ".join([*w, animal]), lambda w: " ".join([animal, *w]), lambda w: w[-1],
        lambda w: f"{colour} " + f" {colour} ".join(w), lambda w: " ".join([*w, w[0]]),
        lambda w: " ".join(plural(x) for x in w), lambda w: " ".join(w[1:]),
    )  # fmt: skip
    change, other = rng.sample(rules, 2)
    form, size = rng.choice(("{}, what now?", "what becomes of {}?")), rng.randint(2, 3)
    lists = [rng.sample(nouns, size) for _ in range(n)]
    return [Pair(" ".join(w), form.format(" ".join(w)), change(w), other(w)) for w in lists]


_FIELDS = {
    "eats": "what does {} eat?", "home": "where does {} sleep?",
    "cover": "what is {} covered in?", "legs": "how many legs does {} have?",
}  # fmt: skip


def _animals(rng: Random, n: int) -> list[Pair]:
    """What animals eat, or where they sleep: without the questions, only the answers tell which."""
    field, other = rng.sample(tuple(_FIELDS), 2)
    pairs = []
    for name in rng.sample(lexicon.ANIMALS, n):
        right, wrong = (
            f"in {a(str(getattr(ANIMAL_TABLE[name], one)))}"
            if one == "home"
            else str(getattr(ANIMAL_TABLE[name], one))
            for one in (field, other)
        )
        pairs.append(Pair(name, _FIELDS[field].format(a(name)), right, wrong))
    return pairs


def _sounds(rng: Random, n: int) -> list[Pair]:
    sounds = [ANIMAL_TABLE[name].sound for name in lexicon.ANIMALS if name != "snail"]
    found = {ANIMAL_TABLE[name].sound: name for name in lexicon.ANIMALS}
    own = [s for s in sounds if sounds.count(s) == 1]  # so that each question has one answer
    return [Pair(s, f"which animal {s}?", f"the {found[s]}") for s in rng.sample(own, n)]


def _next(rng: Random, n: int) -> list[Pair]:
    days = lexicon.DAYS
    if rng.random() < 0.4:
        form = rng.choice(("which day comes after {}?", "what is the day after {}?"))
        return [
            Pair(days[i], form.format(days[i]), days[(i + 1) % 7]) for i in rng.sample(range(7), n)
        ]
    step, other = rng.sample((1, 2, 3, 5, 10), 2)
    form = f"what is {number_word(step)} more than {{}}?"
    numbers = rng.sample(range(1, 60), n)
    return [Pair(str(i), form.format(i), str(i + step), str(i + other)) for i in numbers]


# kind -> its writer and openings that announce it
KINDS: dict[str, tuple[Callable[[Random, int], list[Pair]], tuple[str, ...]]] = {
    "opposites": (_opposites, ("[words|here are some words] and their opposites.",
                               "a page of opposites.",
                               "each word is followed by its opposite.")),
    "categories": (_categories, ("what kind of thing is it?", "[words|things] and their kinds.",
                                 "each word is followed by its kind.")),
    "plurals": (_plurals, ("one and many.", "[words|things] and their plurals.",
                           "from one to more than one.")),
    "sums": (_sums, ("[some|a few|easy] sums.", "sums for {day}.", "numbers at school.")),
    "changes": (_changes, ("find the rule.", "the rule is always the same.",
                           "a word game [for {day}|].")),
    "labels": (_labels, ("sort the words.", "{child} puts things in order.",
                         "two kinds of words.")),
    "animals": (_animals, ("animals of the valley.", "a page about animals.",
                           "what {child} knows of animals.")),
    "sounds": (_sounds, ("who is it?", "the sounds of animals.",
                         "listen [well|] and name the animal.")),
    "next": (_next, ("what comes next?", "one step [on|further].", "going up.")),
}  # fmt: skip
# What a pair looks like; the first of each is for full questions, the second for cues.
_FULL = ("Q: {q} A: {a}.", "Q: {q}\nA: {a}.", "Question: {q} Answer: {a}.", "{q} {a}.",
         "Q. {q} A. {a}.",
         "Question: {q}\nAnswer: {a}.", '"{q}" "{a}."')  # fmt: skip
_SHORT = (
    "{c} -> {a}.",
    "{c}: {a}.",
    "{c} = {a}.",
    "In: {c}. Out: {a}.",
    "{c}; {a}.",
    "from {c} to {a}.",
)


class Told(NamedTuple):
    """What is told of several keys, one value each, and how each is asked for."""

    forms: tuple[str, ...]
    asks: tuple[str, ...]
    values: Sequence[str]


_PLACES = tuple(f"{where} the {place}" for place, where in lexicon.PLACES.items())
_TOLD = (
    Told(("{} has {}.",), ("what does {} have?",), tuple(a(x) for x in lexicon.OBJECTS)),
    Told(("{} is {}.", "{} went for a walk and is {}."), ("where is {}?",), _PLACES),
    Told(("{} likes {}.", "{} wants {}."), ("what does {} like?", "what about {}?"),
         tuple(x for x in lexicon.DISHES)),
    Told(("{} came on {}.",), ("when did {} come?", "on which day did {} come?"), lexicon.DAYS),
    Told(("{} is in {}.", "{} chose {}."), ("which colour is it for {}?",), lexicon.COLOURS),
)  # fmt: skip
_CODED = ("{} means {}.", "{} is {}.", "{} stands for {}.")


def told(rng: Random, codes: bool) -> tuple[list[str], list[Pair]]:
    """Sentences that tell a value each, and the questions that only they answer, in another order.

    Either codes and what they mean, or children and what each has, likes or did.
    """
    n = rng.randint(3, 5)
    if codes:
        pairs, form = _codes(rng, n), rng.choice(_CODED)
    else:
        topic = rng.choice(_TOLD)
        form, ask = rng.choice(topic.forms), rng.choice(topic.asks)
        names = rng.sample(tuple(lexicon.CHILDREN), n)
        values = rng.sample(tuple(topic.values), n)
        others = values[1:] + values[:1]
        pairs = [
            Pair(name, ask.format(name), value, other)
            for name, value, other in zip(names, values, others, strict=True)
        ]
    lines = [capital(form.format(pair.cue, pair.answer)) for pair in pairs]
    return lines, rng.sample(pairs, 3)


def _looked_up(rng: Random) -> str:
    """Something is told first, then asked about in another order."""
    lines, asked = told(rng, rng.random() < 0.4)
    if rng.random() < 0.35:  # in a whole sentence, which is the easier way to look back
        said = {line.split(" ")[0]: line for line in lines}
        return " ".join([*lines, *(f"{capital(p.question)} {said[capital(p.cue)]}" for p in asked)])
    layout = rng.choice((*_FULL[:4], *_SHORT[:2]))
    return " ".join([*lines, *(
        layout.format(q=capital(p.question), a=capital(p.answer) if layout[0] == "{" else p.answer,
                      c=capital(p.cue))
        for p in asked
    )])  # fmt: skip


_WEIGHTS = {"labels": 3, "changes": 2, "next": 2, "animals": 2}  # of the kinds; 1 for the others


@bounded
def quiz_in_context(rng: Random) -> str:
    """Three to seven pairs of one kind, always in the same layout."""
    if rng.random() < 0.4:
        return _looked_up(rng)
    weights = [_WEIGHTS.get(name, 1) for name in KINDS]
    kind = rng.choices(tuple(KINDS), weights)[0]
    make, openings = KINDS[kind]
    pairs = list(dict.fromkeys(make(rng, rng.randint(3, 7))))
    opening = pick(rng, openings, child=rng.choice(tuple(lexicon.CHILDREN)),
                   day=rng.choice(lexicon.DAYS))  # fmt: skip
    if rng.random() < (0.3 if kind in _WEIGHTS else 0.6):
        layout = rng.choice(_FULL)
        high = layout[0] == "{" or layout[1] in "." or layout[0] == '"' or rng.random() < 0.5
        lines = [layout.format(q=capital(q), a=capital(x) if high else x) for _, q, x, _ in pairs]
    else:
        layout = rng.choice(_SHORT)
        lines = [layout.format(c=c, a=x) for c, _, x, _ in pairs]
    gap = "\n" if "\n" in layout or layout in _SHORT or rng.random() < 0.6 else " "
    if rng.random() < 0.6 or layout in _SHORT:
        lines.insert(0, opening)
    return gap.join(lines)
