"""Studies of GRPO and its relatives on word problems whose answers a program verifies.

Those that train take the general loop, GRPO too: it also logs how far ratios are off. What the
stages' own policies can do is measured in `trained_policies`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.sft import train_sft
from minialign.core.history import History
from minialign.core.sampling import Rollout, sample
from minialign.core.tokens import encode
from minialign.course.profiles import Profile
from minialign.course.stages import presets
from minialign.course.stages.recipes import grpo_problems
from minialign.course.studies import measuring, study
from minialign.course.studies.measuring import Fault, Learn, Start
from minialign.course.studies.policy_optimisation import without_eos
from minialign.evaluate.problems import pass_rate, solve
from minialign.rewards import Data, Reward
from minialign.rewards.verifiers import careless_answer, right_answer, step_rewards
from minialign.variants import methods
from minialign.variants.group_advantages import group_centred
from minialign.variants.loops import policy_loop
from minialign.world.problems import problem_rows

DRAWS = 8  # solutions of each held-out problem
ROUNDING = 1e-6  # between rewards of a group that should be equal
CURVES = ("reward", "signal", "entropy", "length", "stops", "off")
# Methods that differ where each rollout is used once, and every ratio is 1.
METHODS = ("reinforce", "rloo", "grpo", "dr_grpo", "dapo")
REPLIES = 4  # of a policy that are recorded as text


def examine(start: Start, reference: PreTrainedModel) -> dict[str, float]:
    """Held-out problems of known and new wordings and of new templates, and instructions.

    pass@1 and pass@8; shares of solutions in the right format and that stop, of sound steps; tokens
    of right and of wrong solutions; KL in nats per solution; the share of instructions followed.
    """
    prompts = max(6, start.profile.eval_prompts // 3)
    known, told, new = (
        problem_rows(prompts, split=split, seed=99) for split in ("train", "wordings", "test")
    )
    limits = {"group_size": DRAWS, "max_new_tokens": start.profile.max_new_tokens, "seed": 1}
    solved = solve(start.policy, start.tokenizer, known, reference=reference, **limits)
    solved_told, solved_new = (
        solve(start.policy, start.tokenizer, rows, **limits) for rows in (told, new)
    )
    judged = start.judged(prompts)
    right = solved["right"]
    return {
        **{f"pass_{k}": pass_rate(solved, k).mean for k in (1, DRAWS)},
        **{f"wordings_pass_{k}": pass_rate(solved_told, k).mean for k in (1, DRAWS)},
        **{f"new_pass_{k}": pass_rate(solved_new, k).mean for k in (1, DRAWS)},
        **solved[["format", "sound", "stops", "tokens", "kl"]].mean().to_dict(),
        "tokens_right": float(solved["tokens"][right].mean()),
        "tokens_wrong": float(solved["tokens"][~right].mean()),
        "follows": float(judged["follows"].mean()),
    }


measured = partial(measuring.measured, examine=examine)  # names: curves of the history


def brief(start: Start) -> policy_loop.PolicyConfig:
    """The stage's settings for half of its steps, long enough to tell variants apart."""
    base = asdict(presets.grpo_config(start.profile, start.seed))
    del base["clip"]  # the objective's
    return policy_loop.PolicyConfig(**base | {"steps": max(2, base["steps"] // 2)})


def _rl(
    start: Start, *, rows: list[Data] | None = None, reward: Reward = right_answer,
    functions: dict[str, Any] | None = None, **changes: Any,
) -> History:  # fmt: skip
    """GRPO for half of the stage's steps, with changed settings or arguments of the loop."""
    config = replace(brief(start), **changes)
    rows = rows or grpo_problems(start.profile, start.seed)
    policy, tokenizer = start.policy, start.tokenizer
    return policy_loop.train_policy(policy, tokenizer, rows, reward, config, **functions or {})


def _step_rewards(tokenizer: PreTrainedTokenizerBase, rollout: Rollout, rows: list[Data]) -> Tensor:
    numbers = [row["numbers"] for row in rows for _ in range(rollout.group_size)]
    return step_rewards(tokenizer, rollout, numbers)


def _imitate(start: Start) -> History:
    """Supervised tuning on reference solutions of the same problems, which GRPO never sees."""
    problems = grpo_problems(start.profile, start.seed)
    rows = [encode(start.tokenizer, row["prompt"], row["solution"]) for row in problems]
    steps = 10 * brief(start).steps  # about the time of GRPO
    config = replace(presets.sft_config(start.profile, start.seed), steps=steps, learning_rate=1e-4)
    return train_sft(start.policy, start.tokenizer, rows, config)


def _registered(start: Start, *, method: str) -> History:
    """A row of the registry; where it sets the group, there are more prompts instead."""
    if method == "grpo":
        return _rl(start)
    this = methods.method(method)
    needs = {"step_rewards": partial(_step_rewards, start.tokenizer)} if this.needs else {}
    settings = {"beta": 0.0, **this.config}
    base = brief(start)
    if "group_size" in settings:
        settings["prompts"] = base.prompts * base.group_size // settings["group_size"]
    return _rl(start, functions=this.trainer(**needs).keywords, **settings)


@study("rl_seeds", "does GRPO work with every seed?")
def seed_alone(profile: Profile, seed: int) -> dict[str, float]:
    """The stage's own run."""
    return measured(profile, seed, _rl, CURVES, steps=presets.grpo_config(profile).steps)


OTHERS: dict[str, Learn] = {
    "no training": lambda *_: History(),
    "supervised": _imitate,
}


@study("rl_methods", "how do the methods differ on the same problems?", method=(*OTHERS, *METHODS))
def method_of_training(profile: Profile, seed: int, method: str) -> dict[str, float]:
    """A method of the registry with its curves, or one of `OTHERS`."""
    if method in OTHERS:
        return measured(profile, seed, OTHERS[method])
    return measured(profile, seed, _registered, CURVES, method=method)


@study("rl_kl", "how much does the leash matter?", beta=(0.0, 0.01, 0.04, 0.16))  # reward per nat
def leash(profile: Profile, seed: int, beta: float) -> dict[str, float]:
    """A brief run at this beta."""
    return measured(profile, seed, _rl, CURVES, beta=beta)


# What a run is asked: levels, one part of the run after another.
DIFFICULTY: dict[str, tuple[tuple[int, ...], ...]] = {
    "2": ((2,),), "3": ((3,),), "4": ((4,),), "mixed": ((2, 3, 4),),
    "2, then 3, then 4": ((2,), (3,), (4,)),
}  # fmt: skip


def _in_parts(start: Start, *, parts: tuple[tuple[int, ...], ...]) -> History:
    """Runs of equal length one after another, on problems of each part's levels."""
    steps = max(1, brief(start).steps // len(parts))
    histories = []
    for i, levels in enumerate(parts):
        rows = problem_rows(start.profile.comparisons // 4, levels, seed=start.seed)
        part = replace(start, seed=start.seed + 1000 * i)
        histories.append(_rl(part, rows=rows, steps=steps))
    rows = chain.from_iterable(history.to_rows() for history in histories)
    return History.from_rows([{**row, "step": i} for i, row in enumerate(rows)])


@study("rl_difficulty", "which problems teach most?", levels=DIFFICULTY)
def difficulty(profile: Profile, seed: int, levels: str) -> dict[str, float]:
    """A brief run on problems of these levels."""
    return measured(profile, seed, _in_parts, CURVES, parts=DIFFICULTY[levels])


VERIFIERS: dict[str, Reward] = {"careful": right_answer, "careless": careless_answer}


def examine_paid(start: Start, reference: PreTrainedModel) -> dict[str, Any]:
    """What `examine` says, what the careless verifier pays, and replies that it pays wrongly."""
    rows = problem_rows(max(6, start.profile.eval_prompts // 3), seed=99)
    limits = {"group_size": 1, "max_new_tokens": start.profile.max_new_tokens, "seed": 2}
    solved = solve(start.policy, start.tokenizer, rows, **limits)
    answers = [row["answer"] for row in rows]
    paid = np.array(careless_answer(solved["prompt"], solved["reply"], answers)) == 1
    wrongly = solved[paid & ~solved["right"]][["prompt", "reply"]].head(REPLIES)
    shares = {"careless": float(paid.mean()), "wrongly": float((paid & ~solved["right"]).mean())}
    return {**examine(start, reference), **shares, "samples": json.dumps(wrongly.values.tolist())}


@study("rl_hacking", "does a policy find the loophole of a careless verifier?", verifier=VERIFIERS)
def loophole(profile: Profile, seed: int, verifier: str) -> dict[str, Any]:
    """The stage's full length, without a leash: what is found is found late."""
    watch = {"right": right_answer, "careless": careless_answer}
    return measuring.measured(
        profile, seed, _rl, (*CURVES, *watch), examine=examine_paid, reward=VERIFIERS[verifier],
        beta=0.0, steps=presets.grpo_config(profile).steps, functions={"watch": watch},
    )  # fmt: skip


def _wrong(*args: Any, **columns: Any) -> list[float]:
    return [-value for value in right_answer(*args, **columns)]  # every row has an answer


def _without_epsilon(rewards: Tensor) -> Tensor:
    """The z-score of rewards that differ by rounding within a tied group; exact ties are 0 / 0."""
    rewards = rewards + ROUNDING * torch.linspace(0, 1, rewards.shape[1])
    return group_centred(rewards) / rewards.std(1, keepdim=True)


FAULTS: dict[str, Fault] = {
    "healthy": ({}, {}),
    "deviation of a tied group": ({"functions": {"advantage": _without_epsilon}}, {}),
    "stop token masked": ({}, {"sample": without_eos}),
    "temperature mismatch": ({}, {"sample": partial(sample, temperature=0.6)}),
    "wrong sign": ({"reward": _wrong}, {}),
}


@study("rl_faults", "what do four bugs of GRPO do?", fault=FAULTS)
def fault_planted(profile: Profile, seed: int, fault: str) -> dict[str, float]:
    """A brief run with one of `FAULTS`."""
    with measuring.planted_in(policy_loop, FAULTS[fault]) as changes:
        return measured(profile, seed, _rl, CURVES, **changes)
