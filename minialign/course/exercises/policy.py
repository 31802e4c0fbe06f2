"""Exercises on policy optimisation: baselines, advantages, KL and the clip."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from minialign.algorithms.grpo import group_zscore
from minialign.core.kl import k3
from minialign.course.exercises.compare import Exercise, drawn
from minialign.variants.group_advantages import group_centred


def _others(rewards: Tensor) -> Tensor:
    """(P, G) the mean reward of the other completions of the group."""
    return (rewards.sum(1, keepdim=True) - rewards) / (rewards.shape[1] - 1)


rloo_advantages = Exercise(
    "rloo_advantages",
    lambda rewards: rewards - _others(rewards),
    (
        (torch.tensor([[1.0, 0.0, 0.0, 0.0], [3.0, 2.0, 0.5, -1.0]]),),
        (torch.tensor([[3.0, 1.0], [0.0, 0.5], [2.0, -2.0]]),),
    ),
    {
        "the reward itself is part of its baseline: leave it out of the mean": group_centred,
        "it is the baseline: subtract it from the reward": _others,
        "the sign is reversed: a reward above the others' mean is an advantage above 0":
            lambda rewards: _others(rewards) - rewards,
        "the sum of the others is divided by G: there are G - 1 of them":
            lambda rewards: rewards
                - (rewards.sum(1, keepdim=True) - rewards) / rewards.shape[1],
        "the others are those of the whole batch: a group is a row": lambda rewards: rewards
            - (rewards.sum() - rewards) / (rewards.numel() - 1),
        "the others are those of the column: a group is a row":
            lambda rewards: rewards - _others(rewards.T).T,
        "the mean is the whole batch's: a group is a row":
            lambda rewards: rewards - rewards.mean(),
        "it is divided by the deviation, which RLOO does not do: that is GRPO's": group_zscore,
        "it is divided by the deviation, which RLOO does not do: that is GRPO's (without its 1e-4)":
            lambda rewards: group_centred(rewards) / rewards.std(1, keepdim=True),
        "it is divided by the deviation, which RLOO does not do":
            lambda rewards: (rewards - _others(rewards)) / rewards.std(1, keepdim=True),
    },
)  # fmt: skip


def _deltas(rewards: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """(B, T) jumps of the prediction, 0 outside the mask; after the last token it is 0."""
    inside = torch.where(mask.bool(), values, 0.0)
    after = pad(inside[:, 1:], (0, 1))
    return torch.where(mask.bool(), rewards + after - inside, 0.0)


def _summed(deltas: Tensor, lam: float) -> Tensor:
    """(B, T) sum over k >= t of lam^(k - t) delta_k."""
    distance = torch.arange(deltas.shape[1])[None] - torch.arange(deltas.shape[1])[:, None]
    return deltas @ torch.where(distance >= 0, float(lam) ** distance.clamp(min=0), 0.0).T


def _lambda_advantages(rewards: Tensor, values: Tensor, mask: Tensor, lam: float) -> Tensor:
    """(B, T) generalised advantages: Schulman et al. 2015, arXiv:1506.02438, equation 16."""
    return torch.where(mask.bool(), _summed(_deltas(rewards, values, mask), lam), 0.0)


def _episodes(seed: int, lam: float) -> tuple[Tensor, Tensor, Tensor, float]:
    """Completions that begin and end in different columns; values stand outside them, too."""
    rewards, values = torch.randn(2, 3, 6, generator=drawn(seed))
    mask = torch.tensor([[0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0]])
    return rewards * mask, values, mask, lam


def _full(seed: int, lam: float) -> tuple[Tensor, Tensor, Tensor, float]:
    """Completions of which one fills all columns."""
    rewards, values = torch.randn(2, 2, 4, generator=drawn(seed))
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 0]])
    return rewards * mask, values, mask, lam


def _alike(rewards: Tensor, values: Tensor, mask: Tensor, lam: float, after: Tensor) -> Tensor:
    """(B, T) advantages with another value after each token."""
    deltas = torch.where(mask.bool(), rewards + after - values, 0.0)
    return torch.where(mask.bool(), _summed(deltas, lam), 0.0)


lambda_advantages = Exercise(
    "lambda_advantages",
    _lambda_advantages,
    (_episodes(31, 0.5), _episodes(32, 0.95), _episodes(33, 0.0), _full(41, 0.5)),
    {
        "the value after the last token is read from the padding: nothing comes, so it is 0":
            lambda rewards, values, mask, lam:
                _alike(rewards, values, mask, lam, pad(values[:, 1:], (0, 1))),
        "after the last token comes its own value again: nothing comes, so it is 0":
            lambda rewards, values, mask, lam: _alike(
                rewards, values, mask, lam,
                torch.where(pad(mask[:, 1:], (0, 1)) > 0, pad(values[:, 1:], (0, 1)), values)),
        "the value after the token is missing: delta is reward + value after - value before":
            lambda rewards, values, mask, lam: _alike(rewards, values, mask, lam, 0 * values),
        "lambda is not used: the jump k tokens later counts lambda^k":
            lambda rewards, values, mask, lam: _lambda_advantages(rewards, values, mask, 1.0),
        "these are the jumps alone: later ones count too, by lambda^k":
            lambda rewards, values, mask, lam: _deltas(rewards, values, mask),
        "each jump is passed on to later tokens: credit goes to earlier ones":
            lambda rewards, values, mask, lam:
                _summed(_deltas(rewards, values, mask).flip(1), lam).flip(1) * mask,
        "these are returns: do not add the value": lambda rewards, values, mask, lam:
            _lambda_advantages(rewards, values, mask, lam) + values * mask,
        "columns outside the mask are not 0": lambda rewards, values, mask, lam:
            _summed(_deltas(rewards, values, mask), lam),
        "the sign of the jumps is reversed": lambda rewards, values, mask, lam:
            -_lambda_advantages(rewards, values, mask, lam),
        "values outside the mask enter the sum: set them to 0 first, and end the sum at the mask":
            lambda rewards, values, mask, lam:
                _summed(rewards + pad(values[:, 1:], (0, 1)) - values, lam) * mask,
        "the columns are in reverse order: turn the list before stacking it":
            lambda rewards, values, mask, lam:
                _lambda_advantages(rewards, values, mask, lam).flip(1),
        "after the last column comes the first one, by torch.roll: nothing comes, so it is 0":
            lambda rewards, values, mask, lam: _alike(
                rewards, values * mask, mask, lam, torch.roll(values * mask, -1, 1)),
        "values are not used: subtract from each reward the value before, add the one after":
            lambda rewards, values, mask, lam: _summed(rewards * mask, lam) * mask,
        "the value is subtracted at the end only (or lambda multiplies the value after): each "
        "delta has one of its own":
            lambda rewards, values, mask, lam: (_summed(rewards * mask, lam) - values) * mask,
    },
)  # fmt: skip


def _whitened(values: Tensor, mask: Tensor, correction: int = 1) -> Tensor:
    """(B, T) of mean 0 and variance 1 over the mask, 0 outside."""
    inside = values[mask.bool()]
    scaled = (values - inside.mean()) / (inside.var(correction=correction) + 1e-8).sqrt()
    return torch.where(mask.bool(), scaled, 0.0)


def _masked_rows(seed: int) -> tuple[Tensor, Tensor]:
    values = 3 * torch.randn(3, 5, generator=drawn(seed)) + 2
    return values, torch.tensor([[0, 1, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 1, 0]])


whitened = Exercise(
    "whitened",
    _whitened,
    (_masked_rows(34), _masked_rows(35)),
    {
        "padding counts: mean and variance are those of real tokens alone":
            lambda values, mask:
                torch.where(mask.bool(), _whitened(values, torch.ones_like(mask)), 0.0),
        "padding counts as zeros: mean and variance are those of real tokens alone":
            lambda values, mask: torch.where(
                mask.bool(), _whitened(values * mask, torch.ones_like(mask)), 0.0),
        "columns outside the mask are not 0": lambda values, mask:
            (values - values[mask == 1].mean()) / values[mask == 1].std(),
        "it is divided by the variance: divide by its square root": lambda values, mask:
            (values - values[mask == 1].mean()) / values[mask == 1].var() * mask,
        "the mean is not subtracted":
            lambda values, mask: values / values[mask == 1].std() * mask,
        "it is not divided by the deviation":
            lambda values, mask: (values - values[mask == 1].mean()) * mask,
        "each row has a mean and a deviation of its own: they are the whole rollout's":
            lambda values, mask:
                torch.cat([_whitened(v[None], m[None]) for v, m in zip(values, mask, strict=True)]),
        "the variance is the population's: use var with Bessel's correction, torch's default":
            lambda values, mask: _whitened(values, mask, 0),
    },
)  # fmt: skip


def _estimators(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """(3, N) k1, k2 and k3 of each completion."""
    k1 = logprobs - ref_logprobs
    return torch.stack([k1, k1.square() / 2, torch.expm1(-k1) + k1])


def _moments(each: Tensor, chances: Tensor) -> Tensor:
    """(3, 2) mean and standard deviation of the rows of (3, N)."""
    mean = each @ chances
    return torch.stack([mean, ((each - mean[:, None]).square() @ chances).sqrt()], 1)


def _kl_moments(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """(3, 2) of k1, k2, k3, over the policy: Schulman 2020, joschu.net/blog/kl-approx.html."""
    return _moments(_estimators(logprobs, ref_logprobs), logprobs.exp())


def _two_policies(seed: int) -> tuple[Tensor, Tensor]:
    return tuple(torch.randn(2, 6, generator=drawn(seed)).double().log_softmax(1))


kl_moments = Exercise(
    "kl_moments",
    _kl_moments,
    (_two_policies(36), _two_policies(37)),
    {
        "the mean is over the reference: samples come from the policy":
            lambda p, ref: _moments(_estimators(p, ref), ref.exp()),
        "every completion counts alike: weigh each by the policy's probability":
            lambda p, ref: _moments(_estimators(p, ref), torch.full_like(p, 1 / len(p))),
        "the log-ratio is upside down: k1 is log policy - log reference":
            lambda p, ref: _moments(_estimators(ref, p), p.exp()),
        "the second column is the variance: take its square root":
            lambda p, ref: _kl_moments(p, ref) ** torch.tensor([1.0, 2.0]),
        "the half of k2 is missing": lambda p, ref:
            _moments(_estimators(p, ref) * torch.tensor([[1.0], [2.0], [1.0]]), p.exp()),
        "every completion counts alike: weigh each by the policy's probability (plain mean, std)":
            lambda p, ref: torch.stack(
                [_estimators(p, ref).mean(1), _estimators(p, ref).std(1)], 1),
        "the mean is not subtracted before squaring": lambda p, ref: torch.stack(
            [_estimators(p, ref) @ p.exp(), (_estimators(p, ref).square() @ p.exp()).sqrt()], 1),
        "the log of k3 has the wrong sign: it is r - 1 - log r, and log r is -k1": lambda p, ref:
            _moments(torch.stack(
                [*_estimators(p, ref)[:2], torch.expm1(ref - p) - (p - ref)]), p.exp()),
        "the ratio of k3 is upside down: it is reference / policy": lambda p, ref: _moments(
            torch.stack([*_estimators(p, ref)[:2], _estimators(ref, p)[2]]), p.exp()),
        "the log of k3 is missing: it is r - 1 - log r": lambda p, ref: _moments(
            torch.stack([*_estimators(p, ref)[:2], torch.expm1(ref - p)]), p.exp()),
        "the -1 of k3 is missing": lambda p, ref:
            _moments(_estimators(p, ref) + torch.tensor([[0.0], [0.0], [1.0]]), p.exp()),
    },
)  # fmt: skip


def _kl_of(ref_logprobs: Tensor, rewards: Tensor, beta: Tensor, *, swapped: bool = False) -> Tensor:
    """() KL(tilted || reference), or with the two exchanged."""
    tilted = (ref_logprobs + rewards / beta).log_softmax(0)
    gap = tilted - ref_logprobs
    return -(ref_logprobs.exp() @ gap) if swapped else tilted.exp() @ gap


def _beta_for_kl(ref_logprobs: Tensor, rewards: Tensor, kl: float, **how: bool) -> Tensor:
    """() the beta whose tilted distribution is `kl` nats from the reference: KL falls with beta."""
    low, high = rewards.new_tensor(1e-3), rewards.new_tensor(1e3)
    for _ in range(80):
        beta = (low * high).sqrt()
        far = _kl_of(ref_logprobs, rewards, beta, **how) > kl
        low, high = (beta, high) if far else (low, beta)
    return beta


def _tilt(seed: int, kl: float) -> tuple[Tensor, Tensor, float]:
    ref, rewards = torch.randn(2, 8, generator=drawn(seed)).double()
    return ref.log_softmax(0), 2 * rewards, kl


def _search_of_beta(
    cases: Sequence[tuple], mine: Sequence[Tensor], right: Sequence[Tensor]
) -> str | None:
    """What KL the answer has."""
    if not all(torch.isfinite(beta) and beta > 0 for beta in mine):
        return None
    (ref, rewards, kl), beta = cases[0], mine[0]
    for end, name in ((1e-3, "lower"), (1e3, "upper")):
        if all(0.5 < x / end < 2 for x in mine):
            return (
                f"the search ran to its {name} end: KL falls as beta rises, so too large a KL asks "
                "for a larger beta; if yours does so, look at the KL, a mean over the tilted one"
            )
    return (
        f"at your beta = {beta:.4g} the tilted distribution is {_kl_of(ref, rewards, beta):.4g} "
        f"nats from the reference, where {kl:g} is wanted (case 1)"
    )


beta_for_kl = Exercise(
    "beta_for_kl",
    _beta_for_kl,
    (_tilt(38, 0.5), _tilt(39, 0.1), _tilt(40, 0.9)),
    {
        "it is 1 / beta: the reward is divided by beta": lambda *given: 1 / _beta_for_kl(*given),
        "the KL is the other way round: KL(tilted || reference) is an expectation over tilted":
            lambda *given: _beta_for_kl(*given, swapped=True),
        "the KL is counted in bits: nats are natural logarithms":
            lambda ref, rewards, kl: _beta_for_kl(ref, rewards, kl * math.log(2)),
        "it is log beta: take its exponential": lambda *given: _beta_for_kl(*given).log(),
        "it is the KL reached, which was given: return the beta":
            lambda ref, rewards, kl: rewards.new_tensor(kl),
    },
    rtol=1e-2,
    tell=_search_of_beta,
)  # fmt: skip


def _still_pulled(ratio: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """(B, T) 1 where PPO's objective has a slope in the ratio, 0 where it is flat."""
    below, above = ratio < 1 + clip, ratio > 1 - clip
    return (((advantages > 0) & below) | ((advantages < 0) & above)).float()


