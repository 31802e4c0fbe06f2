"""Studies of PPO: frontier, over-optimisation along a run, details that matter, planted faults."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel

from minialign.algorithms import ppo
from minialign.core.advantages import token_rewards
from minialign.core.history import History
from minialign.core.logprobs import token_logprobs
from minialign.core.models import frozen_reference
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.sampling import Rollout, sample
from minialign.course.pipeline import policy_and_scorer
from minialign.course.profiles import Profile
from minialign.course.stages.presets import ppo_config
from minialign.course.stages.recipes import ppo_prompts
from minialign.course.studies import measuring, study
from minialign.course.studies.measuring import Fault, Start, attention_dropout
from minialign.rewards.learnt import reward_model_score
from minialign.variants.averages import token_mean
from minialign.variants.loops.critic import Critic
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy
from minialign.world.manners import is_kind
from minialign.world.replies.annotator import gold_reward
from minialign.world.tasks import instructions, running_examples

BEFORE = -1.0  # the beta that stands for the policy before any PPO
BETAS = (BEFORE, 0.0, 0.03, 0.1, 0.3, 1.0)  # reward per nat
LEASHES = (0.1, 0.0)  # the stage's leash, and none; nothing else differs
LOOKS = 16  # times that a run is looked at, besides its start
ASKED = 96  # held-out prompts, the same at every look
SAMPLED = 4  # held-out prompts whose replies are recorded, besides the running examples
MEANS = ("score", "utility", "kl", "follows", "kind", "any", "stops", "tokens")
CURVES = ("reward", "gold", "kl", "entropy", "length", "stops", "clip_fraction",
          "explained_variance")  # fmt: skip

# Detail -> settings of the essay; or what the critic starts from, or how it works, which the essay
# does not vary.
DETAILS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "3 x learning rate": {"learning_rate": 4.5e-4},
    "4 epochs": {"epochs": 4},
    "critic from the policy": {"critic": "policy"},
    "no EOS trick": {"missing_eos": None},
    "lambda = 1": {"lam": 1.0},
    "whitened rewards": {"critic": {"whiten_rewards": True}},
    "clipped scores": {"critic": {"scores": "clipped"}},
    "adaptive KL": {"critic": {"target_kl": 3.0}},
}


def optimise(
    profile: Profile, seed: int, *, critic: str | dict[str, Any] = "reward", brief: bool = False,
    **changes: Any,
) -> tuple[dict[str, float], History]:  # fmt: skip
    """What `examine` finds after PPO from the stages of a seed, and the history of the run.

    The critic starts from the "reward" model or the "policy"; with settings of `Critic`, from the
    reward model in the general loop. A `brief` run takes three fifths of the steps, enough to tell
    variants apart.
    """
    policy, tokenizer, scorer = policy_and_scorer(profile, seed)
    prompts = ppo_prompts(profile, seed)
    config = replace(ppo_config(profile, seed), **changes)
    if brief:
        config = replace(config, steps=max(2, 3 * config.steps // 5))
    fresh = critic == "policy"
    value = ValueModel.from_policy(policy, seed) if fresh else ValueModel.from_reward_model(scorer)
    train = partial(ppo.train_ppo, config=config, value_model=value)
    if isinstance(critic, dict):
        common = asdict(config)
        own = {name: common.pop(name) for name in ("lam", "clip", "missing_eos")}
        train = partial(
            train_policy, config=PolicyConfig(**common, group_size=1, kl="reward"),
            average=token_mean, critic=Critic(value, **own, **critic),
        )  # fmt: skip
    rows = [{"prompt": i.prompt} for i in prompts]
    score = reward_model_score(scorer, tokenizer)
    history = train(policy, tokenizer, rows, score, watch={"gold": gold_reward(prompts)})
    return examine(Start(policy, tokenizer, profile, seed), scorer), history


def examine(start: Start, scorer: RewardModel) -> dict[str, float]:
    """Held-out phrasings, one sampled reply each: shares, gold utility, its spread, score."""
    judged = start.judged()
    texts = [judged[column].tolist() for column in ("prompt", "reply")]
    score = float(np.mean(reward_model_score(scorer, start.tokenizer)(*texts)))
    return {**measuring.shares(judged), "score": score}


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


def some_replies(start: Start) -> list[tuple[str, str]]:
    """(prompt, sampled reply) of the course's running examples and a few held-out prompts."""
    asked = [*running_examples(), *instructions(SAMPLED, "phrasings", seed=5)]
    rollout = sample(
        start.policy,
        start.tokenizer,
        [i.prompt for i in asked],
        max_new_tokens=start.profile.max_new_tokens,
    )
    return list(zip(rollout.prompts, rollout.texts, strict=True))


def looked_at(judged: pd.DataFrame, k: int) -> dict[str, float]:
    """The means of one look as columns: score_3, utility_3, ..."""
    return {f"{name}_{k}": float(judged[name].mean()) for name in MEANS}


