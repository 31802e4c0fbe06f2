"""Checks of what a row holds, shared by all readers: why it is refused is said or counted.

What a reader does not know is left aside, but never a column that changes what the row means
(`UNREAD`): such a row is refused, since training on half of it teaches something else.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

from minialign.data.shapes import Demonstration, Messages, Pair, Ranking, Row, Steps

ROLES = ("system", "user", "assistant")
NAMES = 12  # columns that an error lists
# Of a row or of a message: no reader here takes them, and a reply without them is another reply.
UNREAD = (
    "tools", "functions", "tool_calls", "function_call", "tool_call_id", "images", "image",
    "videos", "video", "audios", "audio", "documents", "chat_template_kwargs",
)  # fmt: skip
THOUGHTS = ("reasoning_content", "reasoning", "thinking")  # of a message: templates write them too
FRAME = ("system", "system_prompt", "history")  # `formats` reads them
UNUSED = ("train", "loss", "train_on_turn", "learn")  # false: a reply that is not to be learnt
JUDGED = ("label", "kto_tag")  # of a demonstration, likewise
SPLITS = ("train", "test", "validation", "valid", "val", "dev", "eval", "families")  # by name
SIZED = (list, tuple, Mapping, bytes)


class BadRow(Exception):
    """Why a row is refused: `reason` is counted, `message` tells value, rule and repair."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


def brief(value: Any) -> str:
    """A value in an error, cut short, with its type."""
    try:
        text = reprlib.repr(value)
    except ValueError:  # a whole number of thousands of digits has no repr
        text = "too long a number"
    return f"{text} ({type(value).__name__})"


def listing(names: Iterable[Any]) -> str:
    """Names in an error, the first dozen."""
    texts = [reprlib.repr(name) if isinstance(name, str) else brief(name) for name in names]
    more = f" and {len(texts) - NAMES} more" if len(texts) > NAMES else ""
    return ", ".join(texts[:NAMES]) + more


def is_empty(value: Any) -> bool:
    """Whether a column says nothing: null, false, an empty list, or a text of one.

    >>> [is_empty(value) for value in (None, "", [], {}, "[]", 0, "a", [None])]
    [True, True, True, True, True, False, False, False]
    """
    if isinstance(value, str):
        return value.strip() in ("", "[]", "{}", "null", "None")
    return value is None or value is False or (isinstance(value, SIZED) and len(value) == 0)


def missing(row: Row, column: str) -> BadRow:
    """The error of a row that lacks a column."""
    problem = "is null" if column in row else f"is missing among {listing(row) or 'no columns'}"
    return BadRow("missing column", f"column {column!r} {problem}; fill or rename it")


def row_of(row: Any) -> Row:
    """A row, or a line of JSON, as a dict of columns; raises BadRow."""
    row = _decode(row) if isinstance(row, bytes) else row
    if not isinstance(row, Mapping):
        raise BadRow("wrong type", f"the row is {brief(row)}; use a dict of columns")
    return row


