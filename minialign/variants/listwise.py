"""Losses of whole rankings: (B, K) scores or logprobs of K completions per prompt, to (B,)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from minialign.variants.ranks import RankLogprobs
from minialign.variants.reward_losses import plackett_luce


def plackett_luce_loss(ranks: RankLogprobs, *, beta: float = 0.1) -> Tensor:
    """`plackett_luce` of the implicit rewards: DPO of a whole ranking.

    Rafailov et al. 2023, arXiv:2305.18290, equation 20.
    """
    return plackett_luce(beta * ranks.logratios)


def lipo_loss(ranks: RankLogprobs, *, beta: float = 0.05) -> Tensor:
    """`lambda_loss` with the labels that the order alone gives, 1 for the best down to 0."""
    return lambda_loss(ranks.logratios, ranks.utilities, beta=beta)


def rrhf_loss(ranks: RankLogprobs, *, nll: float = 1.0) -> Tensor:
    """`order_loss` of the mean logprobs, with the labels that the order alone gives."""
    return order_loss(ranks.means, ranks.utilities, nll=nll)


def lambda_loss(logratios: Tensor, utilities: Tensor, *, beta: float = 0.05) -> Tensor:
    """Sum over pairs i better than j of D_ij log(1 + exp(-(s_i - s_j))), s = beta * logratio.

    D_ij = |2^u_i - 2^u_j| |1 / log(1 + rank_i) - 1 / log(1 + rank_j)| with ranks by the model's
    own scores: errors near the top cost most. Liu et al. 2024 (LiPO-lambda), arXiv:2402.01878,
    equation 8. D is a constant of the step.

    Args:
        logratios: (B, K) log pi - log pi_ref.
        utilities: (B, K) labels in [0, 1], such as the chance to win; ties are no pair.
        beta: of the implicit rewards.

    Two completions with labels 1 and 0, equal scores: D = 1 * (1/log 2 - 1/log 3) = 0.5325, times
    log 2 = 0.3691.

    >>> lambda_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    tensor([0.3691])
    """
    scores = beta * logratios
    rank = 1 + scores.detach().argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    discount, gain = 1 / torch.log1p(rank.to(scores.dtype)), torch.exp2(utilities)
    weight = (gain[:, :, None] - gain[:, None]).abs()
    weight = weight * (discount[:, :, None] - discount[:, None]).abs()
    better = utilities[:, :, None] > utilities[:, None]
    cost = softplus(scores[:, None] - scores[:, :, None])  # [i, j]: i should be above j
    return torch.where(better, weight * cost, 0.0).sum((1, 2))


def order_loss(mean_logprobs: Tensor, utilities: Tensor, *, nll: float = 1.0) -> Tensor:
    """Sum over pairs i better than j of max(0, p_j - p_i), plus nll * (-p of the best).

    p is the mean logprob per token: no reference, no sigmoid. Yuan et al. 2023,
    arXiv:2304.05302. Their paper sums the cross-entropy of the best over its tokens; their code
    averages it, as here, though over the padded row. Their flag for the ranking's weight has the
    default 100, and all their scripts pass 1.

    The better completion at -2, the other at -1: 1 + 2.

    >>> order_loss(torch.tensor([[-2.0, -1.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([3.])
    """
    better = utilities[:, :, None] > utilities[:, None]
    behind = torch.relu(mean_logprobs[:, None] - mean_logprobs[:, :, None])
    best = mean_logprobs.gather(1, utilities.argmax(1, keepdim=True))[:, 0]
    return torch.where(better, behind, 0.0).sum((1, 2)) - nll * best
