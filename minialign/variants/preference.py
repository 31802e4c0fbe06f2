"""Preference losses with a reference: each is a short function of `RankLogprobs`, (B,) out.

`beta` is the price of a nat of distance from the reference, so a larger one keeps the policy
nearer; the *lead* is beta * margin, the difference of implicit rewards. Losses are in nats unless
they are squares, and the loop takes their mean. `fdpo_loss` changes what
the leash measures.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from minialign.core.logprobs import bounded_exp
from minialign.variants.ranks import RankLogprobs


def logistic_loss(
    ranks: RankLogprobs, *, beta: float = 0.1, label_smoothing: float = 0.0
) -> Tensor:
    """-log sigmoid(lead): direct preference optimisation.

    Rafailov et al. 2023, arXiv:2305.18290, equation 7. log 2 where policy and reference agree; its
    gradient is not 0 there. With label_smoothing e it is -(1 - e) log sigmoid(lead) - e log
    sigmoid(-lead), least at a finite lead, log((1 - e) / e): conservative DPO, Mitchell 2023, "A
    note on DPO with noisy preferences", equation 3. TRL 1.16 has no smoothing here.

    Raises:
        ValueError: if label_smoothing is not in [0, 0.5).

    A margin of 10 is a lead of 1 and costs log(1 + 1/e) = 0.3133:

    >>> logistic_loss(RankLogprobs.of(chosen=[-5.0], rejected=[-15.0]))
    tensor([0.3133])
    """
    _check_share("label_smoothing", label_smoothing)
    lead, e = beta * ranks.margin, label_smoothing
    return -(1 - e) * logsigmoid(lead) - e * logsigmoid(-lead)


def robust_dpo_loss(ranks: RankLogprobs, *, beta: float = 0.1, flip: float = 0.1) -> Tensor:
    """((1 - e) L(lead) - e L(-lead)) / (1 - 2e) with L = -log sigmoid and e = `flip`.

    Its mean over labels of which a share e was swapped is the DPO loss of the true labels.
    Chowdhury et al. 2024, arXiv:2403.00409. A single pair's loss has no lower bound.

    A lead of 1: (0.9 * 0.3133 - 0.1 * 1.3133) / 0.8 = 0.1883.

    >>> robust_dpo_loss(RankLogprobs.of(chosen=[-5.0], rejected=[-15.0]))
    tensor([0.1883])
    """
    _check_share("flip", flip)
    lead = beta * ranks.margin
    return -((1 - flip) * logsigmoid(lead) - flip * logsigmoid(-lead)) / (1 - 2 * flip)


def ipo_loss(ranks: RankLogprobs, *, beta: float = 0.1, per_token: bool = True) -> Tensor:
    """(margin - 1 / (2 beta))^2; beta is the paper's tau.

    Azar et al. 2023, arXiv:2310.12036, equation 17. The target is finite, so a preference without
    exception does not pull for ever. The paper's margin is of whole sequences (per_token=False, as
    in Mitchell's code); TRL divides each logratio by its own length first (per_token=True) and
    says the authors confirmed it. The same beta means a length's factor between the two.

    A margin of 10 with beta 0.1: (10 - 5)^2 = 25; per token of ten each: (1 - 5)^2 = 16.

    >>> pair = RankLogprobs.of(chosen=[-5.0], rejected=[-15.0], length=10)
    >>> ipo_loss(pair, per_token=False), ipo_loss(pair)
    (tensor([25.]), tensor([16.]))
    """
    margin = ranks.mean_margin if per_token else ranks.margin
    return (margin - 1 / (2 * beta)).square()


def hinge_loss(ranks: RankLogprobs, *, beta: float = 0.1) -> Tensor:
    """max(0, 1 - lead): no pull beyond a lead of 1.

    Liu et al. 2023 (RSO), arXiv:2309.06657, equation 10. SLiC-HF (Zhao et al. 2023,
    arXiv:2305.10425) has no reference and adds a cross-entropy.

    >>> hinge_loss(RankLogprobs.of(chosen=[-5.0, -9.0], rejected=[-15.0, -15.0]))
    tensor([0.0000, 0.4000])
    """
    return torch.relu(1 - beta * ranks.margin)


def dpo_norm_loss(ranks: RankLogprobs, *, beta: float = 5.0) -> Tensor:
    """-log sigmoid(beta * margin per token): each logratio is divided by its own length.

    Lambert et al. 2024 (Tulu 3), arXiv:2411.15124, equation 6, with their beta.

    A margin of 10 over ten tokens each, beta 1: log(1 + 1/e) = 0.3133.

    >>> dpo_norm_loss(RankLogprobs.of(chosen=[-5.0], rejected=[-15.0], length=10), beta=1.0)
    tensor([0.3133])
    """
    return -logsigmoid(beta * ranks.mean_margin)


def dpop_loss(ranks: RankLogprobs, *, beta: float = 0.3, penalty: float = 50.0) -> Tensor:
    """-log sigmoid(beta (margin - penalty * max(0, -chosen logratio))): DPO-positive.

    A chosen completion that falls below the reference costs dearly, inside the sigmoid. Pal et al.
    2024 (Smaug), arXiv:2402.13228, equation 3; some ports put the penalty outside.

    Chosen fell by 1, rejected by 11, penalty 5, beta 0.1: lead 0.1 (10 - 5) = 0.5, loss 0.4741.

    >>> pair = RankLogprobs.of([-6.0], [-16.0], ref_chosen=[-5.0], ref_rejected=[-5.0])
    >>> dpop_loss(pair, beta=0.1, penalty=5.0)
    tensor([0.4741])
    """
    fallen = torch.relu(-ranks.chosen_logratio)
    return -logsigmoid(beta * (ranks.margin - penalty * fallen))


def rpo_loss(ranks: RankLogprobs, *, beta: float = 0.1, nll: float = 1.0) -> Tensor:
    """DPO plus `nll` times the cross-entropy per token of the chosen completion.

    Pang et al. 2024 (iterative reasoning preference optimisation), arXiv:2404.19733, equation 1.

    0.3133 and 5 nats over ten tokens:

    >>> rpo_loss(RankLogprobs.of(chosen=[-5.0], rejected=[-15.0], length=10))
    tensor([0.8133])
    """
    return logistic_loss(ranks, beta=beta) - nll * ranks.chosen_mean


def rdpo_loss(ranks: RankLogprobs, *, beta: float = 0.1, length: float = 0.02) -> Tensor:
    """-log sigmoid(lead + length * (chosen tokens - rejected tokens)).

    The policy is to earn reward less `length` per token, so where the chosen completion is longer,
    its length explains part of the preference, and less is left to learn. Park et al. 2024,
    arXiv:2403.19159.

    >>> same = RankLogprobs.of(chosen=[-5.0], rejected=[-15.0], length=10)
    >>> rdpo_loss(same)
    tensor([0.3133])
    """
    longer = ranks.chosen_length - ranks.rejected_length
    return -logsigmoid(beta * ranks.margin + length * longer)


def odpo_loss(ranks: RankLogprobs, *, beta: float = 0.1, offset: Tensor | float = 0.0) -> Tensor:
    """-log sigmoid(lead - offset): the lead must exceed `offset`, (B,) or one number.

    Amini et al. 2024, arXiv:2402.10571; theirs grows with the difference of the pair's scores.

    >>> odpo_loss(RankLogprobs.of(chosen=[-5.0], rejected=[-15.0]), offset=1.0)
    tensor([0.6931])
    """
    return -logsigmoid(beta * ranks.margin - offset)


def exo_loss(ranks: RankLogprobs, *, beta: float = 0.1, label_smoothing: float = 1e-3) -> Tensor:
    """KL(policy's choice || annotator's choice), where DPO has the other direction.

    The policy chooses with sigmoid(lead), the annotator with 1 - e. Ji et al. 2024,
    arXiv:2402.00856. At lead 0: -log 2 - (log(1 - e) + log e) / 2.

    >>> exo_loss(RankLogprobs.of(chosen=[-5.0], rejected=[-5.0]), label_smoothing=0.1)
    tensor([0.5108])
    """
    _check_share("label_smoothing", label_smoothing)
    if label_smoothing == 0:
        raise ValueError("label_smoothing is 0, so the KL is infinite; use such as 0.001")
    lead, e = beta * ranks.margin, torch.tensor(label_smoothing).to(ranks.margin)
    wins, loses = logsigmoid(lead), logsigmoid(-lead)
    return wins.exp() * (wins - torch.log1p(-e)) + loses.exp() * (loses - e.log())


def sppo_loss(ranks: RankLogprobs, *, beta: float = 0.1) -> Tensor:
    """(chosen logratio - 1 / (2 beta))^2 + (rejected logratio + 1 / (2 beta))^2.

    Each completion has a target of its own, with this beta 5 nats above and below the reference.
    Wu et al. 2024, arXiv:2405.00675, equation 4.12, with the winner's chance taken as 1 and beta =
    1 / eta, as in TRL. Departures: they take eta = 1000, so that their targets are 500 nats away
    and what counts is the direction; and their code takes the mean of the two squares.

    >>> sppo_loss(RankLogprobs.of(chosen=[4.0], rejected=[-3.0]))
    tensor([5.])
    """
    goal = 1 / (2 * beta)
    return (ranks.chosen_logratio - goal).square() + (ranks.rejected_logratio + goal).square()


def nca_loss(ranks: RankLogprobs, *, beta: float = 0.1) -> Tensor:
    """-log s(c) - (log s(-c) + log s(-r)) / 2 of implicit rewards c and r, s the sigmoid.

    Least at c = log 2: the chosen reward has a goal and cannot fall for ever. Chen et al. 2024,
    arXiv:2402.05369, table 1.

    Policy equal to reference: 2 log 2.

    >>> nca_loss(RankLogprobs.of(chosen=[0.0], rejected=[0.0]))
    tensor([1.3863])
    """
    chosen, rejected = beta * ranks.chosen_logratio, beta * ranks.rejected_logratio
    return -logsigmoid(chosen) - 0.5 * (logsigmoid(-chosen) + logsigmoid(-rejected))


def bco_pair_loss(ranks: RankLogprobs, *, beta: float = 0.1, shift: float = 0.0) -> Tensor:
    """-log s(c - shift) - log s(shift - r): a classifier of chosen against rejected.

    Jung et al. 2024, arXiv:2404.04656. Their shift is a running mean of the rewards, a constant in
    units of beta times nats; TRL 1.16 has none.

    >>> bco_pair_loss(RankLogprobs.of(chosen=[0.0], rejected=[0.0]))
    tensor([1.3863])
    """
    chosen, rejected = beta * ranks.chosen_logratio, beta * ranks.rejected_logratio
    return -logsigmoid(chosen - shift) - logsigmoid(shift - rejected)


def apo_zero_loss(ranks: RankLogprobs, *, beta: float = 0.1) -> Tensor:
    """s(-c) + s(r): the chosen reward up, the rejected down, each by itself; in [0, 2].

    For data better than the policy. D'Oosterlinck et al. 2024, arXiv:2408.06266, up to a constant.

    >>> apo_zero_loss(RankLogprobs.of(chosen=[0.0], rejected=[0.0]))
    tensor([1.])
    """
    chosen, rejected = beta * ranks.chosen_logratio, beta * ranks.rejected_logratio
    return torch.sigmoid(-chosen) + torch.sigmoid(rejected)


def apo_down_loss(ranks: RankLogprobs, *, beta: float = 0.1) -> Tensor:
    """s(c) + s(r - c): both down, the rejected more; in [0, 2]. For data worse than the policy.

    >>> apo_down_loss(RankLogprobs.of(chosen=[0.0], rejected=[0.0]))
    tensor([1.])
    """
    return torch.sigmoid(beta * ranks.chosen_logratio) + torch.sigmoid(-beta * ranks.margin)


def discopop_loss(ranks: RankLogprobs, *, beta: float = 0.05, tau: float = 0.05) -> Tensor:
    """(1 - w) (-log sigmoid(lead)) + w exp(-lead), w = sigmoid(lead / tau): found by search.

    Lu et al. 2024, arXiv:2406.08414, equation 5. At lead 0 its slope is positive for small tau:
    the first steps shrink the margin.

    >>> discopop_loss(RankLogprobs.of(chosen=[0.0], rejected=[0.0]))
    tensor([0.8466])
    """
    lead = beta * ranks.margin
    share = torch.sigmoid(lead / tau)
    return -(1 - share) * logsigmoid(lead) + share * bounded_exp(-lead)


def aot_loss(ranks: RankLogprobs, *, beta: float = 0.1, paired: bool = True) -> Tensor:
    """DPO between sorted values of a batch: dominance in distribution, not pair by pair.

    Paired, the sorted leads of policy and of reference are compared; unpaired, the sorted chosen
    and the sorted rejected logratios. Melnyk et al. 2024, arXiv:2406.05882. A batch of one is DPO.

    >>> aot_loss(RankLogprobs.of(chosen=[-5.0], rejected=[-15.0]))
    tensor([0.3133])
    """
    if paired:
        above = (ranks.chosen - ranks.rejected).sort().values
        below = (ranks.ref_chosen - ranks.ref_rejected).sort().values
    else:
        above, below = ranks.chosen_logratio.sort().values, ranks.rejected_logratio.sort().values
    return -logsigmoid(beta * (above - below))


# Divergence -> f'(u) of the log-ratio log u, up to a constant, which cancels in a pair.
DIVERGENCES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "reverse_kl": lambda log_u, alpha: log_u,
    "forward_kl": lambda log_u, alpha: -bounded_exp(-log_u, torch.expm1),
    "jensen_shannon": lambda log_u, alpha: logsigmoid(log_u),
    "alpha": lambda log_u, alpha: -bounded_exp(-alpha * log_u, torch.expm1) / alpha,
}


def fdpo_loss(
    ranks: RankLogprobs, *, beta: float = 0.1, divergence: str = "forward_kl", alpha: float = 0.5
) -> Tensor:
    """-log sigmoid(beta (f'(chosen) - f'(rejected))): the leash is another f-divergence.

    f'(u) of u = pi / pi_ref is log u for the reverse KL (DPO), -1/u for the forward KL, log(u / (1
    + u)) for Jensen-Shannon and (1 - u^-alpha) / alpha in between: alpha to 0 is the reverse, 1 the
    forward KL. Wang et al. 2023, arXiv:2309.16240. TRL's alpha is 1 minus this one. Powers of u
    beyond exp(20) go on along a tangent: see `logprobs.bounded_exp`.

    A chosen ratio of 2, a rejected one of 1, beta 1: -1/2 + 1 = 1/2, so log(1 + e^-0.5) = 0.4741.

    >>> fdpo_loss(RankLogprobs.of(chosen=[0.693147], rejected=[0.0]), beta=1.0)
    tensor([0.4741])
    """
    if divergence not in DIVERGENCES or not 0 < alpha <= 1:
        raise ValueError(
            f"divergence={divergence!r}, alpha={alpha}: use one of {', '.join(DIVERGENCES)}, and "
            "0 < alpha <= 1"
        )
    slope = DIVERGENCES[divergence]
    lead = slope(ranks.chosen_logratio, alpha) - slope(ranks.rejected_logratio, alpha)
    return -logsigmoid(beta * lead)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 0.5:
        raise ValueError(
            f"{name} is {value}: a share of wrong labels, 0 to below 0.5; at half of them nothing "
            "can be learnt"
        )
