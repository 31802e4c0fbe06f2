"""Instructions about stories and problems: tell, continue and summarise a story, solve a word
problem. Their phrasings lie in data/world/story_tasks.toml."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from minialign.rewards.solutions import verify_outcome
from minialign.world import stories
from minialign.world.families.checking import plain, split_of
from minialign.world.families.family import Family, Slots, varied
from minialign.world.lexicon import ANIMALS, CHILDREN, OBJECTS
from minialign.world.problems import problem, solution, wrong_solution
from minialign.world.stories.slots import someone
from minialign.world.text import a, ends_properly, occurrences, sentences, words
from minialign.world.wording import check_fields, check_slots, wording

HEROES = (*CHILDREN, *ANIMALS)
PROBLEM_LEVELS = (1, 1, 2)
_FILE = "story_tasks"


def _is_prose(reply: str, least: int, most: int, words_at_most: int) -> bool:
    """Whether a text is whole sentences, of a number and length within limits, none said twice."""
    text = plain(reply)
    if text is None or not ends_properly(text) or len(text.split()) > words_at_most:
        return False
    parts = [s.lower() for s in sentences(text)]
    return least <= len(parts) <= most and len(set(parts)) == len(parts)


def _names(reply: str, hero: str, thing: str) -> bool:
    """Whether a text names the hero and the thing."""
    return bool(occurrences(reply, [hero])) and bool(occurrences(reply, [thing]))


def _subjects(rng: Random, split: str, task: str) -> Iterator[tuple[str, str]]:
    """Heroes and things, as (hero, thing), that a split of a task is about."""
    while True:
        hero, thing = rng.choice(HEROES), rng.choice(OBJECTS)
        if split_of(f"{task} {hero} {thing}") == split:
            yield hero, thing


def _short_story(rng: Random, hero: str, thing: str) -> stories.Story:
    return stories.story(rng, hero=hero, thing=thing, length="short", rude_rate=0.0)


def _make_story(rng: Random, split: str) -> Slots:
    hero, thing = next(_subjects(rng, split, "story"))
    return {"hero": hero, "thing": thing, "who": someone(hero), "a_thing": a(thing)}


def _wrong_story(rng: Random, slots: Slots) -> str:
    """A good story, but about somebody or something else."""
    hero, thing = slots["hero"], slots["thing"]
    while True:
        if rng.random() < 0.5:
            hero = rng.choice([h for h in HEROES if h != slots["hero"]])
        else:
            thing = rng.choice([t for t in OBJECTS if t != slots["thing"]])
        text = _short_story(rng, hero, thing).text
        if not _names(text, slots["hero"], slots["thing"]):
            return text


def _check_story(slots: Slots, reply: str) -> bool:
    return _is_prose(reply, 3, 12, 130) and _names(reply, slots["hero"], slots["thing"])


def _make_continue(rng: Random, split: str) -> Slots:
    for hero, thing in _subjects(rng, split, "continue"):
        start, rest = stories.continuation(rng, hero=hero, thing=thing, rude_rate=0.0)
        slots = {"hero": hero, "thing": thing, "start": start, "_rest": rest}
        if _check_continue(slots, rest):  # some endings name neither hero nor thing
            return slots


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


def _content(text: str, *without: str) -> set[str]:
    """The words of a text that say something, those in `without` aside."""
    return set(words(text)).difference(wording(_FILE)["words"]["common"], without)


def _make_summarise(rng: Random, split: str) -> Slots:
    for hero, thing in _subjects(rng, split, "summarise"):
        tale = _short_story(rng, hero, thing)
        about = sorted(_content(" ".join(tale.retellings), hero.lower(), thing))
        slots = {"hero": hero, "thing": thing, "text": tale.text, "about": about}
        good = [text for text in tale.retellings if _check_summarise(slots, text)]
        if good:  # a retelling that names no hero ("a proud boy") is left out
            return {**slots, "_summaries": good}


def _wrong_summarise(rng: Random, slots: Slots) -> str:
    """The summary of another story, often of the same hero or about the same thing."""
    while True:
        hero = slots["hero"] if rng.random() < 0.5 else rng.choice(HEROES)
        thing = slots["thing"] if rng.random() < 0.5 else rng.choice(OBJECTS)
        text = stories.summaries(_short_story(rng, hero, thing), rng)
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


def _make_problem(rng: Random, split: str) -> Slots:
    task = problem(rng, rng.choice(PROBLEM_LEVELS), split)
    hidden = {"_template": task.template, "_problem": task}
    return {"problem": task.prompt, "answer": task.answer, **hidden}


def _check_problem(slots: Slots, reply: str) -> bool:
    return plain(reply) is not None and verify_outcome(slots["answer"], reply)


def _family(name: str, slots: str, **parts: Callable[..., Any]) -> Family:
    """A family whose phrasings, with the slots, and length are those of story_tasks.toml."""
    where = f"world/{_FILE}.toml, {name}"
    entry = wording(_FILE)[name]
    check_fields(where, entry, ["phrasings", "held_out_phrasings", "length"])
    phrasings = (*entry["phrasings"], *entry["held_out_phrasings"])
    for phrasing in phrasings:
        check_slots(where, phrasing, slots.split())
    return Family(name, varied(phrasings), length=tuple(entry["length"]), **parts)


FAMILIES: tuple[Family, ...] = (
    _family(
        "story", "who a_thing", make=_make_story, wrong=_wrong_story, check=_check_story,
        reply=lambda rng, slots: _short_story(rng, slots["hero"], slots["thing"]).text,
    ),
    _family(
        "continue_story", "start", make=_make_continue, wrong=_wrong_continue,
        check=_check_continue, reply=lambda rng, slots: slots["_rest"],
    ),
    _family(
        "summarise", "text", make=_make_summarise, wrong=_wrong_summarise, check=_check_summarise,
        reply=lambda rng, slots: rng.choice(slots["_summaries"]),
    ),
    _family(
        "word_problem", "problem", make=_make_problem, check=_check_problem,
        reply=lambda rng, slots: solution(slots["_problem"], rng),
        wrong=lambda rng, slots: wrong_solution(slots["_problem"], rng),
        bare=lambda rng, slots: f"The answer is {slots['answer']}.",
    ),
)  # fmt: skip
