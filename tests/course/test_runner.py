"""The course without a screen: what runs, what is refused, what is said."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from course_cases import PARAMETERS, code, write

from minialign.__main__ import main
from minialign.course.execution import plan as plans
from minialign.course.execution.outcome import highlights
from minialign.system.terminal import StatusLine


def test_a_failing_cell_is_named_and_the_others_run(executed):
    status, printed, root = executed
    assert status == 1
    lines = printed.splitlines()
    assert lines[0].startswith("[1/2] 01_one  ok, 10 cells  ")
    assert lines[1].startswith("[2/2] 02_two  FAILED  cell 4: ValueError: too small<script>")
    assert lines[2].startswith("1 of 2 notebooks ran through in ")
    assert lines[3].startswith("02_two.ipynb, cell 4: ValueError: too small")
    assert lines[4] == "    the cell begins: too_small = 3"
    assert "\x1b" not in printed and "\x07" not in printed and "\u202e" not in printed
    copy = nbformat.read(root / "out" / "02_two.ipynb", as_version=4)
    assert not any(o for c in copy.cells if "never" in c.source for o in c.outputs)


def test_the_kernel_is_this_python_in_the_notebooks_folder(executed):
    _, _, root = executed
    shown = highlights(root / "out" / "01_one.ipynb").headlines.splitlines()
    assert shown[:3] == ["smoke 7 <b> smoke", str(root / "notebooks"), sys.executable]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Two notebooks, of which only the second one has BETA."""
    beta = code("SEED = 0\nBETA = 0.1", "parameters")
    there = write(tmp_path / "notebooks", n01_one=[PARAMETERS], n04_dpo=[beta])
    monkeypatch.setenv("MINIALIGN_NOTEBOOKS", str(there))
    monkeypatch.chdir(tmp_path)
    return there


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--set", "BETA=1"],
            "01_one has no parameter 'BETA'; it has PROFILE, SEED, NOTE. Set one",
        ),
        (["4", "--set", "beta=1"], "04_dpo has no parameter 'beta'; it has SEED, BETA."),
        (["--out", "notebooks"], "the notebooks' own folder; name another for the copies"),
        (["--out", "notebooks/01_one.ipynb/x"], "01_one.ipynb/x, which cannot be made"),
        (["3"], "there is no notebook '3'; the numbers are 1, 4"),
        (["--profile", "huge"], "profile is 'huge', but there is only smoke, tiny, small"),
        (["--set", "SEED"], "--set 'SEED' is no NAME=VALUE"),
        (["1", "--set", "PROFILE=x", "--profile", "tiny"], "PROFILE is given by --profile and"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_runs(folder, capsys, arguments, message):
    with pytest.raises(SystemExit) as refused:
        main(["course", *arguments])
    assert refused.value.code == 2
    assert message in capsys.readouterr().err
    assert not (folder.parent / "runs").exists()


def test_without_a_command_the_help_and_the_first_step_are_shown(capsys):
    assert main([]) == 0
    said = capsys.readouterr().out
    assert all(command in said for command in ("course", "doctor", "chat", "study"))
    assert "first step: `python -m minialign doctor`" in said


@pytest.mark.parametrize("wrong", ["nosuch", "--nosuch"])
def test_a_command_that_there_is_not_is_refused(wrong, capsys):
    with pytest.raises(SystemExit) as refused:
        main([wrong])
    assert refused.value.code == 2 and "usage" in capsys.readouterr().err


def test_a_file_that_is_no_notebook_is_refused(folder, capsys):
    (folder / "02_broken.ipynb").write_text("{")
    with pytest.raises(SystemExit):
        main(["course"])
    assert "the parameters of 02_broken.ipynb cannot be read" in capsys.readouterr().err
    assert len(plans.plan(["1"]).notebooks) == 1


def test_numbers_choose_notebooks_in_their_order(folder):
    names = [path.stem for path in plans.plan(["04", "1"]).notebooks]
    assert names == ["01_one", "04_dpo"]
    assert [path.stem for path in plans.plan(["4"], settings=["BETA=1"]).notebooks] == ["04_dpo"]


def test_the_profile_is_a_parameter_where_there_is_one(folder):
    plan = plans.plan(profile="smoke", settings=["SEED=1"])
    assert list(plan.parameters.values()) == [{"PROFILE": "smoke", "SEED": 1}, {"SEED": 1}]


def test_values_are_read_as_papermill_reads_them():
    from papermill.cli import _resolve_type

    for text in (
        "1",
        "-2",
        "1.5",
        "1e-3",
        "True",
        "False",
        "None",
        "true",
        "a b",
        "[1]",
        "__x__()",
    ):
        assert plans.parse_value(text) == _resolve_type(text), text
        assert type(plans.parse_value(text)) is type(_resolve_type(text)), text


def test_jobs_share_the_cores(folder, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert plans.environment_for(plans.plan(jobs=3), 8)["OMP_NUM_THREADS"] == "2"
    assert plans.environment_for(plans.plan(jobs=3), 2)["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in plans.environment_for(plans.plan(), 8)


def test_the_notebooks_are_found_like_the_data(tmp_path, monkeypatch):
    monkeypatch.delenv("MINIALIGN_NOTEBOOKS", raising=False)
    monkeypatch.setattr(plans, "_PACKAGE", tmp_path / "site" / "minialign")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    with pytest.raises(FileNotFoundError, match="work in a clone of minialign"):
        plans.notebook_folder()
    for place in ("notebooks", "site/notebooks"):  # the later one wins
        (tmp_path / place).mkdir(parents=True)
        there = write(tmp_path / place, n00_start=[])
        assert plans.notebook_folder() == there
    monkeypatch.setenv("MINIALIGN_NOTEBOOKS", str(tmp_path / "typo"))
    with pytest.raises(FileNotFoundError, match="which holds no"):
        plans.notebook_folder()


def test_the_line_is_redrawn_on_a_terminal_and_silent_in_a_log():
    log, terminal = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True
    for stream in (log, terminal):
        line = StatusLine(stream)
        line.show("[1/2] 01_one  cell 3/9  0:01")
        line.say("[1/2] 01_one  ok")
    assert log.getvalue() == "[1/2] 01_one  ok\n"
    assert terminal.getvalue().startswith("\r[1/2] 01_one  cell 3/9  0:01 ")
    assert terminal.getvalue().endswith("\r[1/2] 01_one  ok\n")
    assert terminal.getvalue().count("\n") == 1


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.slow
def test_interrupt_stops_the_kernel_and_writes_the_page(tmp_path):
    sleepy = [
        code(
            f"import os, pathlib\npathlib.Path({str(tmp_path / 'pid')!r}).write_text("
            "str(os.getpid()))\nimport time; time.sleep(60)"
        )
    ]
    write(tmp_path / "notebooks", n01_sleepy=sleepy, n02_next=[code("1")])
    environment = os.environ | {"MINIALIGN_NOTEBOOKS": str(tmp_path / "notebooks")}
    command = [sys.executable, "-m", "minialign", "course", "--out", "out"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in background
    )
    for _ in range(3000):  # ends far earlier, except on a very busy machine
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert printed.splitlines()[0] == "stopping ..." and "0 of 2 notebooks" in printed
    page = (tmp_path / "out" / "index.html").read_text()
    assert ">stopped<" in page and ">not run<" in page
    assert not alive(int((tmp_path / "pid").read_text()))
