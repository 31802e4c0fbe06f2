"""From a value per token to one number: which mean is taken decides who counts.

All take (B, T) values and a (B, T) mask and return a scalar. `length` is the limit of completions.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from minialign.core.logprobs import masked_mean, masked_sum

Average = Callable[[Tensor, Tensor, int], Tensor]


def sequence_sum(values: Tensor, mask: Tensor, length: int) -> Tensor:
    """Sum over tokens, mean over completions: what the policy gradient asks for.

    Ahmadian et al. 2024 (RLOO), arXiv:2402.14740: a completion is one action.
    """
    return masked_sum(values, mask).mean()


def fixed_length(values: Tensor, mask: Tensor, length: int) -> Tensor:
    """`sequence_sum` over a constant, the longest length allowed: the same direction.

    Liu et al. 2025 (Dr. GRPO), arXiv:2503.20783, listing 1.
    """
    return sequence_sum(values, mask, length) / length


def sequence_mean(values: Tensor, mask: Tensor, length: int) -> Tensor:
    """Mean over the tokens of each completion, then over completions.

    Shao et al. 2024 (GRPO), arXiv:2402.03300, equation 3. A token of a long completion counts less,
    so long wrong ones are punished less than short ones.
    """
    return masked_mean(values, mask, dim=-1).mean()


def token_mean(values: Tensor, mask: Tensor, length: int) -> Tensor:
    """Mean over all tokens of the batch.

    Yu et al. 2025 (DAPO), arXiv:2503.14476, equation 12, as verl and TRL read it; the paper's own
    mean is within each prompt's group. The batch's length still scales the step.
    """
    return masked_mean(values, mask)


AVERAGES: dict[str, Average] = {
    "sum": sequence_sum,
    "fixed": fixed_length,
    "sequence": sequence_mean,
    "token": token_mean,
}
