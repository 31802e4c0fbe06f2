"""The set-up of a notebook that lies alone, and Google Colab by a stand-in, with runs on Drive."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell

import minialign
from minialign.course import pipeline, session
from minialign.course.profiles import get, override
from minialign.course.stages import stage_cache
from minialign.system import colab, folders
from tools.notebooks import address as addresses


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
    assert folders.runs_folder() == place and str(place) in capsys.readouterr().out


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
    first = pipeline.stage("sft", profile=sizes)
    monkeypatch.setenv("MINIALIGN_RUNS", "lost")  # a new runtime
    session.start(0, "smoke", quiet=True)
    monkeypatch.setattr(stage_cache, "_make", lambda *given: pytest.fail("trained again"))
    assert pipeline.stage("sft", profile=sizes) == first


def test_without_a_gpu_the_small_profile_says_where_there_is_one(drive, monkeypatch, capsys):
    import torch

    monkeypatch.setattr(session, "pick_device", lambda: torch.device("cpu"))
    session.start(0, "small")
    assert "choose Runtime, Change runtime type" in capsys.readouterr().out
    session.start(0, "tiny")
    assert "Change runtime type" not in capsys.readouterr().out


ADDRESS = "https://github.com/owner/minialign"
ROOT = Path(minialign.__file__).parents[1]


def set_up(folder: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the set-up lines install where minialign lacks until then, in notebooks of a folder."""
    (folder / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(folder / "notebooks")
    course = sys.modules["minialign.course"]
    monkeypatch.setitem(sys.modules, "minialign", None)  # an import of it fails
    monkeypatch.setitem(sys.modules, "minialign.course", None)
    installed, names = [], {}

    class Shell:
        """Reads a magic's line as IPython does, with its {names}, and notes it."""

        @staticmethod
        def run_line_magic(magic: str, line: str) -> None:
            shell = InteractiveShell()
            shell.user_ns.update(names)
            installed.append(f"{magic} {shell.var_expand(line)}")
            monkeypatch.setitem(sys.modules, "minialign", minialign)
            monkeypatch.setitem(sys.modules, "minialign.course", course)

    names["get_ipython"] = Shell
    code = TransformerManager().transform_cell(addresses.setup(address))
    exec(compile(code, "set-up", "exec"), names)
    assert names["sessions"] is session
    return installed


def write_around(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


CLONE = ["minialign/__init__.py", "pyproject.toml"]
ELSEWHERE = {
    "nothing around": [],
    "another project": ["pyproject.toml", "other/__init__.py"],
    "an old style project": ["setup.py"],
    "a folder of that name": ["minialign/notes.txt", "pyproject.toml"],
    "the package alone": ["minialign/__init__.py"],
}


@pytest.mark.parametrize("address", ["", ADDRESS])
def test_in_a_clone_the_clone_is_installed(tmp_path, monkeypatch, address):
    write_around(tmp_path, CLONE)
    assert set_up(tmp_path, address, monkeypatch) == ["pip install -q .."]


@pytest.mark.parametrize("around", ELSEWHERE)
def test_a_lone_notebook_installs_from_the_address(tmp_path, monkeypatch, around):
    write_around(tmp_path, ELSEWHERE[around])
    assert set_up(tmp_path, ADDRESS, monkeypatch) == [f"pip install -q git+{ADDRESS}"]


@pytest.mark.parametrize("around", ELSEWHERE)
def test_without_an_address_a_lone_notebook_says_what_to_do(tmp_path, monkeypatch, around):
    write_around(tmp_path, ELSEWHERE[around])
    with pytest.raises(SystemExit) as stopped:
        set_up(tmp_path, "", monkeypatch)
    said = str(stopped.value)
    assert "download the whole repository" in said and "run all" in said
    assert "%pip install PATH_OR_ADDRESS_OF_minialign" in said and "\n" not in said


def test_where_minialign_is_installed_nothing_is(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "minialign", minialign)
    names = {"get_ipython": lambda: pytest.fail("installed again")}
    exec(TransformerManager().transform_cell(addresses.setup(ADDRESS)), names)
    assert names["sessions"] is session


@pytest.mark.slow
def test_run_all_stops_at_the_set_up_of_a_lone_notebook(tmp_path):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbformat.v4 import new_code_cell, new_notebook

    hidden = "import sys\nsys.modules['minialign'] = None\n"
    cells = [new_code_cell(hidden + addresses.setup("")), new_code_cell("print('went on')")]
    notebook = new_notebook(cells=cells)
    with pytest.raises(CellExecutionError, match=r"SystemExit.* minialign is not installed"):
        NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert not cells[1].outputs and not any("Traceback" in str(o) for o in cells[0].outputs)


@pytest.mark.parametrize("address", ["", ADDRESS])
def test_set_up_lines_fit_a_cell_and_are_found_again(address):
    lines = addresses.setup(address)
    assert max(map(len, lines.splitlines())) <= 88 and len(lines.splitlines()) <= 12
    assert addresses.SETUP_LINES.match(lines + "\nimport math\n")[0] == lines
    assert addresses.README_LINES.search(addresses.readme(address) + "\n- **Next**")[
        0
    ] == addresses.readme(address)


def test_badge_link_and_line_follow_from_the_one_address():
    text = addresses.readme(ADDRESS)
    start = "/github/owner/minialign/blob/main/notebooks/00_start_here.ipynb"
    assert f"](https://colab.research.google.com{start})" in text and ADDRESS in text
    assert "ADDRESS" in addresses.readme("") and "badge" not in addresses.readme("")


@pytest.mark.parametrize(
    "address", ["github.com/a/b", "https://github.com/a", "https://x.org/a/b", ADDRESS + "/tree/x"]
)
def test_an_address_that_colab_cannot_open_is_refused(address):
    for made in (addresses.setup, addresses.readme):
        with pytest.raises(ValueError, match=re.escape(f"{address!r}; write it as https://github")):
            made(address)


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="an installed package has none")
def test_readme_and_project_agree_with_the_setting():
    """If not: python -m tools.notebooks.save, and the same address in pyproject.toml."""
    assert addresses.readme() in (ROOT / "README.md").read_text(encoding="utf-8")
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"].get("urls", {})
    assert urls.get("Repository", "") == addresses.REPOSITORY
