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

import torch
from torch import Tensor

from minialign.core.logprobs import bounded_exp


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


ESTIMATORS = {"k1": k1, "k2": k2, "k3": k3}
