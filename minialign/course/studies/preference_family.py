"""Studies of DPO's relatives: the family on the same pairs, and feedback without pairs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

import numpy as np

from minialign.core.batching import Row, RowRanking
from minialign.core.models.references import completion_logprobs
from minialign.course.profiles import Profile
from minialign.course.stages.presets import dpo_config
from minialign.course.studies import study
from minialign.course.studies.measuring import Start
from minialign.course.studies.preference_optimisation import (
    LISTED,
    common,
    known_logprobs,
    measured,
    pairs_from,
)  # fmt: skip
from minialign.variants import methods
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.loops.unpaired_loop import balanced
from minialign.variants.unpaired import kto_loss

PAIRS = "own, chosen"


def _paired(start: Start, *, method: methods.Method, **changes: Any) -> None:
    """A loss of the registry; a ranking of four takes the place of two pairs.

    DPO itself takes the general loop as well: its essay reads the reference anew, in minutes that
    the others share.
    """
    settings = common(start) | method.config | changes
    source = _source(method)
    if source != PAIRS:
        settings["batch_size"] = settings["batch_size"] * 2 // LISTED
    config = PreferenceConfig(**settings)
    known = known_logprobs(source, start.profile, start.seed) if config.tail == 1 else None
    rows, _ = pairs_from(source, start.profile, start.seed)
    functions = method.trainer().keywords
    train_preference(start.policy, start.tokenizer, rows, config, ref_logprobs=known, **functions)


def _stepwise(start: Start, *, method: methods.Method, steps: int) -> None:
    """Two rounds of half the steps each: easy pairs and hard ones, or all pairs twice."""
    pairs, _ = pairs_from(PAIRS, start.profile, start.seed)
    pairs = pairs[: steps * start.profile.batch_size]
    rounds = [pairs, pairs]
    if method.name == "sdpo":
        known = completion_logprobs(start.policy, pairs, start.tokenizer.pad_token_id)
        order = (known[:, 1] - known[:, 0]).argsort().tolist()  # easy where the start agrees
        rounds = [[pairs[i] for i in half] for half in np.array_split(order, 2)]
    config = method.settings(**common(start) | {"steps": max(1, steps // 2)})
    method.trainer()(start.policy, start.tokenizer, rounds, config)


def _unpaired(
    start: Start, *, method: methods.Method, keep: float = 1.0, balance: bool = False,
    **changes: Any,
) -> None:  # fmt: skip
    """A method on the completions of the pairs; KTO with other weights as well."""
    pairs, _ = pairs_from(PAIRS, start.profile, start.seed)
    rows, liked = feedback(pairs, start.seed, keep)
    settings = common(start) | changes
    config = method.settings(**settings | {"batch_size": 2 * settings["batch_size"]})
    train = method.trainer()
    if balance:
        weights = dict(zip(("liked_weight", "disliked_weight"), balanced(liked), strict=True))
        train = partial(train, loss=partial(kto_loss, **weights))
    train(start.policy, start.tokenizer, rows, liked, config)


def feedback(
    pairs: Sequence[RowRanking], seed: int, keep: float = 1.0
) -> tuple[list[Row], list[bool]]:
    """The completions of comparisons, and which were liked; of these only a share is kept."""
    rng = Random(f"feedback {seed}")
    labelled = [one for pair in pairs for one in zip(pair, (True, False), strict=True)]
    labelled = [(row, liked) for row, liked in labelled if not liked or rng.random() < keep]
    return [row for row, _ in labelled], [liked for _, liked in labelled]


LOOPS = {
    "train_dpo": _paired,
    "train_preference": _paired,
    "train_stepwise": _stepwise,
    "train_unpaired": _unpaired,
}
FAMILY = methods.table(*LOOPS).index.tolist()


def _source(method: methods.Method) -> str:
    """Rankings of four for the losses that read them, else pairs."""
    return "own, ranked" if "listwise" in str(method.functions) else PAIRS


@study("dpo_family", "how do the preference losses differ on the same pairs?", method=FAMILY)
def family(profile: Profile, seed: int, method: str) -> dict[str, float]:
    """A method of the registry by its loop, for five eighths of the stage's steps."""
    this = methods.method(method)
    known_logprobs(_source(this), profile, seed)  # not within the time of the first method
    steps = max(2, 5 * dpo_config(profile).steps // 8)
    loop = LOOPS[this.loop.rsplit(".", 1)[1]]
    return measured(profile, seed, loop, method=this, steps=steps)


# Name -> (share of liked completions that is kept, whether both classes are to count alike).
FEEDBACK = {"1:1": (1.0, False), "1:5": (0.2, False), "1:5, balanced": (0.2, True)}


@study("dpo_feedback", "what do likes and dislikes without pairs teach?", feedback=FEEDBACK)
def unpaired_feedback(profile: Profile, seed: int, feedback: str) -> dict[str, float]:
    """KTO on likes and dislikes in one of the shares of `FEEDBACK`."""
    keep, balance = FEEDBACK[feedback]
    kto = methods.method("kto")
    return measured(profile, seed, _unpaired, method=kto, keep=keep, balance=balance)
