"""Studies of DPO's relatives: the family on the same pairs, and feedback without pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from minialign.core.batching import Row
from minialign.core.optim import reference_sums
from minialign.course.profiles import Profile
from minialign.course.stages.presets import dpo_config
from minialign.course.studies import study
from minialign.course.studies.measuring import Start
from minialign.course.studies.preference_optimisation import (
    LISTED,
    known_sums,
    measured,
    pairs_from,
)
from minialign.variants import methods
from minialign.variants.loops.preference_loop import LISTWISE, Ranking, train_preference
from minialign.variants.loops.rounds import train_stepwise
from minialign.variants.loops.unpaired_loop import (
    UnpairedConfig,
    balanced,
    train_unpaired,
)

PAIRS = "own, chosen"


def _paired(start: Start, *, method: methods.Method, steps: int) -> None:
    """`train_preference` as the registry has it; a ranking of four takes the place of two pairs."""
    settings = {"options": {}, "steps": steps, **method.settings}
    config = replace(dpo_config(start.profile, start.seed), **settings)
    if config.loss in LISTWISE:
        config = replace(config, batch_size=config.batch_size * 2 // LISTED)
    source = _source(method)
    known = known_sums(source, start.profile, start.seed) if config.tail == 1 else None
    rows, _ = pairs_from(source, start.profile, start.seed)
    train_preference(start.policy, start.tokenizer, rows, config, references=known)


def _stepwise(start: Start, *, method: methods.Method, steps: int) -> None:
    """Two rounds of half the steps each: easy pairs and hard ones, or all pairs twice."""
    pairs, _ = pairs_from(PAIRS, start.profile, start.seed)
    pairs = pairs[: steps * start.profile.batch_size]
    rounds = [pairs, pairs]
    if method.name == "sdpo":
        known = reference_sums(start.policy, start.tokenizer, pairs)
        order = (known[:, 1] - known[:, 0]).argsort().tolist()  # easy where the start agrees
        rounds = [[pairs[i] for i in half] for half in np.array_split(order, 2)]
    config = dpo_config(start.profile, start.seed)
    config = replace(config, steps=max(1, steps // 2), options={"beta": 0.1})
    train_stepwise(start.policy, start.tokenizer, rounds, config, **method.settings)


def _unpaired(
    start: Start,
    *,
    method: methods.Method | None = None,
    keep: float = 1.0,
    balance: bool = False,
    **changes: Any,
) -> None:
    """`train_unpaired` on the completions of the pairs, by the registry or with other weights."""
    pairs, _ = pairs_from(PAIRS, start.profile, start.seed)
    rows, liked = feedback(pairs, start.seed, keep)
    base = dpo_config(start.profile, start.seed)
    config = UnpairedConfig(
        steps=base.steps,
        batch_size=2 * base.batch_size,
        learning_rate=base.learning_rate,
        seed=base.seed,
    )
    if balance:
        liked_weight, disliked_weight = balanced(liked)
        changes |= {"liked_weight": liked_weight, "disliked_weight": disliked_weight}
    config = replace(config, **changes, **(method.settings if method else {}))
    train_unpaired(start.policy, start.tokenizer, rows, liked, config)


def feedback(
    pairs: Sequence[Ranking], seed: int, keep: float = 1.0
) -> tuple[list[Row], list[bool]]:
    """The completions of comparisons, and which were liked; of these only a share is kept."""
    rng = Random(f"feedback {seed}")
    rows = [
        (row, liked)
        for pair in pairs
        for row, liked in zip(pair, (True, False), strict=True)
        if not liked or rng.random() < keep
    ]
    return [row for row, _ in rows], [liked for _, liked in rows]


LOOPS = {"train_preference": _paired, "train_stepwise": _stepwise, "train_unpaired": _unpaired}
FAMILY = [method.name for method in methods.REGISTRY.values() if method.loop in LOOPS]


def _source(method: methods.Method) -> str:
    """Rankings of four for the losses that read them, else pairs."""
    return "own, ranked" if method.settings.get("loss") in LISTWISE else PAIRS


@study("dpo_family", "how do the preference losses differ on the same pairs?", method=FAMILY)
def family(profile: Profile, seed: int, method: str) -> dict[str, float]:
    """A method of the registry by its loop, for five eighths of the stage's steps."""
    this = methods.method(method)
    known_sums(_source(this), profile, seed)  # not within the time of the first method
    steps = max(2, 5 * dpo_config(profile).steps // 8)
    return measured(profile, seed, LOOPS[this.loop], method=this, steps=steps)


# Name -> (share of liked completions that is kept, whether both classes are to count alike).
FEEDBACK = {"1:1": (1.0, False), "1:5": (0.2, False), "1:5, balanced": (0.2, True)}


@study("dpo_feedback", "what do likes and dislikes without pairs teach?", feedback=tuple(FEEDBACK))
def unpaired_feedback(profile: Profile, seed: int, feedback: str) -> dict[str, float]:
    """KTO on likes and dislikes in one of the shares of `FEEDBACK`."""
    keep, balance = FEEDBACK[feedback]
    return measured(profile, seed, _unpaired, keep=keep, balance=balance)
