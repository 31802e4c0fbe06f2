"""The settings of every stage: what differs by model in one table, what does not in functions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from minialign.algorithms.dpo import DpoConfig
from minialign.algorithms.grpo import GrpoConfig
from minialign.algorithms.ppo import PpoConfig
from minialign.algorithms.reward_model import RewardConfig
from minialign.algorithms.sft import SftConfig
from minialign.course.profiles import Profile
from minialign.variants.loops.preference_loop import PreferenceConfig
from minialign.variants.preference import logistic_loss


@dataclass(frozen=True)
class Preset:
    """What a stage of a model has of its own."""

    learning_rate: float  # at its highest
    share: int = 1  # the profile's steps are divided by it


REAL = "real models"  # the row of every model that has none of its own
PRESETS: dict[str, dict[str, Preset]] = {
    "tiny-base": {
        "sft": Preset(5e-4),
        "reward": Preset(3e-4, 4),  # one pass in profile tiny: noise is learnt by heart
        "ppo": Preset(1.5e-4, 16),  # twice the rate, and replies fall apart
        "dpo": Preset(1e-4, 5),
        "grpo": Preset(1e-4, 16),
    },
    REAL: {
        "sft": Preset(1e-4),
        "reward": Preset(2e-5, 4),
        "ppo": Preset(3e-5, 6),
        "dpo": Preset(2e-5, 5),
        "grpo": Preset(3e-5, 16),
    },
}


def preset(profile: Profile, stage: str) -> Preset:
    """The row of a profile's model, else that of real models."""
    return PRESETS.get(profile.model, PRESETS[REAL])[stage]


def _common(stage: str, profile: Profile, seed: int, least: int = 2) -> dict[str, Any]:
    """What every loop is told; `least` steps, however small the profile."""
    row = preset(profile, stage)
    steps = max(least, profile.steps // row.share)
    return {"steps": steps, "learning_rate": row.learning_rate, "seed": seed}


def sft_config(profile: Profile, seed: int = 0) -> SftConfig:
    """The settings of instruction tuning in a profile."""
    return SftConfig(**_common("sft", profile, seed, least=1), batch_size=profile.batch_size)


def reward_config(profile: Profile, seed: int = 0) -> RewardConfig:
    """The settings of reward modeling in a profile."""
    return RewardConfig(**_common("reward", profile, seed, least=1), batch_size=profile.batch_size)


def ppo_config(profile: Profile, seed: int = 0) -> PpoConfig:
    """The settings of PPO in a profile."""
    return PpoConfig(
        **_common("ppo", profile, seed),
        epochs=1,  # more passes find the reward model's holes sooner
        prompts=2 * profile.batch_size,
        beta=0.1,
        max_new_tokens=profile.max_new_tokens,
    )


def dpo_config(profile: Profile, seed: int = 0) -> DpoConfig:
    """The settings of DPO on written comparisons in a profile."""
    return DpoConfig(**_common("dpo", profile, seed), batch_size=profile.batch_size, beta=0.5)


def own_config(profile: Profile, seed: int = 0) -> PreferenceConfig:
    """The settings of DPO on own replies, whose loss is `OWN_LOSS`.

    A pair counts as much as the policy would still write it (WPO): such pairs grow old as the
    policy learns; written ones were never its own.
    """
    common = _common("dpo", profile, seed)
    return PreferenceConfig(**common, batch_size=profile.batch_size, weigh=True)


# A reward model's choices are consistent, so the leash is shorter than for those of people.
OWN_LOSS = partial(logistic_loss, beta=1.0)


def grpo_config(profile: Profile, seed: int = 0) -> GrpoConfig:
    """The settings of GRPO in a profile."""
    return GrpoConfig(
        **_common("grpo", profile, seed),
        prompts=profile.batch_size // 2,
        beta=0.04,
        max_new_tokens=profile.max_new_tokens,
    )
