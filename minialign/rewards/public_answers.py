r"""Answers to public problems: one definition for who reads the data and who pays the reward.

Real models write \boxed{1/2}, $1,000, **18**, -5 or 18.00. Whether that is the answer of the data
is left to math-verify (optional, `pip install math-verify`), which compares by value and looks at
the last \boxed{...} first, at several close together as at one list. Letters of choices, and words,
are compared as text. The village has a stricter verifier of its own, `verifiers.right_answer`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from minialign.rewards import texts_of
from minialign.rewards.answer_process import ANSWERS

TAIL = 20_000  # characters of a completion that are looked at, the last ones
LONGEST = 1_000  # characters of an answer in the data
LETTER = re.compile(r"\(?([A-Z])[.):]?\)?")  # of a choice, alone
CHOICE = re.compile(r"\(?([A-Z])(?:\)?[.:)]?|\)?[.:)]\s.*)")  # or before its text, on one line
LABEL = re.compile(r"(?m)(?<!\S)[(*]*([A-Z])(?:[.,:)*]+(?!\S)|$)")  # of choices, within a text
CLAIM = re.compile(
    r"(?i:\banswer\s*(?:is|:))[\s:*]*\(?"
    r"([B-HJ-Z]|[AI](?!\s+(?!(?:because|since|as|for|which|not)\b)[a-z]))(?![\w'])"  # not "A lot"
    r"(?!\)?\**\s*(?:,|/|or\b|and\b)\s*\**\(?[A-Z](?!\w))"  # not "A or B"
)
WORDS = re.compile(r"(?i:no)|(?=.*[^\W\d_]{3})[\w .,'-]+")  # Evelyn, June 20; xy is a product
COUNTED = re.compile(r"([+-]?\d[\d,.]*) [^\W\d_]{3,}")  # 5 dollars
DRESSED = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
AROUND = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"))
CURRENCY = re.compile(r"\\?[$€£]\s*(?=[-+]?[.\d])")
TAG = re.compile(r"</?answer>")  # around an answer, as some models are taught
NUMBER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?")


def boxed(text: str) -> str | None:
    r"""What the last \boxed{...} holds, braces matched; None where there is none.

    >>> boxed(r"So \boxed{1}, no: \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    """
    _, mark, rest = text.rpartition(r"\boxed{")
    depth = 1
    for i, character in enumerate(rest if mark else ""):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return rest[:i]
    return None


def require() -> None:
    """Raise ImportError with one sentence if math-verify is not installed."""
    if find_spec("math_verify") is None:
        raise ImportError(
            "answers of public problems are compared by math-verify, which is not installed; "
            "run pip install math-verify (in a clone: pip install -e '.[math]')"
        )


def public_answer(
    prompts: Sequence, completions: Sequence, answer: Sequence, **columns: object
) -> list[float | None]:
    r"""1 where a completion's final answer has the value of the data's, else 0.

    A reward with TRL's signature. Of a completion the last 20,000 characters count. What takes more
    than a second or two of processor time to compare (9^9^9^9) earns 0.

    Args:
        prompts: not looked at.
        completions: strings, or lists of messages, whose texts count as one.
        answer: the right answer of each, a string or a number; a capital letter is that of a
            choice. None, or what math-verify cannot read, gives None: the reward does not apply.
        columns: other columns, not looked at.

    Raises:
        ImportError: if math-verify is not installed.

    >>> public_answer([""] * 3, [r"So \boxed{1/2}.", "It is **0.50**", "3"], answer=["0.5"] * 3)
    [1.0, 1.0, 0.0]
    """
    require()
    return [_paid(a, text) for a, text in zip(answer, texts_of(completions), strict=True)]


def is_letter(answer: str) -> bool:
    """Whether an answer is the letter of a choice.

    >>> is_letter("B"), is_letter("(B)"), is_letter("x")
    (True, True, False)
    """
    return LETTER.fullmatch(plain_answer(answer)) is not None


def renderings(answer: str) -> list[str]:
    r"""What a model may write that must be paid: \boxed always, of letters and numbers more."""
    plain = plain_answer(answer)
    forms = [r"\boxed{%s}", r"2 + 2 = 4, so the final answer is $\boxed{%s}$.", r"\[\boxed{%s}\]"]
    if LETTER.fullmatch(plain) or NUMBER.fullmatch(plain):
        forms += ["The answer is %s.", "Answer: %s", "#### %s", "**%s**", r"\boxed{\text{%s}}"]
    return [form.replace("%s", plain) for form in forms]


def payable(answer: str) -> bool:
    """Whether every one of an answer's `renderings` earns 1: what a reader of problems keeps."""
    return all(public_answer([""], [said], answer=[answer]) == [1.0] for said in renderings(answer))


def plain_answer(text: str) -> str:
    r"""An answer without what may stand around it: \boxed, $, \text, ** and a full stop.

    >>> plain_answer(r"$\text{(B)}$."), plain_answer(r"\$18."), plain_answer(r"\boxed{-5}")
    ('(B)', '18', '-5')
    """
    inner = boxed(text)
    found = (text if inner is None else inner).replace("\N{MINUS SIGN}", "-").strip()
    found = found.removesuffix(".")
    for start, end in AROUND:
        inside = found[len(start) : -len(end)]
        if found.startswith(start) and found.endswith(end) and not {start, end} & set(inside):
            found = inside.strip()
    if dressed := DRESSED.fullmatch(found):
        found = dressed[1].strip()
    if currency := CURRENCY.match(found):
        found = found[currency.end() :]
    return found.removeprefix("+") if NUMBER.fullmatch(found) else found


def _paid(answer: Any, text: str) -> float | None:
    right = "" if _is_none(answer) else plain_answer(str(answer))
    if not _is_answer(right):
        return None
    text = TAG.sub(" ", text[-TAIL:]).replace("\N{MINUS SIGN}", "-").replace(r"\$", "")
    said = boxed(text)
    if letter := LETTER.fullmatch(right):
        return float(_letter(text, said) == letter[1])
    if WORDS.fullmatch(right):
        if said is not None and _folded(said) == _folded(right):
            return 1.0
        counted = COUNTED.fullmatch(right)
        if said is None or not counted or not NUMBER.fullmatch(plain_answer(said)):
            return 0.0
        right = counted[1]  # the unit may be left out, but not be another
    if said is not None:  # a full stop or bold type within the box is more than math-verify reads
        before, _, after = text.rpartition(rf"\boxed{{{said}}}")
        text = rf"{before}\boxed{{{plain_answer(said)}}}{after}"
    same = ANSWERS.same(right, text)
    return None if same is None else float(same)


def _is_none(answer: Any) -> bool:
    """Whether there is no answer: None, or what tables write for it, NaN or NA."""
    return answer is None or (not isinstance(answer, str) and str(answer) in ("nan", "<NA>", "NaT"))


def _is_answer(plain: str) -> bool:
    """Whether an answer says anything, briefly, and can stand in braces."""
    whole = boxed(rf"\boxed{{{plain}}}") == plain and not plain.endswith("\\")
    return whole and len(plain) <= LONGEST and any(c.isalnum() for c in plain)


def _folded(words: str) -> str:
    return " ".join(DRESSED.sub(r" \1", plain_answer(words)).casefold().split())


def _letter(text: str, said: str | None) -> str | None:
    """The letter of the choice that a completion ends with, if it is clear which."""
    if said is not None:
        return _choice(said)
    _, mark, end = text.rpartition("####")
    claims = {*CLAIM.findall(text), _choice(end) if mark else None} - {None}
    if claims:
        return claims.pop() if len(claims) == 1 else None
    last = LETTER.fullmatch(plain_answer(text.strip().rpartition("\n")[2]))
    if "\n" not in text.strip() or (last and not _lists_choices(text)):
        return last[1] if last else _choice(text)
    return None


def _choice(text: str) -> str | None:
    """The letter that a text is, or begins with; None if it names several."""
    found = CHOICE.fullmatch(" ".join(plain_answer(text).split()))
    return found[1] if found and not _lists_choices(text) else None


def _lists_choices(text: str) -> bool:
    return len(set(LABEL.findall(text))) > 1
