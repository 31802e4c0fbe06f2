"""Rows of files and tables, numbered as their readers count them; nothing is ever unpickled."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

LINES = (".jsonl", ".jsonl.gz")  # one object per line
WHOLE = (".json", ".json.gz")  # a list of objects, or one object per line all the same
SUFFIXES = (*LINES, *WHOLE, ".parquet")
START = 4096  # bytes that tell a list from lines
BATCH = 1024  # rows of a parquet file in memory at a time


def numbered(source: Iterable[Mapping[str, Any]] | str | Path) -> tuple[str, Iterator]:
    """What a number counts, and (number, row): of a file of lines, the undecoded line.

    Raises:
        ValueError: for a mapping (a DatasetDict), a file of another kind, or a .json file that is
            neither a list nor lines.
        FileNotFoundError: if there is no such file.
    """
    if isinstance(source, Mapping):
        raise ValueError(
            f"source is a {type(source).__name__} of {', '.join(map(str, source))}; use one split "
            "of a DatasetDict, or a list of rows"
        )
    if not isinstance(source, str | Path):
        return "row", iter(enumerate(source, 1))
    path = Path(source)
    if not path.name.endswith(SUFFIXES):
        raise ValueError(
            f"source is {str(source)!r}; use a file that ends in {', '.join(SUFFIXES)}, a Dataset "
            "or a list"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; its folder or name may be misspelt")
    if path.suffix == ".parquet":
        return f"{path.name} row", enumerate(_parquet(path), 1)
    if path.name.endswith(WHOLE) and _starts_as_list(path):
        return f"{path.name} row", enumerate(_whole(path), 1)
    return f"{path.name} line", numbered_lines(path)


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, counted from 1; only b"\\n" ends one: JSON may hold U+2028."""
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line  # a byte order mark
            if line.strip():
                yield number, line


def _opened(path: Path) -> BinaryIO:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _starts_as_list(path: Path) -> bool:
    with _opened(path) as file:
        return file.read(START).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _whole(path: Path) -> list[Any]:
    with _opened(path) as file:
        try:
            return json.loads(file.read().decode("utf-8-sig"))
        except ValueError as error:  # of UTF-8, too
            raise ValueError(
                f"{path.name} is no JSON ({error}); write a list of objects, or one object per line"
            ) from None


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    from pyarrow import ArrowInvalid, parquet  # comes with datasets; half a second to import

    try:
        file = parquet.ParquetFile(path)
    except ArrowInvalid as error:
        raise ValueError(f"{path.name} is no parquet file ({error})") from None
    for batch in file.iter_batches(BATCH):
        yield from batch.to_pylist()
