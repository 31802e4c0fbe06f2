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
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.gpu.jobs import synchronize
from minialign.core.history import History
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
    asked = (problem_rows(64, seed=0), right_answer)
    labels = [True, False] * len(pairs)
    offline = EVERY | ({"batch_size": 2} if quick else {})
    online = EVERY | ({"max_new_tokens": 4} if quick else {})
    few = online | {"prompts": 4 if quick else 16, "minibatches": 2}
    groups = online | ({"prompts": 2, "group_size": 2} if quick else {})

    def loop(name: str, *data: Any, **settings: Any) -> Callable:
        def run(policy: PreTrainedModel, **given: Any) -> History:
            row = method(name)
            needs = {"value_model": ValueModel.from_policy(policy)} if row.needs else {}
            model = RewardModel.from_policy(policy) if name == "bradley_terry" else policy
            return row.trainer(**needs)(model, tokenizer, *data, row.settings(**settings), **given)

        return run

    return {
        "sft": loop("sft", rows, **offline),
        "reward": loop("bradley_terry", pairs, **offline),
        "dpo": loop("dpo", pairs, **offline),
        "grpo": loop("grpo", *asked, **groups),
        "ppo": loop("ppo", *asked, **few),
        "neftune": loop("neftune", rows, **offline),
        "ipo": loop("ipo", pairs, **offline),
        "kto": loop("kto", rows, labels, **offline),
        "rloo": loop("rloo", *asked, **groups),
        "ppo_max": loop("ppo_max", *asked, **few),
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
