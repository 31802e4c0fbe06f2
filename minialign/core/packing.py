"""Packing: several documents in one row, without padding between them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from minialign.core.batching import Batch, Row


def pack(rows: Sequence[Row], length: int, pad_id: int) -> Batch:
    """Rows one after the other in sequences of `length` tokens, first come first packed.

    The attention mask holds the number of the document within its sequence, which keeps the
    documents apart in `token_logprobs`; `(mask > 0).long()` in its place is the well-known packing
    bug.

    >>> pack([Row([5], [2]), Row([6], [7, 2])], 6, pad_id=0).attention_mask
    tensor([[1, 1, 2, 2, 2, 0]])
    """
    bins: list[list[Row]] = []
    for row in rows:
        if len(row) > length:
            raise ValueError(
                f"a row has {len(row)} tokens, more than length={length}; raise length"
            )
        if not bins or sum(map(len, bins[-1])) + len(row) > length:
            bins.append([])
        bins[-1].append(row)
    ids = torch.full((len(bins), length), pad_id)
    document, completion = torch.zeros_like(ids), torch.zeros_like(ids)
    for i, group in enumerate(bins):
        start = 0
        for number, row in enumerate(group, start=1):
            end = start + len(row)
            ids[i, start:end] = torch.tensor(row.ids)
            document[i, start:end] = number
            completion[i, start + len(row.prompt_ids) : end] = 1
            start = end
    return Batch(ids, document, completion)
