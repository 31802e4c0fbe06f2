"""Every loop on a graphics card, and each run that began there finished on the CPU.

    python benchmarks/gpu_check.py

Each line is a loop on tiny-base: seconds of a step on the card (the first left out), and what
became of a run that was stopped there in its third step and resumed on the CPU.
Ends with exit code 1 if a loop fails on either.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.models.loading import load_policy
from minialign.core.tokens import encode
from minialign.rewards.verifiers import right_answer
from minialign.variants.loops.policy_loop import RlConfig, train_rl
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.loops.unpaired_loop import UnpairedConfig, train_unpaired
from minialign.world.problems import problem_rows
from minialign.world.replies.preferences import comparisons

STEPS, STOP = 5, 3
EVERY = {"steps": STEPS, "save_every": 1}


def loops(tokenizer) -> dict[str, Callable]:
    """Name -> function of a fresh policy and the loop's on_step and checkpoint_dir."""
    pairs = [
        tuple(encode(tokenizer, c.instruction.prompt, text) for text in (c.chosen, c.rejected))
        for c in comparisons(64, "train", 0)
    ]
    rows = [row for pair in pairs for row in pair]
    problems = problem_rows(64, seed=0)

    def ppo(policy, **run):
        critic = ValueModel.from_policy(policy)
        config = PpoConfig(prompts=16, minibatches=2, **EVERY)
        return train_ppo(policy, critic, tokenizer, problems, right_answer, config, **run)

    return {
        "sft": lambda p, **run: train_sft(p, tokenizer, rows, SftConfig(**EVERY), **run),
        "reward": lambda p, **run: train_reward(
            RewardModel.from_policy(p), tokenizer, pairs, RewardConfig(**EVERY), **run
        ),
        "dpo": lambda p, **run: train_preference(
            p, tokenizer, pairs, PreferenceConfig(**EVERY), **run
        ),
        "kto": lambda p, **run: train_unpaired(
            p, tokenizer, rows, [True, False] * len(pairs), UnpairedConfig(**EVERY), **run
        ),
        "grpo": lambda p, **run: train_rl(
            p, tokenizer, problems, right_answer, RlConfig(beta=0.04, **EVERY), **run
        ),
        "ppo": ppo,
    }


def check(name: str, loop: Callable) -> str:
    """One line of the table."""
    times: list[float] = []

    def watch(metrics: dict[str, float]) -> None:
        torch.cuda.synchronize()
        times.append(time.perf_counter())
        if len(times) == STOP:
            raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as folder:
        run = {"checkpoint_dir": Path(folder) / "run"}
        with contextlib.suppress(KeyboardInterrupt):
            loop(load_policy(device="cuda")[0], on_step=watch, **run)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            history = loop(load_policy()[0], **run)
        anew = any("seeded anew" in str(w.message) for w in said)
    finite = all(np.isfinite(history[metric]).all() for metric in history.names)
    assert len(history) == STEPS and finite
    seconds = (times[-1] - times[0]) / (len(times) - 1)
    return f"{name:>7}  {seconds:6.3f} s  resumed on the CPU" + (", sampling anew" if anew else "")


def main() -> int:
    if not torch.cuda.is_available():
        print("there is no CUDA card here")
        return 1
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    _, tokenizer = load_policy()
    failed = 0
    for name, loop in loops(tokenizer).items():
        try:
            print(check(name, loop), flush=True)
        except Exception:
            failed += 1
            print(f"{name:>7}  failed\n{traceback.format_exc()}", flush=True)
    return min(1, failed)


if __name__ == "__main__":
    sys.exit(main())
