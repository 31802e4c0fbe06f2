"""Sums: pages of them for the corpus, and the one reader of equations that every verifier uses.

A reply is never evaluated. `equations` picks out statements of the shape `a op b = c` with one
regular expression, and `true_equation` recomputes them from a table of three operations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from operator import add, mul, sub
from random import Random

from minialign.world.text import MAX_CHARS

Equation = tuple[int, str, int, int]

OPERATIONS: dict[str, Callable[[int, int], int]] = {"+": add, "-": sub, "x": mul}
MAX_NUMBER = 99  # everything that the world writes stays within 0..99

# Only ASCII digits, no leading zeros, at most six: such a number is always safe to convert.
PLAIN_NUMBER = r"(?:0|[1-9][0-9]{0,5})"
# Nothing may be glued to either end, so that "1,000 + 2 = 3" and "2 + 1 = 3.5" state no a op b = c.
_EQUATION = re.compile(
    rf"(?<![\w+*^/-])(?<![^A-Za-z)][.,:'])({PLAIN_NUMBER}) {{0,2}}([-+x]) {{0,2}}"
    rf"({PLAIN_NUMBER}) {{0,2}}= {{0,2}}"
    rf"(-?{PLAIN_NUMBER})(?![\w%]|[.,:/'][0-9]| *[-+x*/^=] *[0-9(])"
)
_CHAINED = re.compile(r"[0-9)] *[-+x*/^=]\Z")


def clip(text: str) -> str:
    """At most `MAX_CHARS` characters of a text; a word that the cut would halve is left out."""
    if len(text) <= MAX_CHARS:
        return text
    return re.sub(r"\S+\Z", "", text[:MAX_CHARS]) if text[MAX_CHARS].strip() else text[:MAX_CHARS]


def equations(text: str) -> list[Equation]:
    """Every statement "a op b = c" of a text, true or not, in order.

    >>> equations("Tom has 5 + 7 = 12 pears. Then 12 - 3 = 8 are left. 2 x 3 = 6.")
    [(5, '+', 7, 12), (12, '-', 3, 8), (2, 'x', 3, 6)]
    >>> equations("1 + 2 + 3 = 6, 1,000 + 1 = 1,001 and 2 + = 2")
    []
    """
    return [(int(m[1]), m[2], int(m[3]), int(m[4])) for m in _found(text)]


def equation_ends(text: str) -> list[int]:
    """Where each of `equations` ends, in characters.

    >>> equation_ends("So 2 + 3 = 5 and 5 + 1 = 7.")
    [12, 26]
    """
    return [match.end() for match in _found(text)]


def _found(text: str) -> Iterator[re.Match]:
    text = clip(text)
    return (m for m in _EQUATION.finditer(text) if not _continues(text, m.start()))


def _continues(text: str, start: int) -> bool:
    """Whether what starts there goes on with a longer sum, as 2 + 3 does in "1 + 2 + 3 = 6"."""
    while start and text[start - 1] == " ":
        start -= 1
    return _CHAINED.search(text[max(0, start - 6) : start]) is not None


def true_equation(equation: Equation) -> bool:
    """Whether an equation holds.

    >>> true_equation((5, "+", 7, 12)), true_equation((5, "x", 7, 12))
    (True, False)
    """
    a, op, b, c = equation
    return op in OPERATIONS and OPERATIONS[op](a, b) == c


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
