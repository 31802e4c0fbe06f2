"""Equations read from text: the one reader of them that every verifier of steps uses.

A reply is never evaluated. `equations` picks out statements of the shape `a op b = c` with one
regular expression, and `true_equation` recomputes them from a table of three operations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from operator import add, mul, sub

Equation = tuple[int, str, int, int]

MAX_CHARS = 4000  # no honest reply is longer; what lies beyond counts as over-long, unread
OPERATIONS: dict[str, Callable[[int, int], int]] = {"+": add, "-": sub, "x": mul}

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
