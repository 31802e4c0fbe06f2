"""Public comparisons: rows of two replies as the columns of a pair."""

from __future__ import annotations

import math
import re
from contextlib import suppress

from minialign.data.checks import BadRow, brief
from minialign.data.conversations import messages, reply, request, text
from minialign.data.shapes import Messages, Row

TURN = re.compile(r"\n\n(Human|Assistant):")
SCORES = (
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("chosen-rating", "rejected-rating"),
)


def pair(row: Row) -> Row:
    """Text or messages, with a prompt column or the prompt in both; scores, if any, agree."""
    before, chosen = reply(row, "chosen")
    other, rejected = reply(row, "rejected")
    if before != other:
        raise BadRow("two prompts", "chosen and rejected answer different prompts; drop it")
    for names in SCORES:
        _check_scores(row, names)
    return {"prompt": request(row, before), "chosen": chosen, "rejected": rejected}


def _check_scores(row: Row, names: tuple[str, str]) -> None:
    chosen, rejected = (_number(row, name) for name in names)
    if chosen is not None and rejected is not None and not chosen > rejected:
        rule = "a chosen reply has the higher score"
        raise BadRow("scores disagree", f"chosen {chosen}, rejected {rejected}; {rule}")


def _number(row: Row, name: str) -> float | None:
    """A score, as a number or as its text."""
    value = row.get(name)
    if value is None:
        return None
    number = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            number = float(value)
    if not math.isfinite(number):
        rule = "use a number, or drop the column"
        raise BadRow("no score", f"column {name!r} is {brief(value)}; {rule}")
    return number


def transcripts(row: Row) -> Row:
    """hh-rlhf: two conversations as one text each."""
    return pair({name: _transcript(row, name) for name in ("chosen", "rejected")})


def _transcript(row: Row, name: str) -> Messages:
    r"""Turns of "\n\nHuman: ...\n\nAssistant: ..."; an empty turn stays one."""
    first, *parts = TURN.split(text(row, name))
    if first.strip() or not parts:
        raise BadRow("no transcript", f"column {name!r} does not start with a blank line and Human")
    roles = ({"Human": "user", "Assistant": "assistant"}[who] for who in parts[::2])
    turns = [
        {"role": role, "content": words.strip()}
        for role, words in zip(roles, parts[1::2], strict=True)
    ]
    return messages(name, turns)
