"""Exercises on the distance from a reference: price, estimates, gradient, best margins."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

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
    if all(min(abs(math.log(x / end)) for end in (1e-3, 1e3)) < math.log(2) for x in mine):
        return (
            "the search ran to an end of its interval: is the reward divided by beta, is the KL "
            "a mean over the tilted distribution, and is the right half kept? KL falls as beta "
            "rises, so too large a KL asks for a larger beta"
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


def _best_margins(
    chance: Tensor, beta: float, *, scale: float = 1.0, root: float = 0.5, sure: float = 1.0
) -> Tensor:
    """(2, N) margins of least expected loss, of DPO and of IPO; the settings make mistakes."""
    of_ipo = (2 * chance - 1) * root / beta
    return torch.stack([torch.logit(chance) / beta * scale, of_ipo * sure])


def _bounded(cases: Sequence[tuple], mine: Sequence[Tensor], right: Sequence[Tensor]) -> str | None:
    """Whether an answer is wrong only where the right one is infinite."""
    finite = [r.isfinite() for r in right]
    if all(torch.allclose(a[f], r[f]) for a, r, f in zip(mine, right, finite, strict=True)):
        return (
            "right but for certain choices: at p = 1 DPO's margin is infinite, so no bound such as "
            "eps may stand in the log-odds"
        )
    return None


best_margins = Exercise(
    "best_margins",
    _best_margins,
    ((torch.tensor([0.5, 0.6, 0.75, 0.95, 1.0]), 0.5), (torch.tensor([0.2, 0.9]), 0.1)),
    {
        "the rows are exchanged, IPO's come first: stack DPO's margins, then IPO's":
            lambda chance, beta: _best_margins(chance, beta).flip(0),
        "IPO's is its target whatever the chance: a share of 1 - p of the choices pulls the margin "
        "to minus the target": lambda chance, beta: torch.stack(
            [torch.logit(chance) / beta, torch.full_like(chance, 1 / (2 * beta))]
        ),
        "IPO's is p times its target: the other choices pull to minus the target, not to 0":
            lambda chance, beta: torch.stack(
                [torch.logit(chance) / beta, chance / (2 * beta)]
            ),
        "IPO's is twice too large: its target is 1 / (2 beta)":
            lambda chance, beta: _best_margins(chance, beta, root=1.0),
        "IPO's is half of what it should be: p times the target less 1 - p times it is (2 p - 1) "
        "times it": lambda chance, beta: _best_margins(chance, beta, root=0.25),
        "DPO's are leads, beta times the margin: divide by beta":
            lambda chance, beta: _best_margins(chance, beta, scale=beta),
        "both are leads, beta times the margin: divide by beta":
            lambda chance, beta: beta * _best_margins(chance, beta),
        "both are multiplied by beta: divide by it, a larger beta stays nearer":
            lambda chance, beta: beta**2 * _best_margins(chance, beta),
        "DPO's are the log-odds multiplied by beta: divide by beta":
            lambda chance, beta: _best_margins(chance, beta, scale=beta**2),
        "IPO's is multiplied by beta: its target is 1 / (2 beta), so divide by beta":
            lambda chance, beta: _best_margins(chance, beta, root=0.5 * beta**2),
        "DPO's is log p / beta: set the slope of both terms to 0, the odds p / (1 - p) come out":
            lambda chance, beta: torch.stack(
                [chance.log() / beta, _best_margins(chance, beta)[1]]
            ),
        "the sign is reversed: a reply that is chosen more often gets the larger logratio":
            lambda chance, beta: -_best_margins(chance, beta),
        "IPO's has the sign reversed": lambda chance, beta: _best_margins(chance, beta, sure=-1.0),
        "DPO's has the sign reversed: the likelier a reply is chosen, the larger its margin":
            lambda chance, beta: _best_margins(chance, beta, scale=-1.0),
    },
    tell=_bounded,
)  # fmt: skip


def _robust(margin: Tensor, beta: float, flip: float) -> Tensor:
    """(B,) a loss whose mean over swapped and kept labels is DPO's of the true one."""
    kept, swapped = -logsigmoid(beta * margin), -logsigmoid(-beta * margin)
    return ((1 - flip) * kept - flip * swapped) / (1 - 2 * flip)


def _smoothed(margin: Tensor, beta: float, flip: float) -> Tensor:
    """(B,) conservative DPO."""
    return -(1 - flip) * logsigmoid(beta * margin) - flip * logsigmoid(-beta * margin)


robust_loss = Exercise(
    "robust_loss",
    _robust,
    (
        (6 * torch.randn(6, generator=drawn(41)), 0.5, 0.2),
        (torch.tensor([-400.0, 0.0, 400.0]), 0.7, 0.35),
    ),
    {
        "it is the smoothed loss: its mean over swapped labels is smoothed twice and not the true "
        "loss; solve the two equations": _smoothed,
        "the smoothed loss is divided by 1 - 2 e: the second term has a minus":
            lambda margin, beta, flip: _smoothed(margin, beta, flip) / (1 - 2 * flip),
        "it is not divided by 1 - 2 e":
            lambda margin, beta, flip: _robust(margin, beta, flip) * (1 - 2 * flip),
        "it is divided by 1 - e: the determinant of the two equations is (1 - e)^2 - e^2 = 1 - 2 e":
            lambda margin, beta, flip: _robust(margin, beta, flip) * (1 - 2 * flip) / (1 - flip),
        "the shares are exchanged: 1 - e belongs to the label as it is noted":
            lambda margin, beta, flip: _robust(-margin, beta, flip),
        "e and 1 - e are exchanged: the loss as it is noted has 1 - e, the other one e":
            lambda margin, beta, flip: -_robust(-margin, beta, flip),
        "it is divided by (1 - e)^2 + e^2: the determinant is their difference, 1 - 2 e":
            lambda margin, beta, flip: _robust(margin, beta, flip) * (1 - 2 * flip)
            / ((1 - flip) ** 2 + flip**2),
        "it is cut off at 0: the loss may be negative, else its mean is not the true one":
            lambda margin, beta, flip: _robust(margin, beta, flip).clamp(min=0),
        "beta stands outside of the logarithm: it multiplies the margin":
            lambda margin, beta, flip: beta * _robust(margin, 1.0, flip),
        "it is DPO's loss of the noted labels": lambda margin, beta, flip:
            _robust(margin, beta, 0.0),
        "beta is left out: it multiplies the margin": lambda margin, beta, flip:
            _robust(margin, 1.0, flip),
        "it divides by beta: the lead is beta times the margin": lambda margin, beta, flip:
            _robust(margin, 1 / beta, flip),
        "log(sigmoid(x)) is -inf for far margins: use logsigmoid": lambda margin, beta, flip: -(
            (1 - flip) * torch.sigmoid(beta * margin).log()
            - flip * torch.sigmoid(-beta * margin).log()
        ) / (1 - 2 * flip),
        "it is a mean over the batch, where one number per pair is asked for":
            lambda margin, beta, flip: _robust(margin, beta, flip).mean().expand(len(margin)),
        "the sign is reversed: minimising it would make the rejected reply win":
            lambda margin, beta, flip: -_robust(margin, beta, flip),
    },
    trains=True,
)  # fmt: skip
