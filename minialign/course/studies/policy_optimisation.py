"""Studies of PPO: the frontier of reward against KL, which details matter, and planted faults."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms import ppo
from minialign.core.advantages import token_rewards
from minialign.core.history import History
from minialign.core.logprobs import token_logprobs
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.sampling import Rollout, sample
from minialign.course.pipeline import policy_and_scorer
from minialign.course.profiles import Profile
from minialign.course.stages.presets import ppo_config
from minialign.course.stages.recipes import ppo_prompts
from minialign.course.studies import Point, Study, patched
from minialign.evaluate.village import judge
from minialign.rewards.learnt import reward_model_score
from minialign.world.annotator import gold_reward
from minialign.world.tasks import instructions

BETAS = (0.0, 0.03, 0.1, 0.3, 1.0)  # reward per nat
CURVES = ("reward", "gold", "kl", "entropy", "length", "stops", "clip_fraction",
          "explained_variance")  # fmt: skip
PARTS = 12  # parts of a run whose means are recorded as its curve

# Detail -> what is changed in the settings; "critic" names what the critic starts from.
DETAILS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "3 x learning rate": {"learning_rate": 4.5e-4},
    "4 epochs": {"epochs": 4},
    "critic from the policy": {"critic": "policy"},
    "no EOS trick": {"missing_eos": None},
    "lambda = 1": {"lam": 1.0},
    "whitened rewards": {"rewards": "whitened"},
    "clipped scores": {"rewards": "clipped"},
    "adaptive KL": {"target_kl": 3.0},
}


def run(
    profile: Profile, seed: int, *, critic: str = "reward", **changes: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, RewardModel, History]:
    """PPO from the stages of a seed: the policy, its tokenizer, the scorer and the history."""
    policy, tokenizer, scorer = policy_and_scorer(profile, seed)
    asked = ppo_prompts(profile, seed)
    fresh = critic == "policy"
    history = ppo.train_ppo(
        policy,
        ValueModel.from_policy(policy, seed) if fresh else ValueModel.from_reward_model(scorer),
        tokenizer,
        [i.prompt for i in asked],
        reward_model_score(scorer, tokenizer),
        replace(ppo_config(profile, seed), **changes),
        watch={"gold": gold_reward(asked)},
    )
    return policy, tokenizer, scorer, history


def examine(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    scorer: RewardModel,
    profile: Profile,
) -> dict[str, float]:
    """Held-out phrasings, one sampled reply each: gold utility, its spread, score, shares."""
    asked = instructions(profile.eval_prompts, "phrasings", seed=5)
    found = judge(policy, tokenizer, asked, max_new_tokens=profile.max_new_tokens, seed=1)
    scores = reward_model_score(scorer, tokenizer)(
        found["prompt"].tolist(), found["reply"].tolist()
    )
    shares = ("follows", "stops", "rude", "flattering", "unsafe", "untrue", "too_long", "any")
    return {
        "utility": float(found["utility"].mean()),
        "utility_sd": float(found["utility"].std()),
        "score": float(np.mean(scores)),
        "tokens": float(found["tokens"].mean()),
        **{name: float(found[name].mean()) for name in shares},
    }


def last(history: History, name: str) -> float:
    """Mean of a metric over the last tenth of a run."""
    values = history[name]
    return float(values[-max(1, len(values) // 10) :].mean())


def measured(profile: Profile, seed: int, **changes: Any) -> dict[str, float]:
    """One run: the end of its curves, and the policy on held-out phrasings."""
    policy, tokenizer, scorer, history = run(profile, seed, **changes)
    ends = {f"train_{name}": last(history, name) for name in CURVES}
    return {**examine(policy, tokenizer, scorer, profile), "kl": ends["train_kl"], **ends}


def brief(profile: Profile) -> dict[str, int]:
    """Settings of a run that is long enough to tell variants apart."""
    return {"steps": max(2, 3 * ppo_config(profile).steps // 5)}


def _frontier_points(profile: Profile, seeds: int) -> list[Point]:
    start = [{"beta": -1.0, "seed": seed} for seed in range(seeds)]  # -1: before any PPO
    return start + [{"beta": beta, "seed": seed} for seed in range(seeds) for beta in BETAS]


def _measure_frontier(profile: Profile, point: Point) -> dict[str, float]:
    seed = point["seed"]
    if point["beta"] >= 0:
        return measured(profile, seed, beta=point["beta"])
    return {**examine(*policy_and_scorer(profile, seed), profile), "kl": 0.0}


def _detail_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"detail": detail, "seed": seed} for seed in range(seeds) for detail in DETAILS]


def _measure_detail(profile: Profile, point: Point) -> dict[str, float]:
    return measured(profile, point["seed"], **brief(profile), **DETAILS[point["detail"]])


def without_eos(*args: Any, **named: Any) -> Rollout:
    """A rollout whose end of text is outside the mask, as with pad equal to EOS (trap 12)."""
    rollout = sample(*args, **named)
    last_column = rollout.completion_mask.shape[1] - 1
    ends = last_column - rollout.completion_mask.flip(1).argmax(1)
    mask = rollout.completion_mask.clone()
    several = rollout.finished & (rollout.lengths > 1)
    mask[several.nonzero()[:, 0], ends[several]] = 0
    return replace(rollout, completion_mask=mask)


def _score_one_early(
    scores: Tensor, kl: Tensor, mask: Tensor, beta: float, how: str = "plain"
) -> Tensor:
    """Rewards with the score at the last token but one (trap 14)."""
    found = token_rewards(torch.zeros_like(scores), kl, mask, beta, how)
    ends = mask.shape[1] - 1 - mask.flip(1).argmax(1)
    early = torch.where(mask.sum(1) > 1, ends - 1, ends)
    return found.scatter_add(1, early[:, None], scores[:, None])


def _with_dropout(
    model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, temperature: float = 1.0
) -> Tensor:
    """Logprobs with a tenth of the attention dropped at random (trap 10)."""
    layers = [m for m in model.modules() if hasattr(m, "attention_dropout")]
    was = model.training
    model.train()
    for layer in layers:
        layer.attention_dropout = 0.1
    try:
        return token_logprobs(model, input_ids, attention_mask, temperature)
    finally:
        model.train(was)
        for layer in layers:
            layer.attention_dropout = 0.0


@contextlib.contextmanager
def planted(fault: str) -> Iterator[dict[str, Any]]:
    """Plant one fault of `FAULTS` in the loop; yields the settings to run with."""
    changes, patches = FAULTS[fault]
    with patched(ppo, patches):
        yield changes


# Fault -> (changed settings, names of the loop's module and what replaces them).
FAULTS: dict[str, tuple[dict[str, Any], dict[str, Callable]]] = {
    "healthy": ({}, {}),
    "EOS outside the mask": ({}, {"sample": without_eos}),
    "no whitening": ({}, {"whiten": lambda values, mask, shift_mean=True: values * mask}),
    "KL sign": ({}, {"k1": lambda logprobs, ref: ref - logprobs}),
    "dropout on": ({}, {"token_logprobs": _with_dropout}),
    "value collapse": ({}, {"value_loss": lambda v, old, returns, mask, clip: v.square()}),
    "temperature mismatch": ({}, {"sample": partial(sample, temperature=0.6)}),
    "too many epochs": ({"epochs": 12, "clip": 0.9}, {}),
    "reward off by one": ({}, {"token_rewards": _score_one_early}),
}  # fmt: skip


def _fault_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"fault": fault, "seed": seed} for seed in range(seeds) for fault in FAULTS]


def _measure_fault(profile: Profile, point: Point) -> dict[str, float]:
    with planted(point["fault"]) as changes:
        *made, history = run(profile, point["seed"], **brief(profile), **changes)
    curves = {
        f"{name}_{k}": float(part.mean())
        for name in CURVES
        for k, part in enumerate(np.array_split(history[name], min(PARTS, len(history))))
    }
    return {**examine(*made, profile), **curves}


STUDIES = {
    "ppo_frontier": Study(
        "how much reward, proxy and gold, does a nat of KL buy?",
        _frontier_points,
        _measure_frontier,
    ),
    "ppo_details": Study(
        "which implementation details of PPO matter here?", _detail_points, _measure_detail
    ),
    "ppo_faults": Study(
        "which curves does each planted fault draw?", _fault_points, _measure_fault
    ),
}
