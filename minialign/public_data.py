"""Public data from the hub or from a file, as the course's shapes: `read_public`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from minialign.formats import FORMATS, told_by
from minialign.hub import require_hub
from minialign.readers import BadRow, Rows, decoded, read
from minialign.row_files import SUFFIXES, numbered


def read_public(
    name: str | Path,
    shape: type | None = None,
    *,
    split: str = "train",
    limit: int | None = None,
    on_bad: str = "drop",
    max_prompt_chars: int | None = 8000,
) -> Rows:
    """Examples of a public data set, its format told by the first row's columns.

    Args:
        name: a file (.jsonl, .json, either with .gz, .parquet), or a data set of the hub,
            "owner/name" or "owner/name:subset". Of the hub no more is loaded than is needed.
        shape: what the rows should become; None takes whatever they are.
        split: of a data set of the hub.
        limit: rows to read, bad ones among them; None is all.
        on_bad: "drop" leaves bad rows out and counts them; "refuse" raises at the first.
        max_prompt_chars: as in `read`.

    Raises:
        ValueError: if no format has the columns, or the rows are of another shape than asked.
        FileNotFoundError: if there is no such file.
        ConnectionError: if the hub does not answer.
    """
    source = name if _is_file(name) else _of_hub(str(name), split)
    known = FORMATS[told_by(_first(source))]
    if shape is not None and known.shape is not shape:
        raise ValueError(
            f"{name} holds rows for {known.shape.__name__}, and {shape.__name__} is asked for; "
            f"use a data set such as {_such_as(shape)}"
        )
    settings = {"on_bad": on_bad, "max_prompt_chars": max_prompt_chars, "limit": limit}
    return read(source, known.shape, convert=known.convert, **settings)


def _is_file(name: str | Path) -> bool:
    return isinstance(name, Path) or name.endswith(SUFFIXES)


def _of_hub(name: str, split: str) -> Iterable[Mapping[str, Any]]:
    from datasets import load_dataset  # seconds to import

    path, _, subset = name.partition(":")
    require_hub(f"the data set {path}")
    return load_dataset(path, subset or None, split=split, streaming=True)


def _first(source: Iterable | str | Path) -> Mapping[str, Any]:
    """The first row that can be read."""
    for _, row in numbered(source)[1]:
        with suppress(BadRow):
            row = decoded(row) if isinstance(row, bytes) else row
            if isinstance(row, Mapping):
                return row
    raise ValueError("there is no row of columns to tell the format by; use another file or split")


def _such_as(shape: type) -> str:
    examples = (known.example for known in FORMATS.values() if known.shape is shape)
    return ", ".join(filter(None, examples)) or "a file of your own"
