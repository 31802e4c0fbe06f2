"""data/*.jsonl are what the code writes, byte for byte, and hold what their cards say."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from slowness import slow_but

from minialign.rewards.solutions import final_answer
from minialign.world import facts
from minialign.world.problems import SPLITS
from minialign.world.tasks import Instruction
from tools.world_builder import build, corpus


def rows(stem: str) -> list[dict]:
    text = (build.DATA_FOLDER / f"{stem}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("stem", slow_but(sorted(build.WRITERS), "problems"))
def test_files_are_regenerated_byte_for_byte(stem: str):
    path = build.DATA_FOLDER / f"{stem}.jsonl"
    assert path.stat().st_size <= 1_000_000
    assert path.read_bytes() == "".join(build.lines(stem)).encode()


@pytest.mark.parametrize("stem", ["instructions", "preferences", "problems"])
def test_splits_share_no_prompt(stem: str):
    prompts: dict[str, set[str]] = {}
    for row in rows(stem):
        prompts.setdefault(row["split"], set()).add(row["prompt"])
    names = list(prompts)
    assert {"train", "test"} <= set(names)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert not prompts[a] & prompts[b]


def test_splits_share_no_phrasing_family_subject_or_template():
    for stem in ("instructions", "preferences"):
        by_split = {
            s: [r for r in rows(stem) if r["split"] == s] for s in ("train", "test", "families")
        }
        train, test = (
            {(r["family"], r["phrasing"]) for r in by_split[s]} for s in ("train", "test")
        )
        assert not train & test
        families = {r["family"] for r in by_split["families"]}
        assert not families & {r["family"] for s in ("train", "test") for r in by_split[s]}
        train, test = (
            {json.loads(r["slots"]).get("subject") for r in by_split[s]} - {None}
            for s in ("train", "test")
        )
        assert train and test and not train & test
    train, told_anew, test = (
        {r["template"] for r in rows("problems") if r["split"] == s} for s in SPLITS
    )
    assert test and not train & test
    assert told_anew and told_anew <= train


def test_documents_are_the_first_pages_that_the_base_model_read():
    pages = rows("documents")
    assert (build.DATA_FOLDER / "documents.jsonl").stat().st_size <= 300_000
    read = [{"kind": page.kind, "text": page.text} for page in corpus.corpus(400)]
    assert [{key: row[key] for key in ("kind", "text")} for row in pages[:400]] == read
    stated = Counter(
        facts.knowledge_base()[claim.subject, claim.relation].exposure
        for row in pages[400:]
        for claim in facts.claims(row["text"])
    )
    assert stated["often"] > 3 * stated["rare"] > 0 and not stated["never"]


def test_rows_can_be_checked_again():
    for row in rows("instructions"):
        instruction = Instruction.from_row(row)
        assert instruction.prompt == row["prompt"]
        if row["author"] == "reference":
            assert instruction.check(row["completion"]), row
    for row in rows("preferences"):
        assert Instruction.from_row(row).prompt == row["prompt"]
        assert row["chosen"] != row["rejected"]
    for row in rows("problems"):
        assert str(final_answer(row["solution"])) == row["answer"]
