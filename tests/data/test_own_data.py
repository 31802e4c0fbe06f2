"""A learner's own data: what the loops take, with what was left out counted and named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_models import small_tokenizer

from minialign.data.training_rows import comparisons_of, demonstrations_of, problems_of
from minialign.rewards.public_answers import public_answer

TOKENIZER = small_tokenizer()


def written(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_demonstrations_that_are_too_long_are_counted(tmp_path: Path, capsys):
    rows = [{"instruction": "what is 2 plus 3?", "input": "", "output": text}
            for text in ("it is 5.", "it is 5. " * 99, "", "the cat sat.")]  # fmt: skip
    found = demonstrations_of(written(tmp_path / "a.jsonl", rows), TOKENIZER, 9, max_length=64)
    assert [TOKENIZER.decode(row.completion_ids[:-1]) for row in found] == [
        "it is 5.", "the cat sat."
    ]  # fmt: skip
    said = capsys.readouterr().out
    assert said.startswith("kept 2, dropped 1 (blank completion), 1 (cannot be encoded)\n")
    assert "cannot be encoded: rows 2; row 2: prompt (" in said
    assert "exceed max_length=64" in said
    assert found.numbers == [1, 4]


def test_comparisons_are_pairs_with_one_prompt(tmp_path: Path, capsys):
    rows = [{"prompt": "a dog", "chosen": "ran", "rejected": "sat"}] * 2
    chosen, rejected = comparisons_of(written(tmp_path / "a.jsonl", rows), TOKENIZER, 1)[0]
    assert chosen.prompt_ids == rejected.prompt_ids
    assert chosen.completion_ids != rejected.completion_ids
    assert capsys.readouterr().out == "kept 1, dropped 0\n"


def test_problems_are_those_that_a_verifier_can_judge(tmp_path: Path, capsys):
    rows = [{"question": "How many?", "answer": f"So.\n#### {a}"} for a in ("1,200", "3.0", "?")]
    found = problems_of(written(tmp_path / "a.jsonl", rows), 9)
    assert [row["answer"] for row in found] == ["1200", "3.0"]
    assert found.numbers == [1, 2] and found.dropped == {"no answer": [3]}
    assert "no answer: rows 3; row 3: answer is '?' (str); no reply" in capsys.readouterr().out
    assert found[0]["prompt"].endswith(r"put the final answer in \boxed{}.")
    said = r"So \boxed{1,200}."
    assert public_answer(["?"], [said], answer=[found[0]["answer"]]) == [1.0]


def test_nothing_left_is_an_error(tmp_path: Path):
    rows = [{"question": "How many?", "answer": "#### ??"}]
    with pytest.raises(ValueError, match=r"no row is left \(row 1: answer is .*\); use other data"):
        problems_of(written(tmp_path / "a.jsonl", rows), 9)
