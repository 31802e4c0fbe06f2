"""From a loss per token to one number: the weights decide which tokens count.

All take the (B, T) mask of a batch and the longest length allowed, and return (B, T) weights, 0
outside the mask; the loss of the batch is the sum of weights times losses, so the losses of its
parts add up to it.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Average = Callable[[Tensor, int], Tensor]


def sequence_sum(mask: Tensor, length: int) -> Tensor:
    """Sum over tokens, mean over completions: what the policy gradient asks for.

    Ahmadian et al. 2024 (RLOO), arXiv:2402.14740: a completion is one action.

    >>> import torch
    >>> sequence_sum(torch.tensor([[1, 1], [1, 0]]), 4)
    tensor([[0.5000, 0.5000],
            [0.5000, 0.0000]])
    """
    return mask / len(mask)


def fixed_length(mask: Tensor, length: int) -> Tensor:
    """`sequence_sum` over a constant, the longest length allowed: the same direction.

    Liu et al. 2025 (Dr. GRPO), arXiv:2503.20783, listing 1.
    """
    return mask / (len(mask) * length)


def sequence_mean(mask: Tensor, length: int) -> Tensor:
    """Mean over the tokens of each completion, then over completions.

    Shao et al. 2024 (GRPO), arXiv:2402.03300, equation 3. A token of a long completion counts less,
    so long wrong ones are punished less than short ones.

    >>> import torch
    >>> sequence_mean(torch.tensor([[1, 1], [1, 0]]), 4)
    tensor([[0.2500, 0.2500],
            [0.5000, 0.0000]])
    """
    return mask / mask.sum(1, keepdim=True).clamp(min=1) / len(mask)


def token_mean(mask: Tensor, length: int) -> Tensor:
    """Mean over all tokens of the batch.

    Yu et al. 2025 (DAPO), arXiv:2503.14476, equation 12, as verl and TRL read it; the paper's own
    mean is within each prompt's group. The batch's length still scales the step.
    """
    return mask / mask.sum().clamp(min=1)
