"""Estimators of KL(policy || reference) per token, from tokens that the policy sampled.

The direction, stated once: `logprobs` are the policy's, `ref_logprobs` the reference's, both of the
same sampled tokens, and the expectation is over the policy. k1, k2 and k3 are named after John
Schulman, "Approximating KL divergence" (2020, joschu.net/blog/kl-approx.html). With r = reference /
policy:

- k1 = -log r: unbiased, of high variance, may be negative.
- k2 = (log r)^2 / 2: biased, of low variance; as a loss per token it has the gradient of
  KL(policy || reference) at each visited prefix.
- k3 = r - 1 - log r: unbiased, of low variance, never negative; as a loss per token it has the
  gradient of KL(reference || policy) at each visited prefix.

Both gradients hold the visited prefixes fixed: how a token changes which prefixes come after it is
left out, so from two tokens on they are a part of the gradient of the KL between sequences (Tang
and Munos 2025, arXiv:2506.09477). Of summed logprobs, where a completion is one act, they are all
of it. k1 as a loss has an expected gradient of zero; in the reward it is right at any length.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

MAX_NATS = 20.0  # of a log-ratio whose exponential is taken as it is: verl's bound


def bounded_exp(
    log_ratio: Tensor, exp: Callable[[Tensor], Tensor] = torch.exp, most: float = MAX_NATS
) -> Tensor:
    """exp (or expm1) of a log-ratio, which beyond `most` nats goes on along its tangent.

    float32 overflows at 89 nats, and then the gradient is nan: infinity times 0. verl clamps
    log-ratios at -20 and 20 (core_algos.py), which leaves no gradient beyond. The tangent has the
    slope exp(20): a token whose ratio has exploded is still pushed the way it was. Far below, the
    exponential is 0 and needs no bound.

    exp(20) is 4.8517e8, and the tangent has twice that at 21:

    >>> bounded_exp(torch.tensor([-1000.0, 0.0, 20.0, 21.0]))
    tensor([0.0000e+00, 1.0000e+00, 4.8517e+08, 9.7033e+08])
    """
    return exp(log_ratio.clamp(max=most)) + math.exp(most) * torch.relu(log_ratio - most)


def k1(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """log pi - log pi_ref, of any shape; in nats.

    >>> k1(torch.tensor([-1.0]), torch.tensor([-1.5]))
    tensor([0.5000])
    """
    return logprobs - ref_logprobs


def k2(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Half the squared log-ratio.

    >>> k2(torch.tensor([-1.0]), torch.tensor([-1.5]))
    tensor([0.1250])
    """
    return 0.5 * (logprobs - ref_logprobs).square()


def k3(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """r - 1 - log r with r = pi_ref / pi; expm1, since r - 1 loses all digits near 0.

    Finite for any log-ratio: see `bounded_exp`.

    exp(-0.5) - 1 + 0.5 = 0.106531:

    >>> k3(torch.tensor([-1.0]), torch.tensor([-1.5]))
    tensor([0.1065])
    """
    log_r = ref_logprobs - logprobs
    return bounded_exp(log_r, torch.expm1) - log_r


HORIZON = 1000  # completions over which the adaptive penalty follows its target


def adapt_beta(beta: float, kl: float, target: float | None, n: int) -> float:
    """The next KL penalty after n completions whose mean KL was `kl`; a target of None keeps it.

    beta * (1 + e n / horizon) with e = kl / target - 1 within -+0.2, so up where the KL is above
    its target: Ziegler et al. 2019, arXiv:1909.08593, section 2.2. In their code the horizon is
    10,000 of two million completions; ours is `HORIZON`.

    >>> round(adapt_beta(0.1, kl=12.0, target=6.0, n=100), 6), adapt_beta(0.1, 12.0, None, 100)
    (0.102, 0.1)
    """
    if target is None:
        return beta
    return beta * (1 + max(-0.2, min(0.2, kl / target - 1)) * n / HORIZON)


ESTIMATORS = {"k1": k1, "k2": k2, "k3": k3}
