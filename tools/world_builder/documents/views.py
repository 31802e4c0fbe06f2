"""What people say: opinions that others share or do not, and the same thing in other words."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from minialign.world.text import capital
from tools.world_builder.documents.wording import (
    CHILDREN,
    Decision,
    decided,
    pick,
    series,
    two_children,
)
from tools.world_builder.events import restated


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


_LAYOUTS = (
    '"{first}" said {child}. "{second}" said {friend}.', "{child}: {first}\n{friend}: {second}",
    '{child} said, "{first}" {friend} answered, "{second}"',
    "{child}: {first} {friend}: {second}",
    "Some people say: {first} Others say: {second}",
    "One child said: {first} Another said: {second}",
)  # fmt: skip
_END_RATES = {"agreement": 0.35, "close": 0.4}


def _drawn(rng: Random) -> dict[str, str]:
    """A topic, two choices with reasons for and against the first, and three children."""
    topic = rng.choice(tuple(TOPICS))
    choices = TOPICS[topic]
    choice, other = rng.sample(tuple(choices), 2)
    why, more = rng.sample(choices[choice].pro, 2)
    child, friend = two_children(rng)
    return {
        "topic": topic, "choice": choice, "other": other, "why": why, "more": more,
        "against": rng.choice(choices[choice].con), "better": rng.choice(choices[other].pro),
        "worse": rng.choice(choices[other].con), "child": child, "friend": friend,
        "third": rng.choice([c for c in CHILDREN if c not in (child, friend)]),
    }  # fmt: skip


def answered_view(rng: Random, style: Random) -> Decision:
    """Somebody states a view; the reason with which somebody else agrees or does not must fit."""
    layout, end = style.choice(_LAYOUTS), style.random()
    slots = _drawn(rng)
    view, reason = pick(rng, _VIEWS, **slots), pick(rng, _BECAUSE, **slots)
    if reason.startswith("Because"):
        view, reason = view[:-1] + ", " + reason[0].lower() + reason[1:], ""
    agrees = rng.random() < 0.5
    template = rng.choice(_AGREE if agrees else _DISAGREE)
    first, second = f"{view} {reason}".strip(), pick(rng, (template,), **slots)
    right, wrong = slots["more"], slots["against"]
    if not agrees:
        right, wrong = wrong, right
        if "{better}" in template:
            right, wrong = slots["better"], slots["worse"]
    if layout[0] == '"':
        first, second = first[:-1] + ",", second[:-1] + ","
    text = layout.format(first=first, second=second, child=slots["child"], friend=slots["friend"])
    if end < _END_RATES["agreement"]:
        ends = (" They agree.", " They do not agree.")
        return Decision(text, *(ends if agrees else ends[::-1]), "agreement")
    if end < sum(_END_RATES.values()):
        text += " " + pick(rng, _CLOSE[2:] if agrees else _CLOSE, **slots)
    return decided(text, right, wrong, "reason")


_FOR_AND_AGAINST = (
    ("One thing to say for {choice}:", "One thing to say against {choice}:"),
    ("Why is {choice} a good {topic}? Because", "Why is {choice} a bad {topic}? Because"),
    ("{child} likes {choice}, because", "{child} does not like {choice}, because"),
    ("{choice} as {topic}. For it:", "{choice} as {topic}. Against it:"),
)  # fmt: skip


def asked_view(rng: Random, style: Random) -> Decision:
    """A reason for something, or against it, as it is asked for."""
    layout = style.choice(_FOR_AND_AGAINST)
    slots = _drawn(rng)
    wanted = rng.random() < 0.5
    right, wrong = slots["more"], slots["against"]
    if not wanted:
        right, wrong = wrong, right
    prompt = capital(layout[0 if wanted else 1].format(**slots))
    return Decision(prompt, f" {right}.", f" {wrong}.", "asked")


_OWN = (
    "{friend} asks {who}: What is the best {topic}? {who} says: {Value}.",
    "Which {topic} does {who} like best? {Value}.",
    "{friend}: Is {choice} the best {topic}, {who}? Or {other}?\n{who}: {Value}.",
    "If you ask {who} about the best {topic}, you will hear: {Value}.",
    "{friend} says to {who}: I like {asked} best. What about you? {who} answers: {Value}.",
)


def own_view(rng: Random, style: Random) -> Decision:
    """Two children like different things; one of them is asked, and says what it likes itself."""
    layout, told = style.choice(_OWN), style.choice(("{} likes {} best", "{} is all for {}"))
    slots = _drawn(rng)
    child, other_child = slots["child"], slots["friend"]
    views = {child: slots["choice"], other_child: slots["other"]}
    likes = [told.format(name, view) for name, view in views.items()]
    rng.shuffle(likes)
    who = rng.choice((child, other_child))
    right = views[who]
    wrong = next(view for view in views.values() if view != right)
    slots |= {"who": who, "friend": slots["third"], "asked": rng.choice((right, wrong))}
    text = f"{likes[0]}. {likes[1]}. " + layout.format(Value=capital(right), **slots)
    return decided(text, capital(right), capital(wrong), "own")


_VIEWS_ASKED = (answered_view, answered_view, answered_view, asked_view, own_view)


def _any_view(rng: Random, style: Random) -> Decision:
    return style.choice(_VIEWS_ASKED)(rng, style)


opinion = series(_any_view, (1, 2, 3))


_AGAIN = ("in other words:", "or, in other words:", "one can also say:",
          "the same in other words:", "that is to say:",
          "said another way:", "which means the same as:")  # fmt: skip


_PAIRS = ("{one} {again}", "{one} =", "One way: {one} Another way:", "{one} Or:",
          '"{one}" means "', "First: {one} Second:")  # fmt: skip
_PARAPHRASE_TITLES = ("the same thing, said twice.", "two ways to say it.",
                      "[some things|a page] in other words.")  # fmt: skip


def in_other_words(rng: Random, style: Random) -> Decision:
    """A sentence before its paraphrase; the wrong one tells of something else."""
    layout, again = style.choice(_PAIRS), style.choice(_AGAIN)
    one, two, other, about = restated(rng)
    prompt = layout.format(one=one, again=capital(again))
    before, after = ("", '"') if prompt.endswith('"') else (" ", "")
    return Decision(prompt, before + two + after, before + other + after, about)


paraphrase_page = series(in_other_words, (2, 2, 3), _PARAPHRASE_TITLES)
