"""Studies on a real language model: the course's pipeline, and constraints that are verified.

With `--profile small` they run SmolLM2-135M-Instruct, which needs no hub, at sizes that two cores
manage in half an hour a point; a smaller profile runs its own model, for tests.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.constraints import constraint_kept, constraint_rows
from minialign.evaluate import judge
from minialign.models import RewardModel, load_policy
from minialign.profiles import Profile, override
from minialign.rollout import sample
from minialign.session import pick_device
from minialign.stages import stage
from minialign.studies import Point, Study, reward_modeling
from minialign.studies.verifiable_rewards import curves
from minialign.train.rl import RlConfig, train_rl
from minialign.world.tasks import instructions

MODEL = "smollm2-135m-instruct"
TWO_CORES = {"examples": 1600, "comparisons": 1600, "steps": 160, "batch_size": 16,
             "eval_prompts": 96, "max_new_tokens": 64}  # fmt: skip
SHARES = ("follows", "stops", "any", "rude", "too_long")
SAMPLES = 4  # replies that are kept to be read
DRAWS = 4  # replies to each held-out constraint


def two_cores(profile: Profile) -> Profile:
    """The offline model at sizes for two cores in place of the small profile's; others stay."""
    return override(profile, model=MODEL, **TWO_CORES) if profile.name == "small" else profile


def _samples(before: Sequence[str], after: Sequence[str], prompts: Sequence[str]) -> str:
    """A few prompts with replies before and after, as JSON: one cell of a table."""
    kept = zip(prompts[:SAMPLES], before[:SAMPLES], after[:SAMPLES], strict=True)
    return json.dumps([list(row) for row in kept])


def _both(before: pd.DataFrame, after: pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """Means of columns before and after."""
    pairs = {"before": before, "after": after}
    return {f"{name}_{when}": float(t[name].mean()) for name in names for when, t in pairs.items()}


def _stage_points(profile: Profile, seeds: int) -> list[Point]:
    names = ("sft", "reward", "dpo", "ppo")
    return [{"stage": name, "seed": seed} for seed in range(seeds) for name in names]


def _measure_stage(profile: Profile, point: Point) -> dict[str, Any]:
    """A stage of the pipeline, trained, and what it changed on held-out phrasings."""
    sizes, name, seed = two_cores(profile), point["stage"], point["seed"]
    if name != "sft":
        stage("sft", profile=sizes, seed=seed)  # its minutes are its own
    began = time.time()
    folder = stage(name, profile=sizes, seed=seed)
    spent = {"model": sizes.model, "train_minutes": round((time.time() - began) / 60, 2)}
    if name == "reward":
        model = RewardModel.from_pretrained(folder, device=pick_device()).eval()
        _, tokenizer = load_policy(stage("sft", profile=sizes, seed=seed))
        return {**spent, **reward_modeling.examine(model, tokenizer, sizes.eval_prompts)}
    first = sizes.model if name == "sft" else stage("sft", profile=sizes, seed=seed)
    asked = instructions(sizes.eval_prompts, "phrasings", seed=5)
    settings = {"max_new_tokens": sizes.max_new_tokens, "seed": 1}
    found = []
    for path in (first, folder):
        policy, tokenizer = load_policy(path, device=pick_device())
        found.append(judge(policy, tokenizer, asked, **settings))
    before, after = found
    return {
        **spent,
        "n": float(len(asked)),
        **_both(before, after, (*SHARES, "utility", "tokens")),
        "utility_sd_before": float(before["utility"].std()),
        "samples": _samples(list(before["reply"]), list(after["reply"]), list(before["prompt"])),
    }


def constraint_config(profile: Profile, seed: int = 0) -> RlConfig:
    """Settings of GRPO on constraints."""
    return RlConfig(
        steps=max(2, profile.steps // 4),
        prompts=profile.batch_size // 2,
        learning_rate=1e-4 if profile.model == "tiny-base" else 1e-5,
        max_new_tokens=min(48, profile.max_new_tokens),
        seed=seed,
    )


def _replies(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: list[dict], config: RlConfig
) -> pd.DataFrame:
    """DRAWS replies to each row, and whether they keep its rule."""
    prompts = [row["prompt"] for row in rows]
    settings = {"group_size": DRAWS, "max_new_tokens": config.max_new_tokens}
    rollout = sample(policy, tokenizer, prompts, **settings)
    each = [row for row in rows for _ in range(DRAWS)]
    columns = {name: [row[name] for row in each] for name in ("kind", "value")}
    kept = constraint_kept(rollout.prompts, rollout.texts, **columns)
    tokens = rollout.lengths.tolist()
    return pd.DataFrame({"prompt": rollout.prompts, "reply": rollout.texts, "kept": kept,
                         "kind": columns["kind"], "tokens": tokens})  # fmt: skip


def _constraint_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"seed": seed} for seed in range(seeds)]


def _measure_constraints(profile: Profile, point: Point) -> dict[str, Any]:
    """GRPO with the rule as the only reward; held-out words and wordings before and after."""
    sizes, seed = two_cores(profile), point["seed"]
    config = constraint_config(sizes, seed)
    policy, tokenizer = load_policy(sizes.model, device=pick_device())
    held_out = constraint_rows(sizes.eval_prompts, "test", seed=99)
    before = _replies(policy, tokenizer, held_out, config)
    began = time.time()
    rows = constraint_rows(sizes.comparisons, seed=seed)
    history = train_rl(policy, tokenizer, rows, constraint_kept, config)
    minutes = (time.time() - began) / 60
    after = _replies(policy, tokenizer, held_out, config)
    by_kind = {
        f"{kind}_{when}": float(share)
        for when, found in (("before", before), ("after", after))
        for kind, share in found.groupby("kind")["kept"].mean().items()
    }
    said = (list(found["reply"][::DRAWS]) for found in (before, after))
    return {
        "model": sizes.model,
        "n": float(len(held_out)),
        "train_minutes": round(minutes, 2),
        **_both(before, after, ("kept", "tokens")),
        **by_kind,
        **curves(history, ("reward", "signal", "entropy", "length")),
        "samples": _samples(*said, [row["prompt"] for row in held_out]),
    }


STUDIES = {
    "real_stages": Study(
        "what does the course's pipeline change in a real model?", _stage_points, _measure_stage
    ),
    "real_constraints": Study(
        "does a real model learn to keep rules that a program checks?",
        _constraint_points,
        _measure_constraints,
    ),
}
