"""Exercises on staying near: the KL's price, estimates and gradient, and the clip of the ratio."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from minialign.core.kl import k3
from minialign.course.exercises.compare import Exercise, drawn


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
        "the sign of k1 is turned: it is log policy - log reference": lambda p, ref:
            _moments(_estimators(p, ref) * torch.tensor([[-1.0], [1.0], [1.0]]), p.exp()),
        "the weights are logprobs: take their exponential, the policy's probabilities":
            lambda p, ref: _moments(_estimators(p, ref), p),
        "policy and reference are exchanged: the first argument is the policy's":
            lambda p, ref: _kl_moments(ref, p),
        "the deviation is that of probability times value: weigh the squared distances instead":
            lambda p, ref: torch.stack(
                [_estimators(p, ref) @ p.exp(), (_estimators(p, ref) * p.exp()).std(1)], 1),
        "the second column is the variance: take its square root":
            lambda p, ref: _kl_moments(p, ref) ** torch.tensor([1.0, 2.0]),
        "the half of k2 is missing": lambda p, ref:
            _moments(_estimators(p, ref) * torch.tensor([[1.0], [2.0], [1.0]]), p.exp()),
        "every completion counts alike: weigh each by the policy's probability (plain mean, std)":
            lambda p, ref: torch.stack(
                [_estimators(p, ref).mean(1), _estimators(p, ref).std(1)], 1),
        "the deviation counts every completion alike: weigh each by the policy's probability":
            lambda p, ref: torch.stack(
                [_estimators(p, ref) @ p.exp(), _estimators(p, ref).std(1)], 1),
        "the squared distances count every completion alike: weigh each by its probability, too":
            lambda p, ref: torch.stack([_estimators(p, ref) @ p.exp(), (
                _estimators(p, ref) - (_estimators(p, ref) @ p.exp())[:, None]
            ).square().mean(1).sqrt()], 1),
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


Distance = Callable[[Tensor, Tensor, Tensor], Tensor]  # of (ref_logprobs, rewards, beta)


def _kl_of(ref: Tensor, rewards: Tensor, beta: Tensor) -> Tensor:
    """() KL(tilted || reference)."""
    tilted = (ref + rewards / beta).log_softmax(0)
    return tilted.exp() @ (tilted - ref)


def _swapped(ref: Tensor, rewards: Tensor, beta: Tensor) -> Tensor:
    return ref.exp() @ (ref - (ref + rewards / beta).log_softmax(0))


def _without_reference(ref: Tensor, rewards: Tensor, beta: Tensor) -> Tensor:
    tilted = (rewards / beta).log_softmax(0)
    return tilted.exp() @ (tilted - ref)


def _without_z(ref: Tensor, rewards: Tensor, beta: Tensor) -> Tensor:
    return (ref + rewards / beta).softmax(0) @ (rewards / beta)


def _never_divided(ref: Tensor, rewards: Tensor, beta: Tensor) -> Tensor:
    return (ref + rewards / beta).exp() @ (rewards / beta)


def _beta_for_kl(ref: Tensor, rewards: Tensor, kl: float, distance: Distance = _kl_of) -> Tensor:
    """() the beta whose tilted distribution is `kl` nats from the reference: KL falls with beta."""
    low, high = rewards.new_tensor(1e-3), rewards.new_tensor(1e3)
    for _ in range(80):
        beta = (low * high).sqrt()
        low, high = (beta, high) if distance(ref, rewards, beta) > kl else (low, beta)
    return beta


def _by(distance: Distance) -> Callable[..., Tensor]:
    return lambda *given: _beta_for_kl(*given, distance)


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
    if all(min(abs(math.log(x / end)) for end in (1e-3, 1e3)) < math.log(2) for x in mine):
        return (
            "the search ran to an end of its interval: does the tilted distribution hold the "
            "reference, is the reward divided by beta, is the KL a mean over the tilted "
            "distribution, and is the right half kept? KL falls as beta "
            "rises, so too large a KL asks for a larger beta"
        )
    if all(abs(math.log(x / y)) < math.log(1.1) for x, y in zip(mine, right, strict=True)):
        return (
            "it is near, and not within 1%: does the search stop too early? Halve some 60 times, "
            "on a logarithmic scale"
        )
    return (
        f"at your beta = {beta:.4g} the tilted distribution is {_kl_of(ref, rewards, beta):.4g} "
        f"nats from the reference, where {kl:g} is wanted (case 1); if you halve fewer than some "
        "20 times, or on a linear scale, the search stops too early"
    )


beta_for_kl = Exercise(
    "beta_for_kl",
    _beta_for_kl,
    (_tilt(38, 0.5), _tilt(39, 0.1), _tilt(40, 0.9)),
    {
        "it is 1 / beta: the reward is divided by beta": lambda *given: 1 / _beta_for_kl(*given),
        "the KL is the other way round: KL(tilted || reference) is an expectation over tilted":
            _by(_swapped),
        "the reference is not in the tilted distribution: it is reference times exp(reward / beta)":
            _by(_without_reference),
        "log Z is missing in the KL: the tilted logprobs are those after the division by Z":
            _by(_without_z),
        "nothing is divided by Z: the tilted chances must sum to 1": _by(_never_divided),
        "the KL is counted in bits: nats are natural logarithms":
            lambda ref, rewards, kl: _beta_for_kl(ref, rewards, kl * math.log(2)),
        "it is log beta: take its exponential": lambda *given: _beta_for_kl(*given).log(),
        "it is the KL reached, which was given: return the beta":
            lambda ref, rewards, kl: rewards.new_tensor(kl),
    },
    rtol=1e-2,
    tell=_search_of_beta,
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
        "it is divided by the number of the completion's tokens: the KL is their sum":
            lambda *given: _kl_loss(*given) / given[2].sum(1, keepdim=True),
        "the constant is one too large, as from differentiating p log p: its mean is 0, so it only "
        "adds variance": _by_weight(lambda r: _from_here_on(r) + 1),
        "it sums over the batch: a completion is a row, so sum along the columns":
            _by_weight(lambda r: r.flip(0).cumsum(0).flip(0)),
        "the gradient is right; let the value be the constant times the logprob, not times the "
        "log-ratio": lambda logprobs, ref, mask: torch.where(
            mask > 0, _from_here_on(_log_ratio(logprobs, ref, mask)) * (logprobs - ref), 0.0),
        "tokens outside the mask are in it": lambda logprobs, ref, mask:
            _kl_loss(logprobs, ref, torch.ones_like(mask)),
        "values outside of the mask are not 0: choose once more with torch.where, at the end":
            lambda logprobs, ref, mask:
                _from_here_on(_log_ratio(logprobs, ref, mask)) * logprobs,
        "log-ratios outside of the mask are in the sum: set them to 0 before it":
            lambda logprobs, ref, mask:
                _weighed(logprobs, mask, _from_here_on((logprobs - ref).detach())),
        "it is the constant alone, which has no gradient: multiply it by the token's logprob":
            lambda logprobs, ref, mask:
                _from_here_on(_log_ratio(logprobs, ref, mask)) * (mask > 0),
        "it is the constant alone, which has no gradient, and not 0 outside of the mask: multiply "
        "it by the token's logprob, and choose with torch.where": lambda logprobs, ref, mask:
            _from_here_on(_log_ratio(logprobs, ref, mask)),
        "the sign is reversed, so it drives away from the reference: it is policy less reference":
            lambda *given: -_kl_loss(*given),
    },
    trains=True,
    if_slopes="the log-ratios are constants, so detach() them; the logprob itself keeps its "
    "gradient",
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
        (torch.tensor([[1.25, 0.75, 0.74]]), torch.tensor([[1.0, -1.0, -1.0]]), 0.3),
    ),
    {
        "it is 1 within the clip alone: a token that went the wrong way is pulled back from any "
        "distance": lambda ratio, A, clip: (((ratio - 1).abs() < clip) & (A != 0)).float(),
        "it is 1 within the clip alone: a token that went the wrong way is pulled back from any "
        "distance (and an advantage of 0 pulls nothing)":
            lambda ratio, A, clip: ((ratio - 1).abs() < clip).float(),
        "the bounds are exchanged: a good token is let go above 1 + clip, a bad one below 1 - clip":
            lambda ratio, A, clip: (
                ((A > 0) & (ratio < 1 - clip)) | ((A < 0) & (ratio > 1 + clip))).float(),
        "both inequalities are turned: a good token pulls below 1 + clip, a bad one above 1 - clip":
            lambda ratio, A, clip: (
                ((A > 0) & (ratio > 1 + clip)) | ((A < 0) & (ratio < 1 - clip))).float(),
        "a bad token is let go below 1 - clip, so it pulls above that; yours pulls below it":
            lambda ratio, A, clip: (
                ((A > 0) & (ratio < 1 + clip)) | ((A < 0) & (ratio < 1 - clip))).float(),
        "it is the slope itself: 1 where there is one, whatever its sign":
            lambda ratio, A, clip: _still_pulled(ratio, A, clip) * A.sign(),
        "a bad token is always pulled: below 1 - clip it is let go": lambda ratio, A, clip:
            torch.where(A > 0, ((ratio - 1).abs() < clip).float(), (A < 0).float()),
        "clip is not used: 0.2 is only its usual value":
            lambda ratio, A, clip: _still_pulled(ratio, A, 0.2),
        "the lower bound is 1 - clip, and not 1 / (1 + clip)": lambda ratio, A, clip: (
            ((A > 0) & (ratio < 1 + clip)) | ((A < 0) & (ratio > 1 / (1 + clip)))).float(),
        "the signs are exchanged: a good token is let go above 1 + clip, a bad one below 1 - clip":
            lambda ratio, A, clip: _still_pulled(ratio, -A, clip),
        "a bad token is let go below 1 - clip, so it pulls above that; yours pulls above 1 + clip":
            lambda ratio, A, clip: (
                ((A > 0) & (ratio < 1 + clip)) | ((A < 0) & (ratio > 1 + clip))).float(),
        "it is the complement: 1 is where there is a slope":
            lambda ratio, A, clip: 1 - _still_pulled(ratio, A, clip),
        "an advantage of 0 pulls nothing": lambda ratio, A, clip:
            torch.where(A == 0, 1.0, _still_pulled(ratio, A, clip)),
        "an advantage of 0 pulls nothing, and here it counts as below 0": lambda ratio, A, clip:
            torch.where(A > 0, ratio < 1 + clip, ratio > 1 - clip).float(),
        "only advantages above 0 are handled: a bad token pulls while its ratio is above 1 - clip":
            lambda ratio, A, clip: ((A > 0) & (ratio < 1 + clip)).float(),
        "the sign of the advantage is not used: it says which of the two bounds counts":
            lambda ratio, A, clip: (ratio < 1 + clip).float(),
        "it is 1 outside of the clip: 1 is where there is a slope":
            lambda ratio, A, clip: ((ratio - 1).abs() > clip).float(),
        "a bad token is let go, too: once its ratio is below 1 - clip": lambda ratio, A, clip:
            ((ratio < 1 + clip) & (A != 0)).float(),
        "a good token is let go, too: once its ratio is above 1 + clip": lambda ratio, A, clip:
            ((ratio > 1 - clip) & (A != 0)).float(),
        "it is the slope itself, which is the advantage: 1 or 0 is asked for":
            lambda ratio, A, clip: A * _still_pulled(ratio, A, clip),
    },
)  # fmt: skip