still_pulled = Exercise(
    "still_pulled",
    _still_pulled,
    (
        (
            torch.tensor([[0.5, 0.9, 1.1, 2.0], [0.5, 0.9, 1.1, 2.0], [0.7, 1.0, 1.4, 3.0]]),
            torch.tensor([[1.0, 2.0, 1.0, 0.5], [-1.0, -2.0, -1.0, -0.5], [0.0, 0.0, -1.0, 1.0]]),
            0.2,
        ),
        (torch.tensor([[1.25, 0.75]]), torch.tensor([[1.0, -1.0]]), 0.3),
    ),
    {
        "it is 1 within the clip alone: a token that went the wrong way is pulled back from any "
        "distance": lambda ratio, A, clip: (((ratio - 1).abs() < clip) & (A != 0)).float(),
        "it is 1 within the clip alone: a token that went the wrong way is pulled back from any "
        "distance (and an advantage of 0 pulls nothing)":
            lambda ratio, A, clip: ((ratio - 1).abs() < clip).float(),
        "the signs are exchanged: a good token is let go above 1 + clip, a bad one below 1 - clip":
            lambda ratio, A, clip: _still_pulled(ratio, -A, clip),
        "it is the complement: 1 is where there is a slope":
            lambda ratio, A, clip: 1 - _still_pulled(ratio, A, clip),
        "an advantage of 0 pulls nothing": lambda ratio, A, clip:
            torch.where(A == 0, 1.0, _still_pulled(ratio, A, clip)),
        "a bad token is let go, too: once its ratio is below 1 - clip": lambda ratio, A, clip:
            ((ratio < 1 + clip) & (A != 0)).float(),
        "a good token is let go, too: once its ratio is above 1 + clip": lambda ratio, A, clip:
            ((ratio > 1 - clip) & (A != 0)).float(),
        "it is the slope itself, which is the advantage: 1 or 0 is asked for":
            lambda ratio, A, clip: A * _still_pulled(ratio, A, clip),
    },
)  # fmt: skip


