"""How the exact checkers read numbers and sums: which does a reply state, in digits or words?"""

from __future__ import annotations

import re

from minialign.rewards.equations import OPERATIONS, equations, true_equation
from minialign.world.families.checking import MOST_REPEATS, PATTERNS, is_question, negated, says
from minialign.world.lexicon import NUMBER_WORDS, TEENS, TENS
from minialign.world.text import sentences

_UNITS = {w: n for n, w in enumerate((*NUMBER_WORDS, *TEENS))}
_TENS = {w: 10 * n for n, w in enumerate(TENS, start=2)}
_SPELLED = re.compile(
    rf"\b(?:({'|'.join(_TENS)})(?:[- ]({'|'.join(NUMBER_WORDS[1:10])}))?|({'|'.join(_UNITS)}))\b",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"(?<![\w.,])-?[\w.,]*[0-9][\w.,]*(?: ?(?:%|/|percent\b|point\b))?")


def digits(text: str) -> str:
    """The text with number words below a hundred as digits; "one" as a pronoun is left alone.

    >>> digits("Forty-two is the larger one, and one is small."), digits("Twelve!")
    ('42 is the larger one, and 1 is small.', '12!')
    """

    def number(match: re.Match[str]) -> str:
        tens, unit, small = (g.lower() if g else None for g in match.groups())
        if tens is not None:
            return str(_TENS[tens] + (_UNITS[unit] if unit else 0))
        if small == "one":
            before, after = text[max(0, match.start() - 40) : match.start()], text[match.end() :]
            pronoun_after = PATTERNS["numbers.pronoun_after"].match(after[:20])
            if says("numbers.pronoun_before", before) or pronoun_after:
                return match.group()
        return str(_UNITS[small or "zero"])

    return _SPELLED.sub(number, text)


def stated_numbers(text: str) -> list[int | None]:
    """Every number that a text states in digits or words, in order; None for no whole number.

    >>> stated_numbers("Seven and 12 make 19."), stated_numbers("19.5, 7 percent, 3x and a half")
    ([7, 12, 19], [None, None, None, None])
    """
    clean = digits(text)
    found: list[tuple[int, int | None]] = []
    for name in ("numbers.no_whole", "numbers.below_zero"):
        found += [(match.start(), None) for match in PATTERNS[name].finditer(clean)]
    for match in _TOKEN.finditer(clean):
        token = match.group().rstrip(".,")
        if not re.fullmatch(r"[0-9]+(?:st|nd|rd|th)", token):  # an ordinal counts nothing
            whole = re.fullmatch(r"-?[0-9]{1,9}", token) is not None
            found.append((match.start(), int(token) if whole else None))
    return [value for _, value in sorted(found, key=lambda pair: pair[0])]


def numbers_asserted(text: str, expected: int) -> bool:
    """Whether the number is stated outside of questions, in sentences that do not negate it and
    speak of no place among words."""
    holding = [s for s in sentences(text) if expected in stated_numbers(s)]
    told = not all(is_question(s) for s in holding)
    babble = stated_numbers(text).count(expected) > MOST_REPEATS
    of_words = any(says("numbers.of_words", s) for s in holding)
    return told and not babble and not of_words and not any(negated(s) for s in holding)


def states_only(text: str, expected: int) -> bool:
    """Whether a text states the number and no other one, as `numbers_asserted` demands it."""
    return set(stated_numbers(text)) == {expected} and numbers_asserted(text, expected)


_SIGNS = {"plus": "+", "and": "+", "minus": "-", "take away": "-", "times": "x"}
_CHAIN = re.compile(
    r"(?<![\w.,+=-])(?<![-+x=] )([0-9]{1,6})((?: ?[-+] ?[0-9]{1,6}){2,}) ?= ?([0-9]{1,6})\b"
)


def sums_told(text: str) -> str:
    """The text with digits for number words, "a + b = c" for sums in words, and one sum a step.

    >>> sums_told("Two and three make five, and 30 - 6 - 20 = 4.")
    '2 + 3 = 5, and 30 - 6 = 24. 24 - 20 = 4.'
    """

    def sign(match: re.Match[str]) -> str:
        a, op, b, c = match.groups()
        return f"{a} {_SIGNS.get(op.lower(), op)} {b} = {c}"

    def steps(match: re.Match[str]) -> str:
        left, told = int(match[1]), []
        for op, right in re.findall(r"([-+]) ?([0-9]+)", match[2]):
            result = OPERATIONS[op](left, int(right))
            told.append(f"{left} {op} {right} = {result}")
            left = result
        return ". ".join([*told[:-1], f"{told[-1].rsplit(' ', 1)[0]} {match[3]}"])

    return _CHAIN.sub(steps, PATTERNS["numbers.sum_in_words"].sub(sign, digits(text)))


def false_sums(text: str) -> bool:
    """Whether a text holds a sum, in signs or in words, that is not true.

    >>> false_sums("29 and 33 make 52."), false_sums("29 + 33 = 62, and 2 times 3 is 6.")
    (True, False)
    """
    return not all(map(true_equation, equations(sums_told(text))))


def without_equations(text: str, answer: int) -> str:
    """The text with each equation replaced by its result if that is the answer, else by "_".

    >>> without_equations("7 + 2 = 9. 9 - 5 = 4 are left.", 4)
    '_. 4 are left.'
    """
    for a, op, b, c in equations(text):
        stated = rf"(?<!\d){a} {{0,2}}{re.escape(op)} {{0,2}}{b} {{0,2}}= {{0,2}}{c}(?!\d)"
        text = re.sub(stated, str(c) if c == answer else "_", text)
    return text
