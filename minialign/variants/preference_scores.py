"""DPO with another measure of a completion: other divergences, other weights of its tokens.

`fdpo_loss` changes what the leash measures. Of the other two, `length_desensitised` changes how
much of the longer completion counts, and `wpo_weights` how much a pair counts.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from minialign.core.kl import bounded_exp
from minialign.core.logprobs import masked_mean, masked_sum
from minialign.variants.pairs import PairLogprobs

# Divergence -> f'(u) of the log-ratio log u, up to a constant, which cancels in a pair.
DIVERGENCES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "reverse_kl": lambda log_u, alpha: log_u,
    "forward_kl": lambda log_u, alpha: -bounded_exp(-log_u, torch.expm1),
    "jensen_shannon": lambda log_u, alpha: logsigmoid(log_u),
    "alpha": lambda log_u, alpha: -bounded_exp(-alpha * log_u, torch.expm1) / alpha,
}


def fdpo_loss(
    pair: PairLogprobs, *, beta: float = 0.1, divergence: str = "forward_kl", alpha: float = 0.5
) -> Tensor:
    """-log sigmoid(beta (f'(chosen) - f'(rejected))): the leash is another f-divergence.

    f'(u) of u = pi / pi_ref is log u for the reverse KL (DPO), -1/u for the forward KL, log(u / (1
    + u)) for Jensen-Shannon and (1 - u^-alpha) / alpha in between: alpha to 0 is the reverse, 1 the
    forward KL. Wang et al. 2023, arXiv:2309.16240. TRL's alpha is 1 minus this one. Powers of u
    beyond exp(20) go on along a tangent: see `kl.bounded_exp`.

    A chosen ratio of 2, a rejected one of 1, beta 1: -1/2 + 1 = 1/2, so log(1 + e^-0.5) = 0.4741.

    >>> fdpo_loss(PairLogprobs.of(chosen=[0.693147], rejected=[0.0]), beta=1.0)
    tensor([0.4741])
    """
    if divergence not in DIVERGENCES or not 0 < alpha <= 1:
        raise ValueError(
            f"divergence={divergence!r}, alpha={alpha}: use one of {', '.join(DIVERGENCES)}, and "
            "0 < alpha <= 1"
        )
    slope = DIVERGENCES[divergence]
    lead = slope(pair.chosen_logratio, alpha) - slope(pair.rejected_logratio, alpha)
    return -logsigmoid(beta * lead)


def length_desensitised(
    logprobs: Tensor, mask: Tensor, other_mask: Tensor, *, alpha: float = 0.5
) -> Tensor:
    """(B,) sum of completion logprobs in which tokens beyond the other's length count `alpha`.

    For the sums of a `PairLogprobs`, of policy and reference alike: alpha 1 is DPO, 0 cuts both to
    the shorter length. Liu et al. 2024 (LD-DPO), arXiv:2409.06411.

    Three tokens of -1 beside a completion of one: -1 - 0.5 * 2 = -2.

    >>> length_desensitised(-torch.ones(1, 3), torch.ones(1, 3), torch.tensor([[1, 0, 0]]))
    tensor([-2.])
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}: a weight of the longer part, use 0 to 1")
    place = mask.cumsum(1)
    shared = (place <= other_mask.sum(1, keepdim=True)) * mask
    return masked_sum(logprobs, shared) + alpha * masked_sum(logprobs, mask - shared)


def wpo_weights(logprobs: Tensor, log_collisions: Tensor, mask: Tensor) -> Tensor:
    """(B,) exp of the mean over tokens of log pi - log sum_v pi(v)^2, a constant, at most 1.

    How likely the policy itself is to write such a completion: pairs are weighted by the product of
    their two. Zhou et al. 2024 (WPO), arXiv:2406.11827, equations 1 and 2. The paper caps nothing;
    the authors' code caps the product at 1; here each weight is capped.

    Args:
        logprobs: (B, T) of the tokens.
        log_collisions: (B, T) log of the sum of squared probabilities at each token, the mean
            probability of the policy's own choice.
        mask: (B, T) 1 at completion tokens.

    >>> wpo_weights(torch.tensor([[-2.0]]), torch.tensor([[-1.0]]), torch.ones(1, 1))
    tensor([0.3679])
    """
    return masked_mean((logprobs - log_collisions).detach(), mask, dim=-1).exp().clamp(max=1.0)
