"""Google Colab: runs kept on Drive, and a hint at its GPU."""

from __future__ import annotations

import os
import sys
from pathlib import Path

DRIVE = "MINIALIGN_DRIVE"  # "1", or the name of a folder in MyDrive
MOUNT = Path("/content/drive")
NO_GPU = "no GPU here: in Colab, choose Runtime, Change runtime type, T4 GPU; then run all again"


def in_colab() -> bool:
    """Whether this is a Colab runtime, whose kernels have imported google.colab already."""
    return sys.modules.get("google.colab") is not None


def keep_on_drive() -> Path | None:
    """If MINIALIGN_DRIVE asks for it, mount Drive and keep runs there from now on.

    Trainings save as they go and are found again after a disconnect: run all, and each goes on
    where it was.

    Returns:
        The folder, also set as MINIALIGN_RUNS; None where it is not asked for, or not in Colab.
    """
    setting = os.environ.get(DRIVE, "")
    if setting in ("", "0") or not in_colab():
        return None
    from google.colab import drive

    drive.mount(str(MOUNT))
    folder = MOUNT / "MyDrive" / ("minialign" if setting == "1" else setting) / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["MINIALIGN_RUNS"] = str(folder)
    print(f"runs are kept in {folder}")
    return folder
