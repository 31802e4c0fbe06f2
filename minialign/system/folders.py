"""Where the course's data and models lie, where runs are kept, and that one at a time writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

RUNS = "MINIALIGN_RUNS"  # the environment variable that names the folder of what was trained
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


def runs_folder() -> Path:
    """Where runs are kept: MINIALIGN_RUNS, else `runs` beside a clone's data, else in the cwd."""
    if os.environ.get(RUNS):
        return Path(os.environ[RUNS]).expanduser()
    clone = data_folder().parent
    return (clone if (clone / "notebooks").is_dir() else Path.cwd()) / "runs"


class OnlyRun:
    """While it is open, no other run may write into a folder; it ends with the process at least.

    Where the system has no locks, or nothing can be written beside the folder, there is none.

    Raises:
        RuntimeError: on entering, if another run is at it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        beside = self.folder.with_name(f"{self.folder.name}.lock")
        self.lock = FileLock(beside, blocking=False, fallback_to_soft=False)

    def __enter__(self) -> None:
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.lock.acquire()
        except Timeout:
            raise RuntimeError(
                f"another run is writing into {self.folder.name}; wait until it has ended, or give "
                "this one a checkpoint_dir of its own"
            ) from None
        except OSError:  # a finished run can be read where nothing can be written
            pass

    def __exit__(self, *_: object) -> None:
        if self.lock.is_locked:
            with suppress(OSError):
                os.unlink(self.lock.lock_file)  # whoever takes it up sees that it is gone
            self.lock.release()
