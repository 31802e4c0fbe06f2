"""Public data sets: a dozen formats, each turned into one of the course's shapes.

A format is told by the columns of the first row, so a name or a path is all that is asked for. A
conversation gives one example: what comes before its last reply is the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from minialign.readers import (
    BadRow,
    Demonstration,
    Feedback,
    Messages,
    Pair,
    Prompt,
    missing,
)

Row = Mapping[str, Any]
SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
            "system": "system"}  # of ShareGPT  # fmt: skip
TURN = re.compile(r"\n\n(Human|Assistant):")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Format:
    """How rows of a kind look, and what they become."""

    shape: type
    columns: tuple[str, ...]  # those by which it is told
    convert: Callable[[Row], Row]
    example: str  # a data set of the hub in this format, if there is a well-known one


def _column(row: Row, name: str) -> Any:
    if row.get(name) is None:
        raise missing(row, name)
    return row[name]


def _text(row: Row, name: str, default: str | None = None) -> str:
    value = row.get(name, default) if default is not None else _column(row, name)
    value = default if value is None else value
    if not isinstance(value, str):
        raise BadRow("wrong type", f"column {name!r} is a {type(value).__name__}; use a string")
    return value


def _messages(name: str, value: Any) -> Messages:
    """Messages of role and content that a user began, or a system turn before the user."""
    if not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        raise BadRow("wrong type", f"column {name!r} is a {type(value).__name__}; use messages")
    turns = [{key: _text(turn, key) for key in ("role", "content")} for turn in value]
    roles = [turn["role"] for turn in turns]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    if spoken != ["user", "assistant"] * (len(spoken) // 2) + ["user"] * (len(spoken) % 2):
        rule = "user and assistant take turns, after one system message or none"
        raise BadRow("turns out of order", f"column {name!r} has roles {', '.join(roles)}; {rule}")
    return turns


def _split(name: str, turns: Messages) -> tuple[Messages, str]:
    """What comes before the last reply, and the last reply."""
    if len(turns) < 2 or turns[-1]["role"] != "assistant":
        raise BadRow("no reply", f"column {name!r} does not end with a reply; drop the row")
    return turns[:-1], turns[-1]["content"]


def _reply(row: Row, name: str) -> tuple[Messages, str]:
    """A completion, and the messages that it carries before itself (of plain text: none)."""
    value = _column(row, name)
    if isinstance(value, str):
        return [], value
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping):
        return [], _text(value[0], "content")
    return _split(name, _messages(name, value))


def _prompt(row: Row, before: Messages) -> str | Messages:
    """The prompt column, or the messages before the completion, which hold it already."""
    return before or _column(row, "prompt")


def _alpaca(row: Row) -> Row:
    asked = [_text(row, "instruction"), _text(row, "input", "")]
    return {"prompt": "\n\n".join(filter(None, asked)), "completion": row.get("output")}


def _dolly(row: Row) -> Row:
    asked = [_text(row, "instruction"), _text(row, "context", "")]
    return {"prompt": "\n\n".join(filter(None, asked)), "completion": row.get("response")}


def _conversation(row: Row) -> Row:
    prompt, completion = _split("messages", _messages("messages", _column(row, "messages")))
    return {"prompt": prompt, "completion": completion}


def _sharegpt(row: Row) -> Row:
    turns = _column(row, "conversations")
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        raise BadRow("wrong type", "column 'conversations' is no list of turns; use from and value")
    speakers = [_text(turn, "from") for turn in turns]
    if strange := [who for who in speakers if who not in SPEAKERS]:
        raise BadRow(
            "unknown speaker", f"a turn is from {strange[0]!r}; use one of {', '.join(SPEAKERS)}"
        )
    said = [
        {"role": SPEAKERS[who], "content": _text(turn, "value")}
        for who, turn in zip(speakers, turns, strict=True)
    ]
    prompt, completion = _split("conversations", _messages("conversations", said))
    return {"prompt": prompt, "completion": completion}


def _demonstration(row: Row) -> Row:
    before, completion = _reply(row, "completion")
    return {"prompt": _prompt(row, before), "completion": completion}


def _feedback(row: Row) -> Row:
    return {**_demonstration(row), "label": row.get("label")}


def _pair(row: Row) -> Row:
    """Plain text or messages, with a prompt column or the prompt in both; scores, if any, agree."""
    before, chosen = _reply(row, "chosen")
    other, rejected = _reply(row, "rejected")
    if before != other:
        raise BadRow("two prompts", "chosen and rejected answer different prompts; drop it")
    scores = [row.get(name) for name in ("score_chosen", "score_rejected")]
    if None not in scores and not scores[0] > scores[1]:
        rule = "a chosen reply has the higher score"
        raise BadRow("scores disagree", f"chosen {scores[0]}, rejected {scores[1]}; {rule}")
    return {"prompt": _prompt(row, before), "chosen": chosen, "rejected": rejected}


def _transcript(row: Row, name: str) -> Messages:
    """Turns of "\\n\\nHuman: ...\\n\\nAssistant: ..."; an empty turn stays one."""
    first, *parts = TURN.split(_text(row, name))
    if first.strip() or not parts:
        raise BadRow("no transcript", f"column {name!r} does not start with a blank line and Human")
    roles = ({"Human": "user", "Assistant": "assistant"}[who] for who in parts[::2])
    said = [
        {"role": role, "content": text.strip()}
        for role, text in zip(roles, parts[1::2], strict=True)
    ]
    return _messages(name, said)


def _transcripts(row: Row) -> Row:
    return _pair({name: _transcript(row, name) for name in ("chosen", "rejected")})


def _worked(row: Row) -> Row:
    """GSM8K: the answer stands behind #### at the end of the solution."""
    _, mark, answer = _text(row, "answer").rpartition("####")
    if not mark or not answer.strip():
        raise BadRow("no answer", "column 'answer' has no #### with an answer behind it; add it")
    return {"prompt": _text(row, "question"), "answer": answer.strip().replace(",", "")}


