"""Every loop on a graphics card, and each run that began there finished on the CPU.

    python -m benchmarks.gpu_check [--device cuda]

Each line is an essay or a general loop on tiny-base: seconds of a step on the card (the first left
out), and what became of a run that was stopped there in its third step and resumed on the CPU.
Ends with exit code 1 if a loop fails on either. `--device cpu` tries the script out without a card.
"""

from __future__ import annotations

import argparse
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


def loops(tokenizer) -> dict[str, Callable]:
    """Name -> function of a fresh policy and the loop's on_step and checkpoint_dir."""
    pairs = [
        tuple(encode(tokenizer, c.instruction.prompt, text) for text in (c.chosen, c.rejected))
        for c in comparisons(64, "train", 0)
    ]
    rows = [row for pair in pairs for row in pair]
    problems = problem_rows(64, seed=0)

    labels = [True, False] * len(pairs)
    few = {"prompts": 16, "minibatches": 2}

    def ppo(p, **run):
        return train_ppo(
            p, tokenizer, problems, right_answer, PpoConfig(**few, **EVERY),
            value_model=ValueModel.from_policy(p), **run,
        )  # fmt: skip

    def reward(p, **run):
        model, config = RewardModel.from_policy(p), RewardConfig(**EVERY)
        return train_reward(model, tokenizer, pairs, config, **run)

    def general(name: str, *data, **settings) -> Callable:
        def loop(p, **run):
            row = method(name)
            needs = {"value_model": ValueModel.from_policy(p)} if row.needs else {}
            config = row.settings(**settings, **EVERY)
            return row.trainer(**needs)(p, tokenizer, *data, config, **run)

        return loop

    return {
        "sft": lambda p, **run: train_sft(p, tokenizer, rows, SftConfig(**EVERY), **run),
        "reward": reward,
        "dpo": lambda p, **run: train_dpo(p, tokenizer, pairs, DpoConfig(**EVERY), **run),
        "grpo": lambda p, **run: train_grpo(
            p, tokenizer, problems, right_answer, GrpoConfig(**EVERY), **run
        ),
        "ppo": ppo,
        "neftune": general("neftune", rows),
        "ipo": general("ipo", pairs),
        "kto": general("kto", rows, labels),
        "rloo": general("rloo", problems, right_answer),
        "ppo_max": general("ppo_max", problems, right_answer, **few),
    }


def check(name: str, loop: Callable, device: str) -> str:
    """One line of the table."""
    times: list[float] = []

    def watch(metrics: dict[str, float]) -> None:
        if device != "cpu":
            torch.cuda.synchronize()
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
    finite = all(np.isfinite(history[metric]).all() for metric in history.names)
    assert len(history) == STEPS and finite
    seconds = (times[-1] - times[0]) / (len(times) - 1)
    return f"{name:>7}  {seconds:6.3f} s  resumed on the CPU" + (", sampling anew" if anew else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    device = parser.parse_args().device
    if device != "cpu" and not torch.cuda.is_available():
        print("there is no CUDA card here")
        return 1
    where = "the CPU" if device == "cpu" else torch.cuda.get_device_name()
    print(f"{where}, torch {torch.__version__}")
    _, tokenizer = load_policy()
    failed = 0
    for name, loop in loops(tokenizer).items():
        try:
            print(check(name, loop, device), flush=True)
        except Exception:
            failed += 1
            print(f"{name:>7}  failed\n{traceback.format_exc()}", flush=True)
    return min(1, failed)


if __name__ == "__main__":
    sys.exit(main())
