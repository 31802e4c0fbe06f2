"""Studies of DPO's relatives: the family on the same pairs, and feedback without pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Row
from minialign.core.optim import reference_sums
from minialign.course.profiles import Profile
from minialign.course.stages.presets import dpo_config
from minialign.course.studies import Point, Study
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

LOOPS = ("train_preference", "train_stepwise", "train_unpaired")
FAMILY = [method.name for method in methods.REGISTRY.values() if method.loop in LOOPS]


def _paired(method: str, policy, tokenizer, profile: Profile, seed: int, steps: int) -> None:
    """`train_preference` as the registry has it; a ranking of four takes the place of two pairs."""
    config = replace(
        dpo_config(profile, seed), **{"options": {}, "steps": steps, **_settings(method)}
    )
    source = _source(method)
    if config.loss in LISTWISE:
        config = replace(config, batch_size=config.batch_size * 2 // LISTED)
    known = known_sums(source, profile, seed) if config.tail == 1 else None
    rows, _ = pairs_from(source, profile, seed)
    train_preference(policy, tokenizer, rows, config, references=known)


def _stepwise(method: str, policy, tokenizer, profile: Profile, seed: int, steps: int) -> None:
    """Two rounds of half the steps each: easy pairs and hard ones, or all pairs twice."""
    pairs, _ = pairs_from("own, chosen", profile, seed)
    pairs = pairs[: steps * profile.batch_size]
    rounds = [pairs, pairs]
    if method == "sdpo":
        known = reference_sums(policy, tokenizer, pairs)
        order = (known[:, 1] - known[:, 0]).argsort().tolist()  # easy where the start agrees
        rounds = [[pairs[i] for i in half] for half in np.array_split(order, 2)]
    config = replace(dpo_config(profile, seed), steps=max(1, steps // 2), options={"beta": 0.1})
    train_stepwise(policy, tokenizer, rounds, config, **_settings(method))


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


def _unpaired(method: str, policy, tokenizer, profile: Profile, seed: int, steps: int) -> None:
    rows, liked = feedback(pairs_from("own, chosen", profile, seed)[0], seed)
    config = replace(_unpaired_config(profile, seed), steps=steps, **_settings(method))
    train_unpaired(policy, tokenizer, rows, liked, config)


def _unpaired_config(profile: Profile, seed: int) -> UnpairedConfig:
    base = dpo_config(profile, seed)
    return UnpairedConfig(
        steps=base.steps,
        batch_size=2 * base.batch_size,
        learning_rate=base.learning_rate,
        seed=seed,
    )


def _source(method: str) -> str:
    """Rankings of four for the losses that read them, else pairs."""
    return "own, ranked" if _settings(method).get("loss") in LISTWISE else "own, chosen"


def _settings(method: str) -> dict[str, Any]:
    return dict(methods.method(method).settings)


def _family_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"method": name, "seed": seed} for seed in range(seeds) for name in FAMILY]


def _measure_family(profile: Profile, point: Point) -> dict[str, float]:
    name, seed = point["method"], point["seed"]
    how = dict(zip(LOOPS, (_paired, _stepwise, _unpaired), strict=True))
    learn = how[methods.method(name).loop]
    steps = max(2, 5 * dpo_config(profile).steps // 8)
    known_sums(_source(name), profile, seed)  # not within the time of the first method
    return measured(
        profile, seed, lambda policy, tok: learn(name, policy, tok, profile, seed, steps)
    )


# Name -> (share of liked completions that is kept, whether both classes are to count alike).
FEEDBACK = {"1:1": (1.0, False), "1:5": (0.2, False), "1:5, balanced": (0.2, True)}


def _feedback_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"feedback": name, "seed": seed} for seed in range(seeds) for name in FEEDBACK]


def _measure_feedback(profile: Profile, point: Point) -> dict[str, float]:
    (keep, balance), seed = FEEDBACK[point["feedback"]], point["seed"]

    def learn(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        rows, liked = feedback(pairs_from("own, chosen", profile, seed)[0], seed, keep)
        weights = balanced(liked) if balance else (1.0, 1.0)
        config = replace(
            _unpaired_config(profile, seed), liked_weight=weights[0], disliked_weight=weights[1]
        )
        train_unpaired(policy, tokenizer, rows, liked, config)

    return measured(profile, seed, learn)


STUDIES = {
    "dpo_family": Study(
        "how do the preference losses differ on the same pairs?", _family_points, _measure_family
    ),
    "dpo_feedback": Study(
        "what do likes and dislikes without pairs teach?", _feedback_points, _measure_feedback
    ),
}
