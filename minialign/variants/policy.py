"""Policy objectives: (B, T) quantities to maximise, one per token, never averaged here.

The loop takes their mean over completion tokens (or another average) and descends on its negative.
`advantages` are constants: no gradient flows through them, whoever computed them. What stands
outside the mask is not read: it may be infinite or nan. Ratios of more than exp(20) go on along the
tangent of the exponential, see `logprobs.bounded_exp`: values and gradients stay finite, and signs
right.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from minialign.core.logprobs import bounded_exp, masked_mean, masked_sum


def _inside(mask: Tensor, *tensors: Tensor) -> list[Tensor]:
    """The tensors with 0 outside the mask, so that nothing there reaches a value or a gradient."""
    return [torch.where(mask.bool(), tensor, 0.0) for tensor in tensors]


def reinforce(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """logprob times advantage: (B, T) each, 0 outside the mask; who sampled is not read.

    Its gradient on the policy's own samples is the policy gradient on average: Williams 1992,
    "Simple statistical gradient-following algorithms for connectionist reinforcement learning".

    >>> logprobs, one = torch.tensor([[-2.0]]), torch.ones(1, 1)
    >>> reinforce(logprobs, logprobs, 3 * one, one)
    tensor([[-6.]])
    """
    logprobs, advantages = _inside(mask, logprobs, advantages.detach())
    return logprobs * advantages


def clipped(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip: float = 0.2,
    clip_high: float | None = None,
) -> Tensor:
    """min(ratio * A, clip(ratio) * A), PPO's surrogate: (B, T) each to (B, T), 0 outside the mask.

    ratio = exp(logprobs - old_logprobs). Schulman et al. 2017, arXiv:1707.06347, equation 7. The
    minimum makes it pessimistic for either sign of A: no gradient where the ratio has gone past the
    clip in the direction that A wants, full gradient where it has gone the wrong way.

    Args:
        logprobs: of the sampled tokens under the policy now.
        old_logprobs: under the policy that sampled them.
        advantages: constants, (B, T).
        mask: 1 at completion tokens.
        clip: the ratio is cut below 1 - clip.
        clip_high: and above 1 + clip_high; None is clip. A larger one lets rare tokens grow more:
            Yu et al. 2025 (DAPO), arXiv:2503.14476.

    Raises:
        ValueError: if clip is not in (0, 1) or clip_high not above 0.

    A = 1 at ratio 2 is cut to 1.2; A = -1 at ratio 2 is not cut:

    >>> twice = torch.full((1, 2), 0.69315)
    >>> clipped(twice, torch.zeros(1, 2), torch.tensor([[1.0, -1.0]]), torch.ones(1, 2))
    tensor([[ 1.2000, -2.0000]])
    """
    high = clip if clip_high is None else clip_high
    if not 0 < clip < 1 or not high > 0:
        raise ValueError(f"clip={clip}, clip_high={high}; use 0 < clip < 1, like 0.2")
    advantages = torch.where(mask.bool(), advantages.detach(), 0.0)
    ratio = bounded_exp(torch.where(mask.bool(), logprobs - old_logprobs.detach(), 0.0))
    bounded = ratio.clamp(1 - clip, 1 + high)
    return torch.minimum(ratio * advantages, bounded * advantages)


def gspo(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip: float = 3e-4,
    clip_high: float | None = 4e-4,
    per_token: bool = True,
) -> Tensor:
    """`clipped` with one ratio for the whole completion: (B, T) each to (B, T), 0 outside the mask.

    The ratio is exp of the *mean* log-ratio, since that of the sum explodes with the length; its
    gradient reaches every token alike. Zheng et al. 2025 (GSPO), arXiv:2507.18071, equations 13 and
    14, with their narrow clip; the mean over a completion's tokens is their equation 5. Their sum
    makes it LUSPO, Liu et al. 2026, arXiv:2602.05261, whose clip is wider: 2e-3 and 2.5e-3, section
    5.1. With per_token=False it is the ratio of the probabilities itself, which TRL's RLOO clips at
    0.2.

    Log-ratios of 1 and 0 make a ratio of exp(0.5) for both tokens:

    >>> gspo(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1, 2),
    ...      clip=0.9, clip_high=0.9)
    tensor([[1.6487, 1.6487]])
    """
    logprobs, old_logprobs = _inside(mask, logprobs, old_logprobs.detach())
    log_ratio = logprobs - old_logprobs
    tokens = torch.ones_like(log_ratio[:, :1]) if per_token else mask.sum(-1, keepdim=True)
    whole = tokens * masked_mean(log_ratio, mask, dim=-1)[:, None].detach()
    # The value is that of the whole; the gradient, each token's share of the whole's.
    shared = whole + tokens * (logprobs - logprobs.detach())
    old = torch.zeros_like(shared)
    return clipped(shared, old, advantages, mask, clip=clip, clip_high=clip_high)


def cispo(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    cap: float = 5.0,
) -> Tensor:
    """sg(min(ratio, cap)) * A * logprob: the *weight* is capped, so every token keeps a gradient.

    MiniMax 2025 (MiniMax-M1), arXiv:2506.13585, equations 4 and 5, with no lower bound as they use
    it; they do not say the upper one. The cap is that of the ratio itself, as in TRL (which calls
    it epsilon_high, and whose default of 0.2 shrinks every gradient); verl and the paper's formula
    write 1 + epsilon.

    A ratio of 8 counts as 5:

    >>> cispo(torch.tensor([[-1.0]]), torch.tensor([[-3.0794]]), torch.ones(1, 1), torch.ones(1, 1))
    tensor([[-5.]])
    """
    if not cap > 0:
        raise ValueError(f"cap is {cap}: a bound of the ratio, use above 0, like 5")
    given = _inside(mask, logprobs, old_logprobs, advantages.detach())
    logprobs, old_logprobs, advantages = given
    weight = bounded_exp((logprobs - old_logprobs).detach()).clamp(max=cap)
    return weight * advantages * logprobs


def sapo(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    tau: float = 1.0,
    tau_negative: float = 1.05,
) -> Tensor:
    """4 / tau * sigmoid(tau (ratio - 1)) * A: a soft gate in place of the clip.

    Its slope in the ratio is 1 at ratio 1 and fades on either side, faster for negative advantages
    (`tau_negative`). Gao et al. 2025 (SAPO), arXiv:2511.20347. At ratio 1 the value is 2 A / tau,
    not A.

    >>> zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    >>> sapo(zero, zero, one, one)
    tensor([[2.]])
    """
    log_ratio, advantages = _inside(mask, logprobs - old_logprobs.detach(), advantages.detach())
    tau_of = torch.where(advantages > 0, tau, tau_negative)
    gate = 4 / tau_of * torch.sigmoid(tau_of * (bounded_exp(log_ratio) - 1))
    return gate * advantages


def vespo(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    positive: tuple[float, float] = (2.0, 3.0),
    negative: tuple[float, float] = (3.0, 2.0),
) -> Tensor:
    """sg(phi(w)) * A * logprob with phi(w) = w^k exp(lam - lam w), w the ratio of the completion.

    A soft weight that is 1 at w = 1, largest at w = k / lam and fades on either side: a completion
    that the policy has left counts little. `positive` and `negative` are (k, lam) by the sign of A;
    with these the largest weight is 1.21 at 2/3 and 1.24 at 3/2. Shen et al. 2026 (VESPO),
    arXiv:2602.10693, as in TRL 1.16, with its defaults and its bounds on log w.

    w = 1: the weight is 1.

    >>> one = torch.ones(1, 1)
    >>> vespo(-one, -one, one, one)
    tensor([[-1.]])
    """
    given = _inside(mask, logprobs, old_logprobs, advantages.detach())
    logprobs, old_logprobs, advantages = given
    log_ratio = (logprobs - old_logprobs).detach().clamp(-20, 20)
    log_w = masked_sum(log_ratio, mask)[:, None].clamp(math.log(1e-8), 20)
    k, lam = (torch.where(advantages >= 0, *pair) for pair in zip(positive, negative, strict=True))
    weight = (lam + k * log_w - lam * log_w.exp()).exp()
    return weight * advantages * logprobs


def squared_ratio(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    tau: float = 0.1,
) -> Tensor:
    """REINFORCE less tau / 2 times the squared log-ratio of the whole completion.

    Kimi Team 2025 (Kimi k1.5), arXiv:2501.12599, equation 3, with `old_logprobs` as those of the
    previous iterate. There is no importance ratio. The square is spread over the tokens, so that
    their sum is it: take the average "sum". tau is not given in the paper.

    Log-ratios of 1 and 2, no advantage, tau 1: shares -1/2 * 3 * (1, 2), whose sum is -9/2.

    >>> zero = torch.zeros(1, 2)
    >>> squared_ratio(torch.tensor([[1.0, 2.0]]), zero, zero, torch.ones(1, 2), tau=1.0)
    tensor([[-1.5000, -3.0000]])
    """
    given = _inside(mask, logprobs, old_logprobs.detach(), advantages.detach())
    logprobs, old_logprobs, advantages = given
    log_ratio = logprobs - old_logprobs
    whole = log_ratio.sum(-1, keepdim=True)
    return logprobs * advantages - 0.5 * tau * whole * log_ratio
