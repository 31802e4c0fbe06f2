"""Pages of sums, and of word problems with their solutions: where a base model learns to count."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from minialign.rewards.equations import OPERATIONS
from minialign.world.problems import (
    CHAIN,
    GIVEN,
    MAX_NUMBER,
    RESULTS,
    Problem,
    Template,
    checked,
    pose,
    problem,
    solution,
)
from minialign.world.tables import dial_values


def write_equation(a: int, op: str, b: int) -> str:
    """A true equation in the one notation of the world.

    >>> write_equation(3, "x", 4)
    '3 x 4 = 12'
    """
    return f"{a} {op} {b} = {OPERATIONS[op](a, b)}"


def _sum(rng: Random) -> tuple[int, str, int]:
    """An addition or subtraction whose three numbers lie within 0..99."""
    limit = rng.choice((10, 20, 30, 40, MAX_NUMBER))
    a, b = sorted((rng.randint(0, limit), rng.randint(0, limit)))
    if rng.random() < 0.5:
        return b, "-", a
    a, b = rng.sample((a, b - a), 2)  # the larger number becomes the sum
    return a, "+", b


def _product(rng: Random) -> tuple[int, str, int]:
    """A product of the small times table; 10 x 10 has three digits and is left out."""
    while True:
        a, b = rng.randint(1, 10), rng.randint(1, 10)
        if a * b <= MAX_NUMBER:
            return a, "x", b


def _are_left(n: int) -> str:
    return "1 is left" if n == 1 else f"{n} are left" if n else "nothing is left"


_IN_WORDS: dict[str, tuple[Callable[[int, int, int], str], ...]] = {
    "+": (
        lambda a, b, c: f"{a} and {b} make {c}.",
        lambda a, b, c: f"{a} plus {b} is {c}.",
        lambda a, b, c: f"Add {b} to {a} and you get {c}.",
        lambda a, b, c: f"Start at {a}, go up {b}, and you are at {c}.",
        lambda a, b, c: f"What is {a} + {b}? It is {c}.",
    ),
    "-": (
        lambda a, b, c: f"Take {b} from {a} and {_are_left(c)}.",
        lambda a, b, c: f"{a} minus {b} is {c}.",
        lambda a, b, c: f"From {b} to {a} it is {c}.",
        lambda a, b, c: f"Start at {a}, go down {b}, and you are at {c}.",
        lambda a, b, c: f"What is {a} - {b}? It is {c}.",
    ),
    "x": (
        lambda a, b, c: f"{a} times {b} is {c}.",
        lambda a, b, c: f"What is {a} x {b}? It is {c}.",
    ),
}


def _plain(rng: Random, count: int) -> list[str]:
    """Bare equations, most of them sums."""
    draws = (_product(rng) if rng.random() < 0.2 else _sum(rng) for _ in range(count))
    return [write_equation(*drawn) + "." for drawn in draws]


def _in_words(rng: Random, count: int) -> list[str]:
    """Sums said in words."""
    said = []
    for _ in range(count):
        a, op, b = _product(rng) if rng.random() < 0.15 else _sum(rng)
        said.append(rng.choice(_IN_WORDS[op])(a, b, OPERATIONS[op](a, b)))
    return said


def _worked(rng: Random, count: int) -> list[str]:
    """Sums of two-digit numbers, tens first and ones after."""
    lines: list[str] = []
    while len(lines) < count:
        a, op, b = _sum(rng)
        tens = b // 10 * 10
        if 0 < tens < b:
            middle = OPERATIONS[op](a, tens)
            steps = f"{write_equation(a, op, tens)}. {write_equation(middle, op, b - tens)}."
            lines.append(f"{a} {op} {b}: {steps}")
    return lines


def _table(rng: Random, count: int) -> list[str]:
    """A stretch of one times table."""
    n = rng.randint(2, 9)
    start = rng.randint(1, 11 - count)
    return [write_equation(k, "x", n) + "." for k in range(start, start + count)]


def _there_and_back(rng: Random, count: int) -> list[str]:
    """A sum beside the subtraction that undoes it."""
    lines: list[str] = []
    while len(lines) < count:
        a, op, b = _sum(rng)
        if op == "+":
            lines.append(f"{a} + {b} = {a + b}, so {a + b} - {b} = {a}.")
    return lines


_TITLES = (
    "Sums.", "Sums for today.", "Some sums:", "From the school book:", "A page of sums.",
    "Let us count.", "We learn to count.", "Numbers.",
)  # fmt: skip


def sum_document(rng: Random) -> str:
    """A short page of two to six true sums in one of several manners, all within 0..99."""
    manner = rng.choice((_plain, _plain, _in_words, _in_words, _worked, _table, _there_and_back))
    lines = manner(rng, rng.randint(2, 4 if manner is _worked else 6))
    if rng.random() < 0.3:
        lines.insert(0, rng.choice(_TITLES))
    return rng.choice((" ", " ", "\n")).join(lines)


CHAIN_RATE = dial_values("corpus").number("chain_rate", high=1)
_LAYOUTS = (
    "Problem: {prompt} Solution: {solution}",
    "Problem: {prompt} Solution: {solution}",
    "Problem: {prompt}\nSolution: {solution}",
    "{prompt}\n{solution}",
    "{prompt} {solution}",
    "From the school book. {prompt} This is how it goes. {solution}",
    'The teacher reads: "{prompt}" A child writes: "{solution}"',
    "A puzzle with numbers. {prompt} Let us work it out. {solution}",
    "{prompt} Let us count. {solution}",
    "Question: {prompt}\nWork: {solution}",
)


def chain_problem(rng: Random) -> Problem:
    """A story of one to three gains and losses, whose sentences are drawn one by one.

    Templates alone are learnt by heart; here, only reading tells what to add and what to take away.
    """
    signs = [rng.choice("+-") for _ in range(rng.choice((1, 2, 2, 3, 3)))]
    left = {sign: rng.sample(CHAIN[kind], 3) for sign, kind in (("+", "gain"), ("-", "loss"))}
    told, whens = [rng.choice(CHAIN["start"])], rng.sample(CHAIN["when"], 3)
    for i, sign in enumerate(signs):
        sentence = left[sign].pop()
        if i:  # "he" might be another one by now
            sentence = sentence.replace("{he}", "{A}").replace("{B}", rng.choice(("{B}", "{C}")))
        if sentence.startswith("{x}") or rng.random() < 0.3:
            sentence = whens.pop() + sentence
        told.append(sentence)
    lost = signs[-1] == "-" and rng.random() < 0.6
    told.append(rng.choice(CHAIN["question_after_loss" if lost else "question"]))
    told = [text.replace("{x}", f"{{{name}}}") for text, name in zip(told, GIVEN, strict=False)]
    steps = zip(("a", *RESULTS), signs, GIVEN[1:], strict=False)
    template = Template(
        name="chain",
        level=len(signs),
        prompts=(" ".join(told),),
        steps=tuple(" ".join(step) for step in steps),
        notes=(CHAIN["note"][0], *rng.sample(CHAIN["note"][1:], len(signs) - 1)),
    )
    return pose(rng, checked(template))


def problem_document(rng: Random, level: int | None = None) -> str:
    """A training problem and its solution as a plain document of the corpus."""
    chain = level is None and rng.random() < CHAIN_RATE
    posed = chain_problem(rng) if chain else problem(rng, level)
    return rng.choice(_LAYOUTS).format(prompt=posed.prompt, solution=solution(posed, rng))