@study(
    "ppo_overoptimisation",
    "where along a run does the proxy go on rising while gold turns, with a leash and without?",
    beta=LEASHES,
)  # fmt: skip
def along_a_run(profile: Profile, seed: int, beta: float) -> dict[str, Any]:
    """The stage's run at one beta; every few rollouts the policy answers the same prompts.

    Columns NAME_k with k = 0, 1, ... are means over the prompts at look k: score (the proxy),
    utility (gold), kl (nats to the start), shares that follow, hold a kind word, show any flaw and
    stop, and tokens; step_k is the number of rollouts before the look. A look draws its replies
    with random numbers of its own, so it does not change the run. samples: prompt, reply before
    and reply after.
    """
    policy, tokenizer, scorer = policy_and_scorer(profile, seed)
    start, reference = Start(policy, tokenizer, profile, seed), frozen_reference(policy)
    config = replace(ppo_config(profile, seed), beta=beta)
    score = reward_model_score(scorer, tokenizer)
    every, columns, steps = max(1, config.steps // LOOKS), {}, 0
    asked = min(ASKED, profile.eval_prompts)

    def look(k: int) -> None:
        judged = start.judged(asked, reference=reference)
        texts = [judged[column].tolist() for column in ("prompt", "reply")]
        judged["score"], judged["kind"] = score(*texts), [is_kind(text) for text in texts[1]]
        columns.update({**looked_at(judged, k), f"step_{k}": float(steps)})
        columns["utility_sd"] = columns.get("utility_sd", float(judged["utility"].std()))

    def on_step(metrics: dict[str, float]) -> None:
        nonlocal steps
        steps += 1
        if steps % every == 0:
            look(steps // every)

    look(0)
    before = some_replies(start)
    rows = [{"prompt": i.prompt} for i in ppo_prompts(profile, seed)]
    critic = ValueModel.from_reward_model(scorer)
    ppo.train_ppo(policy, tokenizer, rows, score, config, value_model=critic, on_step=on_step)
    pairs = zip(before, some_replies(start), strict=True)
    return {**columns, "samples": json.dumps([(*old, new) for old, (_, new) in pairs])}


@study("ppo_details", "which implementation details of PPO matter here?", detail=DETAILS)
def detail_changed(profile: Profile, seed: int, detail: str) -> dict[str, float]:
    """A brief run with one of `DETAILS` changed."""
    return _with_ends(*optimise(profile, seed, brief=True, **DETAILS[detail]))


def _ends(mask: Tensor) -> Tensor:
    """(B,) the column of each completion's last token."""
    return mask.shape[1] - 1 - mask.flip(1).argmax(1)


def without_eos(*args: Any, **named: Any) -> Rollout:
    """A rollout whose end of text is outside the mask, as with pad equal to EOS."""
    rollout = sample(*args, **named)
    mask = rollout.completion_mask.clone()
    several = (rollout.finished & (rollout.lengths > 1)).nonzero()[:, 0]
    mask[several, _ends(mask)[several]] = 0
    return replace(rollout, completion_mask=mask)


def _score_one_early(scores: Tensor, kl: Tensor, mask: Tensor, beta: float) -> Tensor:
    """(B, T) rewards with the score at the last token but one."""
    rewards = token_rewards(torch.zeros_like(scores), kl, mask, beta)
    early = torch.where(mask.sum(1) > 1, _ends(mask) - 1, _ends(mask))
    return rewards.scatter_add(1, early[:, None], scores[:, None])


def _with_dropout(model: PreTrainedModel, *args: Any, **named: Any) -> Tensor:
    """`token_logprobs` with a tenth of the attention dropped at random."""
    with attention_dropout(model):
        return token_logprobs(model, *args, **named)


class _KlTurned(Rollout):
    """A rollout under which log pi - log ref comes out as log ref - log pi."""

    def logprobs_under(self, model: PreTrainedModel) -> Tensor:
        return 2 * self.logprobs - super().logprobs_under(model)


FAULTS: dict[str, Fault] = {
    "healthy": ({}, {}),
    "EOS outside the mask": ({}, {"sample": without_eos}),
    "no whitening": ({}, {"whiten": lambda values, mask: values * mask}),
    "KL sign": ({}, {"sample": lambda *args, **named: _KlTurned(**vars(sample(*args, **named)))}),
    "dropout on": ({}, {"token_logprobs": _with_dropout}),
    "value collapse": ({}, {"value_loss": lambda values, *_, clip: values.square()}),
    "temperature mismatch": ({}, {"sample": partial(sample, temperature=0.6)}),
    "too many epochs": ({"epochs": 12, "clip": 0.9}, {}),
    "reward off by one": ({}, {"token_rewards": _score_one_early}),
}


def planted(fault: str) -> AbstractContextManager[dict[str, Any]]:
    """A context in which the loop has one fault of `FAULTS`; its value is the settings to take."""
    return measuring.planted_in(ppo, FAULTS[fault])


@study("ppo_faults", "which curves does each planted fault draw?", fault=FAULTS)
def fault_planted(profile: Profile, seed: int, fault: str) -> dict[str, float]:
    """A brief run with one of `FAULTS`, and its curves."""
    with planted(fault) as changes:
        examined, history = optimise(profile, seed, brief=True, **changes)
    return {**examined, **measuring.curves(history, CURVES)}
