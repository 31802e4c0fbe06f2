"""Instructions about stories and problems: tell, continue and summarise a story, solve a word
problem."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from minialign.rewards.equations import equations
from minialign.rewards.solutions import verify_outcome, verify_steps
from minialign.world import stories
from minialign.world.families.checking import is_question, retracted, split_of
from minialign.world.families.counting import (
    false_sums,
    numbers_asserted,
    stated_numbers,
    sums_told,
    without_equations,
)
from minialign.world.families.family import NAMES, Family, Slots
from minialign.world.lexicon import ANIMALS, CATEGORIES, CHILDREN, OBJECTS, PRONOUNS
from minialign.world.manners import is_remark
from minialign.world.problems import problem, solution, wrong_solution
from minialign.world.stories.slots import someone
from minialign.world.text import a, ends_properly, occurrences, sentences, words

_TO_USER = re.compile(r"\b(?:i|your)\b|^\W*(?:yes|no),|^\W*that is (?:not|right|true)\b", re.I)
HEROES = (*CHILDREN, *ANIMALS)
PROBLEM_LEVELS = (1, 1, 2)


def _is_prose(reply: str, least: int, most: int, words_at_most: int) -> bool:
    """Whether a text is whole sentences, of a number and length within limits, none said twice.

    Remarks of pure manner ("You are welcome.") do not count, and no prose holds a sum.
    """
    parts = [s.lower() for s in sentences(reply) if not is_remark(s)]
    if not parts or not ends_properly(parts[-1]) or _addresses(reply):
        return False
    if reply.count('"') % 2:  # it breaks off before somebody speaks
        return False
    if len(reply.split()) > words_at_most or equations(reply):
        return False
    return least <= len(parts) <= most and len(set(parts)) == len(parts)


def _addresses(reply: str) -> bool:
    """Whether a text speaks to the user, remarks and what people in it say aside: no story does."""
    told = sentences(re.sub(r'"[^"]*?([.!?]?)"', r"_\1", reply))
    return any(_TO_USER.search(s) for s in told if not is_remark(s))


def _repeats(sentence: str, text: str, least: int = 1) -> bool:
    """Whether a sentence holds one of a text, of at least so many words, word for word."""
    held = [s.lower().rstrip(".!?") for s in sentences(text) if len(s.split()) >= least]
    return any(one in sentence.lower() for one in held)


def _names(reply: str, slots: Slots) -> bool:
    """Whether a text names the hero and the thing."""
    return {slots["hero"], slots["thing"]} <= set(occurrences(reply, HEROES + OBJECTS))


def _subjects(rng: Random, split: str, task: str) -> Iterator[tuple[str, str]]:
    """Heroes and things, as (hero, thing), that a split of a task is about."""
    while True:
        hero, thing = rng.choice(HEROES), rng.choice(OBJECTS)
        if split_of(f"{task} {hero} {thing}") == split:
            yield hero, thing


def _short_story(rng: Random, hero: str, thing: str) -> stories.Story:
    return stories.story(rng, hero=hero, thing=thing, length="short", rude_rate=0.0)


class Story(Family):
    """Tell me a story about Mira and a kite."""

    name = "story"
    roams = True

    def make(self, rng: Random, split: str) -> Slots:
        hero, thing = next(_subjects(rng, split, "story"))
        return {"hero": hero, "thing": thing, "who": someone(hero), "a_thing": a(thing)}

    def reply(self, rng: Random, slots: Slots) -> str:
        return _short_story(rng, slots["hero"], slots["thing"]).text

    def wrong(self, rng: Random, slots: Slots) -> str:
        """A good story, but about somebody or something else."""
        hero, thing = slots["hero"], slots["thing"]
        while True:
            if rng.random() < 0.5:
                hero = rng.choice([h for h in HEROES if h != slots["hero"]])
            else:
                thing = rng.choice([t for t in OBJECTS if t != slots["thing"]])
            text = _short_story(rng, hero, thing).text
            if not _names(text, slots):
                return text

    def judge(self, slots: Slots, clean: str) -> bool:
        return _is_prose(clean, 3, 12, 130) and _names(clean, slots)


def _meant(slots: Slots, clean: str, others: set[str]) -> bool:
    """Whether "he" or "she" in a text can only be the hero of a story's start."""
    pronouns = {pronoun for forms in CHILDREN.values() for pronoun in forms}
    own = set(CHILDREN.get(slots["hero"], pronouns & set(words(slots["start"]))))
    fit = all(other in CHILDREN and own.isdisjoint(CHILDREN[other]) for other in others)
    return fit and not own.isdisjoint(words(clean))


