"""Supervised losses on token logprobs: cross-entropy and what it is averaged over."""

from __future__ import annotations

from torch import Tensor

from minialign.core.logprobs import masked_sum


def cross_entropy(logprobs: Tensor, mask: Tensor) -> Tensor:
    """-log pi of each sequence's masked tokens, summed: (B, T), (B, T) to (B,), in nats.

    Divide by the number of masked tokens of the whole batch to train on the token mean: a mean per
    row would weigh a token of a short reply more, and a mean per micro-batch would change with the
    batch.

    Two tokens of probability 1/2 and 1/4 cost log 2 + log 4 = 2.0794, the prompt before them
    nothing:

    >>> import torch
    >>> logprobs = torch.tensor([[0.0, 0.1, 0.5, 0.25]]).log()
    >>> cross_entropy(logprobs, torch.tensor([[0, 0, 1, 1]]))
    tensor([2.0794])
    """
    return -masked_sum(logprobs, mask)
