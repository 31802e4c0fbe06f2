"""Means and shares with their 95% intervals: the one place of the package that computes any.

`mean` is of numbers of any size and has Student's interval; `share` is of yes and no and has
Wilson's; `bounded_mean` is of numbers in [0, 1], such as a problem's pass rate, and has Wilson's
too, at the number of yes-or-no trials that would scatter as much. No interval leaves [0, 1] where
the values cannot, and none is empty because the values happen to be all alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

Z95 = 1.959964  # 97.5% point of the normal distribution
FEWEST = 6  # pairs of yes or no that must differ: of 5, all one way, the sign test has p = 2 / 2^5
TOO_FEW = "too few to judge"


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error, a 95% interval and the number of values behind it.

    Error and interval are nan where nothing is known of them: for the mean of one value.
    """

    mean: float
    error: float
    n: int
    interval: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.interval
        known = "not known" if math.isnan(low) else f"{low:.3f}, {high:.3f}"
        return f"{self.mean:.3f} [{known}] (n = {self.n})"


@cache
def t95(freedom: int) -> float:
    """97.5% point of Student's t with `freedom` degrees of freedom; `Z95` in the limit.

    By bisection of the finite series for whole degrees of freedom: Abramowitz and Stegun 1964,
    26.7.3 and 26.7.4.

    >>> round(t95(2), 6), round(t95(3), 6), round(t95(1000), 6)
    (4.302653, 3.182446, 1.962339)
    """
    if freedom < 1:
        raise ValueError(f"{freedom} degrees of freedom: use 1 or more, one less than the values")
    low, high = 0.0, math.pi / 2  # of the angle arctan(t / sqrt(freedom))
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _chance_within(middle, freedom) < 0.95 else (low, middle)
    return math.sqrt(freedom) * math.tan(high)


