"""Stages: what one notebook trains and the next one starts from, trained once and kept.

`stage("sft")` returns the folder of the instruction-tuned model in the Hugging Face format. It is
trained if it is missing or was made by other settings, shows its progress, and goes on where it was
interrupted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.algorithms.reward_model import Ranking, RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.batching import Row
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.models.loading import load_policy, model_path
from minialign.core.sampling import sample
from minialign.core.tokens import encode
from minialign.course import profiles
from minialign.course.profiles import Profile
from minialign.course.session import pick_device
from minialign.data.own_data import comparisons_of, demonstrations_of, problems_of
from minialign.data.shipped import data_folder
from minialign.rewards.learnt import reward_model_score, set_zero
from minialign.rewards.verifiers import right_answer
from minialign.variants.loops.policy_loop import Data, RlConfig, train_rl
from minialign.variants.loops.preference_loop import PreferenceConfig
from minialign.variants.loops.rounds import by_reward, train_on_own_replies
from minialign.world import WORLD_VERSION
from minialign.world.annotator import NEUTRAL_KINDNESS, WEIGHTS
from minialign.world.demonstrations import demonstrations
from minialign.world.preferences import COMPARED, Comparison, comparisons
from minialign.world.problems import problem_rows
from minialign.world.tasks import Instruction, instructions

ENVIRONMENT = "MINIALIGN_RUNS"  # names the folder of what was trained
TASTE = {"weights": asdict(WEIGHTS), "neutral": NEUTRAL_KINDNESS, "compared": COMPARED}


def runs_folder() -> Path:
    """Where runs are kept: MINIALIGN_RUNS, else `runs` beside a clone's data, else in the cwd."""
    if os.environ.get(ENVIRONMENT):
        return Path(os.environ[ENVIRONMENT]).expanduser()
    clone = data_folder().parent
    return (clone if (clone / "notebooks").is_dir() else Path.cwd()) / "runs"


def demonstration_rows(
    tokenizer: PreTrainedTokenizerBase, n: int, *, seed: int = 0, max_length: int = 512,
    dataset: str | None = None,
) -> list[Row]:  # fmt: skip
    """`n` demonstrations, encoded: of mixed quality and the embedded world, or of `dataset`."""
    if dataset is not None:
        return demonstrations_of(dataset, tokenizer, n, max_length)
    return [
        encode(tokenizer, d.instruction.prompt, d.completion, max_length)
        for d in demonstrations(n, "train", seed)
    ]


def sft_config(profile: Profile, seed: int = 0) -> SftConfig:
    """The settings of instruction tuning in a profile."""
    rate = 5e-4 if profile.model == "tiny-base" else 1e-4
    return SftConfig(
        steps=profile.steps, batch_size=profile.batch_size, learning_rate=rate, seed=seed
    )


def comparison_rows(
    tokenizer: PreTrainedTokenizerBase, n: int, *, seed: int = 0, split: str = "train",
    dataset: str | None = None,
) -> list[Ranking]:  # fmt: skip
    """`n` comparisons by the crowd of annotators, or of `dataset`: (chosen, rejected) each."""
    if dataset is not None:
        return comparisons_of(dataset, tokenizer, n)
    return encode_comparisons(tokenizer, comparisons(n, split, seed))


def encode_comparisons(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Comparison]
) -> list[Ranking]:
    """(chosen, rejected) rows of comparisons."""
    return [
        tuple(encode(tokenizer, c.instruction.prompt, text) for text in (c.chosen, c.rejected))
        for c in pairs
    ]


