"""Rows of tokens as tensors: the only padding and the only packing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor


@dataclass(frozen=True)
class Row:
    """One tokenized example: ids of a prompt and of the completion that follows it."""

    prompt_ids: list[int]
    completion_ids: list[int]

    @property
    def ids(self) -> list[int]:
        """The whole sequence."""
        return self.prompt_ids + self.completion_ids

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


RowPair = tuple[Row, Row]  # chosen and rejected after one prompt
RowRanking = tuple[Row, ...]  # K completions of one prompt, the best first


@dataclass(frozen=True)
class Batch:
    """Padded rows; every tensor is (B, T) and column t is about token t."""

    input_ids: Tensor  # long
    attention_mask: Tensor  # long, 1 at real tokens; when packed, the number of the document
    completion_mask: Tensor  # long, 1 at tokens of the completion, its end included

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device."""
        return Batch(*(t.to(device) for t in vars(self).values()))

    def __len__(self) -> int:
        return len(self.input_ids)


def require_encoded(rows: Sequence[Row]) -> None:
    """Raise TypeError unless all are rows of ids."""
    if bad := next((row for row in rows if not isinstance(row, Row)), None):
        raise TypeError(
            f"a row is a {type(bad).__name__}, but a loop takes rows of ids; encode it: "
            "encode(tokenizer, prompt, completion)"
        )


def require_rankings(
    rankings: Sequence[RowRanking], k: int | None = None, *, one_prompt: bool = False
) -> None:
    """Refuse rankings that cannot be trained on, with their number.

    Args:
        rankings: encoded completions, the best first.
        k: how many each must hold; None is any number from 2, the same in all.
        one_prompt: whether all completions of a ranking must follow one prompt.

    Raises:
        TypeError: if a completion is not encoded.
        ValueError: if there is none, a number or a prompt differs, or a completion comes twice.
    """
    require_encoded([row for ranking in rankings for row in ranking])
    lengths = {len(ranking) for ranking in rankings}
    if not rankings or len(lengths) > 1 or min(lengths) < 2 or (k and lengths != {k}):
        raise ValueError(
            f"{len(rankings)} rankings of {sorted(lengths)} completions: give at least one, "
            f"{'all of the same length, 2 or more' if k is None else f'each of {k} completions'}; "
            "split or cut the others"
        )
    for i, ranking in enumerate(rankings):
        if one_prompt and any(row.prompt_ids != ranking[0].prompt_ids for row in ranking):
            raise ValueError(
                f"ranking {i} has different prompts, so log Z would not cancel; cut all "
                "completions' prompts alike"
            )
    twice = [i for i, r in enumerate(rankings) if len({tuple(row.ids) for row in r}) < len(r)]
    if twice:
        raise ValueError(
            f"ranking {twice[0]} holds the same completion twice, which nothing can tell apart: a "
            f"constant loss; drop it ({len(twice)} such rankings)"
        )


def stacked(rankings: Sequence[RowRanking], indices: Sequence[int]) -> list[Row]:
    """All completions of some rankings, one under the other."""
    return [row for i in indices for row in rankings[i]]


def collate(rows: Sequence[Row], pad_id: int, side: str = "right") -> Batch:
    """Rows as one batch, padded to the longest on one side.

    >>> collate([Row([5, 6], [7, 2]), Row([5], [2])], pad_id=0).completion_mask
    tensor([[0, 0, 1, 1],
            [0, 1, 0, 0]])
    """
    if pad_id is None:
        raise ValueError("the tokenizer has no pad token; load it with load_policy, or set one")
    if side not in ("left", "right"):
        raise ValueError(f"side is {side!r}; use 'left' (to sample) or 'right' (to train)")
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad_id)
    attention, completion = torch.zeros_like(ids), torch.zeros_like(ids)
    for i, row in enumerate(rows):
        start = width - len(row) if side == "left" else 0
        end = start + len(row)
        ids[i, start:end] = torch.tensor(row.ids)
        attention[i, start:end] = 1
        completion[i, start + len(row.prompt_ids) : end] = 1
    return Batch(ids, attention, completion)


def length_batches(rows: Sequence[Sized], size: int, rng: Random) -> Iterator[list[int]]:
    """Endless batches of indices, `size` rows of like length each, a new order in every epoch.

    Rows are sorted by length with a little noise, cut into batches, and the batches shuffled:
    little is padding, and every row comes once per epoch (a last short batch is kept).
    """
    if not rows or size < 1:
        raise ValueError(f"{len(rows)} rows in batches of {size}: give at least one row and size 1")
    while True:
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]) + 8 * rng.random())
        groups = [order[i : i + size] for i in range(0, len(order), size)]
        rng.shuffle(groups)
        yield from groups
