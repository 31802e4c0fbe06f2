"""Studies of GRPO and its relatives on word problems whose answers a program verifies."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.ppo import train_ppo
from minialign.algorithms.sft import train_sft
from minialign.core.history import History
from minialign.core.models import frozen_reference
from minialign.core.models.heads import ValueModel
from minialign.core.sampling import sample
from minialign.course.profiles import Profile
from minialign.course.stages.presets import ppo_config, rl_config, sft_config
from minialign.course.stages.recipes import rl_problems
from minialign.course.studies import Point, Study, patched
from minialign.course.studies.policy_optimisation import without_eos
from minialign.course.studies.preference_optimisation import start
from minialign.evaluate.problems import pass_rate, solve
from minialign.evaluate.village import judge
from minialign.rewards import Reward
from minialign.rewards.verifiers import careless_answer, right_answer, step_rewards
from minialign.variants import methods, policy_loop
from minialign.variants.group_advantages import GROUP_ADVANTAGES, group_centred
from minialign.world.problems import problem_rows
from minialign.world.tasks import instructions

Policy = PreTrainedModel
Tokenizer = PreTrainedTokenizerBase
Learn = Callable[[Policy, Tokenizer, Profile, int], History]

LEVELS = (2, 3, 4)  # of the problems, unless a study is about them
DRAWS = 8  # solutions of each held-out problem
PARTS = 12  # parts of a run whose means are recorded as its curve
ROUNDING = 1e-6  # between rewards of a group that should be equal
CURVES = ("reward", "signal", "entropy", "length", "stops", "off")
METHODS = [method.name for method in methods.REGISTRY.values() if method.loop == "train_rl"]


def held_out(profile: Profile, split: str = "train") -> list[policy_loop.Data]:
    """Problems that no run sees: of known templates, or for split "test" of unseen ones."""
    return problem_rows(max(6, profile.eval_prompts // 3), LEVELS, split, seed=99)


def examine(
    policy: Policy, tokenizer: Tokenizer, reference: Policy, profile: Profile
) -> dict[str, float]:
    """Held-out problems of known and of new templates, and held-out instructions.

    pass@1 and pass@8; shares of solutions in the right format and that stop, of sound steps; tokens
    of right and of wrong solutions; KL in nats per solution; the share of instructions followed.
    """
    limits = {"group_size": DRAWS, "max_new_tokens": profile.max_new_tokens, "seed": 1}
    solved = solve(policy, tokenizer, held_out(profile), reference=reference, **limits)
    new = solve(policy, tokenizer, held_out(profile, "test"), **limits)
    asked = instructions(max(6, profile.eval_prompts // 3), "phrasings", seed=5)
    judged = judge(policy, tokenizer, asked, max_new_tokens=profile.max_new_tokens, seed=1)
    right = solved["right"]
    return {
        **{f"pass_{k}": pass_rate(solved, k).mean for k in (1, DRAWS)},
        **{f"new_pass_{k}": pass_rate(new, k).mean for k in (1, DRAWS)},
        **solved[["format", "sound", "stops", "tokens", "kl"]].mean().to_dict(),
        "tokens_right": float(solved["tokens"][right].mean()),
        "tokens_wrong": float(solved["tokens"][~right].mean()),
        "follows": float(judged["follows"].mean()),
    }


def curves(history: History | pd.DataFrame, names: tuple[str, ...]) -> dict[str, float]:
    """Means of the parts of a run: reward_0, reward_1, ..."""
    return {
        f"{name}_{k}": float(part.mean())
        for name in names
        for k, part in enumerate(np.array_split(history[name], min(PARTS, len(history))))
    }


def measured(
    profile: Profile, seed: int, learn: Learn, names: tuple[str, ...] = CURVES
) -> dict[str, float]:
    """Let a tuned policy learn, then examine it; train_minutes are those of learning."""
    policy, tokenizer = start(profile, seed)
    reference = frozen_reference(policy)
    began = time.time()
    history = learn(policy, tokenizer, profile, seed)
    minutes = (time.time() - began) / 60
    found = examine(policy, tokenizer, reference, profile)
    return {**found, "train_minutes": minutes, **curves(history, names)}


def brief(profile: Profile, seed: int) -> policy_loop.RlConfig:
    """Settings of a run that is long enough to tell variants apart."""
    base = rl_config(profile, seed)
    return replace(base, steps=max(2, base.steps // 2))


def _rl(
    policy: Policy,
    tokenizer: Tokenizer,
    profile: Profile,
    seed: int,
    *,
    rows: list[policy_loop.Data] | None = None,
    reward: Reward = right_answer,
    watch: Mapping[str, Reward] | None = None,
    **changes: Any,
) -> History:
    """`train_rl` for half of the stage's steps, with changed settings."""
    config = replace(brief(profile, seed), **changes)
    steps = partial(_step_rewards, tokenizer) if config.advantage == "process" else None
    rows = rows or rl_problems(profile, seed)
    return policy_loop.train_rl(policy, tokenizer, rows, reward, config, steps=steps, watch=watch)


