"""Word problems at five levels, with step-by-step solutions and believable wrong ones.

Level 1 takes one step, level 2 two, level 3 three; level 4 takes three with a product or "twice as
many"; level 5 takes four and mentions a number that does not matter. Every number on the way lies
within 2..99, so that "1 pears" can never be written. Their templates are in
data/world/problems.toml, twelve a level, each with one or more prompts.

Three splits, each farther from training than the one before. "train" uses the training templates
in their training prompts; "wordings" tells the same templates anew, in held-out prompts; "test"
uses the held-out templates, a quarter of all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from minialign.rewards.equations import OPERATIONS, Equation, equations
from minialign.world.lexicon import ANIMALS, CHILDREN, GOODS, PLACES
from minialign.world.tables import Table, entries, of_split, read

LEVEL_NUMBERS = range(1, 6)
# Posed to be learnt from, in turn: a tuned policy solves a third of them at its first try.
POSED = (2, 3, 4, 4, 5)
SPLITS = ("train", "wordings", "test")
MIN_NUMBER, MAX_NUMBER = 2, 99  # everything that the world writes stays within 0..99
IT = ("it", "it", "its")
GIVEN = "abcdemn"  # the names of given numbers; those of m and n do not matter
RESULTS = "pqrs"  # the names of the results of the steps
_WORDS = "A B C he him his things others bag bags place"  # the slots of people and things

Plan = list[tuple[str, str, str]]


@dataclass(frozen=True)
class Template:
    """One kind of problem; data/world/problems.toml explains the fields."""

    name: str
    level: int
    prompts: tuple[str, ...]
    steps: tuple[str, ...]
    notes: tuple[str, ...]
    held_out_prompts: tuple[str, ...] = ()
    held_out: bool = False

    @property
    def plan(self) -> Plan:
        """The steps as (left, operation, right)."""
        return [tuple(step.split()) for step in self.steps]  # type: ignore[misc]

    @property
    def every_prompt(self) -> tuple[str, ...]:
        """Those of all splits."""
        return self.prompts + self.held_out_prompts

    def prompts_of(self, split: str) -> tuple[str, ...]:
        """Those of a split."""
        return self.held_out_prompts if split == "wordings" else self.prompts


def _given(prompt: str) -> list[str]:
    """The names of the numbers that a prompt states."""
    return sorted(set(re.findall(rf"{{([{GIVEN}])}}", prompt)))


def _check_prompts(template: Template, place: Table) -> None:
    """That all prompts differ, state the same numbers and are not held out twice."""
    first, told = template.prompts[0], set()
    for field in ("prompts", "held_out_prompts"):
        for prompt in getattr(template, field):
            if _given(prompt) != _given(first):
                names = ", ".join(f"{{{name}}}" for name in _given(first))
                rule = f"{prompt!r} will not do; state the numbers of the first prompt, {names}"
                raise place.slip(field, rule)
            if prompt in told:
                raise place.slip(field, f"{prompt!r} occurs twice; leave one of them out")
            told.add(prompt)
    if template.held_out and template.held_out_prompts:
        rule = "no prompt of a held-out template is trained on; move them to prompts"
        raise place.slip("held_out_prompts", rule)


def checked(template: Template) -> Template:
    """The template, if its prompts and steps agree; else an error says where."""
    place = Table(f"world/problems.toml, template {template.name!r}", {})
    if template.level not in LEVEL_NUMBERS:
        raise place.slip("level", f"{template.level} will not do; use a level of 1-5")
    _check_prompts(template, place)
    if len(template.notes) != len(template.steps):
        counts = f"{len(template.notes)} notes for {len(template.steps)} steps"
        raise place.slip("notes", f"{counts} will not do; write one note for each step")
    for i, step in enumerate(template.steps):
        known = {*_given(template.prompts[0]), *RESULTS[:i]}
        match step.split():
            case [a, op, b] if op in OPERATIONS and all(x in known or x.isdigit() for x in (a, b)):
                continue
        names = f"two of {', '.join(sorted(known))} or digits"
        signs = f"one of {' '.join(OPERATIONS)}"
        raise place.slip("steps", f"{step!r} will not do; write {names} with {signs} between them")
    return template


_FILE = read("problems").only(["telling", "chain", "bags", "template"])
_OF_PROMPTS = f"{_WORDS} {' '.join(GIVEN)}"
_SENTENCES = ("start", "gain", "loss", "when", "question", "question_after_loss")
_OF_SENTENCES = {field: f"{_WORDS} x" for field in _SENTENCES}
_SLOTS = {"prompts": _OF_PROMPTS, "held_out_prompts": _OF_PROMPTS, "notes": f"{_WORDS} eq"}
_EVERY = entries(Template, "problems", "template", _SLOTS).values()
_BY_ID = {f"{t.level}-{t.name}": checked(t) for t in _EVERY}
_TELLING = _FILE.table("telling").lists({"first": "", "next": ""})
CHAIN = _FILE.table("chain").lists({**_OF_SENTENCES, "note": f"{_WORDS} eq"})
_BAGS: dict[str, str] = _FILE["bags"]
LEVELS = {level: tuple(t for t in _EVERY if t.level == level) for level in LEVEL_NUMBERS}


def templates(level: int, split: str) -> tuple[Template, ...]:
    """The templates of a level that have prompts of a split."""
    return tuple(t for t in of_split(LEVELS[level], split) if t.prompts_of(split))


@dataclass(frozen=True)
class Problem:
    """A word problem and all that is needed to solve it and to judge a solution.

    numbers: what the prompt states, in order, and 2 for each "twice".
    steps: the equations of the reference solution. notes: its sentences, with {} for each equation.
    """

    prompt: str
    level: int
    template: str
    split: str
    numbers: tuple[int, ...]
    steps: tuple[str, ...]
    answer: int
    notes: tuple[str, ...]


def _capitals(text: str) -> str:
    """The text with a capital letter at the start of each sentence."""
    return re.sub(r"(?:^|(?<=[.?!] ))[a-z]", lambda match: match[0].upper(), text)


def _words(rng: Random, template: Template) -> dict[str, str]:
    """The people, goods and places of a problem."""
    pool = [*CHILDREN, *rng.sample([f"the {animal}" for animal in ANIMALS], 8)]
    people = rng.sample(pool, 3)
    pronouns = dict(zip(("he", "him", "his"), CHILDREN.get(people[0], IT), strict=True))
    # coins are the price in some templates and cannot be the goods as well
    priced = any("coins" in prompt for prompt in template.every_prompt)
    goods = [g for g in GOODS.values() if not (priced and g == "coins")]
    things, others = rng.sample(goods, 2)
    bag, bags = rng.choice(list(_BAGS.items()))
    place, preposition = rng.choice(list(PLACES.items()))
    words = {"things": things, "others": others, "bag": bag, "bags": bags}
    words |= {"place": f"{preposition} the {place}"}
    return words | pronouns | dict(zip("ABC", people, strict=True))


def _work(
    plan: Plan, values: dict[str, int], slip: tuple[int, int] = (0, 0)
) -> list[Equation] | None:
    """The equations of a plan; None where a result leaves 2..99, so that one must draw again.

    slip: (index of a step, what is added to its result by mistake).
    """
    known = dict(values)
    worked = []
    for i, (a, op, b) in enumerate(plan):
        left, right = (int(x) if x.isdigit() else known[x] for x in (a, b))
        result = OPERATIONS[op](left, right) + (slip[1] if i == slip[0] else 0)
        if not MIN_NUMBER <= result <= MAX_NUMBER:
            return None
        known[RESULTS[i]] = result
        worked.append((left, op, right, result))
    return worked


def _number(rng: Random, name: str, plan: Plan) -> int:
    """One given number: small when it is counted in years, days or bags, else of any size."""
    if name == "m":
        return rng.randint(4, 12)
    partners = [b if a == name else a for a, op, b in plan if op == "x" and name in (a, b)]
    if partners:
        return rng.randint(MIN_NUMBER, 30 if partners[0].isdigit() else 10)
    return rng.randint(MIN_NUMBER, rng.choice((10, 10, 20, 30)))


def _draw(rng: Random, template: Template) -> tuple[dict[str, int], list[Equation]]:
    """Given numbers for which every result on the way lies within 2..99, and the equations."""
    names = _given(template.prompts[0])
    while True:
        values = {name: _number(rng, name, template.plan) for name in names}
        worked = _work(template.plan, values) or []
        # a number that does not matter must not look like one that does
        idle = {values[name] for name in "mn" if name in values}
        if worked and idle.isdisjoint(n for a, _, b, c in worked for n in (a, b, c)):
            return values, worked


def _write(equation: Equation) -> str:
    a, op, b, result = equation
    return f"{a} {op} {b} = {result}"


def problem(rng: Random, level: int | None = None, split: str = "train") -> Problem:
    """A word problem of a level (any level when None) from the templates and prompts of a split.

    Raises:
        ValueError: when the level or the split is unknown.
    """
    level = rng.choice(sorted(LEVELS)) if level is None else level
    if level not in LEVELS or split not in SPLITS:
        splits = "train, wordings or test"
        raise ValueError(f"level {level}, split {split!r}: use a level of 1-5 and {splits}")
    return pose(rng, rng.choice(templates(level, split)), split)


def pose(rng: Random, template: Template, split: str = "train") -> Problem:
    """A problem of a template, in one of its prompts of a split."""
    words = _words(rng, template)
    values, worked = _draw(rng, template)
    told = template.prompts_of(split)
    wording = told[0] if len(told) == 1 else rng.choice(told)
    prompt = _capitals(wording.format(**words, **values))
    constants = [int(x) for a, _, b in template.plan for x in (a, b) if x.isdigit()]
    return Problem(
        prompt=prompt,
        level=template.level,
        template=f"{template.level}-{template.name}",
        split=split,
        numbers=(*map(int, re.findall(r"[0-9]+", prompt)), *constants),
        steps=tuple(_write(equation) for equation in worked),
        answer=worked[-1][3],
        notes=tuple(_capitals(note.format(**words, eq="{}")) for note in template.notes),
    )


def _tell(problem: Problem, steps: list[str], answer: int, rng: Random | None) -> str:
    """A solution: the notes of the problem, a chain of "First ... Then ...", or bare sums."""
    manner = rng.choice(("notes", "notes", "notes", "chain", "bare")) if rng else "notes"
    if rng is None or manner == "notes":
        told = [note.replace("{}", step) for note, step in zip(problem.notes, steps, strict=False)]
    elif manner == "chain" and len(steps) > 1:
        openings = [rng.choice(_TELLING["first"])]
        openings += rng.sample(_TELLING["next"], len(steps) - 1)
        told = [f"{opening}{step}." for opening, step in zip(openings, steps, strict=True)]
    else:
        told = [step + "." for step in steps]
    return " ".join([*told, f"The answer is {answer}."])


def solution(problem: Problem, rng: Random | None = None) -> str:
    """The reference reply: one short sentence for each step, then the answer; `rng` picks a manner.

    >>> notes = ("Tom has {} figs.", "Then {} are left.")
    >>> steps = ("5 + 7 = 12", "12 - 3 = 9")
    >>> solution(Problem("", 2, "2-find_give", "train", (5, 7, 3), steps, 9, notes))
    'Tom has 5 + 7 = 12 figs. Then 12 - 3 = 9 are left. The answer is 9.'
    """
    return _tell(problem, list(problem.steps), problem.answer, rng)


def _spoil(problem: Problem, rng: Random) -> list[Equation] | None:
    """Steps with one mistake: a slip, a wrong operation, a wrong number or a forgotten last step.

    None where the mistake leads out of 2..99.
    """
    plan = list(_BY_ID[problem.template].plan)
    values: dict[str, int] = {}
    for (a, _, b), step in zip(plan, problem.steps, strict=True):
        left, _, right, _ = equations(step)[0]
        values |= {a: left, b: right}
    at = rng.randrange(len(plan))
    a, op, b = plan[at]
    mistake = rng.choice(("slip", "slip", "operation", "number", "forgotten"))
    if mistake == "slip":
        return _work(plan, values, (at, rng.choice((-10, -2, -1, 1, 2, 10))))
    if mistake == "forgotten":
        return _work(plan[: max(1, len(plan) - 1)], values)
    if mistake == "operation":
        plan[at] = (a, {"+": "-", "-": "+", "x": "+"}[op], b)
    else:
        plan[at] = (a, op, str(rng.choice(problem.numbers)))
    return _work(plan, values)


def wrong_solution(problem: Problem, rng: Random) -> str:
    """A fluent solution with one believable mistake and a wrong answer."""
    while True:  # a slip by one is always possible, so this ends
        worked = _spoil(problem, rng)
        if worked and worked[-1][3] != problem.answer:
            return _tell(problem, [_write(step) for step in worked], worked[-1][3], rng)


def distinct_problems(
    n: int, levels: tuple[int, ...], split: str = "train", seed: int = 0
) -> list[Problem]:
    """`n` different problems of some levels in turn, the same for the same seed."""
    rng = Random(f"problem rows {split} {seed}")
    found: dict[str, Problem] = {}
    while len(found) < n:
        drawn = problem(rng, levels[len(found) % len(levels)], split)
        found.setdefault(drawn.prompt, drawn)
    return list(found.values())


def problem_rows(
    n: int, levels: tuple[int, ...] = POSED, split: str = "train", seed: int = 0
) -> list[dict[str, object]]:
    """`n` different problems of some levels in turn, as rows for rewards: prompt, answer, numbers.

    The columns level and solution (a reference solution) are for measuring and for imitation.

    >>> row, _ = problem_rows(2, levels=(1,))
    >>> sorted(row), row["level"]
    (['answer', 'level', 'numbers', 'prompt', 'solution'], 1)
    """
    columns = ("prompt", "answer", "numbers", "level")
    return [
        {**{column: getattr(row, column) for column in columns}, "solution": solution(row)}
        for row in distinct_problems(n, levels, split, seed)
    ]
