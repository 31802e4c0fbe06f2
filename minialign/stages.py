"""Stages: what one notebook trains and the next one starts from, trained once and kept.

`stage("sft")` returns the folder of the instruction-tuned model in the Hugging Face format. It is
trained if it is missing or was made by other settings, shows its progress, and goes on where it was
interrupted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign import profiles
from minialign.batching import Row, encode
from minialign.data import data_folder
from minialign.models import load_policy, model_path
from minialign.profiles import Profile
from minialign.session import pick_device
from minialign.train.sft import SftConfig, train_sft
from minialign.world import WORLD_VERSION
from minialign.world.demonstrations import demonstrations

ENVIRONMENT = "MINIALIGN_RUNS"  # names the folder of what was trained


def runs_folder() -> Path:
    """Where runs are kept: MINIALIGN_RUNS, else `runs` beside a clone's data, else in the cwd."""
    if os.environ.get(ENVIRONMENT):
        return Path(os.environ[ENVIRONMENT]).expanduser()
    clone = data_folder().parent
    return (clone if (clone / "notebooks").is_dir() else Path.cwd()) / "runs"


def demonstration_rows(
    tokenizer: PreTrainedTokenizerBase, n: int, *, seed: int = 0, max_length: int = 512
) -> list[Row]:
    """`n` demonstrations of mixed quality of the embedded world, encoded for training."""
    return [
        encode(tokenizer, d.instruction.prompt, d.completion, max_length)
        for d in demonstrations(n, "train", seed)
    ]


def sft_config(profile: Profile, seed: int = 0) -> SftConfig:
    """The settings of instruction tuning in a profile."""
    rate = 1e-3 if profile.model == "tiny-base" else 2e-5
    return SftConfig(
        steps=profile.steps, batch_size=profile.batch_size, learning_rate=rate, seed=seed
    )


def _train_sft(profile: Profile, seed: int, work: Path) -> tuple[PreTrainedModel, Any]:
    policy, tokenizer = load_policy(profile.model, device=pick_device())  # float32, to be trained
    rows = demonstration_rows(tokenizer, profile.examples, seed=seed)
    history = train_sft(
        policy, tokenizer, rows, sft_config(profile, seed), checkpoint_dir=work / "checkpoint"
    )
    history.to_csv(work / "history.csv")
    return policy, tokenizer


# Name -> (what trains it, what its settings are besides profile and seed).
STAGES: dict[str, tuple[Callable, Callable[[Profile, int], dict]]] = {
    "sft": (_train_sft, lambda profile, seed: asdict(sft_config(profile, seed))),
}


def stage(name: str, *, profile: str | Profile | None = None, seed: int = 0) -> Path:
    """The folder of a trained stage, trained first if need be.

    Args:
        name: "sft".
        profile: whose sizes and model; None is the default profile.
        seed: of the data's draw and order.

    Returns:
        A folder that `load_policy` takes; history.csv in it is the training's history.

    Raises:
        ValueError: if there is no stage of this name.
    """
    if name not in STAGES:
        raise ValueError(f"stage {name!r} is unknown; use one of {', '.join(STAGES)}")
    sizes = profile if isinstance(profile, Profile) else profiles.get(profile)
    settings = _settings(name, sizes, seed, STAGES[name][1](sizes, seed))
    folder = runs_folder() / "stages" / f"{name}-{sizes.name}-{seed}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(folder.name + ".lock")):  # a second process waits, then reads
        if not _made_by(folder, settings):
            _make(name, sizes, seed, settings, folder)
    return folder


def _make(name: str, sizes: Profile, seed: int, settings: dict[str, Any], folder: Path) -> None:
    """Train a stage beside its folder and move it there when it is whole."""
    work = folder.with_name(folder.name + ".work")
    if not _made_by(work, settings):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        _write(work, settings)
    print(f"training stage {name!r} of profile {sizes.name!r} once; it is kept in {folder.name}")
    policy, tokenizer = STAGES[name][0](sizes, seed, work)
    policy.save_pretrained(work)
    tokenizer.save_pretrained(work)
    shutil.rmtree(work / "checkpoint", ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    work.rename(folder)


def _settings(name: str, profile: Profile, seed: int, more: dict[str, Any]) -> dict[str, Any]:
    """Everything that decides what a stage becomes."""
    return {
        "stage": name,
        "model": profile.model,
        "examples": profile.examples,
        "seed": seed,
        "world_version": WORLD_VERSION,
        "base": _fingerprint(profile.model),
        **more,
    }


def _fingerprint(model: str) -> str:
    """A digest of a local model's weights; a model of the hub is known by its name."""
    weights = Path(model_path(model)) / "model.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:16] if weights.exists() else model


def _made_by(folder: Path, settings: dict[str, Any]) -> bool:
    try:
        return json.loads((folder / "stage.json").read_text()) == json.loads(json.dumps(settings))
    except (OSError, ValueError):
        return False


def _write(folder: Path, settings: dict[str, Any]) -> None:
    (folder / "stage.json").write_text(json.dumps(settings, indent=2) + "\n")
