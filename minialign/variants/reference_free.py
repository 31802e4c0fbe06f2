"""Preference losses that need no reference: the leash is a margin, a length mean or imitation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from minialign.variants.ranks import RankLogprobs


def simpo_loss(ranks: RankLogprobs, *, beta: float = 2.0, gamma: float = 1.0) -> Tensor:
    """-log sigmoid(beta (chosen - rejected mean logprob per token) - gamma).

    Meng et al. 2024, arXiv:2405.14734, equation 6. Their code takes gamma / beta.

    Means of -0.5 and -1.5: 2 - 1 = 1, so 0.3133.

    >>> simpo_loss(RankLogprobs.of(chosen=[-5.0], rejected=[-15.0], length=10))
    tensor([0.3133])
    """
    return -logsigmoid(beta * (ranks.chosen_mean - ranks.rejected_mean) - gamma)


def orpo_loss(ranks: RankLogprobs, *, weight: float = 0.1) -> Tensor:
    """Cross-entropy per token of chosen, less weight * log sigmoid(log odds ratio).

    odds = p / (1 - p) of p = exp(mean logprob per token). Hong et al. 2024, arXiv:2403.07691,
    equations 3 to 7. TRL, and the authors' code unless told not to, take the cross-entropy over the
    prompt as well.

    p = 1/2 and 1/3 have odds 1 and 1/2: log 2 - log(2/3) = 1.0986 with weight 1.

    >>> pair = RankLogprobs.of(chosen=[-0.693147], rejected=[-1.098612])
    >>> orpo_loss(pair, weight=1.0)
    tensor([1.0986])
    """
    ratio = _log_odds(ranks.chosen_mean) - _log_odds(ranks.rejected_mean)
    return -ranks.chosen_mean - weight * logsigmoid(ratio)


def _log_odds(mean_logprob: Tensor) -> Tensor:
    """log(p / (1 - p)) of p = exp(mean_logprob); expm1 keeps digits near p = 1."""
    below = mean_logprob.clamp(max=-1e-6)
    return below - torch.log(-torch.expm1(below))


def cpo_loss(ranks: RankLogprobs, *, beta: float = 0.1, nll: float = 1.0) -> Tensor:
    """-log sigmoid(beta (chosen - rejected)) + nll * cross-entropy per token of chosen.

    DPO with a uniform reference, and imitation. Xu et al. 2024, arXiv:2401.08417, equations 3 and
    5, whose cross-entropy is a sum; here a mean over each completion, in TRL one over all tokens
    of the micro-batch.

    >>> cpo_loss(RankLogprobs.of(chosen=[-5.0], rejected=[-15.0], length=10))
    tensor([0.8133])
    """
    return -logsigmoid(beta * (ranks.chosen - ranks.rejected)) - nll * ranks.chosen_mean


def cpl_loss(ranks: RankLogprobs, *, alpha: float = 0.1, bias: float = 0.5) -> Tensor:
    """-log sigmoid(alpha (chosen - bias * rejected)): contrastive preference learning.

    The sum of alpha log pi is a sum of advantages (regret), so no reward is learnt. Hejna et al.
    2023, arXiv:2310.13639, with the constants of the authors' code and no discount; bias below 1
    counts the rejected completion less.

    alpha (-5 + 7.5) = 0.25: log(1 + e^-0.25) = 0.5759.

    >>> cpl_loss(RankLogprobs.of(chosen=[-5.0], rejected=[-15.0]))
    tensor([0.5759])
    """
    return -logsigmoid(alpha * (ranks.chosen - bias * ranks.rejected))
