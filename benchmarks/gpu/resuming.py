"""Every loop on a graphics card, and each run that began there finished on the CPU."""

from __future__ import annotations

import contextlib
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from benchmarks.gpu.jobs import synchronize
from minialign.algorithms.dpo import DpoConfig, train_dpo
from minialign.algorithms.grpo import GrpoConfig, train_grpo
from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.models.loading import load_policy
from minialign.core.tokens import encode
from minialign.rewards.verifiers import right_answer
from minialign.variants.methods import method
from minialign.world.problems import problem_rows
from minialign.world.replies.preferences import comparisons

STEPS, STOP = 5, 3
EVERY = {"steps": STEPS, "save_every": 1}


def loops(tokenizer: PreTrainedTokenizerBase, *, quick: bool = False) -> dict[str, Callable]:
    """Name -> function of a fresh policy and the loop's on_step and checkpoint_dir."""
    pairs = [
        tuple(encode(tokenizer, c.instruction.prompt, text) for text in (c.chosen, c.rejected))
        for c in comparisons(8 if quick else 64, "train", 0)
    ]
    rows = [row for pair in pairs for row in pair]
    problems = problem_rows(64, seed=0)

    labels = [True, False] * len(pairs)
    offline = EVERY | ({"batch_size": 2} if quick else {})
    online = EVERY | ({"max_new_tokens": 4} if quick else {})
    few = online | {"prompts": 4 if quick else 16, "minibatches": 2}
    groups = online | ({"prompts": 2, "group_size": 2} if quick else {})

    def ppo(p, **run):
        value_model = ValueModel.from_policy(p)
        config = PpoConfig(**few)
        return train_ppo(
            p, tokenizer, problems, right_answer, config, value_model=value_model, **run
        )

    def reward(p, **run):
        model, config = RewardModel.from_policy(p), RewardConfig(**offline)
        return train_reward(model, tokenizer, pairs, config, **run)

    def grpo(p, **run):
        return train_grpo(p, tokenizer, problems, right_answer, GrpoConfig(**groups), **run)

    def general(name: str, *data, **settings) -> Callable:
        def loop(p, **run):
            row = method(name)
            needs = {"value_model": ValueModel.from_policy(p)} if row.needs else {}
            config = row.settings(**settings)
            return row.trainer(**needs)(p, tokenizer, *data, config, **run)

        return loop

    return {
        "sft": lambda p, **run: train_sft(p, tokenizer, rows, SftConfig(**offline), **run),
        "reward": reward,
        "dpo": lambda p, **run: train_dpo(p, tokenizer, pairs, DpoConfig(**offline), **run),
        "grpo": grpo,
        "ppo": ppo,
        "neftune": general("neftune", rows, **offline),
        "ipo": general("ipo", pairs, **offline),
        "kto": general("kto", rows, labels, **offline),
        "rloo": general("rloo", problems, right_answer, **groups),
        "ppo_max": general("ppo_max", problems, right_answer, **few),
    }


def check(loop: Callable, device: str) -> dict[str, Any]:
    """Stop a run in its third step, go on with it on the CPU; seconds of a step on the card.

    Raises:
        AssertionError: if a step is missing in the end, or a number is not finite.
    """
    times: list[float] = []

    def watch(metrics: dict[str, float]) -> None:
        synchronize(device)
        times.append(time.perf_counter())
        if len(times) == STOP:
            raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as folder:
        run = {"checkpoint_dir": Path(folder) / "run"}
        with contextlib.suppress(KeyboardInterrupt):
            loop(load_policy(device=device)[0], on_step=watch, **run)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            history = loop(load_policy()[0], **run)
        anew = any("seeded anew" in str(w.message) for w in said)
    assert len(history) == STEPS, f"{len(history)} steps are in the history, not {STEPS}"
    odd = [metric for metric in history.names if not np.isfinite(history[metric]).all()]
    assert not odd, f"{odd[0]} is not finite"
    seconds = (times[-1] - times[0]) / (len(times) - 1)
    return {"seconds_of_a_step": round(seconds, 4), "sampling": "anew" if anew else "goes on"}
