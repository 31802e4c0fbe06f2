"""Public problems: questions with an answer, and choices of which one is right."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from minialign.data.checks import BadRow, brief, is_empty, listing
from minialign.data.conversations import CHOICES, column, request, request_of, text
from minialign.data.shapes import Row
from minialign.rewards.public_answers import boxed

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
LONGEST = 1_000  # digits of a number


def worked(row: Row) -> Row:
    """GSM8K: the answer stands behind #### at the end of the solution."""
    if _choices_column(row):
        return multiple_choice(row)
    _, mark, answer = text(row, "answer").rpartition("####")
    if not mark or not answer.strip():
        raise BadRow("no answer", "column 'answer' has no #### with an answer behind it; add it")
    return {"prompt": request_of(row, "question"), "answer": _without_commas(answer)}


def solved(row: Row) -> Row:
    r"""MATH: the answer is in a column of its own, or in \boxed{...} at the end of the solution."""
    if not is_empty(row.get("answer")):
        return answered(row)
    answer = boxed(text(row, "solution"))
    if answer is None or not answer.strip():
        raise BadRow("no answer", r"column 'solution' has no \boxed{answer}; add it")
    return {"prompt": request_of(row, "problem"), "answer": answer.strip()}


def answered(row: Row) -> Row:
    """A problem or a prompt, and its answer, a text or a number."""
    if _choices_column(row):
        return multiple_choice(row)
    answer = _answer(column(row, "answer"))
    if row.get("problem") is not None:
        return {"prompt": request_of(row, "problem"), "answer": answer}
    return {"prompt": request(row, []), "answer": answer}


def _answer(value: Any) -> str:
    """A text, or a number as one writes it."""
    if isinstance(value, str) and value.strip():
        return _without_commas(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, float) and math.isfinite(value):
            return format(Decimal(repr(value)), "f")
        if isinstance(value, int) and abs(value) < 10**LONGEST:
            return str(value)
    raise BadRow("no answer", f"column 'answer' is {brief(value)}; use a text or a number")


def _without_commas(answer: str) -> str:
    """1,200 as 1200; a list such as 1,2 stays one."""
    answer = answer.strip()
    return answer.replace(",", "") if THOUSANDS.fullmatch(answer) else answer


def multiple_choice(row: Row) -> Row:
    """Choices get the letters A, B, ...; the answer is a letter, whichever label the row has."""
    texts, labels = _choices(column(row, _choices_column(row) or "choices"))
    right = column(row, "answer" if row.get("answerKey") is None else "answerKey")
    place = _place(right, labels) if labels else _place(right, list(LETTERS[: len(texts)]))
    if place is None and not labels and isinstance(right, int) and not isinstance(right, bool):
        place = right  # of a list without labels
    if place is None or not 0 <= place < len(texts):
        rule = f"use one of {listing(labels or LETTERS[: len(texts)])}"
        raise BadRow(
            "no answer", f"the right choice is {brief(right)}; {rule}, or a position from 0"
        )
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, texts, strict=False)]
    names = ("question", "problem", "prompt")
    name = next((name for name in names if not is_empty(row.get(name))), "question")
    rest = {other: value for other, value in row.items() if other not in CHOICES}
    return {"prompt": "\n".join([request_of(rest, name), *lines]), "answer": LETTERS[place]}


def _choices_column(row: Row) -> str | None:
    """The column of the choices, if there are any."""
    names = [name for name in CHOICES if not is_empty(row.get(name))]
    if len(names) > 1 and row[names[0]] != row[names[1]]:
        raise BadRow("wrong choices", "'choices' and 'options' differ; drop one of the columns")
    return names[0] if names else None


def _choices(value: Any) -> tuple[list[str], list[Any]]:
    """The texts of the choices, and their labels, if any."""
    labels: Any = []
    texts = value
    if isinstance(value, Mapping):
        texts, labels = column(value, "text"), column(value, "label")
    if not isinstance(texts, list) or not isinstance(labels, list):
        rule = "use a list, or a dict of the lists 'text' and 'label'"
        raise BadRow("wrong choices", f"column 'choices' is {brief(value)}; {rule}")
    if odd := [label for label in labels if not isinstance(label, str | int)]:
        raise BadRow("wrong choices", f"a label is {brief(odd[0])}; use texts or whole numbers")
    texts = [_choice(one) for one in texts]
    enough = 2 <= len(texts) <= len(LETTERS) and len(labels) == (len(texts) if labels else 0)
    if not enough or (isinstance(value, Mapping) and not labels):
        raise BadRow("wrong choices", f"there are {len(texts)} choices and {len(labels)} labels")
    if len(set(texts)) < len(texts) or any(labels.count(label) > 1 for label in labels):
        raise BadRow("wrong choices", "two choices or two labels are alike; drop the row")
    return texts, labels


def _choice(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _answer(value)
    if not isinstance(value, str) or not value.strip():
        raise BadRow("wrong choices", f"a choice is {brief(value)}; use texts that are not blank")
    return value


def _place(right: Any, labels: list[Any]) -> int | None:
    """Where a label stands; true is not 1."""
    same = [type(label) is type(right) and label == right for label in labels]
    return same.index(True) if True in same else None
