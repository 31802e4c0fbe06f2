"""Studies of DPO's relatives: six contrasts, four answers to length, feedback without pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from minialign.core.batching import Row, RowRanking
from minialign.course.profiles import Profile
from minialign.course.studies import study
from minialign.course.studies.measuring import Start
from minialign.course.studies.preference_optimisation import (
    BETA,
    LENGTH_BIAS,
    Loss,
    common,
    known_logprobs,
    learn_from,
    measured,
    pairs_from,
)
from minialign.variants import methods
from minialign.variants.loops.unpaired_loop import balanced
from minialign.variants.preference import hinge_loss, ipo_loss, logistic_loss, rdpo_loss
from minialign.variants.reference_free import simpo_loss
from minialign.variants.unpaired import kto_loss

PAIRS = "written"


def _unpaired(
    start: Start, *, method: methods.Method, keep: float = 1.0, balance: bool = False,
    **functions: Any,
) -> None:  # fmt: skip
    """A method on the completions of the pairs; KTO with other weights as well."""
    pairs, _ = pairs_from(PAIRS, start.profile, start.seed)
    rows, liked = feedback(pairs, start.seed, keep)
    settings = common(start)
    config = method.settings(**settings | {"batch_size": 2 * settings["batch_size"]})
    train = partial(method.trainer(), **functions)
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


# The contrasts of notebook 04; KTO's loss is of one reply. Those that have DPO's beta share it.
FAMILY: dict[str, Loss | None] = {
    "dpo": partial(logistic_loss, beta=BETA),
    "hinge": partial(hinge_loss, beta=BETA),
    "ipo": partial(ipo_loss, beta=BETA, per_token=False),
    "cdpo": partial(logistic_loss, beta=BETA, label_smoothing=0.2),
    "simpo": partial(simpo_loss, beta=2.0, gamma=1.0),
    "kto": None,
}


@study("dpo_family", "how do six preference losses differ on the same pairs?", method=FAMILY)
def family(profile: Profile, seed: int, method: str) -> dict[str, float]:
    """A loss of `FAMILY` for the stage's steps."""
    known_logprobs(PAIRS, profile, seed)  # not within the time of the first method
    loss = FAMILY[method]
    if loss is None:
        its_loss = partial(kto_loss, beta=BETA)
        return measured(profile, seed, _unpaired, method=methods.method("kto"), loss=its_loss)
    return measured(profile, seed, learn_from, loss=loss, source=PAIRS)


@dataclass(frozen=True)
class Remedy:
    """What keeps replies from growing: a loss, and the weight of tokens that only one reply has."""

    loss: Loss
    tail: float = 1.0


REMEDIES = {
    "dpo": Remedy(partial(logistic_loss, beta=BETA)),
    "rdpo": Remedy(partial(rdpo_loss, beta=BETA, length=0.1)),
    "ld_dpo": Remedy(partial(logistic_loss, beta=BETA), tail=0.3),
    "simpo": Remedy(partial(simpo_loss, beta=2.0, gamma=1.0)),
}


@study(
    "dpo_length",
    "which loss resists annotators who love length, and what does it cost elsewhere?",
    bias=(0.0, LENGTH_BIAS),
    method=REMEDIES,
)
def length(profile: Profile, seed: int, bias: float, method: str) -> dict[str, float]:
    """One of `REMEDIES` on written pairs of the usual annotators, or of those who love length."""
    source = "for length" if bias else "written"
    known_logprobs(source, profile, seed)
    this = REMEDIES[method]
    return measured(profile, seed, learn_from, loss=this.loss, tail=this.tail, source=source)


# Name -> (share of liked completions that is kept, whether both classes are to count alike).
FEEDBACK = {"1:1": (1.0, False), "1:5": (0.2, False), "1:5, balanced": (0.2, True)}


@study("dpo_feedback", "what do likes and dislikes without pairs teach?", feedback=FEEDBACK)
def unpaired_feedback(profile: Profile, seed: int, feedback: str) -> dict[str, float]:
    """KTO on likes and dislikes in one of the shares of `FEEDBACK`."""
    keep, balance = FEEDBACK[feedback]
    kto = methods.method("kto")
    return measured(profile, seed, _unpaired, method=kto, keep=keep, balance=balance)