class ContinueStory(Family):
    """Continue this story: One day, a young fox went to the lake ..."""

    name = "continue_story"
    roams = True

    def make(self, rng: Random, split: str) -> Slots:
        for hero, thing in _subjects(rng, split, "continue"):
            start, rest = stories.continuation(rng, hero=hero, thing=thing, rude_rate=0.0)
            slots = {"hero": hero, "thing": thing, "start": start, "_rest": rest}
            if self.check(slots, rest):  # some endings name neither hero nor thing
                return slots

    def reply(self, rng: Random, slots: Slots) -> str:
        return slots["_rest"]

    def wrong(self, rng: Random, slots: Slots) -> str:
        """The rest of a story about others."""
        while True:
            hero, thing = rng.choice(HEROES), rng.choice(OBJECTS)
            _, rest = stories.continuation(rng, hero=hero, thing=thing, rude_rate=0.0)
            if not self.check(slots, rest):
                return rest

    def judge(self, slots: Slots, clean: str) -> bool:
        """At least two new sentences that stay with the hero or the thing, and bring in one other
        character and one other thing at most; by pronoun alone, no other thing."""
        if not _is_prose(clean, 2, 10, 110):
            return False
        if _repeats(clean, slots["start"]):
            return False
        known = {slots["hero"], slots["thing"], *occurrences(slots["start"], (*HEROES, *OBJECTS))}
        others = set(occurrences(clean, HEROES)) - known
        new_things = set(occurrences(clean, OBJECTS)) - known
        named = bool(occurrences(clean, [slots["hero"], slots["thing"]]))
        stays = named or (not new_things and _meant(slots, clean, others))
        return stays and len(others) <= 1 and len(new_things) <= 1


class Summarise(Family):
    """Summarise this story in one sentence: One day, a young fox ..."""

    name = "summarise"
    fields = ("common",)

    def make(self, rng: Random, split: str) -> Slots:
        for hero, thing in _subjects(rng, split, "summarise"):
            tale = _short_story(rng, hero, thing)
            about = sorted(self._content(" ".join(tale.retellings), hero.lower(), thing))
            slots = {"hero": hero, "thing": thing, "text": tale.text, "about": about}
            good = [text for text in tale.retellings if self.check(slots, text)]
            if good:  # a retelling that names no hero ("a proud boy") is left out
                return {**slots, "_summaries": good}

    def reply(self, rng: Random, slots: Slots) -> str:
        return rng.choice(slots["_summaries"])

    def wrong(self, rng: Random, slots: Slots) -> str:
        """The summary of another story, often of the same hero or about the same thing."""
        while True:
            hero = slots["hero"] if rng.random() < 0.5 else rng.choice(HEROES)
            thing = slots["thing"] if rng.random() < 0.5 else rng.choice(OBJECTS)
            text = rng.choice(_short_story(rng, hero, thing).retellings)
            if not self.check(slots, text):
                return text

    def judge(self, slots: Slots, clean: str) -> bool:
        """One sentence that names hero and thing and says what the story's retellings say.

        At least 60% of its content words, hero and thing aside, come from the retellings or the
        story. Sentences of pure manner around it ("I hope that helps.") name neither and do not
        count.
        """
        if not _is_prose(clean, 1, 8, 110):
            return False
        telling = [s for s in sentences(clean) if occurrences(s, [slots["hero"], slots["thing"]])]
        if len(telling) != 1 or not _names(telling[0], slots):
            return False
        if _repeats(telling[0], slots["text"], least=6) or len(telling[0].split()) > 30:
            return False
        used = self._content(telling[0], slots["hero"].lower(), slots["thing"])
        retold = used & set(slots["about"])
        known = used & (set(slots["about"]) | self._content(slots["text"]))
        return len(retold) >= 2 and len(known) >= 0.6 * len(used)

    def _content(self, text: str, *without: str) -> set[str]:
        """The words of a text that say something, those in `without` aside."""
        return set(words(text)).difference(self.table["common"], without)