def boxed(solution: str) -> str | None:
    r"""What the last \boxed{...} holds, braces matched; None where there is none.

    >>> boxed(r"So \boxed{1}, no: \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    """
    _, mark, rest = solution.rpartition(r"\boxed{")
    depth = 1
    for i, character in enumerate(rest if mark else ""):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return rest[:i]
    return None


def _boxed(row: Row) -> Row:
    answer = boxed(_text(row, "solution"))
    if answer is None or not answer.strip():
        raise BadRow("no answer", r"column 'solution' has no \boxed{answer}; add it")
    return {"prompt": _text(row, "problem"), "answer": answer.strip()}


def _multiple_choice(row: Row) -> Row:
    """Choices get the letters A, B, ...; the answer is a letter, whichever label the row has."""
    choices = _column(row, "choices")
    if isinstance(choices, Mapping):
        texts, labels = list(_column(choices, "text")), list(_column(choices, "label"))
    else:
        texts, labels = list(choices), list(LETTERS[: len(choices)])
    right = row.get("answerKey", row.get("answer"))
    if isinstance(right, int) and not isinstance(right, bool):
        place = right
    else:
        place = labels.index(right) if right in labels else -1
    if not 2 <= len(texts) <= len(LETTERS) or len(labels) != len(texts):
        raise BadRow("wrong choices", f"there are {len(texts)} choices and {len(labels)} labels")
    if not 0 <= place < len(texts):
        rule = f"use one of {', '.join(map(str, labels))}, or a position from 0"
        raise BadRow("no answer", f"the right choice is {right!r}; {rule}")
    listed = [f"{letter}. {text}" for letter, text in zip(LETTERS, texts, strict=False)]
    return {"prompt": "\n".join([_text(row, "question"), *listed]), "answer": LETTERS[place]}


def _problem(row: Row) -> Row:
    answer = _column(row, "answer")
    plain = isinstance(answer, int | float) and not isinstance(answer, bool)
    return {"prompt": _column(row, "prompt"), "answer": str(answer) if plain else answer}


# Tried in this order: a row of a later format may have the columns of an earlier one, never both.
FORMATS: dict[str, Format] = {
    "preferences": Format(
        Pair, ("prompt", "chosen", "rejected"), _pair, "HuggingFaceH4/ultrafeedback_binarized"
    ),
    "transcripts": Format(Pair, ("chosen", "rejected"), _transcripts, "Anthropic/hh-rlhf"),
    "feedback": Format(
        Feedback, ("prompt", "completion", "label"), _feedback, "trl-lib/kto-mix-14k"
    ),
    "demonstrations": Format(
        Demonstration, ("prompt", "completion"), _demonstration, "trl-lib/tldr"
    ),
    "messages": Format(Demonstration, ("messages",), _conversation, "HuggingFaceH4/no_robots"),
    "sharegpt": Format(
        Demonstration, ("conversations",), _sharegpt, "anon8231489123/ShareGPT_Vicuna_unfiltered"
    ),
    "alpaca": Format(Demonstration, ("instruction", "output"), _alpaca, "tatsu-lab/alpaca"),
    "dolly": Format(
        Demonstration, ("instruction", "response"), _dolly, "databricks/databricks-dolly-15k"
    ),
    "multiple_choice": Format(
        Prompt, ("question", "choices"), _multiple_choice, "allenai/ai2_arc"
    ),
    "worked": Format(Prompt, ("question", "answer"), _worked, "openai/gsm8k"),
    "boxed": Format(Prompt, ("problem", "solution"), _boxed, "HuggingFaceH4/MATH-500"),
    "problems": Format(Prompt, ("prompt", "answer"), _problem, ""),
}  # fmt: skip


def told_by(row: Row) -> str:
    """The name of a row's format.

    >>> told_by({"question": "Two and two?", "answer": "2 + 2 = 4 #### 4"})
    'worked'

    Raises:
        ValueError: if there is none with its columns.
    """
    for name, known in FORMATS.items():
        if all(row.get(column) is not None for column in known.columns):
            if name == "transcripts" and not isinstance(row["chosen"], str):
                return "preferences"  # messages that hold the prompt
            return name
    known = "; ".join(f"{name}: {', '.join(one.columns)}" for name, one in FORMATS.items())
    raise ValueError(
        f"no format has the columns {', '.join(map(str, row))}; rename them to those of one "
        f"({known})"
    )
