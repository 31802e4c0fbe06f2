"""Public data from the hub or from a file, as the course's shapes: `read_public`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from minialign.data.formats import FORMATS, told_by_most
from minialign.data.readers import BadRow, Rows, examples, row_of
from minialign.data.row_files import OTHERS, SUFFIXES, numbered
from minialign.system.hub import is_name, require_hub

SAMPLE = 100  # rows by which the format is told


def read_public(
    name: str | Path | Iterable[Mapping[str, Any]],
    shape: type | None = None,
    *,
    split: str = "train",
    limit: int | None = None,
    on_bad: str = "drop",
    max_prompt_chars: int | None = 8000,
) -> Rows:
    """Examples of a public data set, its format told by the columns of its first hundred rows.

    Args:
        name: a file (.jsonl, .json, either with .gz, .parquet), or a data set of the hub,
            "owner/name" or "owner/name:subset". Of the hub no more is loaded than is needed. Rows
            in memory will do, too.
        shape: what the rows should become; None takes whatever they are.
        split: of a data set of the hub.
        limit: rows to read, bad ones among them; None is all.
        on_bad: "drop" leaves bad rows out and counts them; "refuse" raises at the first.
        max_prompt_chars: as in `read`.

    Raises:
        ValueError: if no format has the columns, the rows are of another shape than asked, a file
            is not what its name says, or a name is none.
        FileNotFoundError: if there is no such file.
        ConnectionError: if the hub does not answer.
    """
    if on_bad not in ("refuse", "drop"):
        raise ValueError(f"on_bad is {on_bad!r}; use 'refuse' or 'drop'")
    place, rows = numbered(_of_hub(name, split) if _is_of_hub(name) else name)
    first = list(islice(rows, SAMPLE))
    known = FORMATS[_told(first, shape)]
    if shape is not None and known.shape is not shape:
        what = name if isinstance(name, str | Path) else "the source"
        raise ValueError(
            f"{what} holds rows for {known.shape.__name__}, and {shape.__name__} is asked for; "
            f"use a data set such as {_such_as(shape)}"
        )
    rows = islice(chain(first, rows), limit)
    return examples(place, rows, known.shape, on_bad, max_prompt_chars, known.convert)


def _is_of_hub(name: Any) -> bool:
    """Whether a name is not that of a file, nor could be.

    >>> _is_of_hub("openai/gsm8k:main"), _is_of_hub("./nowhere"), _is_of_hub("rows.csv")
    (True, False, False)
    """
    if not isinstance(name, str) or name.endswith((*SUFFIXES, *OTHERS)):
        return False
    return not name.startswith((".", "/", "~")) and "\\" not in name and not Path(name).exists()


def _of_hub(name: str, split: str) -> Iterable[Mapping[str, Any]]:
    from datasets import load_dataset  # seconds to import
    from datasets.exceptions import DatasetNotFoundError

    path, _, subset = name.partition(":")
    if not is_name(path) or "//" in subset:  # a subset of "https" is an address
        raise ValueError(
            f"{name!r} is neither a file here nor a name of the hub; use a path such as "
            "data/rows.jsonl, or owner/name, or owner/name:subset"
        )
    require_hub(f"there is no file {path} here, and the data set {path}")
    try:
        return load_dataset(path, subset or None, split=split, streaming=True)
    except DatasetNotFoundError:
        raise FileNotFoundError(
            f"the hub has no data set {path} that may be read from here; check the name, or log in "
            "(hf auth login) if it is private"
        ) from None
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} cannot be loaded from the hub ({error}); name a subset as owner/name:subset"
        ) from None


def _told(numbered_rows: Iterable[tuple[int, Any]], shape: type | None) -> str:
    """The name of the format of rows or undecoded lines, of which some may be bad."""
    rows, bad = [], None
    for _, row in numbered_rows:
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


def _such_as(shape: type) -> str:
    examples = (known.example for known in FORMATS.values() if known.shape is shape)
    return ", ".join(filter(None, examples)) or "a file of your own"
