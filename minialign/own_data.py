"""A learner's own data in place of the village's, as a training loop takes it.

Each function reads a file or a data set of the hub in any of the known formats (`formats`), leaves
out what is malformed or too long, and says how much that was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from transformers import PreTrainedTokenizerBase

from minialign.batching import Row, encode
from minialign.public_data import read_public
from minialign.readers import Demonstration, Pair, Prompt, Rows
from minialign.train.preference import Ranking
from minialign.train.rl import Data

WHOLE_NUMBER = re.compile(r"[+-]?\d{1,12}(?:\.0+)?")
ASK = 'Work step by step and end with "The answer is N." for a whole number N.'
T = TypeVar("T")


def demonstrations_of(
    dataset: str | Path, tokenizer: PreTrainedTokenizerBase, n: int, max_length: int = 512
) -> list[Row]:
    """Encoded demonstrations from the first `n` rows; prints what was left out."""
    found = read_public(dataset, Demonstration, limit=n)
    return _kept(found, lambda d: encode(tokenizer, d.prompt, d.completion, max_length))


def comparisons_of(
    dataset: str | Path, tokenizer: PreTrainedTokenizerBase, n: int, max_length: int = 512
) -> list[Ranking]:
    """(chosen, rejected) rows of the first `n` comparisons; prints what was left out."""
    found = read_public(dataset, Pair, limit=n)

    def encoded(pair: Pair) -> Ranking:
        texts = (pair.chosen, pair.rejected)
        return tuple(encode(tokenizer, pair.prompt, text, max_length) for text in texts)

    return _kept(found, encoded)


def problems_of(dataset: str | Path, n: int) -> list[Data]:
    """Problems whose answer is a whole number, as `right_answer` reads it; the rest is counted.

    The prompt asks for the form of the answer, which a verifier cannot guess.
    """
    found = read_public(dataset, Prompt, limit=n)

    def problem(row: Prompt) -> Data:
        if row.answer is None or not WHOLE_NUMBER.fullmatch(row.answer.strip()):
            raise ValueError(f"answer is {row.answer!r}; only whole numbers can be compared")
        if not isinstance(row.prompt, str):
            raise ValueError("the prompt is a conversation; use plain text")
        return {"prompt": f"{row.prompt}\n\n{ASK}", "answer": int(float(row.answer))}

    return _kept(found, problem)


def _kept(rows: Rows, convert: Callable[..., T]) -> list[T]:
    """What can be converted; the rest is counted and its first reason printed."""
    kept, refused = [], []
    for row in rows:
        try:
            kept.append(convert(row))
        except ValueError as error:
            refused.append(str(error))
    print(rows.report() + (f"; {len(refused)} more: {refused[0]}" if refused else ""))
    if not kept:
        raise ValueError("no row is left; use other data, or more rows")
    return kept
