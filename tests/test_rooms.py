"""What the package gives by name: its public names, and the modules of a room."""

from __future__ import annotations

from pathlib import Path

import pytest

import minialign
from minialign import evaluate, rewards, variants, world


@pytest.mark.parametrize("name", minialign.PUBLIC)
def test_a_public_name_is_there(name: str):
    assert getattr(minialign, name).__name__ == name


@pytest.mark.parametrize(
    "room", [evaluate, rewards, variants, variants.loops, world], ids=lambda room: room.__name__
)
def test_a_room_has_its_modules_by_name(room):
    names = sorted(file.stem for file in Path(room.__file__).parent.glob("[a-z]*.py"))
    assert names
    for name in names:
        assert getattr(room, name).__name__ == f"{room.__name__}.{name}"
    with pytest.raises(AttributeError, match=f"{room.__name__} has no 'nothing'; see its folder"):
        room.nothing  # noqa: B018


def test_a_module_that_lacks_something_says_what(monkeypatch, tmp_path):
    (tmp_path / "broken.py").write_text("import a_package_that_is_not_there")
    monkeypatch.setattr(evaluate, "__path__", [str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        evaluate.broken  # noqa: B018
