"""The cache of trained stages: a folder is kept with its settings, made again if they differ."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from minialign.system.folders import runs_folder


def cached(name: str, settings: dict[str, Any], train: Callable[[Path], tuple[Any, Any]]) -> Path:
    """The folder `name` of the stages, made by `train` unless these settings made it before.

    Args:
        name: of the folder.
        settings: all that decides what it becomes; written to stage.json in it.
        train: a folder to work in -> what to save there, and a tokenizer. It is called again with
            the same folder, checkpoint and all, if it was interrupted.
    """
    folder = runs_folder() / "stages" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{name}.lock")):  # a second process waits, then reads
        if not _made_by(folder, settings):
            _make(folder, settings, train)
    return folder


def kept(name: str, settings: dict[str, Any]) -> Path | None:
    """The folder `name` of the stages if these settings have made it, else None."""
    folder = runs_folder() / "stages" / name
    return folder if _made_by(folder, settings) else None


def _make(folder: Path, settings: dict[str, Any], train: Callable) -> None:
    """Train beside the folder and move the result there when it is whole."""
    work = folder.with_name(folder.name + ".work")
    if not _made_by(work, settings):
        _remove(work)
        work.mkdir(parents=True)
        (work / "stage.json").write_text(json.dumps(settings, indent=2) + "\n")
    model, tokenizer = train(work)
    model.save_pretrained(work)
    tokenizer.save_pretrained(work)
    _remove(folder)
    work.rename(folder)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)  # half of one would be refused in work


def _remove(folder: Path) -> None:
    """Remove a folder; what a kill leaves of it says no longer what it is."""
    (folder / "stage.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _made_by(folder: Path, settings: dict[str, Any]) -> bool:
    try:
        return json.loads((folder / "stage.json").read_text()) == json.loads(json.dumps(settings))
    except (OSError, ValueError):
        return False


def fingerprint(file: Path) -> str:
    """A digest of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