def _decode(line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRow(
            "not UTF-8", f"byte {error.start + 1} is not UTF-8; save the file as UTF-8"
        ) from None
    except (ValueError, RecursionError) as error:  # RecursionError: brackets nested without end
        raise BadRow(
            "broken JSON", f"not JSON ({getattr(error, 'msg', error)}); write one object per line"
        ) from None


def text_of(column: str, value: Any) -> str:
    """A string that UTF-8 can hold."""
    if not isinstance(value, str):
        repair = "the 'content' of its message" if isinstance(value, list) else "a string"
        raise BadRow("wrong type", f"column {column!r} is {brief(value)}; use {repair}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"half a surrogate pair at character {error.start + 1}"
        raise BadRow("not UTF-8", f"column {column!r} has {half}; remove it") from None
    return value


def completion_of(column: str, value: Any) -> str:
    """A string with something to learn in it."""
    if not text_of(column, value).strip():
        raise BadRow("blank completion", f"column {column!r} is blank; write a reply")
    return value


def label_of(column: str, value: Any) -> bool:
    """True or false, and nothing that might stand for them."""
    if not isinstance(value, bool):
        raise BadRow("wrong type", f"column {column!r} is {brief(value)}; use true or false")
    return value


def several(check: Callable[[str, Any], Any]) -> Callable[[str, Any], tuple]:
    """The check of a list, each of whose items must pass another."""

    def check_each(column: str, values: Any) -> tuple:
        if not isinstance(values, list | tuple):
            raise BadRow("wrong type", f"column {column!r} is {brief(values)}; use a list")
        return tuple(check(f"{column}[{i}]", value) for i, value in enumerate(values))

    return check_each


def prompt_of(column: str, value: Any) -> str | Messages:
    """A string, or messages, of which role and content are kept."""
    if not isinstance(value, list):
        return text_of(column, value)
    if not value or not all(
        isinstance(m, Mapping) and m.keys() >= {"role", "content"} for m in value
    ):
        rule = "use a string or one or more messages, dicts of 'role' and 'content'"
        raise BadRow("wrong type", f"column {column!r} is {brief(value)}; {rule}")
    return [message_of(column, message) for message in value]


def message_of(column: str, message: Mapping[str, Any]) -> dict[str, str]:
    """The role and the text of a message that has nothing else to say."""
    refuse_unread(message, (*UNREAD, *THOUGHTS), f"a message of column {column!r}")
    for name in ("role", "content"):
        if name not in message:
            raise missing(message, name)
    role = text_of(f"{column}.role", message["role"])
    if role not in ROLES:
        rule = f"use one of {', '.join(ROLES)}"
        raise BadRow(
            "unknown role", f"a message of column {column!r} is from {brief(role)}; {rule}"
        )
    content = message["content"]
    if isinstance(content, list):
        content = _joined(column, content)
    return {"role": role, "content": text_of(f"{column}.content", content)}


def _joined(column: str, parts: list) -> str:
    """The text of a message's parts, which chat templates write one after another."""
    for part in parts:
        if not isinstance(part, Mapping) or part.get("type") != "text":
            rule = "only text is read; drop the row"
            raise BadRow("not text", f"a message of column {column!r} holds {brief(part)}; {rule}")
    return "".join(text_of(f"{column}.content.text", part.get("text")) for part in parts)


def refuse_unread(row: Row, names: Iterable[str], what: str = "the row") -> None:
    """Refuse what has a column that would have to be read."""
    for name in names:
        if not is_empty(row.get(name)):
            rule = "drop the row, or the column if the replies do not depend on it"
            if name in FRAME:
                rule = "read it with `read_public`, or give `convert`"
            raise BadRow(
                f"{name} not read",
                f"{what} has {name!r}, {brief(row[name])}, without which it means something else; "
                f"{rule}",
            )


def refuse_unused(row: Row, what: str = "the row", more: Iterable[str] = ()) -> None:
    """Refuse a row or a reply that counts less than others, or not at all."""
    weight = row.get("weight")
    if not is_empty(weight) and (not isinstance(weight, int | float) or weight != 1):
        rule = "here every row counts as 1; drop the row or the column"
        raise BadRow("weight not read", f"{what} has the weight {brief(weight)}; {rule}")
    silent = [name for name in (*UNUSED, *more) if _says(row.get(name), "false", 0)]
    if silent or _says(row.get("mask"), "true", 1):
        name = (*silent, "mask")[0]
        rule = "such a reply is not to be learnt; drop the row"
        raise BadRow("reply not to be learnt", f"{what} has {name!r} {brief(row[name])}; {rule}")


def refuse_other_split(row: Row, split: str) -> None:
    """Refuse a row whose column `split` names another split: held out, it is not to be learnt."""
    other = row.get("split")
    if isinstance(other, str) and other != split and other in SPLITS:
        rule = f"{split!r} is asked for; rename the column if the row is to be read"
        raise BadRow("another split", f"column 'split' is {other!r}, and {rule}")


def _says(value: Any, word: str, number: int) -> bool:
    """Whether a value is true (or false), as such, as a number or as a text."""
    if isinstance(value, str):
        return value.strip().lower() in (word, str(number))
    return isinstance(value, int | float) and value == number


def _check_together(values: dict[str, Any], shape: type, longest: int | None) -> None:
    """Refuse what no column shows alone: equal completions, steps without labels, a long prompt."""
    prompt = values["prompt"]
    size = len(prompt) if isinstance(prompt, str) else sum(len(m["content"]) for m in prompt)
    if longest is not None and size > longest:
        rule = f"more than max_prompt_chars={longest}; shorten it or raise the limit"
        raise BadRow("long prompt", f"the prompt has {size} characters, {rule}")
    replies = values.get("completions", ())
    if shape is Pair and values["chosen"] == values["rejected"]:
        raise BadRow("equal completions", "chosen equals rejected, which teaches nothing; drop it")
    if shape is Ranking and len(set(replies)) < max(2, len(replies)):
        rule = f"{len(replies)} completions, {len(set(replies))} of them different"
        raise BadRow("equal completions", f"{rule}; a ranking needs 2 or more, all different")
    if shape is Steps and (not replies or len(replies) != len(values["labels"])):
        rule = f"{len(replies)} steps and {len(values['labels'])} labels"
        raise BadRow("steps without labels", f"{rule}; use 1 or more steps with one label each")


def example_of(
    row: Any, shape: type | None, longest: int | None, convert: Callable[[Row], Row] | None
) -> Any:
    """A row, or a line of JSON, as an example; raises BadRow."""
    row = row_of(row)
    refuse_unread(row, UNREAD if convert else (*UNREAD, *FRAME))
    refuse_unused(row, more=JUDGED if shape is Demonstration else ())
    row = row if convert is None else convert(row)
    if shape is None:
        return row
    values = {}
    for field in fields(shape):
        value = row.get(field.name)
        if value is not None:
            values[field.name] = _CHECKS[field.name](field.name, value)
        elif field.name != "answer":
            raise missing(row, field.name)
    _check_together(values, shape, longest)
    return shape(**values)


_CHECKS = {
    "prompt": prompt_of,
    "answer": text_of,
    "label": label_of,
    "labels": several(label_of),
    "completions": several(completion_of),
    **dict.fromkeys(("completion", "chosen", "rejected"), completion_of),
}
