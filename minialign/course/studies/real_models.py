"""Studies on a real language model: the course's pipeline, and constraints that are verified.

They are meant for `--profile two-cores`, SmolLM2-135M-Instruct at sizes of minutes a point.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.grpo import GrpoConfig, train_grpo
from minialign.core.checkpoint import identity
from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import load_policy
from minialign.core.sampling import sample
from minialign.course import pipeline
from minialign.course.profiles import Profile
from minialign.course.session import pick_device
from minialign.course.studies import reward_modeling, study
from minialign.course.studies.measuring import Start, curves
from minialign.evaluate.statistics import mean
from minialign.rewards.constraints import constraint_kept, constraint_rows

SHARES = ("follows", "stops", "any", "rude", "too_long")
SAMPLES = 4  # replies that are kept to be read
DRAWS = 4  # replies to each held-out constraint
CURVES = {
    "sft": ("loss",), "reward": ("loss", "accuracy"), "dpo": ("loss", "accuracy", "margin"),
    "ppo": ("reward", "kl", "entropy", "length"),
}  # of a stage's log  # fmt: skip


def _samples(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """A few prompts with replies before and after, as JSON: one cell of a table."""
    rows = zip(before["prompt"], before["reply"], after["reply"], strict=True)
    return json.dumps([list(row) for row in rows][:SAMPLES])


def _change(before: pd.DataFrame, after: pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """Means of columns before and after, and the standard error of their paired difference."""
    columns = {}
    for name in names:
        first, then = before[name].astype(float), after[name].astype(float)
        columns |= {f"{name}_before": first.mean(), f"{name}_after": then.mean()}
        columns[f"{name}_error"] = mean((then - first).tolist()).error
    return columns


@study("real_stages", "what does the course's pipeline change in a real model?", stage=CURVES)
def stage_trained(profile: Profile, seed: int, stage: str) -> dict[str, Any]:
    """A stage of the pipeline, trained, and what it changed on held-out phrasings."""
    this = pipeline.STAGES[stage]
    if this.after:
        pipeline.stage(this.after, profile=profile, seed=seed)  # its minutes are its own
    began = time.time()
    folder = pipeline.stage(stage, profile=profile, seed=seed)
    minutes = (time.time() - began) / 60
    rounds = [pd.read_csv(part) for part in sorted(folder.glob("history*.csv"))]
    settings = asdict(this.config(profile, seed))
    of_training = {
        "model": profile.model,
        "train_minutes": round(minutes, 2),
        "settings": json.dumps(settings | {"loss": identity(this.loss)} if this.loss else settings),
        **curves(pd.concat(rounds), CURVES[stage]),
    }
    tuned = pipeline.stage("sft", profile=profile, seed=seed)
    if stage == "reward":
        model = RewardModel.from_pretrained(folder, device=pick_device()).eval()
        _, tokenizer = load_policy(tuned)
        return {**of_training, **reward_modeling.examine(model, tokenizer, profile.eval_prompts)}
    before, after = (
        Start(*load_policy(path, device=pick_device()), profile, seed).judged()
        for path in (profile.model if stage == "sft" else tuned, folder)
    )
    return {
        **of_training,
        "n": float(len(before)),
        **_change(before, after, (*SHARES, "utility", "tokens")),
        "utility_sd": float(before["utility"].std()),
        "samples": _samples(before, after),
    }


def constraint_config(profile: Profile, seed: int = 0) -> GrpoConfig:
    """Settings of GRPO on constraints, without a leash."""
    return GrpoConfig(
        steps=max(2, profile.steps // 4),
        prompts=profile.batch_size // 2,
        learning_rate=1e-4 if profile.model == "tiny-base" else 3e-5,
        beta=0.0,
        max_new_tokens=min(48, profile.max_new_tokens),
        seed=seed,
    )


def _replies(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: list[dict],
    max_new_tokens: int,
) -> pd.DataFrame:  # fmt: skip
    """A row per prompt: the share of its replies that keep its rule, their mean length, and one."""
    limits = {"group_size": DRAWS, "max_new_tokens": max_new_tokens}
    rollout = sample(policy, tokenizer, [row["prompt"] for row in rows], **limits)
    each = [row for row in rows for _ in range(DRAWS)]
    columns = {name: [row[name] for row in each] for name in ("kind", "value")}
    keeps = constraint_kept(rollout.prompts, rollout.texts, **columns)
    outcome = {"kept": keeps, "tokens": rollout.lengths.tolist(), "reply": rollout.texts}
    replies = pd.DataFrame({"prompt": rollout.prompts, "kind": columns["kind"], **outcome})
    how = {"kind": "first", "reply": "first", "kept": "mean", "tokens": "mean"}
    return replies.groupby("prompt", sort=False).agg(how).reset_index()


@study("real_constraints", "does a real model learn to keep rules that a program checks?")
def constraints_rewarded(profile: Profile, seed: int) -> dict[str, Any]:
    """GRPO with the rule as the only reward; held-out words and wordings before and after."""
    config = constraint_config(profile, seed)
    policy, tokenizer = load_policy(profile.model, device=pick_device())
    held_out = constraint_rows(profile.eval_prompts, "test", seed=99)
    before = _replies(policy, tokenizer, held_out, config.max_new_tokens)
    began = time.time()
    rows = constraint_rows(profile.comparisons, seed=seed)
    history = train_grpo(policy, tokenizer, rows, constraint_kept, config)
    minutes = (time.time() - began) / 60
    after = _replies(policy, tokenizer, held_out, config.max_new_tokens)
    by_kind = {}
    for kind, at in before.groupby("kind").groups.items():
        change = _change(before.loc[at], after.loc[at], ("kept",))
        by_kind |= {name.replace("kept", kind): value for name, value in change.items()}
        by_kind[f"{kind}_n"] = float(len(at))
    return {
        "model": profile.model,
        "n": float(len(before)),
        "train_minutes": round(minutes, 2),
        "settings": json.dumps(asdict(config)),
        **_change(before, after, ("kept", "tokens")),
        **by_kind,
        **curves(history, ("reward", "signal", "entropy", "length")),
        "samples": _samples(before, after),
    }