def _step_rewards(
    tokenizer: Tokenizer, rollout: policy_loop.Rollout, rows: list[policy_loop.Data]
) -> Tensor:
    numbers = [row["numbers"] for row in rows for _ in range(rollout.group_size)]
    return step_rewards(tokenizer, rollout, numbers)


def _imitate(policy: Policy, tokenizer: Tokenizer, profile: Profile, seed: int) -> History:
    """Supervised tuning on reference solutions of the same problems, which GRPO never sees."""
    rows = [encode(tokenizer, row["prompt"], row["solution"]) for row in rl_problems(profile, seed)]
    steps = 10 * brief(profile, seed).steps  # about the time of GRPO
    config = replace(sft_config(profile, seed), steps=steps, learning_rate=1e-4)
    return train_sft(policy, tokenizer, rows, config)


def _ppo(
    policy: Policy, tokenizer: Tokenizer, profile: Profile, seed: int, *, share: float = 1.0
) -> History:
    """PPO with the verifier's reward at the end and a critic that starts from the policy.

    `share` is that of the steps of GRPO; a step takes 2.5 times as long.
    """
    rows, config = rl_problems(profile, seed), brief(profile, seed)
    answers = {row["prompt"]: row["answer"] for row in rows}
    asked = [{"prompt": prompt, "answer": answer} for prompt, answer in answers.items()]
    settings = replace(
        ppo_config(profile, seed),
        steps=max(2, round(share * config.steps)),
        prompts=config.prompts * config.group_size,
        beta=0.01,
        missing_eos=None,
    )
    critic = ValueModel.from_policy(policy, seed)
    return train_ppo(policy, critic, tokenizer, asked, right_answer, settings)


def _method(
    name: str, policy: Policy, tokenizer: Tokenizer, profile: Profile, seed: int
) -> History:
    """A row of the registry; where it sets the group, there are more prompts instead."""
    settings = dict(methods.method(name).settings)
    base = brief(profile, seed)
    if "group_size" in settings:
        settings["prompts"] = base.prompts * base.group_size // settings["group_size"]
    return _rl(policy, tokenizer, profile, seed, **{"beta": 0.0, **settings})


def _seed_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"seed": seed} for seed in range(seeds)]


def _measure_seed(profile: Profile, point: Point) -> dict[str, float]:
    """The stage's own run."""
    return measured(profile, point["seed"], partial(_rl, steps=rl_config(profile).steps))


OTHERS: dict[str, Learn] = {
    "no training": lambda *_: History(),
    "supervised": _imitate,
    "ppo, same tries": _ppo,
    "ppo, same time": partial(_ppo, share=0.4),
}


def _method_points(profile: Profile, seeds: int) -> list[Point]:
    names = (*OTHERS, *METHODS)
    return [{"method": name, "seed": seed} for seed in range(seeds) for name in names]


def _measure_method(profile: Profile, point: Point) -> dict[str, float]:
    name = point["method"]
    learn = OTHERS[name] if name in OTHERS else partial(_method, name)
    return measured(profile, point["seed"], learn, CURVES if name in METHODS else ())


BETAS = (0.0, 0.01, 0.04, 0.16)  # reward per nat


def _kl_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"beta": beta, "seed": seed} for seed in range(seeds) for beta in BETAS]


