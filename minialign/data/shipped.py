"""The course's own files: what its stages train on, read the way a learner's own data are read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minialign.data.checks import BadRow, brief, missing, row_of, text_of
from minialign.data.reading import Rows, examples
from minialign.data.shapes import Row
from minialign.data.sources import number_rows
from minialign.system.folders import data_folder

if TYPE_CHECKING:
    from datasets import Dataset


def shipped(
    name: str,
    shape: type | None,
    n: int | None = None,
    split: str = "train",
    convert: Callable[[Row], Row] | None = None,
) -> Rows:
    """The first `n` rows of a split of one of the course's files, or as many as there are.

    Args:
        name: "instructions" (prompt, completion), "preferences" (prompt, chosen, rejected) or
            "problems" (prompt, answer); data/README.md says what else their rows hold.
        shape: what the rows become, as in `read`; None leaves dicts of all columns.
        split: "train", "test" (held-out phrasings, subjects and templates), of instructions
            "families" (held-out kinds of task), or of problems "wordings" (held-out prompts).
        convert: as in `read`.

    Raises:
        ValueError: if there is no such file or split (the message lists those that there are), or a
            row was edited so that it is bad; the message has its line.
        FileNotFoundError: if there is no data folder, or no file in it yet.
    """
    place, rows = number_rows(shipped_file(name))
    lines = [(number, _split_of(line), line) for number, line in rows]
    splits = dict.fromkeys(other for _, other, _ in lines if other is not None)
    if split not in list(splits):  # a list: what has no hash is unknown, too
        raise ValueError(f"split is {split!r}, which {name} lack; use one of {', '.join(splits)}")
    own = ((number, line) for number, other, line in lines if other in (None, split))
    return examples(place, islice(own, n), shape, "refuse", None, convert)


def shipped_file(name: str) -> Path:
    """The path of one of the course's files, which `read` and DATASET take; raises as `shipped`."""
    folder = data_folder()
    known = sorted(path.stem for path in folder.glob("*.jsonl"))
    if not known:
        raise FileNotFoundError(
            f"{folder} holds no .jsonl file; write them with `python -m tools.world_builder.build`"
        )
    if name not in known:
        raise ValueError(f"name is {name!r}, which is unknown; use one of {', '.join(known)}")
    return folder / f"{name}.jsonl"


def shipped_problem(row: Row) -> dict[str, Any]:
    """A row of problems.jsonl with the columns and types that verifiers read; raises BadRow."""
    columns = {name: row.get(name) for name in ("prompt", "answer", "numbers", "level", "solution")}
    for name, value in columns.items():
        if value is None:
            raise missing(row, name)
    text_of("prompt", columns["prompt"])
    if not text_of("answer", columns["answer"]).isdecimal():
        rule = 'use a whole number as text, such as "13"'
        raise BadRow("no answer", f"column 'answer' is {brief(columns['answer'])}; {rule}")
    return {**columns, "answer": int(row["answer"]), "numbers": tuple(row["numbers"])}


def _split_of(line: Any) -> str | None:
    """The split of a line of a file; None of a broken line, which belongs to all."""
    try:
        return row_of(line).get("split", "train")
    except BadRow:
        return None


def load(name: str, split: str = "train") -> Dataset:
    """One split of a file of the course's data, in memory, for TRL and others that take a Dataset.

    Nothing is downloaded or cached on disk. The arguments and errors are those of `shipped`.
    """
    from datasets import Dataset  # seconds to import, which `read` does not need

    rows = shipped(name, None, split=split)
    return Dataset.from_list([{k: v for k, v in row.items() if k != "split"} for row in rows])
