"""The loader of data/world: one reading, and errors that say what to mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from minialign.world import tables as module
from minialign.world.tables import wording


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for data/world; what the tests read there is forgotten afterwards."""
    (tmp_path / "world").mkdir()
    monkeypatch.setattr(module, "data_folder", lambda: tmp_path)
    wording.cache_clear()
    yield tmp_path / "world"
    wording.cache_clear()


def test_a_file_is_read_once(folder: Path) -> None:
    (folder / "shop.toml").write_text('goods = ["jam"]\n')
    first = wording("shop")
    assert first == {"goods": ["jam"]}
    (folder / "shop.toml").write_text("goods = []\n")
    assert wording("shop") is first


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"world.shop\.toml is missing.*MINIALIGN_DATA"):
        wording("shop")


def test_a_file_that_is_no_toml_is_named_with_the_line(folder: Path) -> None:
    (folder / "shop.toml").write_text("goods = \n")
    with pytest.raises(ValueError, match=r"shop\.toml is not TOML: .*line 1.*; mend that line"):
        wording("shop")
