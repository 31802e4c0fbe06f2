"""Readers: rows from anywhere as examples of one of six shapes, with bad rows refused or counted.

The fields of a shape are TRL's column names (Ranking is this course's own), so `asdict` of an
example is a row that TRL trains on. Nothing that is read is ever evaluated or unpickled.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from minialign.row_files import numbered

Messages = list[dict[str, str]]  # [{"role": "user", "content": "Hello."}, ...]


@dataclass(frozen=True)
class Demonstration:
    """A prompt and the completion to imitate."""

    prompt: str | Messages
    completion: str


@dataclass(frozen=True)
class Pair:
    """A prompt and two different completions, of which one is preferred."""

    prompt: str | Messages
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Feedback:
    """A prompt, one completion, and whether it is wanted."""

    prompt: str | Messages
    completion: str
    label: bool


@dataclass(frozen=True)
class Prompt:
    """A prompt to sample completions for; `answer` is what a verifiable reward compares with."""

    prompt: str | Messages
    answer: str | None = None


@dataclass(frozen=True)
class Ranking:
    """A prompt and two or more different completions, best first."""

    prompt: str | Messages
    completions: tuple[str, ...]


@dataclass(frozen=True)
class Steps:
    """A prompt, the steps of one reply, and for each step whether it is right."""

    prompt: str | Messages
    completions: tuple[str, ...]
    labels: tuple[bool, ...]


SHAPES = (Demonstration, Pair, Feedback, Prompt, Ranking, Steps)
_MESSAGE = {"role", "content"}
T = TypeVar("T")


class Rows(list[T]):
    """What `read` returns: the list of examples kept, and which rows were dropped and why."""

    dropped: dict[str, list[int]]  # reason -> numbers of the rows, counted from 1

    def __init__(self, rows: Iterable[T] = (), dropped: dict[str, list[int]] | None = None) -> None:
        super().__init__(rows)
        self.dropped = dropped or {}

    @property
    def rows(self) -> list[T]:
        """The examples as a plain list."""
        return list(self)

    def report(self) -> str:
        """One line to print: how many rows were kept, and how many were dropped for each reason."""
        reasons = [f"{len(numbers)} ({reason})" for reason, numbers in self.dropped.items()]
        return f"kept {len(self)}, dropped {', '.join(reasons) or 0}"


class BadRow(Exception):
    """Why a row is refused: `reason` is counted, `message` tells value, rule and repair."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


def read(
    source: Iterable[Mapping[str, Any]] | str | Path,
    shape: type[T],
    *,
    on_bad: str = "refuse",
    max_prompt_chars: int | None = 8000,
    convert: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
    limit: int | None = None,
) -> Rows[T]:
    """Rows as examples of one shape, each row checked; columns that the shape lacks are ignored.

    >>> rows = [{"prompt": "Say hi.", "chosen": "Hi!", "rejected": "No."},
    ...         {"prompt": "Say hi.", "chosen": "Hi!", "rejected": "Hi!"}]
    >>> pairs = read(rows, Pair, on_bad="drop")
    >>> pairs
    [Pair(prompt='Say hi.', chosen='Hi!', rejected='No.')]
    >>> pairs.dropped
    {'equal completions': [2]}
    >>> print(pairs.report())
    kept 1, dropped 1 (equal completions)

    Args:
        source: a list of dicts, one split of a Dataset, or the path of a file: .jsonl (UTF-8; blank
            lines are skipped, but counted), .json, either of them with .gz, or .parquet.
        shape: Demonstration, Pair, Feedback, Prompt, Ranking or Steps.
        on_bad: "refuse" raises at the first bad row; "drop" leaves bad rows out and keeps their
            numbers. Bad is: a missing column, a wrong type, a blank completion, equal completions,
            steps without a label each, a long prompt, broken JSON, text that is not UTF-8.
        max_prompt_chars: the longest prompt, in characters (of messages, their contents); None is
            no limit.
        convert: a row -> a dict with the shape's columns, for rows that have others; raises
            `BadRow`. `formats` holds those of public data.
        limit: rows to read, bad ones among them; None is all.

    Returns:
        The examples, a list whose `dropped` holds, by reason, the numbers of the rows left out:
        lines of a file, else positions, counted from 1.

    Raises:
        ValueError: for a bad row, with its number and the repair; for an unknown shape or on_bad.
        FileNotFoundError: if there is no such file.
    """
    if on_bad not in ("refuse", "drop"):
        raise ValueError(f"on_bad is {on_bad!r}; use 'refuse' or 'drop'")
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}; use one of {', '.join(s.__name__ for s in SHAPES)}")
    examples: Rows[T] = Rows()
    place, rows = numbered(source)
    for number, row in islice(rows, limit):
        try:
            examples.append(_example(row, shape, max_prompt_chars, convert))
        except BadRow as bad:
            if on_bad == "refuse":
                raise ValueError(
                    f"{place} {number}: {bad.message} (or leave bad rows out: on_bad='drop')"
                ) from None
            examples.dropped.setdefault(bad.reason, []).append(number)
    return examples


