"""Studies of what the course's policies can do: pass@k, and all of them on the same prompts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.models.loading import load_policy
from minialign.course.pipeline import stage
from minialign.course.profiles import Profile
from minialign.course.session import pick_device
from minialign.course.stages.recipes import grpo_problems
from minialign.course.studies import study
from minialign.evaluate.problems import pass_rate, solve
from minialign.evaluate.village import judge
from minialign.rewards import Data
from minialign.world import tasks
from minialign.world.problems import problem_rows

SETS = {"known": "train", "wordings": "wordings", "templates": "test"}  # of problems -> split
STAGE = {"tuned": "sft", "ppo": "ppo", "dpo": "dpo", "grpo": "grpo"}  # policy -> its stage
PROBLEMS, TRIES = 48, 256  # of each set, and of each problem
FAMILIES = (
    "decline", "fact", "unknown", "confirm", "word_problem", "add", "larger_number", "list_items",
    "animal_fact", "story",
)  # that the last notebook's finale asks, besides the running examples  # fmt: skip
KS = tuple(2**i for i in range(9))  # 1 to 256


def trained(
    name: str, profile: Profile, seed: int
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A policy of the course by name: the base model, or that of a stage."""
    folder = profile.model if name == "base" else stage(STAGE[name], profile=profile, seed=seed)
    return load_policy(folder, device=pick_device())


def unseen_problems(profile: Profile, seed: int, split: str, n: int) -> list[Data]:
    """Problems of a split that GRPO's policy of this seed was not asked."""
    asked = {str(row["prompt"]) for row in grpo_problems(profile, seed)}
    rows = problem_rows(2 * n, split=split, seed=99)
    return [row for row in rows if row["prompt"] not in asked][:n]


@study(
    "rl_pass_at_k", "does GRPO teach, or does it say more often what was there?",
    policy=("tuned", "grpo"),
)  # fmt: skip
def pass_at_k(profile: Profile, seed: int, policy: str) -> dict[str, Any]:
    """pass@k at temperature 1 for k up to 256, and how many of the tries are right, by problem."""
    small = profile.steps < 50  # in tests
    n, tries = (6, 4) if small else (PROBLEMS, TRIES)
    model, tokenizer = trained(policy, profile, seed)
    columns: dict[str, Any] = {"tries": float(tries)}
    for name, split in SETS.items():
        rows = unseen_problems(profile, seed, split, n)
        limits = {"group_size": tries, "max_new_tokens": profile.max_new_tokens, "seed": 3}
        solved = solve(model, tokenizer, rows, batch_size=2, **limits)
        right = solved.groupby("problem")["right"].sum()
        columns |= {f"{name}_{k}": pass_rate(solved, k).mean for k in KS if k <= tries}
        columns[f"{name}_right"] = json.dumps([int(count) for count in right])
    return columns


def twelve_prompts() -> list[tasks.Instruction]:
    """The running examples, and one instruction of the test split of each of ten families."""
    drawn = tasks.instructions(300, "test", seed=12)
    return [
        *tasks.running_examples(),
        *(next(one for one in drawn if one.family == family) for family in FAMILIES),
    ]


def _shares(judged: Any) -> Mapping[str, float]:
    flaws = {"any": "any", "rude": "rude", "untrue": "untrue", "follows": "follows"}
    means = {name: float(judged[column].mean()) for name, column in flaws.items()}
    return {
        **means,
        "gold": float(judged["utility"].mean()),
        "tokens": float(judged["tokens"].mean()),
    }


@study(
    "rl_policies", "who of the course's policies is better at what?",
    policy=("base", *STAGE),
)  # fmt: skip
def all_policies(profile: Profile, seed: int, policy: str) -> dict[str, Any]:
    """Held-out instructions, greedy and sampled, word problems, and replies to twelve prompts."""
    model, tokenizer = trained(policy, profile, seed)
    asked = tasks.instructions(profile.eval_prompts, "test", seed=5)
    limits = {"max_new_tokens": profile.max_new_tokens, "seed": 1}
    columns: dict[str, Any] = {}
    for name, temperature in (("greedy", 0.0), ("sampled", 1.0)):
        judged = judge(model, tokenizer, asked, temperature=temperature, **limits)
        columns |= {f"{name}_{measure}": value for measure, value in _shares(judged).items()}
    for name, split in SETS.items():
        rows = unseen_problems(profile, seed, split, max(6, profile.eval_prompts // 6))
        solved = solve(model, tokenizer, rows, group_size=8, **limits)
        columns[f"{name}_pass_1"] = pass_rate(solved, 1).mean
    replies = judge(model, tokenizer, twelve_prompts(), temperature=0.0, **limits)
    columns["replies"] = json.dumps(replies[["prompt", "reply"]].values.tolist())
    return columns
