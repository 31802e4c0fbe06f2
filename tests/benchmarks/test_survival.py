"""The survival benchmark with few tries: that each part finds nothing, and would find something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from benchmarks.report import ROOT
from benchmarks.survival import code, disk, hostile, notebooks, texts
from benchmarks.survival.outcome import Outcome, keep, write_page
from minialign.show import tokens

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="parts fork, and limit a process")


def run(part: str, record: Path, *options: str) -> list[dict]:
    """The outcomes of a part, run as a reader runs it: it forks, and needs a single thread."""
    command = [sys.executable, "-m", "benchmarks.survival", "--only", part, "--record", str(record)]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return json.loads(record.read_text())[part]["outcomes"]


# --- each part, with few tries


def test_killed_loops_end_bit_equal(tmp_path):
    loops, stages = run("kills", tmp_path / "r.json", "--kills", "8")
    assert loops["tries"] + stages["tries"] == 8 and loops["failures"] == stages["failures"] == 0
    assert "; 0 went on from before the last save" in loops["happened"]
    page = (tmp_path / "r.md").read_text()
    assert "`python -m benchmarks.survival --only kills --kills 8`" in page and "torch " in page


def test_a_disk_that_is_full_or_read_only():
    found = disk.measure(["sft", "ppo"])
    assert len(found) >= 2 and all((one.tries, one.failures) == (2, 0) for one in found)


def test_two_runs_on_one_folder(tmp_path):
    (found,) = run("folders", tmp_path / "r.json", "--pairs", "2")
    assert (found["tries"], found["failures"]) == (2, 0)


@pytest.mark.slow
def test_full_memory(tmp_path):
    real, stand_in = run("memory", tmp_path / "r.json")
    assert real["tries"] >= 5 and stand_in["failures"] == 0


@pytest.mark.slow
def test_a_course_that_is_killed(tmp_path):
    (found,) = run("course", tmp_path / "r.json", "--course-kills", "2")
    assert found["tries"] >= 1 and found["failures"] == 0


def test_hostile_texts():
    found = texts.measure(300, seed=1)
    assert [one.failures for one in found] == [0, 0, 0]
    assert [one.tries for one in found] == [300, 300, 6]


def test_code_in_files():
    found = code.measure()
    assert sum(one.tries for one in found) == 30 and not any(one.failures for one in found)
    whole = {"pickles in place of weights", "chat templates that leave Jinja's sandbox"}
    assert all(f"{one.tries} were refused" in one.happened for one in found if one.threat in whole)


# --- that a fault would be found


def test_a_display_that_lets_a_tag_through_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "escape", str)
    met = texts.timed(
        lambda text: texts.displayed(text, tmp_path), iter(hostile.PAGES), 1.0, lambda: 0.0
    )
    assert len(met["failed"]) >= 5
    assert any("<script" in line for line in met["failed"])


def test_a_text_that_takes_long_or_raises_is_counted():
    clock = iter([0.0, 0.5, 1.0, 3.0])
    met = texts.timed(lambda text: 1 / len(text), iter(["a", ""]), 1.0, lambda: next(clock))
    assert (met["tries"], met["over"], met["worst"]) == (2, 1, 2.0)
    assert "ZeroDivisionError" in met["failed"][0]


def test_code_that_ran_is_counted(capsys):
    def make(place, canary):
        return canary.touch

    found = code._outcome("a threat", {"one": make})
    assert found.failures == 1 and found.happened.startswith("1 ran; 0 were refused")


def test_a_bomb_would_go_off(tmp_path):
    import pickle

    pickle.loads(code.pickled(tmp_path / "canary"))
    assert (tmp_path / "canary").exists()


def test_an_error_without_its_repair_is_a_failure(tmp_path, monkeypatch):
    real, calls = disk.checkpoint.save_checkpoint, []

    def save(*given):
        calls.append(given)
        if len(calls) == disk.FAILS_AT:
            raise OSError("No space left on device")
        real(*given)

    monkeypatch.setattr(disk.checkpoint, "save_checkpoint", save)
    assert disk.survives("sft", disk.short_files, tmp_path / "run")[0] is False


def test_completions_have_every_kind_and_come_again():
    found = list(hostile.completions(2000, seed=3))
    assert found == list(hostile.completions(2000, seed=3)) != list(hostile.completions(2000, 4))
    for piece in ("<script>", "9**9**9**9", "\u202e", "\x00", "\ud800", "\\boxed{", hostile.MARK):
        assert any(piece in text for text in found), piece
    assert max(map(len, found)) > 10_000
    rng = Random(0)
    assert all(isinstance(kind(rng), str) for kind in hostile.KINDS.values())


def test_one_part_again_leaves_the_others_lines(tmp_path):
    record, page = tmp_path / "r.json", tmp_path / "r.md"
    keep("kills", [Outcome("a kill", 1000, "nothing", "1 s")], " --kills 9", record)
    keep("disk", [Outcome("no space", 1, "nothing", "2 s")], "", record)
    keep("disk", [Outcome("less space", 1, "nothing", "2 s")], "", record)
    write_page(record, page)
    text = page.read_text()
    assert "| a kill | 1,000 | nothing | 1 s |" in text and "--only kills --kills 9`" in text
    assert "less space" in text and "no space" not in text


def test_a_notebook_whose_output_differs_is_found(tmp_path):
    import nbformat

    cells = [nbformat.v4.new_code_cell(source) for source in ("print(1)", "print(2)")]
    for cell, said in zip(cells, ("1\n", "3\n"), strict=True):
        cell.execution_count = 1
        cell.outputs = [nbformat.v4.new_output("stream", text=said)]
        cell.metadata["tags"] = ["nbval-check-output"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "n.ipynb")
    (found,) = notebooks.measure(1, path=str(tmp_path / "n.ipynb"))
    assert found.failures == 1 and found.happened.startswith("1 of 2 cells failed or differed")


def test_the_page_is_of_the_record():
    """SURVIVAL.md says what survival.json holds."""
    page = (ROOT / "benchmarks" / "SURVIVAL.md").read_text()
    every = json.loads((ROOT / "benchmarks" / "survival.json").read_text())
    for part in every.values():
        assert part["command"] in page
        assert all(one["happened"] in page for one in part["outcomes"])
