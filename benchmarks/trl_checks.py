"""Equal work is asserted: rows, tokens, losses and gradients of both libraries, step by step."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.trl_sides import Record
from benchmarks.trl_work import TITLES, Work

# How far first losses (nats) and, relative to their size, first gradient norms may lie apart. In
# bfloat16 each of the two rounds to 8 bits in other places, to 0.4% of each activation.
LOSS = {"float32": 1e-4, "bfloat16": 1e-2}
NORM = {"float32": 1e-3, "bfloat16": 3e-2}
LEAST = 1e-3  # norm of a gradient that can be compared
LATER = 10  # times as far, after updates whose rounding differs
SAMPLED_TOKENS = 0.15  # by which the sampled tokens of all runs together may differ


class UnequalWork(AssertionError):
    """The two sides did not do the same, so their times must not be compared."""


def require_equal(work: Work, ours: Record, theirs: Record) -> None:
    """Refuse two runs that did not see the same rows or did not compute the same from them.

    Args:
        work: what both were to do.
        ours: of minialign.
        theirs: of TRL, on the same completions where the method samples.

    Raises:
        UnequalWork: with the first quantity that differs.
    """
    if not max(ours.norms) > LEAST:
        raise UnequalWork(
            f"{TITLES[work.method]}: ours has no gradient (norm {max(ours.norms):.1e}), so that it "
            "agrees would say nothing; take more rows, or a reward that differs within a group"
        )
    if not work.same_order:
        _same(work, "rows of all steps", _pooled(ours), _pooled(theirs))
        return
    _same(work, "tokens of each step", ours.tokens, theirs.tokens)
    if not work.sampled:
        for step, (mine, other) in enumerate(zip(ours.batches, theirs.batches, strict=True)):
            _same(work, f"rows of step {step}", mine, other)
    for step, (mine, other) in enumerate(zip(ours.losses, theirs.losses, strict=True)):
        _near(work, f"loss of step {step}", mine, other, LOSS[work.precision], step)
    for step, (mine, other) in enumerate(zip(ours.norms, theirs.norms, strict=True)):
        most = NORM[work.precision] * max(abs(mine), 1e-6)
        _near(work, f"gradient norm of step {step}", mine, other, most, step)


def require_like_lengths(work: Work, ours: Sequence[Record], theirs: Sequence[Record]) -> float:
    """TRL's sampled tokens per one of ours over all runs, which must be about 1.

    Raises:
        UnequalWork: if they differ by more than `SAMPLED_TOKENS`.
    """
    mine, other = (sum(sum(one.tokens) for one in side) for side in (ours, theirs))
    if abs(other / mine - 1) > SAMPLED_TOKENS:
        raise UnequalWork(
            f"{TITLES[work.method]}: {mine} tokens sampled by ours and {other} by TRL differ by "
            f"more than {SAMPLED_TOKENS:.0%}, so steps are no equal work; take more steps"
        )
    return other / mine


def _pooled(record: Record) -> list[tuple[int, ...]]:
    return sorted(row for batch in record.batches for row in batch)


def _same(work: Work, what: str, mine: list, other: list) -> None:
    if mine != other:
        raise UnequalWork(
            f"{TITLES[work.method]}: the {what} differ: ours {_short(mine)}, TRL {_short(other)}; "
            "give both the same rows in the same order"
        )


def _near(work: Work, what: str, mine: float, other: float, most: float, step: int) -> None:
    most *= LATER if step else 1
    if not abs(mine - other) <= most:
        raise UnequalWork(
            f"{TITLES[work.method]}, {work.precision}: the {what} is {mine:.6f} of ours and "
            f"{other:.6f} of TRL, farther apart than {most:.1e}; look for a setting that differs"
        )


def _short(values: list) -> str:
    text = str(values)
    return text if len(text) < 120 else f"{text[:117]}..."
