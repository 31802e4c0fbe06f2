"""Sources: rows of files, tables, lists and the hub, numbered as their readers count them.

Nothing is ever unpickled.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO

from minialign.data.shapes import Row
from minialign.system.hub import is_name, require_hub

LINES = (".jsonl", ".jsonl.gz")  # one object per line
WHOLE = (".json", ".json.gz")  # a list of objects, or one object per line all the same
SUFFIXES = (*LINES, *WHOLE, ".parquet")
START = 4096  # bytes that tell what a file holds
BATCH = 1024  # rows of a parquet file in memory at a time
BOM = b"\xef\xbb\xbf"
TO_LINES = 'to_json("rows.jsonl", orient="records", lines=True)'
# How a file begins that its name does not tell, what it is, and what to do.
FOREIGN = (
    (b"version https://git-lfs", "a Git LFS pointer, not the data", "run git lfs pull"),
    (b"PK\x03\x04", "a zip archive", "unpack it and name the file within"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it with zstd -d"),
    (b"BZh", "compressed by bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ", "compressed by xz", "unpack it with unxz"),
    (b"\xff\xfe", "UTF-16", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16", "save it as UTF-8"),
    (b"<", "HTML or XML, perhaps the page of an error", "download the data itself"),
    (b"PAR1", "a parquet file", "let its name end in .parquet"),
)
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
# Kinds of files that are not read, and what to do.
OTHERS = {
    ".csv": f"turn it into lines: pandas.read_csv(path).{TO_LINES}",
    ".tsv": f'turn it into lines: pandas.read_csv(path, sep="\\t").{TO_LINES}',
    ".xlsx": f"turn it into lines: pandas.read_excel(path).{TO_LINES}",
    ".arrow": f"turn it into lines: datasets.Dataset.from_file(path).{TO_LINES}",
    ".txt": 'write one JSON object per line, such as {"prompt": ..., "completion": ...}',
    ".gz": "its name must say what is within, such as rows.jsonl.gz",
    ".zst": "unpack it with zstd -d",
    **dict.fromkeys((".zip", ".tar", ".tgz"), "unpack it and name the file within"),
    **dict.fromkeys(
        (".pkl", ".pickle", ".pt"),
        "it may run code when it is loaded; write its rows as .jsonl where you trust it",
    ),
}


Numbered = tuple[str, Iterator[tuple[int, Any]]]  # what a number counts; number, row


def number_rows(source: Iterable[Row] | str | Path, split: str | None = None) -> Numbered:
    """What a number counts, and (number, row): of a file of lines, the undecoded line.

    With a split, a name that could be no file's is a data set of the hub.

    Raises:
        ValueError: for a mapping (a DatasetDict), a file of another kind, or one that does not hold
            what its name says; for what is no name of the hub.
        FileNotFoundError: if there is no such file, or no such data set.
        ConnectionError: if the hub does not answer.
    """
    if split is not None and _is_of_hub(source):
        source = _of_hub(source, split)
    if isinstance(source, Mapping):
        raise ValueError(
            f"source is a {type(source).__name__} of {', '.join(map(str, source))}; use one split "
            "of a DatasetDict, or a list of rows"
        )
    if isinstance(source, str | Path):
        return _number_file(Path(source).expanduser())
    if not isinstance(source, Iterable) or isinstance(source, bytes):
        raise ValueError(
            f"source is {source!r}; use the path of a file, one split of a Dataset, or a list of "
            "rows"
        )
    return "row", iter(enumerate(source, 1))


def _is_of_hub(name: Any) -> bool:
    """Whether a name is not that of a file, nor could be.

    >>> _is_of_hub("openai/gsm8k:main"), _is_of_hub("./nowhere"), _is_of_hub("rows.csv")
    (True, False, False)
    """
    if not isinstance(name, str) or name.endswith((*SUFFIXES, *OTHERS)):
        return False
    return not name.startswith((".", "/", "~")) and "\\" not in name and not Path(name).exists()


def _of_hub(name: str, split: str) -> Iterable[Row]:
    """The rows of a split, loaded as they are read."""
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


def _number_file(path: Path) -> Numbered:
    _check_path(path)
    if path.suffix == ".parquet":
        return f"{path.name} row", enumerate(_parquet(path), 1)
    _check_start(path)
    rows = _list(path)
    if rows is not None:
        return f"{path.name} row", iter(enumerate(rows, 1))
    return f"{path.name} line", number_lines(path)


def _check_path(path: Path) -> None:
    """Raise in one sentence if there is no such file, or it is a folder or of another kind."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; {_inside(path)}")
    known = path.name.endswith(SUFFIXES)
    if not known and (path.is_file() or path.suffix):
        repair = OTHERS.get(path.suffix.lower(), "rename it if it is one, or use a list of rows")
        raise ValueError(
            f"source is {str(path)!r}; use a file that ends in {', '.join(SUFFIXES)} ({repair})"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; {_near(path)}")


def _inside(folder: Path) -> str:
    """What to do with a folder."""
    if (folder / "dataset_info.json").is_file():
        return f"write its rows as lines: datasets.load_from_disk(path).{TO_LINES}"
    files = sorted(path.name for path in folder.iterdir() if path.name.endswith(SUFFIXES))
    if files:
        return f"name one of its files, such as {folder / files[0]}"
    return f"it holds no file that ends in {', '.join(SUFFIXES)}; name one elsewhere"


def _near(path: Path) -> str:
    """What a misspelt path may have meant."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent} either, seen from {Path.cwd()}"
    names = [other.name for other in path.parent.iterdir()]
    if near := get_close_matches(path.name, names, 1):
        return f"did you mean {path.parent / near[0]}?"
    return f"its folder or name may be misspelt, seen from {Path.cwd()}"


def number_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    r"""Lines that are not blank, counted from 1; only b"\n" ends one: JSON may hold U+2028."""
    number = 0
    with _open(path) as file:
        try:
            for number, line in enumerate(file, 1):
                line = line.removeprefix(BOM) if number == 1 else line
                if line.strip():
                    yield number, line
        except DAMAGED as error:
            raise _damage(path, error, f"after line {number}") from None


def _open(path: Path) -> BinaryIO:
    """The file's bytes, unpacked if they are gzip's, whatever the name says."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")


