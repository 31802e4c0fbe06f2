"""The data folder is found from a clone, an installed wheel and Colab, and a wheel holds it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from minialign.system import folders as data

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def data_at(folder: Path) -> Path:
    """A stand-in data folder, recognisable as one."""
    (folder / "models" / "tiny-base").mkdir(parents=True)
    (folder / "README.md").write_text("cards")
    return folder.resolve()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which the package lies in site/minialign, the work in a/b, and data nowhere."""
    work = tmp_path / "a" / "b"
    work.mkdir(parents=True)
    monkeypatch.delenv("MINIALIGN_DATA", raising=False)
    monkeypatch.setattr(data, "_PACKAGE", tmp_path / "site" / "minialign")
    monkeypatch.chdir(work)
    return tmp_path


def test_this_repository_has_a_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("MINIALIGN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert data.data_folder() == ROOT / "data"


PLACES = ("site/data", "site/minialign/_data", "a/b/data", "a/data", "data", "a/b/minialign/data")


@pytest.mark.parametrize("place", PLACES)
def test_data_is_found_in_each_place(bare: Path, place: str):
    there = data_at(bare / place)
    assert data.data_folder() == there


def test_earlier_places_win(bare: Path, monkeypatch: pytest.MonkeyPatch):
    for place in reversed(PLACES):
        there = data_at(bare / place)
        assert data.data_folder() == there
    monkeypatch.setenv("MINIALIGN_DATA", str(data_at(bare / "named")))
    assert data.data_folder() == bare / "named"


def test_a_strangers_data_folder_is_passed_over(bare: Path):
    (bare / "site" / "data" / "models").mkdir(parents=True)
    (bare / "a" / "b" / "data").mkdir()
    (bare / "a" / "b" / "data" / "README.md").write_text("another project")
    with pytest.raises(FileNotFoundError, match="set MINIALIGN_DATA to its data/"):
        data.data_folder()
    there = data_at(bare / "data")
    assert data.data_folder() == there


def test_a_wrong_environment_variable_is_an_error(bare: Path, monkeypatch: pytest.MonkeyPatch):
    data_at(bare / "data")
    monkeypatch.setenv("MINIALIGN_DATA", str(bare / "typo"))
    with pytest.raises(FileNotFoundError, match=r"typo.* README\.md and models/; set it to"):
        data.data_folder()
    monkeypatch.setenv("MINIALIGN_DATA", "")  # as good as unset
    assert data.data_folder() == bare / "data"


def test_every_package_is_in_the_wheel():
    found = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for file in (ROOT / "minialign").rglob("__init__.py")
    }
    missing = (found | {"minialign._data"}) ^ set(SETTINGS["packages"])
    assert not missing, f"make tool.setuptools.packages of pyproject.toml agree on {missing}"


def test_every_committed_data_file_is_in_the_wheel():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "data"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    taken = {
        file
        for pattern in SETTINGS["package-data"]["minialign._data"]
        for file in (ROOT / "data").glob(pattern)
    }
    left_out = [name for name in listed.stdout.split("\0") if name and ROOT / name not in taken]
    assert not left_out, f"tool.setuptools.package-data of pyproject.toml leaves out {left_out}"


def build_wheel(folder: Path) -> Path:
    """The wheel of a copy of the sources with stand-in data, so that the repository stays clean."""
    pytest.importorskip("pip")
    source = folder / "source"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "minialign", source / "minialign", ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shipped = data_at(source / "data")
    (shipped / "models" / "tiny-base" / "config.json").write_text("{}")
    (shipped / "facts.jsonl").write_text('{"split": "train", "prompt": "Who?", "answer": "Mia."}\n')
    (shipped / "runs").mkdir()
    (shipped / "runs" / "ppo.csv").write_text("step,reward\n")
    (shipped / "models" / "tiny-base" / "work").mkdir()
    (shipped / "models" / "tiny-base" / "work" / "moments.safetensors").write_text("not shipped")
    try:
        recent = int(version("setuptools").split(".")[0]) >= 77
    except PackageNotFoundError:
        recent = False
    offline = ["--no-build-isolation"] if recent else []  # else pip fetches the setuptools it needs
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *offline, ".", "-w", ".."]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return next(folder.glob("minialign-*.whl"))


@pytest.mark.slow
def test_a_wheel_holds_the_data_and_finds_it(tmp_path: Path):
    clutter = [ROOT / "build", ROOT / "dist", ROOT / "minialign" / "_data"]
    before = [path.exists() for path in clutter]
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        shipped = {name for name in wheel.namelist() if "/_data/" in name}
        wheel.extractall(installed)
    assert shipped == {
        f"minialign/_data/{name}"
        for name in ("README.md", "facts.jsonl", "models/tiny-base/config.json", "runs/ppo.csv")
    }
    code = (
        "import minialign, minialign.data.shipped as d\n"
        "print(minialign.__file__, d.data_folder(), d.load('facts')[0]['answer'], sep='\\n')"
    )
    environment = {k: v for k, v in os.environ.items() if k != "MINIALIGN_DATA"}
    environment |= {"PYTHONPATH": str(installed), "HF_HOME": str(tmp_path / "hub")}
    command = [sys.executable, "-c", code]
    printed = subprocess.run(
        command, cwd=elsewhere, env=environment, capture_output=True, text=True
    )
    assert printed.returncode == 0, printed.stderr
    package = installed.resolve() / "minialign"
    assert printed.stdout.splitlines() == [
        str(package / "__init__.py"),
        str(package / "_data"),
        "Mia.",
    ]
    assert not list(elsewhere.iterdir())
    assert [path.exists() for path in clutter] == before
