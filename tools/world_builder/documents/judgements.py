"""Judgements of replies: a draft, its critique and a revision; and two replies compared.

Each page is about one fault. The faults are the ones that alignment removes: false, rude, too long,
unfinished, flattering, or beside the question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from minialign.world import lexicon
from minialign.world.facts import ANIMAL_TABLE
from minialign.world.manners import ramble, remark
from minialign.world.text import a, capital, join, number_word
from tools.world_builder.documents.animals import false_value
from tools.world_builder.documents.wording import (
    CHILDREN,
    OUTDOORS,
    Decision,
    fill,
    pick,
    series,
)


@dataclass(frozen=True)
class Case:
    """A question, a right answer, a wrong one, and a sentence that names the error."""

    question: str
    right: str
    wrong: str
    error: str


def _sum(rng: Random) -> Case:
    x, y = rng.randint(1, 10), rng.randint(1, 10)
    total = x + y
    false = total + rng.choice((-2, -1, 1, 2, 3))
    form = rng.choice(("{} + {} is {}.", "{} + {} = {}.", "{} and {} make {}."))
    errors = (f"the sum is wrong: {x} + {y} is {total}, not {false}.",
              f"[count again|add again]: {x} + {y} is {total}.",
              f"{x} + {y} is not {false}.")  # fmt: skip
    return Case(fill(rng, f"[what is|how much is|can you work out] {x} + {y}?"),
                capital(form.format(x, y, total)),
                form.format(x, y, false), pick(rng, errors))  # fmt: skip


def _animal(rng: Random) -> Case:
    field, ask, form = rng.choice((
        ("eats", "what does {} eat?", "{} eats {}."), ("sound", "which sound does {} make?",
                                                       "{} {}."),
        ("home", "where does {} sleep?", "{} sleeps in {}."),
        ("cover", "what is {} covered in?", "{} is covered in {}."),
        ("legs", "how many legs does {} have?", "{} has {} legs."),
    ))  # fmt: skip
    name = rng.choice([x for x in lexicon.ANIMALS if x != "snail"])
    right, wrong = getattr(ANIMAL_TABLE[name], field), false_value(rng, name, field)
    if field == "home":
        right, wrong = a(right), a(wrong)
    if field == "legs":
        right, wrong = (number_word(x) if x else "no" for x in (right, wrong))
    true, false = (capital(form.format(a(name), x)) for x in (right, wrong))
    errors = ("that is not true of {one}.", "this is false: {lower}", "{one} is not like that.",
              "that [cannot be|is not] so.")  # fmt: skip
    return Case(capital(ask.format(a(name))), true, false,
                pick(rng, errors, one=a(name), lower=true[0].lower() + true[1:]))  # fmt: skip


def _opposite(rng: Random) -> Case:
    x, z = rng.sample(tuple(lexicon.OPPOSITES), 2)
    y = lexicon.OPPOSITES[x]
    if rng.random() < 0.5:
        x, y = y, x
    errors = (f"{z} is not the opposite of {x}.", f"the opposite is wrong: it is {y}.",
              f"{x} and {z} are not opposites.")  # fmt: skip
    return Case(f"What is the opposite of {x}?", f"The opposite of {x} is {y}.",
                f"The opposite of {x} is {z}.", pick(rng, errors))  # fmt: skip


def _list(rng: Random) -> Case:
    name = rng.choice(("fruits", "vegetables", "colours", "tools", "trees", "flowers", "birds"))
    n = rng.randint(2, 4)
    members = rng.sample(lexicon.CATEGORIES[name], n)
    extra = rng.choice(lexicon.TOYS + lexicon.DAYS)
    i, asked = rng.randrange(n), number_word(n)
    false = [*members[:i], extra, *members[i + 1 :]]
    question = pick(rng, ("can you name {n} {name}?", "please name {n} {name}."),
                    n=asked, name=name)  # fmt: skip
    errors = (f"{extra} is not one of the {name}.", f"{extra} does not belong to the {name}.")
    return Case(
        question, capital(join(members)) + ".", capital(join(false)) + ".", pick(rng, errors)
    )


def _number(rng: Random) -> Case:
    """The right things, but one too many."""
    name = rng.choice(("fruits", "vegetables", "animals", "tools", "trees", "flowers", "toys"))
    n = rng.randint(2, 4)
    members = rng.sample(lexicon.CATEGORIES[name], n + 1)
    errors = (f"we need {number_word(n)}, but this names {number_word(n + 1)}.",
              f"these are {number_word(n + 1)} {name}, not {number_word(n)}.")  # fmt: skip
    return Case(pick(rng, ("can you name {n} {name}?",
                           "please name {n} {name}."), n=number_word(n), name=name),
                capital(join(members[:-1])) + ".", capital(join(members)) + ".",
                pick(rng, errors))  # fmt: skip


_CASES: tuple[Callable[[Random], Case], ...] = (_sum, _animal, _animal, _opposite, _list, _number)
_TALES = (
    ("The {animal} looked for the {thing} {place}", ("and found it under a stone.",
                                                     "and came home with it at last.",
     "and gave it back to {child}.")),
    ("{child} wanted to cross the river, so", ("{he} built a small boat.",
                                               "a friend brought the {thing} and a long rope.",
     "the {animal} showed the way to the bridge.")),
    ("It was late, and {child} heard {beast} {place}, but", ("it was only hungry.",
                                                             "it went away again.",
     "no one else woke up.")),
    ("The {thing} fell into the well, and then", ("{child} pulled it up with a rope.",
                                                  "the {animal} brought it back.",
     "nobody saw it again.")),
    ("{child} and the {animal} met {place} and", ("became good friends.", "shared some bread.",
                                                  "walked home together.")),
)  # fmt: skip
_LONG = ("this is too long: [one sentence is enough|the answer is lost|most of it says nothing].",
         "[too many words|it goes on and on]. Only the answer is needed.",
         "it talks about other things. Keep to the question.")  # fmt: skip
_RUDE = ("this is rude. [The answer can be kind as well|Say it kindly].",
         "the answer is fine, but the words are rude.",
         "nobody likes to be [talked to|answered] like that.",
         "it is unkind. Leave out the [bad|hard] words.")  # fmt: skip
_UNDONE = ("the [sentence|story] has no end.", "it stops in the middle.",
           "the [end|last part] is missing.",
           "we do not learn how it ends.")  # fmt: skip
_FLATTERING = ("this flatters. Just give the answer.",
               "too much praise. [The answer is enough|Leave it out].",
               "the praise is not [honest|needed].")  # fmt: skip
_LAYOUTS = (
    "[Draft|First draft]: {draft}{gap}Critique: {critique}{gap}Revision: {better}",
    "[Draft|First try]: {draft}{gap}What is wrong: {critique}{gap}Better: {better}",
    "Before: {draft}{gap}Note: {critique}{gap}After: {better}",
    "{child} wrote: {draft}{gap}The teacher said: {critique}{gap}Then {child} wrote: {better}",
    "Old: {draft}{gap}Why it must change: {critique}{gap}New: {better}",
    "A first reply: {draft}{gap}A critique of it: {critique}{gap}A better reply: {better}",
)


_ASKED = ("Question: {}", "{}", "Somebody asked: {}", "The question was: {}")


def _unfinished(rng: Random) -> tuple[str, str]:
    start, ends = rng.choice(_TALES)
    animal = rng.choice(lexicon.ANIMALS)
    slots = {"animal": animal, "beast": a(animal), "thing": rng.choice(lexicon.OBJECTS),
             "child": rng.choice(CHILDREN), "place": rng.choice(OUTDOORS)}  # fmt: skip
    slots["he"] = lexicon.PRONOUNS[slots["child"]][0]
    draft = start.format(**slots)
    return draft, f"{draft} {rng.choice(ends).format(**slots)}"


def _draft(case: Case, rng: Random) -> tuple[str, str, str, str]:
    """A draft with one fault, the critique that names it, the revision without it, the fault."""
    fault = rng.choice(("false", "false", "rude", "long", "flattering"))
    if fault == "false":
        return case.wrong, case.error, case.right, fault
    if fault == "rude":
        better = case.right if rng.random() < 0.5 else f"{case.right} {remark(rng, 'kind')}"
        lines = [case.right, remark(rng, "rude")]
        draft = " ".join(lines if rng.random() < 0.5 else lines[::-1])
        return draft, pick(rng, _RUDE), better, fault
    if fault == "long":
        return f"{case.right} {ramble(rng, 2)}", pick(rng, _LONG), case.right, fault
    draft = f"{remark(rng, 'flattering')} {case.right}"
    return draft, pick(rng, _FLATTERING), case.right, fault


def revision(rng: Random, style: Random) -> Decision:
    """A draft and a critique that names what is wrong with it, before the revision."""
    gap, form, layout = style.choice(("\n", " ")), style.choice(_ASKED), style.choice(_LAYOUTS)
    asked, always_asked = "", style.random() < 0.6
    if rng.random() < 0.15:
        draft, better = _unfinished(rng)
        draft, note, fault = draft + "...", pick(rng, _UNDONE), "unfinished"
    else:
        make = rng.choice(_CASES)
        case = make(rng)
        draft, note, better, fault = _draft(case, rng)
        if fault == "false" and make in (_list, _number):
            fault = "list"  # has more than one right revision
        if make is _number or always_asked:  # too many things show only in the question
            asked = f"{form.format(case.question)}{gap}"
    slots = {"draft": draft, "critique": note, "child": style.choice(CHILDREN), "gap": gap}
    prompt = asked + fill(style, layout, better="", **slots)
    return Decision(prompt, f" {better}", f" {draft}", fault)


critique = series(revision, (1, 2, 3))


_WHY_FALSE = ("{good} is right and {bad} is wrong", "{good} is true, and {bad} is not",
              "what {bad} says is [false|not true]")  # fmt: skip
_WHY_NOT_ASKED = (_WHY_FALSE[0], "only {good} is what was asked for")
_WHY_RUDE = (
    "{bad} is rude",
    "{good} is kind, and {bad} is not",
    "both are right, but {bad} is unkind",
)
_WHY_LONG = (
    "{bad} is too long",
    "{good} is short and clear",
    "{bad} says much more than was asked",
)
_WHY_EMPTY = ("{bad} does not answer the question", "{good} answers it, and {bad} does not",
              "only {good} answers the question")  # fmt: skip
_WHY_FLATTERING = (
    "{bad} flatters",
    "{bad} has too much praise in it",
    "{good} just gives the answer",
)
_VERDICTS = (
    "{good} is better, because {why}.", "{good} is the better reply: {why}.",
    "the better one is {good}. The reason: {why}.",
    "I [like|choose|prefer] {good}, because {why}.", "{bad} is worse, because {why}.",
    "most people choose {good}, for {why}.",
)  # fmt: skip
_EMPTY = ("I like [the river|the summer|long walks|warm {dish}].",
          "the weather is [good|bad|cold] today.",
          "that is a question.", "yes, [of course|it is].", "ask {child}, not me.",
          "somebody will know.")  # fmt: skip


def _worse(rng: Random, case: Case) -> tuple[str, tuple[str, ...]]:
    """A reply that is worse than the right answer, and reasons why."""
    fault = rng.choice(("false", "false", "rude", "long", "empty", "flattering"))
    if fault == "false":
        return case.wrong, _WHY_FALSE
    if fault == "rude":
        return f"{case.right} {remark(rng, 'rude')}", _WHY_RUDE
    if fault == "long":
        return f"{ramble(rng, 2)} {case.right}", _WHY_LONG
    if fault == "flattering":
        return f"{remark(rng, 'flattering')} {case.right}", _WHY_FLATTERING
    return pick(
        rng, _EMPTY, dish=rng.choice(lexicon.DISHES), child=rng.choice(CHILDREN)
    ), _WHY_EMPTY


_QUOTED = ("The better reply is:", "Better:", "Best:", "The one to choose:", "This is better:")
NAMES = (("reply A", "reply B"), ("the first reply", "the second reply"),
         ("answer one", "answer two"))  # fmt: skip


def _verdict(rng: Random, style: Random, good: str, bad: str, why: str) -> str:
    """The verdict that one reply is better, after the reason or before it."""
    reason_first, table = style.random() < 0.4, style.choice(_VERDICTS)
    verdict = pick(rng, (table,), good=good, bad=bad, why=why[0].lower() + why[1:])
    if reason_first or max(verdict.lower().count(name) for name in (good, bad)) > 1:
        return f"{why}. So {good} is better."
    return verdict


def choice(rng: Random, style: Random) -> Decision:
    """A question and two replies, before the verdict which of them is better, and why.

    Where a reply is false, the right answer is often worked out first: a small model then only has
    to look which reply says it. In a third of the styles the verdict says the better reply again
    instead of naming it, which asks for one step less.
    """
    quoted = style.choice(_QUOTED) if style.random() < 0.35 else ""
    names, gap, form = style.choice(NAMES), style.choice(("\n", " ")), style.choice(_ASKED)
    worked_out, named_too = style.random() < 0.4, style.random() < 0.5
    make = rng.choice(_CASES)
    case = make(rng)
    worse, reasons = _worse(rng, case)
    fault = "false" if worse == case.wrong else "manner"
    if fault == "false" and make in (_list, _number):  # true things, but not these were asked
        reasons = _WHY_NOT_ASKED
    better = case.right
    if fault == "manner" and rng.random() < 0.3:
        better = f"{case.right} {remark(rng, 'kind')}"
    good, bad = names if rng.random() < 0.5 else names[::-1]
    shown = {good: better, bad: worse}
    prompt = gap.join([form.format(case.question), *(f"{capital(n)}: {shown[n]}" for n in names)])
    if quoted:
        ends = (f" That is {good}.", f" That is {bad}.") if named_too else ("", "")
        answers = (f' "{shown[name]}"{end}' for name, end in zip((good, bad), ends, strict=True))
        return Decision(f"{prompt}{gap}{quoted}", *answers, f"{fault} quoted")
    verdicts = []
    why_seed, style_seed = rng.getrandbits(32), style.getrandbits(32)
    for one, other in ((good, bad), (bad, good)):
        if fault == "false" and worked_out and make in (_sum, _animal, _opposite):
            verdicts.append(f"{case.right} So {one} is better.")
            continue
        drawn = Random(why_seed)
        why = pick(drawn, reasons, good=one, bad=other)
        verdicts.append(_verdict(drawn, Random(style_seed), one, other, why))
    return Decision(prompt, gap + verdicts[0], gap + verdicts[1], fault)


comparison = series(choice, (1, 1, 2, 2, 3))