def reward_config(profile: Profile, seed: int = 0) -> RewardConfig:
    """The settings of reward modeling in a profile."""
    rate = 3e-4 if profile.model == "tiny-base" else 2e-5
    steps = max(1, profile.steps // 4)  # one pass in profile tiny: noise is learnt by heart
    return RewardConfig(steps=steps, batch_size=profile.batch_size, learning_rate=rate, seed=seed)


def ppo_prompts(profile: Profile, seed: int = 0) -> list[Instruction]:
    """What PPO's policy is asked: as many training instructions as there are comparisons."""
    return instructions(profile.comparisons, "train", seed + 2000)


def ppo_config(profile: Profile, seed: int = 0) -> PpoConfig:
    """The settings of PPO in a profile."""
    tiny = profile.model == "tiny-base"
    return PpoConfig(
        epochs=1,  # more passes find the reward model's holes sooner
        steps=max(2, profile.steps // (16 if tiny else 6)),
        prompts=2 * profile.batch_size,
        learning_rate=1.5e-4 if tiny else 3e-5,  # twice it, and replies of tiny-base fall apart
        beta=0.1,
        max_new_tokens=profile.max_new_tokens,
        seed=seed,
    )


def dpo_config(profile: Profile, seed: int = 0) -> PreferenceConfig:
    """The settings of DPO in a profile."""
    rate = 1e-4 if profile.model == "tiny-base" else 2e-5
    return PreferenceConfig(
        steps=max(2, profile.steps // 5),
        batch_size=profile.batch_size,
        learning_rate=rate,
        options={"beta": 0.5},
        seed=seed,
    )


def own_config(profile: Profile, seed: int = 0) -> PreferenceConfig:
    """Those of DPO on own replies: a pair counts as much as the policy would still write it (WPO).

    Such pairs grow old as the policy learns; written ones were never its own. A reward model's
    choices are consistent, so the leash is shorter than for those of people.
    """
    return replace(dpo_config(profile, seed), weigh=True, options={"beta": 1.0})


def dpo_prompts(profile: Profile, seed: int = 0) -> list[Instruction]:
    """What DPO's policy is asked for its own replies: half of PPO's prompts."""
    return ppo_prompts(profile, seed)[: profile.comparisons // 2]


def rl_problems(profile: Profile, seed: int = 0, dataset: str | None = None) -> list[Data]:
    """What GRPO's policy is asked, with the columns that verifiers read: of the world, or yours."""
    n = profile.comparisons // 4
    return problem_rows(n, seed=seed) if dataset is None else problems_of(dataset, n)


def rl_config(profile: Profile, seed: int = 0) -> RlConfig:
    """The settings of GRPO in a profile."""
    rate = 1e-4 if profile.model == "tiny-base" else 3e-5
    return RlConfig(
        steps=max(2, profile.steps // 16),
        prompts=profile.batch_size // 2,
        learning_rate=rate,
        beta=0.04,
        max_new_tokens=profile.max_new_tokens,
        seed=seed,
    )


def _train_sft(profile: Profile, seed: int, work: Path) -> tuple[PreTrainedModel, Any]:
    policy, tokenizer = load_policy(profile.model, device=pick_device())  # float32, to be trained
    rows = demonstration_rows(tokenizer, profile.examples, seed=seed)
    history = train_sft(
        policy, tokenizer, rows, sft_config(profile, seed), checkpoint_dir=work / "checkpoint"
    )
    history.to_csv(work / "history.csv")
    return policy, tokenizer


def _train_reward(profile: Profile, seed: int, work: Path) -> tuple[RewardModel, Any]:
    policy, tokenizer = load_policy(stage("sft", profile=profile, seed=seed), device=pick_device())
    model = RewardModel.from_policy(policy, seed)
    rankings = comparison_rows(tokenizer, profile.comparisons, seed=seed)
    history = train_reward(
        model, tokenizer, rankings, reward_config(profile, seed), checkpoint_dir=work / "checkpoint"
    )
    history.to_csv(work / "history.csv")
    asked = [i.prompt for i in instructions(profile.eval_prompts, "train", seed)]
    rollout = sample(policy, tokenizer, asked, max_new_tokens=profile.max_new_tokens)
    given = rollout.prompts, rollout.texts, rollout.completion_ids
    set_zero(model, tokenizer, *given)
    return model, tokenizer


def policy_and_scorer(
    profile: Profile, seed: int = 0
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, RewardModel]:
    """What PPO starts from: the tuned policy, its tokenizer and the reward model."""
    device = pick_device()
    policy, tokenizer = load_policy(stage("sft", profile=profile, seed=seed), device=device)
    folder = stage("reward", profile=profile, seed=seed)
    return policy, tokenizer, RewardModel.from_pretrained(folder, device=device).eval()


def _train_ppo(profile: Profile, seed: int, work: Path) -> tuple[PreTrainedModel, Any]:
    policy, tokenizer, scorer = policy_and_scorer(profile, seed)
    history = train_ppo(
        policy,
        ValueModel.from_reward_model(scorer),
        tokenizer,
        [i.prompt for i in ppo_prompts(profile, seed)],
        reward_model_score(scorer, tokenizer),
        ppo_config(profile, seed),
        checkpoint_dir=work / "checkpoint",
    )
    history.to_csv(work / "history.csv")
    return policy, tokenizer


def _train_dpo(profile: Profile, seed: int, work: Path) -> tuple[PreTrainedModel, Any]:
    policy, tokenizer, scorer = policy_and_scorer(profile, seed)
    histories = train_on_own_replies(
        policy,
        tokenizer,
        dpo_prompts(profile, seed),
        by_reward(reward_model_score(scorer, tokenizer)),
        own_config(profile, seed),
        max_new_tokens=profile.max_new_tokens,
        checkpoint_dir=work / "checkpoint",
    )
    for i, history in enumerate(histories):
        history.to_csv(work / f"history-{i}.csv")
    return policy, tokenizer


def _train_rl(profile: Profile, seed: int, work: Path) -> tuple[PreTrainedModel, Any]:
    policy, tokenizer = load_policy(stage("sft", profile=profile, seed=seed), device=pick_device())
    history = train_rl(
        policy,
        tokenizer,
        rl_problems(profile, seed),
        right_answer,
        rl_config(profile, seed),
        checkpoint_dir=work / "checkpoint",
    )
    history.to_csv(work / "history.csv")
    return policy, tokenizer


@dataclass(frozen=True)
class Stage:
    """One row of the course's pipeline."""

    train: Callable[[Profile, int, Path], tuple[Any, Any]]  # returns what to save, tokenizer
    config: Callable[[Profile, int], Any]  # the settings of its loop
    examples: str  # the field of a profile that counts its rows
    after: str | None = None  # the stage that it starts from; None is the profile's model
    judged: bool = False  # annotators had a say, so it depends on what they like


STAGES: dict[str, Stage] = {
    "sft": Stage(_train_sft, sft_config, "examples"),
    "reward": Stage(_train_reward, reward_config, "comparisons", after="sft", judged=True),
    "ppo": Stage(_train_ppo, ppo_config, "comparisons", after="reward"),
    "dpo": Stage(_train_dpo, own_config, "comparisons", after="reward"),
    "grpo": Stage(_train_rl, rl_config, "comparisons", after="sft"),
}


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
    if name not in STAGES:
        raise ValueError(f"stage {name!r} is unknown; use one of {', '.join(STAGES)}")
    sizes = profile if isinstance(profile, Profile) else profiles.get(profile)
    settings = _settings(name, sizes, seed)
    folder = runs_folder() / "stages" / f"{name}-{re.sub('[^a-z0-9]+', '-', sizes.name)}-{seed}"
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
    model, tokenizer = STAGES[name].train(sizes, seed, work)
    model.save_pretrained(work)
    tokenizer.save_pretrained(work)
    shutil.rmtree(work / "checkpoint", ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    work.rename(folder)


def _settings(name: str, profile: Profile, seed: int) -> dict[str, Any]:
    """Everything that decides what a stage becomes."""
    this = STAGES[name]
    return {
        "stage": name,
        "rows": getattr(profile, this.examples),
        "world_version": WORLD_VERSION,
        **asdict(this.config(profile, seed)),
        **({"taste": TASTE} if this.judged else {}),
        "start": _settings(this.after, profile, seed)
        if this.after
        else {"model": profile.model, "weights": _fingerprint(profile.model)},
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
