"""Google Colab, by a stand-in: runs go to Drive when asked, and a training goes on from there."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from minialign import colab, session, stages
from minialign.profiles import get, override


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A google.colab whose Drive is a folder; the list holds what was mounted."""
    mounted: list[str] = []
    google, inside, module = (
        ModuleType(name) for name in ("google", "google.colab", "google.colab.drive")
    )
    google.__path__ = []
    inside.drive, module.mount = module, mounted.append
    google.colab = inside
    for name, stand_in in (("google", google), ("google.colab", inside)):
        monkeypatch.setitem(sys.modules, name, stand_in)
    monkeypatch.setattr(colab, "MOUNT", tmp_path)
    monkeypatch.setenv("MINIALIGN_RUNS", "elsewhere")
    monkeypatch.delenv("MINIALIGN_DRIVE", raising=False)
    return mounted


@pytest.mark.parametrize(("asked", "folder"), [("1", "minialign"), ("course", "course")])
def test_runs_are_kept_on_drive_when_asked(drive, monkeypatch, tmp_path, capsys, asked, folder):
    monkeypatch.setenv("MINIALIGN_DRIVE", asked)
    session.start(0, "smoke", quiet=True)
    place = tmp_path / "MyDrive" / folder / "runs"
    assert drive == [str(tmp_path)] and place.is_dir()
    assert stages.runs_folder() == place and str(place) in capsys.readouterr().out


@pytest.mark.parametrize("asked", [None, "", "0"])
def test_drive_is_left_alone_when_not_asked(drive, monkeypatch, asked):
    if asked is not None:
        monkeypatch.setenv("MINIALIGN_DRIVE", asked)
    assert colab.in_colab() and colab.keep_on_drive() is None and drive == []


def test_elsewhere_there_is_no_drive(monkeypatch):
    monkeypatch.setenv("MINIALIGN_DRIVE", "1")
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    assert not colab.in_colab() and colab.keep_on_drive() is None


def test_after_a_disconnect_a_training_goes_on_from_drive(drive, monkeypatch, capsys):
    """The runtime is lost with all but Drive; the next one finds the checkpoint and the stages."""
    monkeypatch.setenv("MINIALIGN_DRIVE", "1")
    session.start(0, "smoke", quiet=True)
    sizes = override(get("smoke"), examples=32, steps=2)
    first = stages.stage("sft", profile=sizes)
    monkeypatch.setenv("MINIALIGN_RUNS", "lost")  # a new runtime
    session.start(0, "smoke", quiet=True)
    monkeypatch.setattr(stages, "_make", lambda *given: pytest.fail("trained again"))
    assert stages.stage("sft", profile=sizes) == first


def test_without_a_gpu_the_small_profile_says_where_there_is_one(drive, monkeypatch, capsys):
    import torch

    monkeypatch.setattr(session, "pick_device", lambda: torch.device("cpu"))
    session.start(0, "small")
    assert "choose Runtime, Change runtime type" in capsys.readouterr().out
    session.start(0, "tiny")
    assert "Change runtime type" not in capsys.readouterr().out