def _damage(path: Path, error: Exception, place: str) -> ValueError:
    what = "is cut short" if isinstance(error, EOFError) else f"is damaged ({error})"
    return ValueError(f"{path.name} {what} {place}; download or pack it again")


def _check_start(path: Path) -> None:
    """Raise in one sentence if a file cannot hold JSON."""
    with _open(path) as file:
        try:
            start = file.read(START)
        except DAMAGED as error:
            raise _damage(path, error, "at its start") from None
    if not start:
        raise ValueError(f"{path.name} is empty; write one JSON object per line")
    _refuse_foreign(path, start)
    if b"\0" in start[:4]:
        raise ValueError(f"{path.name} is UTF-16 or no text; save it as UTF-8")


def _refuse_foreign(path: Path, start: bytes) -> None:
    for mark, what, repair in FOREIGN:
        if start.removeprefix(BOM).lstrip().startswith(mark):
            raise ValueError(f"{path.name} is {what}; {repair}")


def _list(path: Path) -> list[Any] | None:
    """The rows of a file that is one list, on one line or on many; None if it holds lines."""
    _, first = next(number_lines(path), (0, b""))
    alone, _ = _parse(first)
    if isinstance(alone, Mapping) or not first.lstrip().startswith((b"[", b"{")):
        return None
    with _open(path) as file:
        try:
            whole, error = _parse(file.read().removeprefix(BOM))
        except DAMAGED as cut:
            raise _damage(path, cut, "within its list") from None
    named = path.name.endswith(WHOLE)
    if isinstance(whole, list) and (named or any(isinstance(row, Mapping) for row in whole)):
        return whole
    if isinstance(whole, Mapping):
        lists = [name for name, value in whole.items() if isinstance(value, list)]
        repair = f"write the list {lists[0]!r} alone" if lists else "write one object per line"
        raise ValueError(f"{path.name} is one JSON object over several lines; {repair}")
    if named and alone is None and first.lstrip().startswith(b"["):
        raise ValueError(
            f"{path.name} is no JSON ({error}); write a list of objects, or one object per line"
        )
    return None


def _parse(text: bytes) -> tuple[Any, Exception | None]:
    """What a text of JSON holds, or None and why it is none."""
    try:
        return json.loads(text.decode()), None
    except (ValueError, RecursionError) as error:  # of UTF-8, too
        return None, error


def _parquet(path: Path) -> Iterator[Any]:
    """The rows; one that cannot be read is the error that says why."""
    from pyarrow import ArrowException, parquet  # comes with datasets; half a second to import

    with path.open("rb") as file:
        start = file.read(START)
    if not start.startswith(b"PAR1"):
        _refuse_foreign(path, start)
    try:
        for batch in parquet.ParquetFile(path).iter_batches(BATCH):
            for i in range(len(batch)):
                try:
                    yield batch.slice(i, 1).to_pylist()[0]
                except ValueError as error:  # a text that is not UTF-8, a date beyond all calendars
                    yield error
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path.name} is no parquet file ({error})") from None
