"""A count-based n-gram model with Witten-Bell smoothing, to compare the base model's perplexity
with."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence


class NGram:
    """An interpolated n-gram language model over token ids.

    p(w | h) = (count(h, w) + types(h) p(w | shorter h)) / (count(h) + types(h)), down to the
    uniform distribution: Witten and Bell (1991), "The zero-frequency problem". Order 1 is the
    unigram model.
    """

    def __init__(self, order: int, vocab_size: int) -> None:
        self.order, self.vocab_size = order, vocab_size
        self.counts: list[dict[tuple[int, ...], Counter[int]]] = [
            defaultdict(Counter) for _ in range(order)
        ]

    def fit(self, rows: Iterable[Sequence[int]]) -> NGram:
        """Count every token of every row after each of its shorter contexts."""
        for row in rows:
            for i in range(1, len(row)):
                for n in range(min(self.order, i + 1)):
                    self.counts[n][tuple(row[i - n : i])][row[i]] += 1
        self.totals = [{h: c.total() for h, c in level.items()} for level in self.counts]
        return self

    def probability(self, context: Sequence[int], token: int) -> float:
        """p(token | the last order - 1 tokens of the context)."""
        p = 1 / self.vocab_size
        for n in range(min(self.order, len(context) + 1)):
            history = tuple(context[len(context) - n :])
            seen = self.counts[n].get(history)
            if seen is None:
                break
            types = len(seen)
            p = (seen[token] + types * p) / (self.totals[n][history] + types)
        return p

    def perplexity(self, rows: Iterable[Sequence[int]]) -> float:
        """exp of the mean negative log-probability per token, the first token of a row not
        counted."""
        total, count = 0.0, 0
        for row in rows:
            for i in range(1, len(row)):
                total -= math.log(self.probability(row[max(0, i - self.order + 1) : i], row[i]))
                count += 1
        return math.exp(total / count)
