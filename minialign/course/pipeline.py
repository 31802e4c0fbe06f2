"""Stages: what one notebook trains and the next one starts from, trained once and kept.

`stage("sft")` returns the folder of the instruction-tuned model in the Hugging Face format. It is
trained if it is missing or was made by other settings, shows its progress, and goes on where it was
interrupted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.checkpoint import identity
from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import model_path
from minialign.course import profiles
from minialign.course.profiles import Profile
from minialign.course.stages import presets, recipes
from minialign.course.stages.stage_cache import cached, fingerprint, kept
from minialign.data.shipped import shipped_file
from minialign.world import WORLD_VERSION
from minialign.world.problems import POSED
from minialign.world.tables import dial_values


@dataclass(frozen=True)
class Stage:
    """One row of the course's pipeline."""

    train: recipes.Recipe
    config: Callable[[Profile, int], Any]  # the settings of its loop
    examples: str  # the field of a profile that counts its rows
    after: str | None = None  # the stage that it starts from; None is the profile's model
    shipped: str | None = None  # the file that holds its first rows
    loss: Callable | None = None  # where it is no part of the settings
    dials: tuple[str, ...] = ()  # the sections of data/world/dials.toml that its rows rest on
    levels: tuple[int, ...] = ()  # of the problems that it is asked


STAGES: dict[str, Stage] = {
    "sft": Stage(
        recipes.sft, presets.sft_config, "examples", shipped="instructions",
        dials=("facts", "demonstrations"),
    ),
    "reward": Stage(
        recipes.reward, presets.reward_config, "comparisons", "sft", "preferences",
        dials=("comparisons", "utility", "annotators"),  # and its start rests on demonstrations
    ),
    "ppo": Stage(recipes.ppo, presets.ppo_config, "comparisons", "reward"),
    "dpo": Stage(recipes.dpo, presets.own_config, "comparisons", "reward", loss=presets.OWN_LOSS),
    "grpo": Stage(
        recipes.grpo, presets.grpo_config, "comparisons", "sft", "problems", levels=POSED
    ),
}  # fmt: skip


def stage(name: str, *, profile: str | Profile | None = None, seed: int = 0) -> Path:
    """The folder of a trained stage, trained first if need be.

    Args:
        name: "sft" (instruction-tuned policy), "reward" (reward model, started from it), "ppo"
            (policy, started from "sft" and tuned on the score of "reward"), "dpo" (policy, started
            from "sft" and tuned on its own replies, as "reward" ranks them) or "grpo" (policy,
            started from "sft" and tuned on problems whose answers are verified).
        profile: whose sizes and model; None is the default profile.
        seed: of the data's draw and order.

    Returns:
        A folder that `load_policy` or `RewardModel.from_pretrained` takes; history.csv in it is the
        training's history.

    Raises:
        ValueError: if there is no stage of this name.
    """
    folder, sizes = _place(name, profile, seed)

    def train(work: Path) -> recipes.Trained:
        print(f"training stage {name!r} of profile {sizes.name!r} once; it is kept in {folder}")
        return STAGES[name].train(sizes, seed, work, partial(stage, profile=sizes, seed=seed))

    return cached(folder, settings_of(name, sizes, seed), train)


def trained(name: str, *, profile: str | Profile | None = None, seed: int = 0) -> Path | None:
    """The folder of `stage` with the same arguments if it is there already, else None."""
    folder, sizes = _place(name, profile, seed)
    return kept(folder, settings_of(name, sizes, seed))


def _place(name: str, profile: str | Profile | None, seed: int) -> tuple[str, Profile]:
    """The name of a stage's folder, and the sizes."""
    if name not in STAGES:
        raise ValueError(f"stage {name!r} is unknown; use one of {', '.join(STAGES)}")
    sizes = profile if isinstance(profile, Profile) else profiles.get(profile)
    return f"{name}-{re.sub('[^a-z0-9]+', '-', sizes.name)}-{seed}", sizes


def settings_of(name: str, profile: Profile, seed: int) -> dict[str, Any]:
    """Everything that decides what a stage becomes."""
    this = STAGES[name]
    settings = {
        "stage": name,
        "rows": getattr(profile, this.examples),
        "world_version": WORLD_VERSION,
        **asdict(this.config(profile, seed)),
    }
    if this.loss:
        settings["loss"] = identity(this.loss)
    if this.dials:
        settings["dials"] = {section: dial_values(section) for section in this.dials}
    if this.levels:
        settings["levels"] = this.levels
    if this.shipped and seed == recipes.SHIPPED_SEED:  # an edited file trains the stage again
        settings["file"] = fingerprint(shipped_file(this.shipped))
    if this.after:
        return {**settings, "start": settings_of(this.after, profile, seed)}
    return {**settings, "start": {"model": profile.model, "weights": _weights(profile.model)}}


def _weights(model: str) -> str:
    """A digest of a local model's weights; a model of the hub is known by its name."""
    folder = Path(model_path(model))
    _refuse_other_world(folder)
    weights = folder / "model.safetensors"
    return fingerprint(weights) if weights.exists() else model


def _refuse_other_world(folder: Path) -> None:
    """Refuse a base model that has read another version of the world, whose words are others."""
    written = folder / "training.json"
    version = json.loads(written.read_text()).get("world_version") if written.exists() else None
    if version not in (None, WORLD_VERSION):
        raise ValueError(
            f"{folder.name} was trained on version {version} of the world, and this is version "
            f"{WORLD_VERSION}: take data/models of this version, or train it anew with `python -m "
            "tools.world_builder.pretrain`"
        )


def policy_and_scorer(
    profile: Profile, seed: int = 0
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, RewardModel]:
    """What PPO starts from: the tuned policy, its tokenizer and the reward model."""
    return recipes.load_policy_and_scorer(partial(stage, profile=profile, seed=seed))
