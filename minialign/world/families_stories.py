"""Instructions about stories and problems: tell, continue and summarise a story, solve a word
problem."""

from __future__ import annotations

from random import Random

from minialign.rewards.solutions import verify_outcome
from minialign.world import stories
from minialign.world.checking import occurrences, plain, split_of
from minialign.world.family import Family, Slots, varied
from minialign.world.lexicon import ANIMALS, CHILDREN, OBJECTS
from minialign.world.problems import Problem, problem, solution, wrong_solution
from minialign.world.text import a, ends_properly, sentences, words

HEROES = (*CHILDREN, *ANIMALS)
PROBLEM_LEVELS = (1, 1, 2)
_COMMON = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "from",
        "had",
        "has",
        "he",
        "her",
        "him",
        "his",
        "in",
        "into",
        "is",
        "it",
        "its",
        "of",
        "on",
        "one",
        "out",
        "she",
        "so",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "they",
        "to",
        "up",
        "was",
        "were",
        "when",
        "who",
        "with",
        "you",
    ]
)


def _who(hero: str) -> str:
    return hero if hero in CHILDREN else a(hero)


def _is_prose(reply: str, least: int, most: int, words_at_most: int) -> bool:
    """Whether a text is whole sentences, of a number and length within limits, none said twice."""
    text = plain(reply)
    if text is None or not ends_properly(text) or len(text.split()) > words_at_most:
        return False
    found = [s.lower() for s in sentences(text)]
    return least <= len(found) <= most and len(set(found)) == len(found)


def _names(reply: str, hero: str, thing: str) -> bool:
    """Whether a text names the hero and the thing."""
    return bool(occurrences(reply, [hero])) and bool(occurrences(reply, [thing]))


TELL = varied((
    "Tell me a story about {who} and {a_thing}.",
    "I would like to hear a story about {who} and {a_thing}.",
    "Please make up a story with {who} and {a_thing} in it.",
    "Can you tell a story in which {who} has {a_thing}?",
    "Write a few sentences about {who} and {a_thing}, like in a story book.",
    "It is time for bed. Tell me about {who} and {a_thing}.",
    "Do you know a story about {who} and {a_thing}?",
    "Tell the children a story. It should be about {who} and {a_thing}.",
    "I want to read something about {who} and {a_thing}. Write it for me.",
    "My little sister wants a story with {who} and {a_thing}. What will you tell her?",
    "Write a short story about {who} and {a_thing}.", "A story about {who} and {a_thing}, please.",
    "Think of a story about {who} and {a_thing}.",
))  # fmt: skip


def _make_story(rng: Random, split: str) -> Slots:
    while True:
        hero, thing = rng.choice(HEROES), rng.choice(OBJECTS)
        if split_of(f"story {hero} {thing}") == split:
            return {"hero": hero, "thing": thing, "who": _who(hero), "a_thing": a(thing)}


def _reply_story(rng: Random, slots: Slots) -> str:
    return stories.story(
        rng, hero=slots["hero"], thing=slots["thing"], length="short", rude_rate=0.0
    ).text


def _wrong_story(rng: Random, slots: Slots) -> str:
    """A good story, but about somebody or something else."""
    hero, thing = slots["hero"], slots["thing"]
    while True:
        if rng.random() < 0.5:
            hero = rng.choice([h for h in HEROES if h != slots["hero"]])
        else:
            thing = rng.choice([t for t in OBJECTS if t != slots["thing"]])
        text = stories.story(rng, hero=hero, thing=thing, length="short", rude_rate=0.0).text
        if not _names(text, slots["hero"], slots["thing"]):
            return text


def _check_story(slots: Slots, reply: str) -> bool:
    return _is_prose(reply, 3, 12, 130) and _names(reply, slots["hero"], slots["thing"])


CONTINUE = varied((
    "Continue this story: {start}", "How does this story go on? {start}",
    "{start} What happened next?", "{start} Tell me how it ends.",
    "Write an ending for this: {start}", "A story begins like this: {start} Go on from there.",
    "I have only the first lines. {start} Please write the other lines.",
    "{start} And then? Tell me more.",
    "The last page of my book is missing. It says: {start} How could it end?",
    "Read this and carry on: {start}", "Please finish this story. {start}",
    "Here is the beginning of a story. {start} Write the rest.",
    "Help me with the end of my story. {start}",
))  # fmt: skip


def _make_continue(rng: Random, split: str) -> Slots:
    while True:
        hero, thing = rng.choice(HEROES), rng.choice(OBJECTS)
        if split_of(f"continue {hero} {thing}") == split:
            start, rest = stories.continuation(rng, hero=hero, thing=thing, rude_rate=0.0)
            slots = {"hero": hero, "thing": thing, "start": start, "_rest": rest}
            if _check_continue(slots, rest):  # some endings name neither hero nor thing
                return slots


def _reply_continue(rng: Random, slots: Slots) -> str:
    return slots["_rest"]


def _wrong_continue(rng: Random, slots: Slots) -> str:
    """The rest of a story about others."""
    while True:
        hero, thing = rng.choice(HEROES), rng.choice(OBJECTS)
        _, rest = stories.continuation(rng, hero=hero, thing=thing, rude_rate=0.0)
        if not _check_continue(slots, rest):
            return rest


