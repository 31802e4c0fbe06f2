"""Who values a policy's own replies: the village's annotators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from minialign.core.sampling import Rollout
from minialign.world.replies.annotator import Annotator
from minialign.world.replies.preferences import CROWD, noisy_utility
from minialign.world.tasks import Instruction


def by_annotators(
    seed: int = 0, annotator: Annotator = CROWD
) -> Callable[[Sequence[Instruction], Rollout], list[float]]:
    """Noisy utilities whose order is an annotator's: of two replies a choice, of more a ranking."""
    rng = Random(f"own replies {seed}")
    return lambda asked, rollout: [
        noisy_utility(rng, annotator, instruction, reply)
        for instruction, reply in zip(asked, rollout.texts, strict=True)
    ]