def _example(
    row: Any, shape: type[T], max_prompt_chars: int | None, convert: Callable | None
) -> T:
    """A row, or a line of JSON, as an example; raises BadRow."""
    if isinstance(row, bytes):
        row = decoded(row)
    if not isinstance(row, Mapping):
        raise BadRow("wrong type", f"the row is {_shown(row)}; use a dict of columns")
    row = row if convert is None else convert(row)
    values = {}
    for field in fields(shape):
        value = row.get(field.name)
        if value is not None:
            values[field.name] = _CHECKS[field.name](field.name, value)
        elif field.name != "answer":
            raise missing(row, field.name)
    _check_together(values, shape, max_prompt_chars)
    return shape(**values)


def missing(row: Mapping[str, Any], column: str) -> BadRow:
    """The error of a row that lacks a column."""
    columns = ", ".join(map(repr, row)) or "no columns"
    problem = "is null" if column in row else f"is missing among {columns}"
    return BadRow("missing column", f"column {column!r} {problem}; fill or rename it")


def decoded(line: bytes) -> Any:
    """A line of JSON; raises BadRow."""
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


def _text(column: str, value: Any) -> str:
    if not isinstance(value, str):
        repair = "the 'content' of its message" if isinstance(value, list) else "a string"
        raise BadRow("wrong type", f"column {column!r} is {_shown(value)}; use {repair}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"half a surrogate pair at character {error.start + 1}"
        raise BadRow("not UTF-8", f"column {column!r} has {half}; remove it") from None
    return value


def _completion(column: str, value: Any) -> str:
    if not _text(column, value).strip():
        raise BadRow("blank completion", f"column {column!r} is blank; write a reply")
    return value


def _label(column: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadRow("wrong type", f"column {column!r} is {_shown(value)}; use true or false")
    return value


def _prompt(column: str, value: Any) -> str | Messages:
    """A string, or messages, of which only role and content are kept."""
    if not isinstance(value, list):
        return _text(column, value)
    if not value or not all(isinstance(m, Mapping) and m.keys() >= _MESSAGE for m in value):
        rule = "use a string or one or more messages, dicts of 'role' and 'content'"
        raise BadRow("wrong type", f"column {column!r} is {_shown(value)}; {rule}")
    return [{key: _text(f"{column}.{key}", m[key]) for key in ("role", "content")} for m in value]


def _several(check: Callable[[str, Any], Any]) -> Callable[[str, Any], tuple]:
    def checked(column: str, values: Any) -> tuple:
        if not isinstance(values, list | tuple):
            raise BadRow("wrong type", f"column {column!r} is {_shown(values)}; use a list")
        return tuple(check(f"{column}[{i}]", value) for i, value in enumerate(values))

    return checked


_CHECKS = {
    "prompt": _prompt,
    "answer": _text,
    "label": _label,
    "labels": _several(_label),
    "completions": _several(_completion),
    **dict.fromkeys(("completion", "chosen", "rejected"), _completion),
}


def _check_together(values: dict[str, Any], shape: type, max_prompt_chars: int | None) -> None:
    """What no column shows alone: equal completions, steps without labels; and a long prompt."""
    prompt = values["prompt"]
    size = len(prompt) if isinstance(prompt, str) else sum(len(m["content"]) for m in prompt)
    if max_prompt_chars is not None and size > max_prompt_chars:
        rule = f"more than max_prompt_chars={max_prompt_chars}; shorten it or raise the limit"
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


def _shown(value: Any) -> str:
    """A value in an error, cut short, with its type."""
    return f"{reprlib.repr(value)} ({type(value).__name__})"