def _from_here_on(values: Tensor) -> Tensor:
    """(B, T) sums from each token to the end."""
    return values.flip(1).cumsum(1).flip(1)


def _kl_loss(logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor) -> Tensor:
    """(B, T) logprob times the sum of the log-ratios from this token on, a constant.

    Its gradient is, on average over the policy's own samples, that of KL(policy || reference)
    between whole completions: Tang and Munos 2025, arXiv:2506.09477.
    """
    ratios = _log_ratio(logprobs, ref_logprobs, mask)
    return _weighed(logprobs, mask, _from_here_on(ratios))


def _log_ratio(logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask > 0, logprobs - ref_logprobs, 0.0).detach()


def _weighed(logprobs: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    return torch.where(mask > 0, weights * logprobs, 0.0)


def _by_weight(weigh: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """A loss whose constants are computed from the log-ratios."""
    return lambda pi, ref, mask: _weighed(pi, mask, weigh(_log_ratio(pi, ref, mask)))


def _kl_case(seed: int, mask: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
    logprobs, ref = torch.rand(2, len(mask), len(mask[0]), generator=drawn(seed)).log()
    return logprobs, ref, torch.tensor(mask)


kl_loss = Exercise(
    "kl_loss",
    _kl_loss,
    (
        _kl_case(22, [[0, 1, 1, 1], [0, 0, 1, 1], [0, 1, 1, 0]]),
        _kl_case(23, [[1, 1, 1, 1, 0]]),
    ),
    {
        "it is k1 itself, whose gradient is 0 on average: the log-ratio must be a constant factor":
            lambda logprobs, ref, mask: (logprobs - ref) * mask,
        "it is k2, which leaves out what a token changes about those after it":
            lambda logprobs, ref, mask: 0.5 * (logprobs - ref).square() * mask,
        "it is k3, whose gradient is another KL's, with the two policies exchanged":
            lambda logprobs, ref, mask: k3(logprobs, ref) * mask,
        "each token pays for its own log-ratio alone: it also changes which tokens come after it":
            _by_weight(lambda r: r),
        "right on average, and of more variance than it need have: a token cannot change what came "
        "before it, so sum from this token on":
            _by_weight(lambda r: r.sum(1, keepdim=True).expand_as(r)),
        "a token does not pay for itself: the sum begins with its own log-ratio":
            _by_weight(lambda r: _from_here_on(r) - r),
        "each token pays for those before it: sum from this token to the end":
            _by_weight(lambda r: r.cumsum(1)),
        "it is a mean over the tokens that follow, where the KL of a completion is their sum":
            lambda *given: _kl_loss(*given) / _from_here_on(given[2]).clamp(min=1),
        "tokens outside the mask are in it": lambda logprobs, ref, mask:
            _kl_loss(logprobs, ref, torch.ones_like(mask)),
        "the sign is reversed, so it drives away from the reference: it is policy less reference":
            lambda *given: -_kl_loss(*given),
    },
    trains=True,
)  # fmt: skip
