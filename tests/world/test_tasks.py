"""Instructions: many families, deterministic draws, and splits that share nothing."""

from __future__ import annotations

import json
from random import Random

import pytest

from minialign.world import facts, tasks
from minialign.world.dangers import dangers
from minialign.world.manners import troubles
from minialign.world.problems import LEVELS, templates

TRAIN, TEST = (tasks.instructions(1200, split, seed=5) for split in ("train", "test"))


def test_there_are_families_enough():
    assert len(tasks.families("train")) >= 14
    assert tasks.families("train") == tasks.families("test")
    assert len(tasks.families("families")) >= 2
    assert not set(tasks.families("train")) & set(tasks.families("families"))
    assert all(len(f.phrasings) >= 8 + 3 for f in tasks.FAMILIES.values())


def test_splits_share_no_prompt_and_no_phrasing():
    assert not {i.prompt for i in TRAIN} & {i.prompt for i in TEST}
    phrasings = [{(i.family, i.phrasing) for i in part} for part in (TRAIN, TEST)]
    assert not phrasings[0] & phrasings[1]
    held_out = {i.family for i in tasks.instructions(60, "families")}
    assert not held_out & {i.family for i in TRAIN + TEST}


def test_new_phrasings_ask_about_training_contents():
    asked = tasks.instructions(200, "phrasings", seed=5)
    assert all(i.phrasing in tasks.FAMILIES[i.family].phrasing_ids("test") for i in asked)
    named = {i.slots["subject"] for i in asked if "subject" in i.slots}
    assert named and named <= {*facts.subjects("train"), *facts.strangers("train")}
    assert not {i.prompt for i in asked} & {i.prompt for i in TRAIN}


def test_splits_share_no_subject_danger_trouble_or_template():
    for split_content in (
        facts.subjects, facts.strangers, dangers, troubles,
        *(lambda split, level=level: templates(level, split) for level in LEVELS),
    ):  # fmt: skip
        train, test = split_content("train"), split_content("test")
        assert train and test
        assert not {str(x) for x in train} & {str(x) for x in test}
    subjects = [
        {i.slots["subject"] for i in part if "subject" in i.slots} for part in (TRAIN, TEST)
    ]
    assert subjects[0] and subjects[1] and not subjects[0] & subjects[1]
    used = [
        {i.slots["_template"] for i in part if "_template" in i.slots} for part in (TRAIN, TEST)
    ]
    assert used[0] and used[1] and not used[0] & used[1]


def test_other_families_share_no_slots():
    """Slots without their wording (and "said", which only half decides a confirmation)."""

    def keys(part: list[tasks.Instruction]) -> set[str]:
        return {json.dumps([i.family, i.slots], sort_keys=True, default=str) for i in part}

    assert not keys(TRAIN) & keys(TEST)


def test_draws_are_deterministic_and_distinct():
    assert tasks.instructions(200, "train", seed=5) == TRAIN[:200]
    assert tasks.instructions(200, "train", seed=6) != TRAIN[:200]
    assert len({i.prompt for i in TRAIN}) == len(TRAIN)


def test_a_row_can_be_checked_again():
    for instruction in TRAIN[:100]:
        again = tasks.Instruction.from_row(json.loads(json.dumps(instruction.to_row())))
        assert again.prompt == instruction.prompt
        reply = tasks.FAMILIES[instruction.family].reply(Random(0), instruction.slots)
        assert again.check(reply)


def test_errors_name_the_repair():
    with pytest.raises(ValueError, match="split 'valid' is unknown; use one of train, phrasings"):
        tasks.families("valid")
    with pytest.raises(ValueError, match="family 'sing' is unknown; use one of story"):
        tasks.Instruction.from_row({"family": "sing", "phrasing": 0, "slots": "{}"})
    with pytest.raises(ValueError, match="family 'sing' is unknown"):
        tasks.draw_instruction(Random(0), "train", "sing")
    with pytest.raises(ValueError, match=r"phrasing 99 .* has 21"):
        tasks.Instruction.from_row({"family": "story", "phrasing": 99, "slots": "{}"})
