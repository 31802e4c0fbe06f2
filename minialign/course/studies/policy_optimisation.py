"""Studies of PPO: the frontier of reward against KL, which details matter, and planted faults."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

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
from minialign.course.studies import study
from minialign.course.studies.measuring import (
    SHARES,
    Fault,
    Start,
    attention_dropout,
    curves,
    planted_in,
)
from minialign.rewards.learnt import reward_model_score
from minialign.world.replies.annotator import gold_reward

BEFORE = -1.0  # the beta that stands for the policy before any PPO
BETAS = (BEFORE, 0.0, 0.03, 0.1, 0.3, 1.0)  # reward per nat
CURVES = ("reward", "gold", "kl", "entropy", "length", "stops", "clip_fraction",
          "explained_variance")  # fmt: skip

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


def optimise(
    profile: Profile, seed: int, *, critic: str = "reward", brief: bool = False, **changes: Any
) -> tuple[dict[str, float], History]:
    """What `examine` finds after PPO from the stages of a seed, and the history of the run.

    The critic starts from the "reward" model or the "policy"; a `brief` run takes three fifths of
    the steps, enough to tell variants apart.
    """
    policy, tokenizer, scorer = policy_and_scorer(profile, seed)
    start = Start(policy, tokenizer, profile, seed)
    prompts = ppo_prompts(profile, seed)
    fresh = critic == "policy"
    config = ppo_config(profile, seed)
    if brief:
        config = replace(config, steps=max(2, 3 * config.steps // 5))
    history = ppo.train_ppo(
        policy,
        ValueModel.from_policy(policy, seed) if fresh else ValueModel.from_reward_model(scorer),
        tokenizer,
        [i.prompt for i in prompts],
        reward_model_score(scorer, tokenizer),
        replace(config, **changes),
        watch={"gold": gold_reward(prompts)},
    )
    return examine(start, scorer), history


def examine(start: Start, scorer: RewardModel) -> dict[str, float]:
    """Held-out phrasings, one sampled reply each: gold utility, its spread, score, shares."""
    judged = start.judged()
    texts = [judged[column].tolist() for column in ("prompt", "reply")]
    return {
        "utility": float(judged["utility"].mean()),
        "utility_sd": float(judged["utility"].std()),
        "score": float(np.mean(reward_model_score(scorer, start.tokenizer)(*texts))),
        "tokens": float(judged["tokens"].mean()),
        **{name: float(judged[name].mean()) for name in SHARES},
    }


def _with_ends(examined: dict[str, float], history: History) -> dict[str, float]:
    """What was examined, with the means of the curves over the last tenth of the run."""
    tenth = max(1, len(history) // 10)
    ends = {f"train_{name}": float(history[name][-tenth:].mean()) for name in CURVES}
    return {**examined, "kl": ends["train_kl"], **ends}


@study("ppo_frontier", "how much reward, proxy and gold, does a nat of KL buy?", beta=BETAS)
def frontier(profile: Profile, seed: int, beta: float) -> dict[str, float]:
    """The stage's run at another beta, or the policy that it starts from."""
    if beta == BEFORE:
        policy, tokenizer, scorer = policy_and_scorer(profile, seed)
        return {**examine(Start(policy, tokenizer, profile, seed), scorer), "kl": 0.0}
    return _with_ends(*optimise(profile, seed, beta=beta))


@study("ppo_details", "which implementation details of PPO matter here?", detail=tuple(DETAILS))
def detail_changed(profile: Profile, seed: int, detail: str) -> dict[str, float]:
    """A brief run with one of `DETAILS` changed."""
    return _with_ends(*optimise(profile, seed, brief=True, **DETAILS[detail]))


def without_eos(*args: Any, **named: Any) -> Rollout:
    """A rollout whose end of text is outside the mask, as with pad equal to EOS."""
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
    """(B, T) rewards with the score at the last token but one."""
    rewards = token_rewards(torch.zeros_like(scores), kl, mask, beta, how)
    ends = mask.shape[1] - 1 - mask.flip(1).argmax(1)
    early = torch.where(mask.sum(1) > 1, ends - 1, ends)
    return rewards.scatter_add(1, early[:, None], scores[:, None])


def _with_dropout(model: PreTrainedModel, *args: Any, **named: Any) -> Tensor:
    """`token_logprobs` with a tenth of the attention dropped at random."""
    with attention_dropout(model):
        return token_logprobs(model, *args, **named)


FAULTS: dict[str, Fault] = {
    "healthy": ({}, {}),
    "EOS outside the mask": ({}, {"sample": without_eos}),
    "no whitening": ({}, {"whiten": lambda values, mask, shift_mean=True: values * mask}),
    "KL sign": ({}, {"k1": lambda logprobs, ref: ref - logprobs}),
    "dropout on": ({}, {"token_logprobs": _with_dropout}),
    "value collapse": ({}, {"value_loss": lambda v, old, returns, mask, clip: v.square()}),
    "temperature mismatch": ({}, {"sample": partial(sample, temperature=0.6)}),
    "too many epochs": ({"epochs": 12, "clip": 0.9}, {}),
    "reward off by one": ({}, {"token_rewards": _score_one_early}),
}


def planted(fault: str) -> AbstractContextManager[dict[str, Any]]:
    """A context in which the loop has one fault of `FAULTS`; its value is the settings to take."""
    return planted_in(ppo, FAULTS[fault])


@study("ppo_faults", "which curves does each planted fault draw?", fault=tuple(FAULTS))
def fault_planted(profile: Profile, seed: int, fault: str) -> dict[str, float]:
    """A brief run with one of `FAULTS`, and its curves."""
    with planted(fault) as changes:
        examined, history = optimise(profile, seed, brief=True, **changes)
    return {**examined, **curves(history, CURVES)}