def _check_continue(slots: Slots, reply: str) -> bool:
    """At least two new sentences that stay with the hero or the thing, and bring in no other
    thing."""
    if not _is_prose(reply, 2, 10, 110):
        return False
    if any(s.lower() in reply.lower() for s in sentences(slots["start"])):
        return False
    known = set(occurrences(slots["start"], OBJECTS)) | {slots["thing"]}
    stays = occurrences(reply, [slots["hero"]]) or occurrences(reply, [slots["thing"]])
    strangers = set(occurrences(reply, HEROES)) - set(occurrences(slots["start"], HEROES))
    new_things = set(occurrences(reply, OBJECTS)) - known
    return bool(stays) and len(strangers - {slots["hero"]}) <= 1 and len(new_things) <= 1


SUMMARISE = varied((
    "Summarise this story in one sentence: {text}",
    "{text} What is this story about? Answer in one sentence.", "Make this short: {text}",
    "Give me the whole story in one sentence. {text}",
    "What happened in this story? {text} One sentence is enough.",
    "I have no time to read this. {text} What happens?",
    "Write one sentence about this story: {text}", "{text} In short, what happened?",
    "Read this and tell me the main thing that happens: {text}",
    "{text} Now say the same in very few words.", "Say in one sentence what happens here: {text}",
    "{text} Put that in one sentence.", "{text} Please sum it up in one sentence.",
))  # fmt: skip


def _content(text: str, *without: str) -> set[str]:
    return {w for w in words(text) if w not in _COMMON and w not in without}


def _make_summarise(rng: Random, split: str) -> Slots:
    while True:
        hero, thing = rng.choice(HEROES), rng.choice(OBJECTS)
        if split_of(f"summarise {hero} {thing}") == split:
            told = stories.story(rng, hero=hero, thing=thing, length="short", rude_rate=0.0)
            about = sorted(_content(" ".join(told.retellings), hero.lower(), thing))
            slots = {"hero": hero, "thing": thing, "text": told.text, "about": about}
            good = [text for text in told.retellings if _check_summarise(slots, text)]
            if good:  # a retelling that names no hero ("a proud boy") is left out
                return {**slots, "_summaries": good}


def _reply_summarise(rng: Random, slots: Slots) -> str:
    return rng.choice(slots["_summaries"])


def _wrong_summarise(rng: Random, slots: Slots) -> str:
    """The summary of another story, often of the same hero or about the same thing."""
    while True:
        hero = slots["hero"] if rng.random() < 0.5 else rng.choice(HEROES)
        thing = slots["thing"] if rng.random() < 0.5 else rng.choice(OBJECTS)
        other = stories.story(rng, hero=hero, thing=thing, length="short", rude_rate=0.0)
        text = stories.summaries(other, rng)
        if not _check_summarise(slots, text):
            return text


def _check_summarise(slots: Slots, reply: str) -> bool:
    """One sentence that names hero and thing and says what the story's retellings say.

    At least 60% of its content words, hero and thing aside, come from the retellings or the story.
    Sentences of pure manner around it ("I hope that helps.") name neither and do not count.
    """
    if not _is_prose(reply, 1, 8, 110):
        return False
    telling = [s for s in sentences(reply) if occurrences(s, [slots["hero"], slots["thing"]])]
    if len(telling) != 1 or not _names(telling[0], slots["hero"], slots["thing"]):
        return False
    if telling[0] in sentences(slots["text"]) or len(telling[0].split()) > 30:
        return False
    used = _content(telling[0], slots["hero"].lower(), slots["thing"])
    retold = used & set(slots["about"])
    known = used & (set(slots["about"]) | _content(slots["text"]))
    return len(retold) >= 2 and len(known) >= 0.6 * len(used)


SOLVE = varied((
    "{problem}", "Solve this problem: {problem}", "{problem} Work it out step by step.",
    "Help me with my homework. {problem}", "Here is a problem for you. {problem}",
    "My teacher asks: {problem}", "{problem} How do you get there?",
    "I am stuck on this one: {problem}", "Think about it slowly. {problem}",
    "{problem} Tell me each step and the answer.", "Can you work this out? {problem}",
    "Please solve this. {problem}", "{problem} Show your work.",
))  # fmt: skip


def _make_problem(rng: Random, split: str) -> Slots:
    drawn = problem(rng, rng.choice(PROBLEM_LEVELS), split)
    return {
        "problem": drawn.prompt, "answer": drawn.answer, "_level": drawn.level,
        "_template": drawn.template, "_numbers": list(drawn.numbers), "_steps": list(drawn.steps),
        "_notes": list(drawn.notes),
    }  # fmt: skip


def _problem(slots: Slots) -> Problem:
    return Problem(
        slots["problem"], slots["_level"], slots["_template"], "", tuple(slots["_numbers"]),
        tuple(slots["_steps"]), slots["answer"], tuple(slots["_notes"]),
    )  # fmt: skip


def _reply_problem(rng: Random, slots: Slots) -> str:
    return solution(_problem(slots), rng)


def _wrong_problem(rng: Random, slots: Slots) -> str:
    return wrong_solution(_problem(slots), rng)


def _bare_problem(rng: Random, slots: Slots) -> str:
    return f"The answer is {slots['answer']}."


def _check_problem(slots: Slots, reply: str) -> bool:
    return plain(reply) is not None and verify_outcome(slots["answer"], reply)


FAMILIES: tuple[Family, ...] = (
    Family("story", TELL, _make_story, _reply_story, _wrong_story, _check_story, (20, 60)),
    Family(
        "continue_story", CONTINUE, _make_continue, _reply_continue, _wrong_continue,
        _check_continue, (10, 50),
    ),
    Family(
        "summarise", SUMMARISE, _make_summarise, _reply_summarise, _wrong_summarise,
        _check_summarise, (6, 24),
    ),
    Family(
        "word_problem", SOLVE, _make_problem, _reply_problem, _wrong_problem, _check_problem,
        (4, 40), _bare_problem,
    ),
)  # fmt: skip
