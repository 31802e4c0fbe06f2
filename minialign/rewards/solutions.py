"""Verifiers of worked solutions: the outcome, each step, and the format.

They read what a model wrote, so nothing is evaluated, only ASCII digits are numbers, every scan is
linear, and what is unclear counts as no answer: a policy that is trained on these functions finds
every gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from minialign.rewards.equations import MAX_CHARS, PLAIN_NUMBER, equations, true_equation

# ASCII case folding only, or the long s of old prints would count as an s.
_CLAIM = re.compile(
    r"(?<![a-z0-9_])answer(?:[ \n]{1,2}is(?![a-z0-9_'])[ \n]?:?| ?:)[ \n]{0,2}",
    re.ASCII | re.IGNORECASE,
)
# Not before a sign that makes it another number (9%, 9.5, 9/2), a question, or a foreign sign.
_PLAIN = re.compile(rf"({PLAIN_NUMBER})(?![\w%?^*/=+]|[^\w\s]\d|[^\x00-\x7f])")
_DENIAL = re.compile(
    r"\b(?:not|never|wrong|false|doubt|doubts|if|whether|maybe|perhaps|cannot|nobody|[a-z]+n't)\b",
    re.ASCII | re.IGNORECASE,
)
_OPENING = re.compile(r"[^.!?\n]{0,120}\Z")
_REST = re.compile(r"[^.!?\n]{0,120}")
_CLOSING = re.compile(r"[.!][\"')]?")


def _claims(text: str) -> list[tuple[int | None, int]]:
    """What each "The answer is ..." claims (None: no plain number) and where it ends."""
    found: list[tuple[int | None, int]] = []
    for claim in _CLAIM.finditer(text):
        number = _PLAIN.match(text, claim.end())
        before = _OPENING.search(text, max(0, claim.start() - 120), claim.start())
        denied = before is not None and _DENIAL.search(before[0]) is not None
        if number is not None and _DENIAL.search(_REST.match(text, number.end())[0]):
            denied = True  # "12 if you are lucky"
        if number is None or denied:
            found.append((None, claim.end()))
        else:
            found.append((int(number[1]), number.end()))
    return found


def final_answer(text: str) -> int | None:
    """The number N of "The answer is N", or None where a strict reader would not accept one.

    None when there is no such statement, when one of them gives no plain ASCII whole number or is
    denied ("not", "maybe", "if"), when two of them differ, when any further number follows the last
    one, and when the text is longer than `MAX_CHARS`. "Answer: N" and "the answer: N" count too.

    >>> final_answer("12 - 3 = 9 are left. The answer is 9."), final_answer("ANSWER: 9 pears")
    (9, 9)
    >>> [final_answer(f"The answer is {n}") for n in ("nine.", "9.5", "1,000.", "9 or 8.", "9?")]
    [None, None, None, None, None]
    >>> final_answer("The answer is 9. The answer is 8."), final_answer("9"), final_answer("")
    (None, None, None)
    """
    if len(text) > MAX_CHARS:
        return None
    claims = _claims(text)
    if len({value for value, _ in claims}) != 1:
        return None
    value, end = claims[-1]
    # isnumeric knows the digits, fractions and number signs of every script
    return None if any(c.isnumeric() for c in text[end:]) else value


def verify_outcome(problem_answer: int, text: str) -> bool:
    """Whether the final answer of a text is the right one.

    >>> verify_outcome(9, "The answer is 9."), verify_outcome(9, "The answer is 8, no, 9.")
    (True, False)
    """
    return final_answer(text) == problem_answer


def verify_steps(numbers: Iterable[int], text: str) -> list[bool]:
    """For each equation of a text, whether it is a sound step.

    A sound step is true, and each of its operands is a given number or the result of a sound step
    before it. So a slip is charged, and so is what is built on it.

    >>> verify_steps([5, 7, 3], "5 + 7 = 12. 12 - 3 = 9. 9 - 3 = 5. 5 + 6 = 11.")
    [True, True, False, False]
    """
    known = set(numbers)
    verdicts = []
    for equation in equations(text):
        a, _, b, result = equation
        sound = a in known and b in known and true_equation(equation)
        if sound:
            known.add(result)
        verdicts.append(sound)
    return verdicts


def has_format(text: str) -> bool:
    """Whether a text has the form asked for: an equation at least, and one final answer as its end.

    >>> has_format("5 + 7 = 12. The answer is 12."), has_format("1 + 1 = 3. The answer is 7.")
    (True, True)
    >>> has_format("The answer is 12."), has_format("The answer is 12. 5 + 7 = 12."), has_format("")
    (False, False, False)
    """
    if final_answer(text) is None or not equations(text):
        return False
    after_the_first = text[_claims(text)[0][1] :].strip()
    return _CLOSING.fullmatch(after_the_first) is not None