def _measure_kl(profile: Profile, point: Point) -> dict[str, float]:
    return measured(profile, point["seed"], partial(_rl, beta=point["beta"]))


# What a run is asked: levels, one part of the run after another.
DIFFICULTY: dict[str, tuple[tuple[int, ...], ...]] = {
    "2": ((2,),),
    "3": ((3,),),
    "4": ((4,),),
    "mixed": (LEVELS,),
    "2, then 3, then 4": ((2,), (3,), (4,)),
}


def _difficulty_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"levels": name, "seed": seed} for seed in range(seeds) for name in DIFFICULTY]


def _in_parts(
    parts: tuple[tuple[int, ...], ...],
    policy: Policy,
    tokenizer: Tokenizer,
    profile: Profile,
    seed: int,
) -> History:
    """Runs of equal length one after another, on problems of each part's levels."""
    steps = max(1, brief(profile, seed).steps // len(parts))
    histories = []
    for i, levels in enumerate(parts):
        rows = problem_rows(profile.comparisons // 4, levels, seed=seed)
        learn = partial(_rl, rows=rows, steps=steps)
        histories.append(learn(policy, tokenizer, profile, seed + 1000 * i))
    rows = list(chain.from_iterable(history.to_rows() for history in histories))
    return History.from_rows([{**row, "step": i} for i, row in enumerate(rows)])


def _measure_difficulty(profile: Profile, point: Point) -> dict[str, float]:
    return measured(profile, point["seed"], partial(_in_parts, DIFFICULTY[point["levels"]]))


def _hacking_points(profile: Profile, seeds: int) -> list[Point]:
    verifiers = ("careful", "careless")
    return [{"verifier": name, "seed": seed} for seed in range(seeds) for name in verifiers]


def _measure_hacking(profile: Profile, point: Point) -> dict[str, float]:
    """The stage's full length, without a leash: what is found is found late."""
    reward = right_answer if point["verifier"] == "careful" else careless_answer
    watch = {"right": right_answer, "careless": careless_answer}
    steps = rl_config(profile).steps
    learn = partial(_rl, reward=reward, watch=watch, beta=0.0, steps=steps)
    return measured(profile, point["seed"], learn, (*CURVES, *watch))


def _wrong(*args: Any, **columns: Any) -> list[float]:
    return [-value for value in right_answer(*args, **columns)]  # every row has an answer


def _without_epsilon(rewards: Tensor) -> Tensor:
    """The z-score of rewards that differ by rounding within a tied group; exact ties are 0 / 0."""
    rewards = rewards + ROUNDING * torch.linspace(0, 1, rewards.shape[1])
    return group_centred(rewards) / rewards.std(1, keepdim=True)


# Fault -> (settings of `_rl`, names of the loop's module and what replaces them).
FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "healthy": ({}, {}),
    "deviation of a tied group": (
        {}, {"GROUP_ADVANTAGES": {**GROUP_ADVANTAGES, "zscore": _without_epsilon}}
    ),
    "stop token masked": ({}, {"sample": without_eos}),
    "temperature mismatch": ({}, {"sample": partial(sample, temperature=0.6)}),
    "wrong sign": ({"reward": _wrong}, {}),
}  # fmt: skip


def _fault_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"fault": fault, "seed": seed} for seed in range(seeds) for fault in FAULTS]


def _measure_fault(profile: Profile, point: Point) -> dict[str, float]:
    changes, patches = FAULTS[point["fault"]]
    with patched(policy_loop, patches):
        return measured(profile, point["seed"], partial(_rl, **changes))


STUDIES = {
    "rl_seeds": Study("does GRPO work with every seed?", _seed_points, _measure_seed),
    "rl_methods": Study(
        "how do the methods differ on the same problems?", _method_points, _measure_method
    ),
    "rl_kl": Study("how much does the leash matter?", _kl_points, _measure_kl),
    "rl_difficulty": Study("which problems teach most?", _difficulty_points, _measure_difficulty),
    "rl_hacking": Study(
        "does a policy find the loophole of a careless verifier?",
        _hacking_points,
        _measure_hacking,
    ),
    "rl_faults": Study("what do four bugs of GRPO do?", _fault_points, _measure_fault),
}
