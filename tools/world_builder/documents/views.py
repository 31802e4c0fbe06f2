"""Who says what: opinions that others share or do not, statements by trusted and untrusted sources,
and the same thing said in other words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from minialign.world import lexicon
from minialign.world.facts import ANIMAL_TABLE
from minialign.world.text import a, capital, number_word, plural
from tools.world_builder.documents.animals import base, false_value
from tools.world_builder.documents.wording import CHILDREN, bounded, pick, two_children
from tools.world_builder.events import paraphrase


class Reasons(NamedTuple):
    """Why one likes a choice, and why one does not."""

    pro: tuple[str, ...]
    con: tuple[str, ...]


TOPICS: dict[str, dict[str, Reasons]] = {  # what something is the best of -> the choices
    "season": {
        "spring": Reasons(
            pro=("everything is new", "the flowers open", "the birds come back"),
            con=("it rains too often", "the roads are deep in mud"),
        ),
        "summer": Reasons(
            pro=("we can swim in the lake", "the days are long", "there is fruit on every tree"),
            con=("it is too hot to sleep", "the wells run dry"),
        ),
        "autumn": Reasons(
            pro=("the leaves turn red and gold", "there are apples and nuts", "the air is cool"),
            con=("the days get short", "the wind takes every hat"),
        ),
        "winter": Reasons(
            pro=("we can play in the snow", "the fire is warm", "the stars are so clear"),
            con=("it is too cold", "it is dark before supper"),
        ),
    },
    "pet": {
        "a cat": Reasons(
            pro=("it is soft and quiet", "it looks after itself"),
            con=("it wakes you at night", "it comes only when it likes"),
        ),
        "a dog": Reasons(
            pro=("it is always glad to see you", "it goes everywhere with you"),
            con=("it barks too much", "it needs a walk in the rain"),
        ),
        "a hen": Reasons(
            pro=("it gives you eggs", "it needs little room"),
            con=("it is up too early", "you cannot hold it for long"),
        ),
        "a mouse": Reasons(
            pro=("it is small and eats little", "it fits in a pocket"),
            con=("it runs away too easily", "it hides all day"),
        ),
        "a goat": Reasons(
            pro=("it gives milk", "it is funny to watch"),
            con=("it eats your hat", "it climbs on the roof"),
        ),
    },
    "supper": {
        "soup": Reasons(
            pro=("it makes you warm", "it is easy to make"),
            con=("it is mostly water", "you are soon hungry again"),
        ),
        "pie": Reasons(
            pro=("it is sweet and hot", "there is enough for all"),
            con=("it takes too long to bake", "it is too heavy at night"),
        ),
        "porridge": Reasons(
            pro=("it is soft and sweet", "it is good for you"),
            con=("it is the same every day", "it gets cold too fast"),
        ),
        "stew": Reasons(
            pro=("it is thick and rich", "it is better each day"),
            con=("it takes hours to cook", "nobody knows what is in it"),
        ),
        "pancakes": Reasons(
            pro=("everyone can make one", "they go with any fruit"),
            con=("you eat too many", "the first one always burns"),
        ),
    },
    "place": {
        "the lake": Reasons(
            pro=("the water is clear", "you can swim there"),
            con=("it is cold and deep", "there is no shade"),
        ),
        "the forest": Reasons(
            pro=("it is cool and quiet", "there are animals behind every tree"),
            con=("it is easy to get lost", "it is dark even at noon"),
        ),
        "the library": Reasons(
            pro=("it is full of stories", "it is warm there in winter"),
            con=("you must not talk", "it closes too early"),
        ),
        "the market": Reasons(
            pro=("there is always something new", "you meet all your friends"),
            con=("it is too loud", "you can hardly walk there"),
        ),
        "the beach": Reasons(
            pro=("there are shells to find", "you can see far"),
            con=("the wind is too strong", "sand gets into the bread"),
        ),
    },
    "game": {
        "a race": Reasons(
            pro=("it is over fast", "you need nothing but your legs"),
            con=("only one can win", "the small ones are always last"),
        ),
        "hide and seek": Reasons(
            pro=("you can play it anywhere", "even the small ones can win"),
            con=("it takes too long", "someone always gets lost"),
        ),
        "flying a kite": Reasons(
            pro=("you look up at the sky", "the wind does the work"),
            con=("you must wait for wind", "it ends up in a tree"),
        ),
        "a puzzle": Reasons(
            pro=("it is quiet", "you can do it in bed"),
            con=("one piece is always missing", "you must sit still"),
        ),
    },
}
_VIEWS = (
    "I think {choice} is the best {topic}.", "if you ask me, {choice} is the best {topic}.",
    "the best {topic} is {choice}, I [think|believe].", "I like {choice} best.",
    "for me no {topic} is as good as {choice}.", "there is no better {topic} than {choice}.",
    "I would choose {choice} over any other {topic}.",
)  # fmt: skip
_BECAUSE = ("because {why}.", "{why}, after all.", "you see, {why}.", "I say so because {why}.")
_AGREE = (
    "I agree, because {more}.", "I think so too: {more}.", "yes, and {more}.",
    "you are right, for {more}.",
    "that is true, and {more} as well.", "I see it the same way. After all, {more}.",
)  # fmt: skip
_DISAGREE = (
    "I do not agree, because {against}.", "I see it another way: {against}.", "no, {against}.",
    "I am not so sure, for {against}.", "I like {other} better, because {better}.",
    "I would say {other}, because {better}.", "that is not what I think: {against}.",
    "maybe, but {against}.", "maybe so, but {other} is [good|fine] as well, because {better}.",
)  # fmt: skip
_CLOSE = (
    "they talked about it [all evening|until supper|for a while] and stayed friends.",
    "both can be right.", "in the end they [smiled|laughed|walked home together].",
    "it is good to hear [both sides|what others think].", "everyone has a [view|reason].",
    "{third} listened and said nothing.", "{third} could not choose.",
)  # fmt: skip


@bounded
def opinion(rng: Random) -> str:
    """Somebody states a view; somebody else agrees or does not, with a reason."""
    topic = rng.choice(tuple(TOPICS))
    choices = TOPICS[topic]
    choice, other = rng.sample(tuple(choices), 2)
    why, more = rng.sample(choices[choice].pro, 2)
    better = rng.choice(choices[other].pro)
    child, friend = two_children(rng)
    third = rng.choice([c for c in CHILDREN if c not in (child, friend)])
    slots = {
        "topic": topic, "choice": choice, "other": other, "why": why, "more": more, "third": third,
        "against": rng.choice(choices[choice].con), "better": better,
    }  # fmt: skip
    view, reason = pick(rng, _VIEWS, **slots), pick(rng, _BECAUSE, **slots)
    if reason.startswith("Because"):
        view, reason = view[:-1] + ", " + reason[0].lower() + reason[1:], ""
    agrees = rng.random() < 0.5
    first = f"{view} {reason}".strip()
    second = pick(rng, _AGREE if agrees else _DISAGREE, **slots)
    layout = rng.choice((
        '"{first}" said {child}. "{second}" said {friend}.', "{child}: {first}\n{friend}: {second}",
        '{child} said, "{first}" {friend} answered, "{second}"',
        "{child}: {first} {friend}: {second}",
        "Some people say: {first} Others say: {second}",
        "One child said: {first} Another said: {second}",
    ))  # fmt: skip
    if layout[0] == '"':
        first, second = first[:-1] + ",", second[:-1] + ","
    text = layout.format(first=first, second=second, child=child, friend=friend)
    verdict = (
        ("they agree.", "so they agree.")
        if agrees
        else ("they do not agree.", "so they do not agree.")
    )
    endings = _CLOSE[2:] if agrees else _CLOSE
    end = pick(rng, verdict if rng.random() < 0.3 else endings, **slots)
    return f"{text} {end}" if rng.random() < 0.75 else text


@dataclass(frozen=True)
class Source:
    """Somebody or something that makes statements, and how it is quoted."""

    name: str
    written: bool  # whether one reads it or hears it


TRUSTED: tuple[Source, ...] = (
    Source("the almanac", True), Source("the school book", True), Source("the valley paper", True),
    Source("the old map book", True), Source("the village clerk", False),
    Source("the library", True),
)  # fmt: skip
UNTRUSTED: tuple[Source, ...] = (
    Source("Old Crow", False), Source("the market gossip", False),
    Source("Grandfather Toad", False),
    Source("the talking puppet", False), Source("the sleepy goose", False),
)  # fmt: skip
_WRITTEN = (
    "{source} says that {that}.", "according to {source}, {that}.",
    "we read in {source} that {that}.",
    "in {source} it is written that {that}.", "{source} tells us that {that}.",
    "look it up in {source}: {that}.", "{that}, says {source}.",
)  # fmt: skip
_SPOKEN = (
    "{source} says that {that}.", "according to {source}, {that}.",
    "{source} tells everyone that {that}.",
    "if you ask {source}, {that}.", "{that}, says {source}.",
    "{source} was heard to say that {that}.",
    "{source} [thinks|believes] that {that}.",
)  # fmt: skip
_KEEP = frozenset((*lexicon.PRONOUNS, *lexicon.DAYS, "I", "Old", "Grandfather"))


def attribute(rng: Random, statement: str, trusted: bool) -> str:
    """The statement, a full sentence, as one of the trusted or the untrusted sources makes it.

    >>> attribute(Random(4), "Agnes works as a baker.", True)
    'We read in the school book that Agnes works as a baker.'
    """
    source = rng.choice(TRUSTED if trusted else UNTRUSTED)
    return _quote(rng, statement, source)


def _quote(rng: Random, statement: str, source: Source) -> str:
    first = statement.split(" ", 1)[0].removesuffix("'s").rstrip(",")
    that = statement.rstrip(".")
    if first not in _KEEP:
        that = that[0].lower() + that[1:]
    return pick(rng, _WRITTEN if source.written else _SPOKEN, source=source.name, that=that)


_FRAMES: dict[str, tuple[str, ...]] = {
    "eats": ("{one} eats {value}.", "{many} eat {value}."),
    "home": ("{one} sleeps in {value}.", "{many} sleep in {value}."),
    "sound": ("{one} {value}.", "{many} {plain}."),
    "cover": ("{one} is covered in {value}.", "{many} are covered in {value}."),
    "legs": ("{one} has {value} legs.", "{many} have {value} legs."),
}
_NAMES = tuple(name for name in lexicon.ANIMALS if name != "snail")
_FALSE_RATE = 0.8  # how often an untrusted source is wrong


def _legs(n: int) -> str:
    return number_word(n) if n else "no"


def animal_statement(
    rng: Random, true: bool, name: str | None = None, field: str | None = None
) -> str:
    """A sentence about an animal that is true, or false, by the table of animals."""
    name, field = name or rng.choice(_NAMES), field or rng.choice(tuple(_FRAMES))
    value = getattr(ANIMAL_TABLE[name], field) if true else false_value(rng, name, field)
    said = _legs(value) if field == "legs" else a(value) if field == "home" else value
    plain = base(value) if field == "sound" else ""
    return pick(rng, _FRAMES[field], one=a(name), many=plural(name), value=said, plain=plain)


_REFUTED = ("that is not [so|true]: {truth}", "[do not believe it|it is false]: {truth}",
            "but {truth}", "everyone else knows better: {truth}")  # fmt: skip
_AGREED = ("this time it is true.", "that is right, for once.", "even so, it is true.")
_LESSONS = (
    "{good} is [right|always right|to be trusted].", "so [trust|believe] {good}, not {bad}.",
    "you can trust {good}.", "{bad} is often wrong.", "do not believe all that {bad} says.",
    "ask {good} if you want to be sure.",
)  # fmt: skip


def _doubtful(rng: Random, source: Source) -> list[str]:
    """What an untrusted source says, sometimes with the truth behind it."""
    name, field = rng.choice(_NAMES), rng.choice(tuple(_FRAMES))
    true = rng.random() >= _FALSE_RATE
    lines = [_quote(rng, animal_statement(rng, true, name, field), source)]
    if rng.random() < 0.6:
        truth = animal_statement(rng, True, name, field)
        lines.append(pick(rng, _AGREED if true else _REFUTED, truth=truth[0].lower() + truth[1:]))
    return lines


@bounded
def sources(rng: Random) -> str:
    """Statements about animals by sources that can be trusted and by some that cannot."""
    good, bad = rng.choice(TRUSTED), rng.choice(UNTRUSTED)
    parts = [[_quote(rng, animal_statement(rng, True), good)] for _ in range(rng.randint(1, 2))]
    parts += [_doubtful(rng, bad) for _ in range(rng.randint(1, 2))]
    rng.shuffle(parts)
    lines = [line for part in parts for line in part]
    if rng.random() < 0.7:
        lines.append(pick(rng, _LESSONS, good=good.name, bad=bad.name))
    return " ".join(lines)


_AGAIN = ("in other words:", "or, in other words:", "one can also say:",
          "the same in other words:", "that is to say:",
          "said another way:", "which means the same as:")  # fmt: skip


@bounded
def paraphrase_page(rng: Random) -> str:
    """Sentences, each said once more in other words."""
    again, gap = rng.choice(_AGAIN), rng.choice(("\n", " "))
    pairs = [paraphrase(rng) for _ in range(rng.randint(2, 3))]
    layout = rng.choice(("{one} {again} {two}", "{one} = {two}",
                         "One way: {one} Another way: {two}",
                         "{one} Or: {two}",
                         '"{one}" means "{two}"', "First: {one} Second: {two}"))  # fmt: skip
    if "=" in layout or '"' in layout:
        gap = "\n"
    lines = [layout.format(one=x, two=y, again=capital(again)) for x, y in pairs]
    title: Sequence[str] = (
        "the same thing, said twice.",
        "two ways to say it.",
        "[some things|a page] in other words.",
    )
    if rng.random() < 0.4:
        lines.insert(0, pick(rng, title))
    return gap.join(lines)
