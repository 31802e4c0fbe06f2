"""One table holds what differs by model; what a stage becomes follows from it and the profile."""

from __future__ import annotations

from dataclasses import replace

from minialign.course import profiles
from minialign.course.pipeline import STAGES
from minialign.course.stages import presets

TINY = profiles.get("tiny")


def test_every_model_has_a_row_for_every_stage():
    for rows in presets.PRESETS.values():
        assert rows.keys() == STAGES.keys()


def test_a_model_without_a_row_has_that_of_real_models():
    other = replace(TINY, model="owner/model")
    for name, this in STAGES.items():
        for profile, row in ((TINY, "tiny-base"), (other, presets.REAL)):
            expected = presets.PRESETS[row][name]
            config = this.config(profile, 7)
            assert config.learning_rate == expected.learning_rate
            assert config.steps == TINY.steps // expected.share
            assert config.seed == 7
    assert presets.ppo_config(other).steps > presets.ppo_config(TINY).steps


def test_the_smallest_profile_still_takes_a_step():
    least = replace(TINY, steps=1)
    steps = {name: this.config(least, 0).steps for name, this in STAGES.items()}
    assert steps == {"sft": 1, "reward": 1, "ppo": 2, "dpo": 2, "grpo": 2}
