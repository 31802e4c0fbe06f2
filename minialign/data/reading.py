"""Reading: rows from anywhere as examples of a shape, bad ones refused or counted by their number.

`read` takes rows in a shape's own columns, `read_public` tells the format by the columns. Files are
read line by line and not by `datasets`, which knows no numbers of lines and stops at the first bad
one; data sets of the hub come through it. Nothing that is read is ever evaluated or unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, islice
from pathlib import Path
from typing import Any

from minialign.data.checks import BadRow, example_of, refuse_other_split, row_of
from minialign.data.formats import FORMATS, told_by_most
from minialign.data.shapes import SHAPES, Row, T
from minialign.data.sources import number_rows

SAMPLE = 100  # rows by which the format is told


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
    source: Iterable[Row] | str | Path,
    shape: type[T],
    *,
    on_bad: str = "refuse",
    max_prompt_chars: int | None = 8000,
    convert: Callable[[Row], Row] | None = None,
    limit: int | None = None,
) -> Rows[T]:
    """Rows as examples of one shape, each row checked.

    Columns that the shape lacks are ignored, unless they would change what a row means (tools,
    images, system, history, weight ...): then the row is bad.

    >>> from minialign.data.shapes import Pair
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
    _check_on_bad(on_bad)
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}; use one of {', '.join(s.__name__ for s in SHAPES)}")
    place, rows = number_rows(source)
    return examples(place, islice(rows, limit), shape, on_bad, max_prompt_chars, convert)


def read_public(
    source: Iterable[Row] | str | Path,
    shape: type | None = None,
    *,
    split: str = "train",
    limit: int | None = None,
    on_bad: str = "drop",
    max_prompt_chars: int | None = 8000,
) -> Rows:
    """Examples of a public data set, its format told by the columns of its first hundred rows.

    Args:
        source: as `read` takes it, or a data set of the hub, "owner/name" or "owner/name:subset".
            Of the hub no more is loaded than is needed.
        shape: what the rows should become; None takes whatever they are.
        split: of a data set of the hub. Rows whose column `split` names another one, such as
            "test", are bad.
        limit: rows to read, bad ones among them; None is all.
        on_bad: "drop" leaves bad rows out and counts them; "refuse" raises at the first.
        max_prompt_chars: as in `read`.

    Raises:
        ValueError: if no format has the columns, the rows are of another shape than asked, a file
            is not what its name says, or a name is none.
        FileNotFoundError: if there is no such file.
        ConnectionError: if the hub does not answer.
    """
    _check_on_bad(on_bad)
    place, rows = number_rows(source, split)
    first = list(islice(rows, SAMPLE))
    known = FORMATS[_format_name(first, shape)]
    if shape is not None and known.shape is not shape:
        what = source if isinstance(source, str | Path) else "the source"
        such = [one.example for one in FORMATS.values() if one.shape is shape and one.example]
        raise ValueError(
            f"{what} holds rows for {known.shape.__name__}, and {shape.__name__} is asked for; "
            f"use a data set such as {', '.join(such) or 'a file of your own'}"
        )

    def convert(row: Row) -> Row:
        refuse_other_split(row, split)
        return known.convert(row)

    rows = islice(chain(first, rows), limit)
    return examples(place, rows, known.shape, on_bad, max_prompt_chars, convert)


def _check_on_bad(on_bad: str) -> None:
    if on_bad not in ("refuse", "drop"):
        raise ValueError(f"on_bad is {on_bad!r}; use 'refuse' or 'drop'")


def _format_name(pairs: Iterable[tuple[int, Any]], shape: type | None) -> str:
    """The name of the format of rows or undecoded lines, of which some may be bad."""
    rows, bad = [], None
    for _, row in pairs:
        try:
            rows.append(row_of(row))
        except BadRow as error:
            bad = bad or error
    if not rows:
        why = f" ({bad.message})" if bad else ""
        raise ValueError(
            f"there is no row of columns to tell the format by{why}; use another file or split"
        )
    return told_by_most(rows, shape)


def examples(
    place: str,
    rows: Iterable[tuple[int, Any]],
    shape: type[T] | None,
    on_bad: str,
    max_prompt_chars: int | None,
    convert: Callable[[Row], Row] | None,
) -> Rows[T]:
    """Numbered rows, or lines of JSON, as examples; the arguments are those of `read`.

    Without a shape they stay rows: what `convert` makes of them, with all columns.
    """
    result: Rows[T] = Rows()
    for number, row in rows:
        try:
            result.keep(number, example_of(row, shape, max_prompt_chars, convert))
        except BadRow as bad:
            if on_bad == "refuse":
                raise ValueError(
                    f"{place} {number}: {bad.message} (or leave bad rows out: on_bad='drop')"
                ) from None
            result.drop(number, bad)
    return result