def _chance_within(angle: float, freedom: int) -> float:
    """P(|T| < sqrt(freedom) tan(angle)) of Student's T."""
    odd, sine, cosine = freedom % 2, math.sin(angle), math.cos(angle)
    if freedom == 1:
        return 2 * angle / math.pi
    j = 2 * np.arange(1, freedom // 2)
    series = 1 + float(np.cumprod((j - 1 + odd) / (j + odd) * cosine**2).sum())
    return 2 / math.pi * (angle + sine * cosine * series) if odd else sine * series


def half_width(error: float, n: int) -> float:
    """Half a 95% interval of a mean of n values with this standard error; nan of one value."""
    return t95(n - 1) * error if n > 1 else math.nan


def mean(values: Sequence[float]) -> Estimate:
    """Mean of independent values, with Student's interval: exact where they are normal.

    Student 1908, "The probable error of a mean". With 3 values the normal interval would hold the
    true mean 81% of the time. Differences of pairs are values too: give them.

    >>> str(mean([1.0, 2.0, 3.0])), str(mean([5.0]))
    ('2.000 [-0.484, 4.484] (n = 3)', '5.000 [not known] (n = 1)')
    """
    array = np.asarray(values, dtype=float)
    if array.size == 0:
        raise ValueError("values is empty, so there is no mean; give at least one value")
    middle = float(array.mean())
    error = float(array.std(ddof=1) / math.sqrt(array.size)) if array.size > 1 else math.nan
    half = half_width(error, array.size)
    return Estimate(middle, error, array.size, (middle - half, middle + half))


def difference(differences: Sequence[float], least: float = 0.0) -> Estimate:
    """Mean of paired differences; pairs of which one half is missing (nan) are left out.

    Args:
        differences: one per pair.
        least: a standard error that the mean has at the least, as where each value is a difference
            of shares of sampled replies. A few values lie near each other by luck now and then, and
            their own interval is then too narrow; this one reaches at least 1.96 times `least` far.
    """
    array = np.asarray(differences, dtype=float)
    found = mean(array[~np.isnan(array)])
    half = max(found.interval[1] - found.mean, Z95 * least)  # nan, of one value, stays nan
    error = max(found.error, least)
    return Estimate(found.mean, error, found.n, (found.mean - half, found.mean + half))


def shares_difference(new: Sequence[float], old: Sequence[float], n: int) -> Estimate:
    """Mean difference of shares by seed, with no less error than n independent replies each have.

    >>> str(shares_difference([0.16, 0.15, 0.17], [0.10, 0.09, 0.11], n=288))
    '0.060 [0.028, 0.092] (n = 3)'
    """
    a, b = np.asarray(new, dtype=float), np.asarray(old, dtype=float)
    a, b = a[~np.isnan(a + b)], b[~np.isnan(a + b)]
    if not a.size:
        raise ValueError("no seed has both shares; give at least one pair of them")
    noise = math.sqrt((a * (1 - a) + b * (1 - b)).mean() / n / a.size)
    return difference(a - b, least=noise)


def verdict(differences: Sequence[float] | Estimate, digits: int = 3) -> str:
    """A mean of paired differences in words: is it shown to differ from 0?

    Shown is what has a 95% interval that does not hold 0: Student's, of differences, or that of an
    estimate. Differences of yes and no, in {-1, 0, 1}, of which fewer than 6 are not 0 have no
    interval: Student's is far too narrow there, and the exact sign test (of pairs, McNemar 1947,
    "Note on the sampling error of the difference between correlated proportions") shows nothing.

    >>> verdict([0.3, 0.4, 0.5]), verdict([0.1, -0.2, 0.4], digits=1)
    ('+0.400 [+0.152, +0.648] (n = 3), shown', '+0.1 [-0.6, +0.8] (n = 3), not shown')
    >>> verdict([0.06, 0.061, 0.062]), verdict(difference([0.06, 0.061, 0.062], least=0.04))
    ('+0.061 [+0.059, +0.063] (n = 3), shown', '+0.061 [-0.017, +0.139] (n = 3), not shown')
    >>> verdict([0.0] * 94), verdict([0.5])
    ('0 in all 94 pairs, not shown', '+0.500 (n = 1), one value has no interval')
    >>> verdict([-1.0] * 4 + [0.0] * 284)
    '-0.014 (4 of 288 pairs differ), too few to judge'
    """
    middle, interval, n, word = _verdict(differences, digits)
    if n == 1:
        return f"{middle} (n = 1), one value has no interval"
    if word == TOO_FEW:
        return f"{middle} ({_changes(differences)} of {n} pairs differ), {word}"
    if not interval:
        return f"{middle if float(middle) else '0'} in all {n} pairs, {word}"
    return f"{middle} {interval} (n = {n}), {word}"


def verdicts(rows: Mapping[str, Sequence[float] | Estimate], digits: int = 2) -> pd.DataFrame:
    """`verdict` of several differences, by name, as a table.

    >>> print(verdicts({"new minus old": [0.3, 0.4, 0.5]}).to_string(index=False))
       difference  mean   95% interval  n verdict
    new minus old +0.40 [+0.15, +0.65]  3   shown
    """
    columns = ["mean", "95% interval", "n", "verdict"]
    found = {name: _verdict(values, digits) for name, values in rows.items()}
    table = pd.DataFrame.from_dict(found, orient="index", columns=columns)
    return table.replace("", None).rename_axis("difference").reset_index()


def _verdict(differences: Sequence[float] | Estimate, digits: int) -> tuple[str, str, int, str]:
    """Mean, interval (empty without one), number of pairs, and whether it is shown."""
    found = differences if isinstance(differences, Estimate) else difference(differences)
    middle = f"{found.mean:+.{digits}f}"
    if found.n == 1 or found.error == 0:
        return middle, "", found.n, "not shown"
    if _changes(differences) < FEWEST:
        return middle, "", found.n, TOO_FEW
    low, high = found.interval
    word = "shown" if low > 0 or high < 0 else "not shown"
    return middle, f"[{low:+.{digits}f}, {high:+.{digits}f}]", found.n, word


def _changes(differences: Sequence[float] | Estimate) -> float:
    """How many differences of yes and no are not 0; infinite of any other numbers."""
    if isinstance(differences, Estimate):
        return math.inf
    found = np.asarray(differences, dtype=float)
    found = found[~np.isnan(found)]
    return int((found != 0).sum()) if np.isin(found, (-1, 0, 1)).all() else math.inf


def share(successes: Sequence[bool]) -> Estimate:
    """Share of successes with Wilson's interval, which holds near 0 and 1 too.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    >>> str(share([True] * 8 + [False] * 2))
    '0.800 [0.490, 0.943] (n = 10)'
    """
    n, hits = len(successes), int(sum(bool(s) for s in successes))
    if n == 0:
        raise ValueError("successes is empty, so there is no share; give at least one")
    return wilson(hits / n, n)


def wilson(p: float, n: int) -> Estimate:
    """A share `p` of `n` trials with Wilson's interval: too wide where `p` is a mean over runs.

    >>> str(wilson(0.8, 10))
    '0.800 [0.490, 0.943] (n = 10)'
    """
    if not 0 <= p <= 1 or n < 1:
        raise ValueError(f"p is {p}, n is {n}; needs p in [0, 1] and n of at least 1")
    return Estimate(p, math.sqrt(p * (1 - p) / n), n, _wilson_ends(p, n, Z95))


def _wilson_ends(p: float, n: float, z: float) -> tuple[float, float]:
    """All shares from which `p` of n trials is at most z of their own standard errors away."""
    z2 = z * z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # At 0 and 1 the interval ends there exactly, but rounding may miss it.
    return centre - half if p > 0 else 0.0, centre + half if p < 1 else 1.0


def bounded_mean(values: Sequence[float]) -> Estimate:
    """Mean of independent values in [0, 1], with Wilson's interval.

    Of zeros and ones it is `share`. Values between scatter less, so they tell as much as more
    trials would, m (1 - m) / error^2 of them: Wilson's interval at this effective number, which
    Franco, Little, Louis and Slud 2019, "Comparative study of confidence intervals for proportions
    in complex sample surveys", recommend; with Student's t, since the error is estimated. Values
    that are all alike tell nothing of their scatter and count as trials.

    >>> str(bounded_mean([0.0, 0.5, 1.0, 0.5])), str(bounded_mean([0.0] * 12))
    ('0.500 [0.104, 0.896] (n = 4)', '0.000 [0.000, 0.242] (n = 12)')
    """
    found = np.asarray(values, dtype=float)
    if found.size and not (found.min() >= 0 and found.max() <= 1):
        raise ValueError(f"values reach from {found.min()} to {found.max()}; all must be in [0, 1]")
    plain = mean(found)
    middle = min(1.0, max(0.0, plain.mean))  # rounding may miss it by a little
    if ((found == 0) | (found == 1)).all() or found.max() == found.min():
        return wilson(middle, found.size)
    effective = middle * (1 - middle) / plain.error**2
    ends = _wilson_ends(middle, effective, t95(found.size - 1))
    return Estimate(middle, plain.error, found.size, ends)


def win_rate(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """How often `first` scores higher than `second`, item by item; a tie counts one half.

    >>> str(win_rate([1.0, 2.0, 3.0, 0.0], [0.0, 2.0, 4.0, -1.0]))
    '0.625 [0.118, 0.954] (n = 4)'
    >>> str(win_rate([1.0] * 10, [0.0] * 10))
    '1.000 [0.722, 1.000] (n = 10)'
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape:
        raise ValueError(f"{a.size} scores against {b.size}: compare the same items in both")
    if np.isnan(a).any() or np.isnan(b).any():
        raise ValueError("a score is nan, which is neither higher nor lower; leave that item out")
    return bounded_mean((a > b) + 0.5 * (a == b))


def pass_at_k(correct: int, n: int, k: int) -> float:
    """Unbiased chance that at least one of k completions is right, from `correct` out of n.

    1 - C(n - c, k) / C(n, k): Chen et al. 2021, arXiv:2107.03374, equation 1.

    >>> pass_at_k(correct=1, n=4, k=2), pass_at_k(0, 8, 8), pass_at_k(8, 8, 1)
    (0.5, 0.0, 1.0)
    """
    if not 1 <= k <= n or not 0 <= correct <= n:
        raise ValueError(
            f"correct={correct}, n={n}, k={k}: needs 0 <= correct <= n and 1 <= k <= n"
        )
    return 1 - math.comb(n - correct, k) / math.comb(n, k)


def calibration(
    probabilities: Sequence[float], outcomes: Sequence[bool], bins: int = 10
) -> pd.DataFrame:
    """How often what was given a probability came true, in bins of equal width over [0, 1].

    Returns:
        A row per bin that holds anything: predicted (mean probability), observed (share), low and
        high (Wilson's interval), n. A calibrated predictor has observed near predicted.

    >>> calibration([0.1, 0.1, 0.9, 0.9], [False, False, True, False], bins=2).observed.tolist()
    [0.0, 0.5]
    """
    p, came = np.asarray(probabilities, dtype=float), np.asarray(outcomes, dtype=bool)
    if p.shape != came.shape or p.size == 0 or p.min() < 0 or p.max() > 1:
        raise ValueError(
            f"{p.size} probabilities against {came.size} outcomes: give one outcome for each, and "
            "probabilities in [0, 1]"
        )
    place = np.minimum((p * bins).astype(int), bins - 1)
    rows = []
    for bin_ in np.unique(place):
        found = share(came[place == bin_].tolist())
        low, high = found.interval
        rows.append((p[place == bin_].mean(), found.mean, low, high, found.n))
    return pd.DataFrame(rows, columns=["predicted", "observed", "low", "high", "n"])


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rho: the correlation of ranks, ties by their mean rank.

    >>> rank_correlation([1, 2, 3], [10, 100, 1000]), rank_correlation([1, 2, 3], [3, 2, 1])
    (1.0, -1.0)
    """
    ranks = pd.Series(a, dtype=float).rank(), pd.Series(b, dtype=float).rank()
    return round(float(ranks[0].corr(ranks[1])), 12)
