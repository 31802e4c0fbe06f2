"""The checkers agree with a reader's verdicts, and new replies can be drawn to be read."""

from __future__ import annotations

import json

import pytest

from minialign.world.tasks import Instruction
from tools.world_builder.measuring import eye

AGREEMENT = 0.98


def test_the_checkers_agree_with_the_reader():
    rows = eye.read(eye.CHECKED)
    assert {row["policy"] for row in rows} == set(eye.POLICIES) and len(rows) >= 300
    assert 0.2 < sum(row["follows"] for row in rows) / len(rows) < 0.8
    for policy in eye.POLICIES:
        own = [row for row in rows if row["policy"] == policy]
        agreed = [Instruction.from_row(row).check(row["reply"]) == row["follows"] for row in own]
        assert sum(agreed) / len(agreed) >= AGREEMENT, policy


def test_a_disagreement_is_told(capsys):
    rows = eye.read(eye.CHECKED)[:20]
    assert all(all(eye.agrees(row).values()) for row in rows)
    turned = {**rows[0], "follows": not rows[0]["follows"], "flaws": ["unsafe"]}
    assert [name for name, agreed in eye.agrees(turned).items() if not agreed] == [
        "follows",
        "unsafe",
    ]
    eye.report([turned, *rows[1:]])
    told = capsys.readouterr().out
    assert rows[0]["prompt"] in told and "follows         95.0%" in told


def test_drawn_replies_wait_for_a_verdict(monkeypatch, tmp_path):
    monkeypatch.setattr(eye, "POLICIES", ("base",))
    rows = eye.draw(10, seed=5)
    assert len(rows) == 10 and all(row["follows"] is None for row in rows)
    assert rows == eye.draw(10, seed=5)
    assert {row["prompt"] for row in rows} != {row["prompt"] for row in eye.draw(10, seed=6)}
    file = tmp_path / "drawn.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match=r"drawn.jsonl, line 1: follows is None; write the reader"):
        eye.read(file)
