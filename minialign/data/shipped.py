"""Data: where the course's files lie, `load` for those, and `read` for rows from anywhere else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minialign.data.readers import (
    Demonstration,
    Feedback,
    Messages,
    Pair,
    Prompt,
    Ranking,
    Rows,
    Steps,
    read,
)
from minialign.data.row_files import numbered_lines

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "Demonstration",
    "Feedback",
    "Messages",
    "Pair",
    "Prompt",
    "Ranking",
    "Rows",
    "Steps",
    "data_folder",
    "load",
    "read",
]

_PACKAGE = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """The course's data, found from a clone, an editable install, an installed wheel or Colab.

    Looked for in this order: the environment variable MINIALIGN_DATA (which must be right if it is
    set), beside the package (clone, editable install), inside it (wheel), `data` in the current
    directory and its parents, and `minialign/data` in the current directory (a clone beside a
    notebook).

    Raises FileNotFoundError if there is none, or if MINIALIGN_DATA names another folder.
    """
    named = os.environ.get("MINIALIGN_DATA")
    if named:
        folder = Path(named).expanduser().resolve()
        if not _is_data(folder):
            raise FileNotFoundError(
                f"MINIALIGN_DATA is {named!r}, which does not hold README.md and models/; set it "
                "to the data folder of a clone of minialign, or unset it"
            )
        return folder
    for folder in _places():
        if _is_data(folder):
            return folder
    raise FileNotFoundError(
        f"no data folder (one with README.md and models/) beside or inside {_PACKAGE}, nor in or "
        f"above {Path.cwd()}; work in a clone of minialign, or set MINIALIGN_DATA to its data/"
    )


def _places() -> Iterator[Path]:
    yield _PACKAGE.parent / "data"
    yield _PACKAGE / "_data"
    here = Path.cwd()
    for folder in (here, *here.parents):
        yield folder / "data"
    yield here / "minialign" / "data"


def _is_data(folder: Path) -> bool:
    return (folder / "README.md").is_file() and (folder / "models").is_dir()


def load(name: str, split: str = "train") -> Dataset:
    """One split of a file of the course's data, in memory: nothing is downloaded or cached on disk.

    Args:
        name: "instructions" (prompt, completion), "preferences" (prompt, chosen, rejected) or
            "problems" (prompt, answer); data/README.md says what else their rows hold.
        split: "train", "test" (held-out phrasings, subjects and templates) or, of instructions,
            "families" (held-out kinds of task).

    Raises:
        ValueError: if there is no such file or split; the message lists those that there are.
        FileNotFoundError: if there is no data folder, or no file in it yet.
    """
    from datasets import Dataset  # seconds to import, which `read` does not need

    folder = data_folder()
    known = sorted(path.stem for path in folder.glob("*.jsonl"))
    if not known:
        raise FileNotFoundError(
            f"{folder} holds no .jsonl file; write them with `python -m tools.world_builder.build`"
        )
    if name not in known:
        raise ValueError(f"name is {name!r}, which is unknown; use one of {', '.join(known)}")
    splits: dict[str, list[dict[str, Any]]] = {}
    for _, line in numbered_lines(folder / f"{name}.jsonl"):
        row = json.loads(line)
        splits.setdefault(row.pop("split"), []).append(row)
    if split not in list(splits):  # a list: what has no hash is unknown, too
        raise ValueError(f"split is {split!r}, which {name} lack; use one of {', '.join(splits)}")
    return Dataset.from_list(splits[split])
