"""The shipped files are what the course trains on: equal to the world's draw, and edited, not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from slowness import slow_but

from minialign.core.models.loading import load_policy
from minialign.course import pipeline, profiles
from minialign.course.stages import recipes
from minialign.data.reading import read_public
from minialign.data.shapes import Demonstration, Pair
from minialign.data.shipped import shipped, shipped_file, shipped_problem
from minialign.system.folders import data_folder
from minialign.world.problems import problem_rows
from minialign.world.replies.demonstrations import demonstrations
from minialign.world.replies.preferences import comparisons

_, TOKENIZER = load_policy("tiny-base")
SMOKE = profiles.get("smoke")
BEYOND = 5  # rows after the last of a file
ROWS_OF = {"instructions": recipes.demonstration_rows, "preferences": recipes.comparison_rows}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of one's own."""
    folder = tmp_path / "data"
    shutil.copytree(data_folder(), folder, ignore=shutil.ignore_patterns("*.csv", "figures"))
    monkeypatch.setenv("MINIALIGN_DATA", str(folder))
    return folder


def edit(path: Path, number: int, change: Callable[[dict], dict | str]) -> None:
    """Change the row in a line, counted from 1; a text takes its place as it is."""
    lines = path.read_text().splitlines()
    row = change(json.loads(lines[number - 1]))
    lines[number - 1] = row if isinstance(row, str) else json.dumps(row)
    path.write_text("\n".join(lines) + "\n")


def test_a_file_holds_the_first_rows_that_the_world_draws():
    rows = shipped("instructions", Demonstration)
    drawn = demonstrations(len(rows) + BEYOND)
    assert [(r.prompt, r.completion) for r in rows] == [
        (d.instruction.prompt, d.completion) for d in drawn[: len(rows)]
    ]
    for split in ("train", "test"):
        pairs = shipped("preferences", Pair, split=split)
        drawn = comparisons(len(pairs) + BEYOND, split)
        assert [(p.prompt, p.chosen, p.rejected) for p in pairs] == [
            (c.instruction.prompt, c.chosen, c.rejected) for c in drawn[: len(pairs)]
        ]
        problems = shipped("problems", None, split=split, convert=shipped_problem)
        assert problems == problem_rows(len(problems) + BEYOND, split=split)[: len(problems)]


@pytest.mark.parametrize("n", slow_but([3, 1500, 1765], 3))
def test_the_world_goes_on_beyond_a_file(n: int):
    rows = recipes.demonstration_rows(TOKENIZER, n)
    assert rows == [
        recipes.encode(TOKENIZER, d.instruction.prompt, d.completion) for d in demonstrations(n)
    ]
    assert recipes.comparison_rows(TOKENIZER, n) == recipes.encode_comparisons(
        TOKENIZER, comparisons(n)
    )
    n += 400  # of problems, a file holds more
    assert recipes.grpo_problems(replace(SMOKE, comparisons=4 * n)) == problem_rows(n)


