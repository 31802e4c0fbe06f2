"""Losses of unpaired feedback: a completion, and whether it was liked. (B,) in, (B,) out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def kto_loss(
    logratios: Tensor,
    liked: Tensor,
    kl: Tensor | float,
    *,
    beta: float = 0.1,
    liked_weight: float = 1.0,
    disliked_weight: float = 1.0,
) -> Tensor:
    """weight * (1 - sigmoid(beta (logratio - kl))) if liked, else with the sign turned.

    Gains and losses against a reference point, as in prospect theory. Ethayarajh et al. 2024,
    arXiv:2402.01306, equation 8 (lambda_y - v). Balance the classes by the weights: liked_weight *
    number liked near disliked_weight * number disliked.

    Args:
        logratios: (B,) log pi - log pi_ref, summed over the completion.
        liked: (B,) bool.
        kl: the reference point, a constant: see `mismatched_kl`.
        beta: of both.
        liked_weight: lambda_D of the paper.
        disliked_weight: lambda_U.

    Raises:
        ValueError: if a weight is not above 0.

    A liked completion 10 nats up, kl 0: 1 - sigmoid(1) = 0.2689.

    >>> kto_loss(torch.tensor([10.0, 10.0]), torch.tensor([True, False]), 0.0)
    tensor([0.2689, 0.7311])
    """
    if not min(liked_weight, disliked_weight) > 0:
        raise ValueError(
            f"liked_weight={liked_weight}, disliked_weight={disliked_weight}: use above 0"
        )
    lead = beta * (logratios - torch.as_tensor(kl).detach())
    liked = liked.bool()
    weight = torch.where(liked, liked_weight, disliked_weight)
    return weight * torch.sigmoid(torch.where(liked, -lead, lead))


def mismatched_kl(logratios: Tensor) -> Tensor:
    """max(0, mean logratio) of completions of *other* prompts: KTO's reference point, a constant.

    Ethayarajh et al. 2024, section 4: log-ratios of completion i + 1 after prompt i, of at least
    two. The clamp comes after the mean.

    >>> mismatched_kl(torch.tensor([3.0, -1.0])), mismatched_kl(torch.tensor([-3.0, 1.0]))
    (tensor(1.), tensor(0.))
    """
    if len(logratios) < 2:
        raise ValueError("one pair has no other prompt; use a batch of 2 or more")
    return logratios.detach().mean().clamp(min=0)


def bco_loss(
    logratios: Tensor, liked: Tensor, kl: Tensor | float = 0.0, *, beta: float = 0.1
) -> Tensor:
    """-log sigmoid(+-beta (logratio - kl)): a classifier whose logit is the implicit reward.

    Jung et al. 2024, arXiv:2404.04656; `kl` is a running mean of the logratios, a constant, in
    nats (beta times it is their shift): a completion whose reward is the mean costs log 2. Both
    classes count alike: the weights of `kto_loss` have no part here.

    >>> bco_loss(torch.tensor([10.0, 10.0]), torch.tensor([True, False]))
    tensor([0.3133, 1.3133])
    """
    lead = beta * (logratios - torch.as_tensor(kl).detach())
    return -logsigmoid(torch.where(liked.bool(), lead, -lead))