def _given(slots: Slots) -> list[int]:
    """The numbers of a problem, and the 2 of "twice as many" where it says so."""
    asked = slots.get("problem", "")
    twice = [2] if "twice" in words(asked) else []
    return [*twice, *(n for n in stated_numbers(asked) if n is not None)]


def _foreign(text: str, problem: str) -> bool:
    """Whether a text names things or kinds, people aside, that a problem does not."""
    things = tuple(name for name in (*NAMES, *CATEGORIES) if name not in PRONOUNS)
    return not set(occurrences(text, things)) <= set(occurrences(problem, things))


def _concludes(slots: Slots, text: str) -> bool:
    """Whether a text ends on the answer in words of its own: "So 4 are left."

    All other numbers must be given ones or parts of its sums.
    """
    answer, rest = slots["answer"], without_equations(text, slots["answer"])
    own = (s for s in sentences(rest) if not _repeats(s, slots.get("problem", "")))
    holding = [s for s in own if stated_numbers(s) and not is_question(s)]
    known = {answer, *_given(slots), *(n for a, _, b, c in equations(text) for n in (a, b, c))}
    if not all(verify_steps(_given(slots), text)) or _foreign(text, slots.get("problem", "")):
        return False
    if not holding or set(stated_numbers(holding[-1])) != {answer} or retracted(rest):
        return False
    if not (ends_properly(rest) or rest.endswith(holding[-1])):
        return False  # "That makes 4. Then he has"
    return set(stated_numbers(rest)) <= known and numbers_asserted(rest, answer)


def _works(slots: Slots, text: str) -> bool:
    """Whether a sound step, from given numbers or results, leads to the answer."""
    steps = zip(equations(text), verify_steps(_given(slots), text), strict=True)
    return any(sound and 0 not in (a, b) and c == slots["answer"] for (a, _, b, c), sound in steps)


class WordProblem(Family):
    """Tom has 5 figs. He finds 7 more. How many figs does he have now?"""

    name = "word_problem"
    revises = True

    def make(self, rng: Random, split: str) -> Slots:
        task = problem(rng, rng.choice(PROBLEM_LEVELS), split)
        hidden = {"_template": task.template, "_problem": task}
        return {"problem": task.prompt, "answer": task.answer, **hidden}

    def reply(self, rng: Random, slots: Slots) -> str:
        return solution(slots["_problem"], rng)

    def wrong(self, rng: Random, slots: Slots) -> str:
        return wrong_solution(slots["_problem"], rng)

    def bare(self, rng: Random, slots: Slots) -> str:
        return f"The answer is {slots['answer']}."

    def judge(self, slots: Slots, clean: str) -> bool:
        """The answer without a false sum on the way, with its steps where work is asked for."""
        answer, text = slots["answer"], sums_told(clean)
        if false_sums(clean) or not (verify_outcome(answer, clean) or _concludes(slots, text)):
            return False
        return "work" not in slots.get("asks", ()) or _works(slots, text)


FAMILIES = tuple(kind() for kind in (Story, ContinueStory, Summarise, WordProblem))
