"""Readers: rows from anywhere as examples of one of six shapes, with bad rows refused or counted.

The fields of a shape are TRL's column names (Ranking is this course's own), so `asdict` of an
example is a row that TRL trains on. Nothing that is read is ever evaluated or unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from minialign.data.row_checks import (
    FRAME,
    JUDGED,
    UNREAD,
    BadRow,
    Messages,
    completion_of,
    decoded,
    label_of,
    missing,
    prompt_of,
    refuse_unread,
    refuse_unused,
    several,
    shown,
    text_of,
)
from minialign.data.row_files import numbered


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
T = TypeVar("T")


class Rows(list[T]):
    """A list of what was kept of some rows, which says what was dropped and why.

    Numbers are those of the rows: lines of a file, else positions, counted from 1.
    """

    numbers: list[int]  # of the rows kept
    dropped: dict[str, list[int]]  # reason -> numbers of the rows
    why: dict[str, str]  # reason -> what is wrong with the first of them, and the repair

    def __init__(self) -> None:
        super().__init__()
        self.numbers, self.dropped, self.why = [], {}, {}

    def keep(self, number: int, row: T) -> None:
        """Add an example."""
        self.append(row)
        self.numbers.append(number)

    def drop(self, number: int, bad: BadRow) -> None:
        """Count a row."""
        self.dropped.setdefault(bad.reason, []).append(number)
        self.why.setdefault(bad.reason, f"row {number}: {bad.message}")

    @property
    def rows(self) -> list[T]:
        """The examples as a plain list."""
        return list(self)

    def report(self) -> str:
        """One line to print: how many rows were kept, and how many were dropped for each reason."""
        reasons = [f"{len(numbers)} ({reason})" for reason, numbers in self.dropped.items()]
        return f"kept {len(self)}, dropped {', '.join(reasons) or 0}"


def read(
    source: Iterable[Mapping[str, Any]] | str | Path,
    shape: type[T],
    *,
    on_bad: str = "refuse",
    max_prompt_chars: int | None = 8000,
    convert: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
    limit: int | None = None,
) -> Rows[T]:
    """Rows as examples of one shape, each row checked.

    Columns that the shape lacks are ignored, unless they would change what a row means (tools,
    images, system, history, weight ...): then the row is bad.

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
            steps without a label each, a long prompt, broken JSON, text that is not UTF-8, a column
            that would have to be read.
        max_prompt_chars: the longest prompt, in characters (of messages, their contents); None is
            no limit.
        convert: a row -> a dict with the shape's columns, for rows that have others; raises
            `BadRow`. `formats` holds those of public data.
        limit: rows to read, bad ones among them; None is all.

    Returns:
        The examples, a list whose `numbers` and `dropped` say which rows were kept and left out.

    Raises:
        ValueError: for a bad row, with its number and the repair; for an unknown shape or on_bad.
        FileNotFoundError: if there is no such file.
    """
    if on_bad not in ("refuse", "drop"):
        raise ValueError(f"on_bad is {on_bad!r}; use 'refuse' or 'drop'")
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}; use one of {', '.join(s.__name__ for s in SHAPES)}")
    place, rows = numbered(source)
    return examples(place, islice(rows, limit), shape, on_bad, max_prompt_chars, convert)


def examples(
    place: str,
    rows: Iterable[tuple[int, Any]],
    shape: type[T],
    on_bad: str,
    max_prompt_chars: int | None,
    convert: Callable | None,
) -> Rows[T]:
    """Numbered rows, or lines of JSON, as examples; the arguments are those of `read`."""
    found: Rows[T] = Rows()
    for number, row in rows:
        try:
            found.keep(number, _example(row, shape, max_prompt_chars, convert))
        except BadRow as bad:
            if on_bad == "refuse":
                raise ValueError(
                    f"{place} {number}: {bad.message} (or leave bad rows out: on_bad='drop')"
                ) from None
            found.drop(number, bad)
    return found


def _example(row: Any, shape: type[T], max_prompt_chars: int | None, convert: Callable | None) -> T:
    """A row, or a line of JSON, as an example; raises BadRow."""
    row = row_of(row)
    refuse_unread(row, UNREAD if convert else (*UNREAD, *FRAME))
    refuse_unused(row, more=JUDGED if shape is Demonstration else ())
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


def row_of(row: Any) -> Mapping[str, Any]:
    """A row, or a line of JSON, as a dict of columns; raises BadRow."""
    row = decoded(row) if isinstance(row, bytes) else row
    if not isinstance(row, Mapping):
        raise BadRow("wrong type", f"the row is {shown(row)}; use a dict of columns")
    return row


_CHECKS = {
    "prompt": prompt_of,
    "answer": text_of,
    "label": label_of,
    "labels": several(label_of),
    "completions": several(completion_of),
    **dict.fromkeys(("completion", "chosen", "rejected"), completion_of),
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