def test_other_seeds_and_splits_read_no_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recipes, "shipped", lambda *args, **kwargs: pytest.fail("a file was read"))
    assert len(recipes.demonstration_rows(TOKENIZER, 2, seed=1)) == 2
    assert len(recipes.comparison_rows(TOKENIZER, 2, split="phrasings")) == 2
    assert recipes.grpo_problems(SMOKE, 1) == problem_rows(SMOKE.comparisons // 4, seed=1)
    with pytest.raises(pytest.fail.Exception, match="a file was read"):
        recipes.grpo_problems(SMOKE, 0)


@pytest.mark.parametrize("name", ROWS_OF)
def test_the_path_of_a_shipped_file_gives_the_same_rows(name: str, capsys):
    path = str(shipped_file(name))
    assert ROWS_OF[name](TOKENIZER, 50, dataset=path) == ROWS_OF[name](TOKENIZER, 50)
    train = len(shipped(name, None))
    every = len(Path(path).read_text().splitlines())
    found = ROWS_OF[name](TOKENIZER, every, dataset=path)
    assert found == ROWS_OF[name](TOKENIZER, train)  # held-out rows are no training rows
    assert f"kept {train}, dropped {every - train} (another split)" in capsys.readouterr().out


def test_a_split_of_a_file_can_be_asked_for():
    test = read_public(shipped_file("preferences"), Pair, split="test")
    assert test == shipped("preferences", Pair, split="test")
    other = [{"prompt": "p", "completion": "c", "split": name} for name in ("mine", None, 3, "val")]
    found = read_public(other)  # whatever else the column says is no split
    assert found.numbers == [1, 2, 3] and found.dropped == {"another split": [4]}
    assert "column 'split' is 'val', and 'train' is asked for" in found.why["another split"]


def test_the_path_of_the_shipped_problems_gives_the_same_problems(capsys):
    """They are read as public ones are: the prompt says where the answer goes."""
    own = recipes.grpo_problems(SMOKE, dataset=str(shipped_file("problems")))
    assert [(row["prompt"].split("\n\n")[0], int(row["answer"])) for row in own] == [
        (row["prompt"], row["answer"]) for row in recipes.grpo_problems(SMOKE)
    ]


def test_an_edited_row_is_trained_on(copy: Path):
    before = {name: rows(TOKENIZER, 4) for name, rows in ROWS_OF.items()}
    settings = {name: pipeline.settings_of(name, SMOKE, 0) for name in pipeline.STAGES}
    other = pipeline.settings_of("sft", SMOKE, 1)
    edit(copy / "instructions.jsonl", 2, lambda row: {**row, "completion": "An owl."})
    after = recipes.demonstration_rows(TOKENIZER, 4)
    assert TOKENIZER.decode(after[1].completion_ids[:-1]) == "An owl."
    assert after[1] != before["instructions"][1] and after[2:] == before["instructions"][2:]
    assert recipes.comparison_rows(TOKENIZER, 4) == before["preferences"]
    for name in pipeline.STAGES:  # all start from what is now another policy
        assert pipeline.settings_of(name, SMOKE, 0) != settings[name]
    assert pipeline.settings_of("sft", SMOKE, 1) == other
    edit(copy / "problems.jsonl", 1, lambda row: {**row, "answer": "99"})
    assert recipes.grpo_problems(SMOKE)[0]["answer"] == 99


def test_only_the_stages_of_an_edited_file_are_trained_again(copy: Path):
    settings = {name: pipeline.settings_of(name, SMOKE, 0) for name in pipeline.STAGES}
    edit(copy / "problems.jsonl", 1, lambda row: {**row, "answer": "99"})
    differ = [n for n in pipeline.STAGES if pipeline.settings_of(n, SMOKE, 0) != settings[n]]
    assert differ == ["grpo"]


BAD = [
    ("instructions", lambda row: {**row, "completion": ""}, "line 3: column 'completion' is blank"),
    ("instructions", lambda row: json.dumps(row)[:-9], "line 3: not JSON"),
    ("preferences", lambda row: {**row, "chosen": row["rejected"]}, "line 3: chosen equals rejec"),
    ("problems", lambda row: {**row, "answer": 13}, r"line 3: column 'answer' is 13 \(int\); use"),
    ("problems", lambda row: {**row, "answer": "many"}, "line 3: column 'answer' is 'many'.*whole"),
    ("problems", lambda row: {**row, "numbers": None}, "line 3: column 'numbers' is null; fill"),
]


@pytest.mark.parametrize(("name", "change", "message"), BAD)
def test_a_row_edited_badly_is_named_by_its_line(copy: Path, name, change, message):
    edit(copy / f"{name}.jsonl", 3, change)
    with pytest.raises(ValueError, match=rf"^{name}\.jsonl {message}"):
        if name == "problems":
            recipes.grpo_problems(SMOKE)
        else:
            ROWS_OF[name](TOKENIZER, 9)
