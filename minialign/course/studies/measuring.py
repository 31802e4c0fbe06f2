"""What studies share: a tuned policy that learns and is examined, curves in parts, planted bugs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.history import History
from minialign.core.models import frozen_reference
from minialign.core.models.loading import load_policy
from minialign.course.pipeline import stage
from minialign.course.profiles import Profile
from minialign.course.session import pick_device
from minialign.evaluate.village import judge, summary
from minialign.world.tasks import instructions

# (settings of the run, names of the loop's module and what replaces them)
Fault = tuple[dict[str, Any], dict[str, Any]]
Learn = Callable[..., Any]  # (start, **changes) -> the history where curves are asked for
Examine = Callable[..., dict[str, float]]  # (start, its frozen copy) -> columns

SHARES = ("follows", "stops", "rude", "flattering", "unsafe", "untrue", "too_long", "any")
PARTS = 12  # parts of a run whose means are recorded as its curve


@dataclass(frozen=True)
class Start:
    """What a run of a study starts from; training changes the policy in place."""

    policy: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    profile: Profile
    seed: int

    @classmethod
    def tuned(cls, profile: Profile, seed: int) -> Start:
        """The tuned policy of a seed."""
        folder = stage("sft", profile=profile, seed=seed)
        return cls(*load_policy(folder, device=pick_device()), profile, seed)

    def judged(self, prompts: int | None = None, **reference: PreTrainedModel) -> pd.DataFrame:
        """One sampled reply to each held-out phrasing, judged; the profile's number of prompts."""
        held_out = instructions(prompts or self.profile.eval_prompts, "phrasings", seed=5)
        settings = {"max_new_tokens": self.profile.max_new_tokens, "seed": 1, **reference}
        return judge(self.policy, self.tokenizer, held_out, **settings)


def measured(
    profile: Profile, seed: int, learn: Learn, names: Sequence[str] = (), *, examine: Examine,
    **changes: Any,
) -> dict[str, float]:  # fmt: skip
    """Let a tuned policy learn, then examine it beside a frozen copy of what it was.

    Returns:
        What `examine` found, train_minutes of learning, and the named curves of the history that
        `learn` returned.
    """
    start = Start.tuned(profile, seed)
    reference = frozen_reference(start.policy)
    began = time.time()
    history = learn(start, **changes)
    minutes = (time.time() - began) / 60
    return {**examine(start, reference), "train_minutes": minutes, **curves(history, names)}


def shares(judged: pd.DataFrame) -> dict[str, float]:
    """Means of `SHARES`, gold utility and tokens, and the spread of utility."""
    means = summary(judged, SHARES).to_dict()
    return {**means, "utility_sd": float(judged["utility"].std())}


def curves(history: History | pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """Means of the parts of a run: reward_0, reward_1, ..."""
    return {
        f"{name}_{k}": float(part.mean())
        for name in names
        for k, part in enumerate(np.array_split(history[name], min(PARTS, len(history))))
    }


@contextmanager
def planted_in(module: ModuleType, fault: Fault) -> Iterator[dict[str, Any]]:
    """Replace names of a loop's module for a while; the context's value is the fault's settings."""
    changes, patches = fault
    with ExitStack() as stack:
        for name, broken in patches.items():
            stack.enter_context(mock.patch.object(module, name, broken))
        yield changes


@contextmanager
def attention_dropout(model: PreTrainedModel, share: float = 0.1) -> Iterator[None]:
    """Drop a share of the attention at random for a while, as in a model left in training mode."""
    layers = [module for module in model.modules() if hasattr(module, "attention_dropout")]
    was = model.training
    model.train()
    for layer in layers:
        layer.attention_dropout = share
    try:
        yield
    finally:
        model.train(was)
        for layer in layers:
            layer.attention_dropout = 0.0
