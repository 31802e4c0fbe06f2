"""Intervals: published values, coverage by simulation, and what happens at the ends."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mpmath import betainc, mp
from slowness import slow_but

import minialign
from minialign.evaluate import statistics
from minialign.evaluate.problems import pass_rate
from minialign.evaluate.statistics import Z95, mean, share, t95, wilson, win_rate
from minialign.show import bars

# --- Student's t ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("freedom", "point"),  # of any printed table of the 97.5% point
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (10, 2.228),
     (29, 2.045), (30, 2.042), (60, 2.000), (120, 1.980)],
)  # fmt: skip
def test_a_mean_of_few_has_the_tabulated_half_width(freedom, point):
    values = np.random.default_rng(freedom).normal(size=freedom + 1)
    found = mean(values)
    assert (found.interval[1] - found.mean) / found.error == pytest.approx(point, abs=6e-4)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 12, 95, 287, 1000, 12345])
def test_t95_leaves_a_twentieth_outside(freedom):
    """The chance beyond t is the incomplete beta function I(n / (n + t^2); n / 2, 1 / 2)."""
    with mp.workdps(30):
        t = t95(freedom)
        outside = betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True)
    assert float(outside) == pytest.approx(0.05, abs=1e-11)


def test_t95_falls_to_the_normal_point_and_needs_a_degree_of_freedom():
    assert t95(10**6) == pytest.approx(Z95, abs=3e-6)
    with pytest.raises(ValueError, match="0 degrees of freedom"):
        t95(0)


# --- coverage -------------------------------------------------------------------------------------


def coverage(estimate, draws: np.ndarray, truth: float) -> float:
    """The share of rows whose interval holds the truth."""
    ends = np.array([estimate(row).interval for row in draws])
    return float(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean())


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_95_percent_of_means_are_covered_whatever_n(n):
    """The normal interval covers 70% for n = 2 and 81% for n = 3."""
    draws = np.random.default_rng(n).normal(2.0, 3.0, (8000, n))
    assert coverage(mean, draws, 2.0) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("n", [3, 6])
def test_paired_differences_are_covered(n):
    rng = np.random.default_rng(n)
    hard = rng.normal(0, 10, (8000, n))  # what both have in common
    first, second = hard + rng.normal(0.5, 1, (8000, n)), hard + rng.normal(0, 1, (8000, n))
    assert coverage(mean, first - second, 0.5) == pytest.approx(0.95, abs=0.01)


def test_the_mean_of_runs_of_three_seeds_in_a_bar_is_covered():
    """Bars draw the interval that the estimate carries."""
    found = mean([0.4, 0.5, 0.6])
    _, ends = bars._intervals(["a"], [found], None)
    assert ends[1][0] - 0.5 == pytest.approx(4.302653 * found.error, abs=1e-6)


@pytest.mark.parametrize("p", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("n", slow_but([12, 20, 50], 12))
def test_win_rates_near_the_ends_are_covered(n, p):
    """Within what Wilson's interval has for a discrete count; the normal one falls to 0.54."""
    won = (np.random.default_rng(7).random((4000, n)) < p) * 1.0
    found = coverage(lambda row: win_rate(row, np.full(n, 0.5)), won, p)
    assert 0.925 < found < 0.995
    mirrored = coverage(lambda row: win_rate(np.full(n, 0.5), row), won, 1 - p)
    assert mirrored == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize(("win", "tie"), [(0.2, 0.7), (0.8, 0.15), (0.45, 0.1)])
def test_win_rates_with_ties_are_covered(win, tie):
    u = np.random.default_rng(3).random((4000, 20))
    scores = np.where(u < win, 1.0, np.where(u < win + tie, 0.5, 0.0))
    found = coverage(lambda row: win_rate(row, np.full(20, 0.5)), scores, win + tie / 2)
    assert 0.93 < found < 0.985


@pytest.mark.parametrize(("a", "b", "least"), [(2, 2, 0.94), (0.3, 0.9, 0.92), (5, 0.5, 0.92)])
def test_pass_rates_of_a_dozen_problems_are_covered(a, b, least):
    """16 tries at each of 12 problems whose chance is drawn from a beta distribution."""
    rng = np.random.default_rng(5)
    rates = rng.binomial(16, rng.beta(a, b, (3000, 12))) / 16
    assert least < coverage(statistics.bounded_mean, rates, a / (a + b)) < 0.985


# --- the ends -------------------------------------------------------------------------------------


def solved(*problems: tuple[int, int]) -> pd.DataFrame:
    """(right, tries) of each problem as `solve` returns them."""
    rows = [(i, k < right) for i, (right, tries) in enumerate(problems) for k in range(tries)]
    return pd.DataFrame(rows, columns=["problem", "right"])


def test_ten_wins_of_ten_are_not_certain():
    found = win_rate([1.0] * 10, [0.0] * 10)
    assert found.mean == 1 and found.interval == pytest.approx((0.7225, 1.0), abs=6e-5)
    found = win_rate([0.0] * 10, [1.0] * 10)
    assert found.mean == 0 and found.interval == pytest.approx((0.0, 0.2775), abs=6e-5)


def test_nothing_solved_of_twelve_is_not_never():
    found = pass_rate(solved(*[(0, 4)] * 12), 1)
    assert found.mean == 0 and found.interval == pytest.approx((0.0, 0.2425), abs=6e-5)
    found = pass_rate(solved(*[(4, 4)] * 12), 4)
    assert found.mean == 1 and found.interval == pytest.approx((0.7575, 1.0), abs=6e-5)


def test_problems_solved_equally_often_are_not_exactly_so():
    low, high = pass_rate(solved(*[(1, 2)] * 8), 1).interval
    assert (low, high) == pytest.approx(wilson(0.5, 8).interval)


def test_all_ties_are_not_a_certain_half():
    found = win_rate([1, 1, 1], [1, 1, 1])
    assert found.mean == 0.5 and found.interval == pytest.approx(wilson(0.5, 3).interval)


@pytest.mark.parametrize("n", [2, 3, 5, 12, 40])
def test_bounded_intervals_hold_their_mean_and_stay_within_0_and_1(n):
    rng = np.random.default_rng(n)
    for _ in range(200):
        tries = rng.choice([1, 2, 4, 16])
        right = rng.binomial(tries, rng.beta(0.3, 0.3), n)
        found = pass_rate(solved(*((int(r), int(tries)) for r in right)), 1)
        low, high = found.interval
        assert 0 <= low <= found.mean <= high <= 1 and high - low > 1e-3
        low, high = win_rate(rng.integers(0, 3, n), rng.integers(0, 3, n)).interval
        assert 0 <= low < high <= 1


def test_win_rate_without_ties_is_a_share():
    won = [True] * 7 + [False] * 4
    found = win_rate(np.array(won, float), np.full(11, 0.5))
    assert found == share(won)


def test_many_values_in_the_middle_have_students_interval():
    values = np.random.default_rng(0).beta(4, 4, 400)
    bounded, plain = statistics.bounded_mean(values), mean(values)
    assert bounded.interval == pytest.approx(plain.interval, abs=2e-4)
    assert bounded.error == plain.error and bounded.mean == plain.mean


def test_one_value_has_no_known_interval():
    found = mean([5.0])
    assert math.isnan(found.error) and all(math.isnan(end) for end in found.interval)
    assert str(found) == "5.000 [not known] (n = 1)"
    _, ends = bars._intervals(["a"], [found], None)
    assert np.isnan(ends).all()
    figure, _ = bars.bars(["a"], [found])
    figure.clear()


@pytest.mark.parametrize("first", [1.0, 0.0])
def test_one_win_or_loss_says_little(first):
    low, high = win_rate([first], [0.5]).interval
    assert high - low == pytest.approx(0.7935, abs=1e-4)
    assert (low, high)[int(first)] == first
    assert pass_rate(solved((1, 2)), 1).interval == pytest.approx((0.0546, 0.9454), abs=1e-4)


def test_what_is_no_share_is_refused():
    with pytest.raises(ValueError, match=r"reach from -0\.5 to 1\.0"):
        statistics.bounded_mean([-0.5, 1.0])
    with pytest.raises(ValueError, match="reach from nan"):
        statistics.bounded_mean([math.nan, 1.0])
    with pytest.raises(ValueError, match="a score is nan"):
        win_rate([math.nan, 1.0], [0.0, 0.0])


# --- paired yes and no ---------------------------------------------------------------------------


def changed(up: int, down: int, n: int = 288) -> list[float]:
    return [1.0] * up + [-1.0] * down + [0.0] * (n - up - down)


@pytest.mark.parametrize(("up", "down"), [(0, 4), (5, 0), (1, 0), (2, 2)])
def test_few_changes_of_yes_and_no_are_too_few_to_judge(up, down):
    """4 of 288 against 0: Student's interval ends below 0, and the sign test has p = 0.125."""
    said = statistics.verdict(changed(up, down))
    assert said.endswith(f"({up + down} of 288 pairs differ), too few to judge")
    (row,) = statistics.verdicts({"new minus old": changed(up, down)}).itertuples(index=False)
    assert row.verdict == "too few to judge" and pd.isna(row[2]) and row.n == 288


def test_from_six_changes_on_verdicts_are_those_of_mcnemar():
    """With mid-p: Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91."""
    for m in range(6, 31):
        for up in range(m // 2 + 1):
            tail = [math.comb(m, k) / 2**m for k in range(up + 1)]
            p = 2 * sum(tail) - tail[-1]
            for pairs in (changed(up, m - up), changed(m - up, up)):
                shown = not statistics.verdict(pairs).endswith("not shown")
                assert shown == (p < 0.05) or abs(p - 0.05) < 0.005, (m, up, p)


def test_only_yes_and_no_are_counted():
    assert statistics.verdict([0.5, 0.4, 0.6, 0.0]).endswith("(n = 4), not shown")
    assert statistics.verdict([0.0] * 94) == "0 in all 94 pairs, not shown"
    few = statistics.difference(changed(0, 4))  # an estimate has the interval that it brings
    assert statistics.verdict(few).endswith("shown") and "[" in statistics.verdict(few)


# --- one definition -------------------------------------------------------------------------------


def test_no_other_module_computes_an_interval():
    """The normal point, 1.96, and its name stand in one file."""
    found = []
    for path in Path(minialign.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            number = isinstance(node, ast.Constant) and isinstance(node.value, float)
            if number and abs(node.value - 1.96) < 0.005:
                found.append(path.name)
            if isinstance(node, ast.Name) and node.id == "Z95" and path.name != "statistics.py":
                found.append(path.name)
    assert found == ["statistics.py"]


# --- published and hand values -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),  # the same
        (0, 20, 0.0, 0.1611),  # the same
        (1, 29, 0.0061, 0.1718),  # the same
    ],
)
def test_wilson_against_known_values(hits, n, low, high):
    found = share([True] * hits + [False] * (n - hits))
    assert found.mean == hits / n and found.n == n
    assert found.interval == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize("n", range(1, 60))
def test_shares_stay_between_0_and_1_and_mirror(n):
    for hits in (0, 1, n // 2, n):
        low, high = share([True] * hits + [False] * (n - hits)).interval
        assert 0 <= low <= hits / n <= high <= 1
        other_low, other_high = share([False] * hits + [True] * (n - hits)).interval
        assert (other_low, other_high) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    assert str(share([False] * n)).startswith("0.000 [0.000")


def test_mean_and_its_error():
    """Values 1, 2, 3, 6: mean 3, variance 14 / 3, error sqrt(14 / 12), t of 3 is 3.18245."""
    found = mean([1, 2, 3, 6])
    assert (found.mean, found.n) == (3, 4)
    assert found.error == pytest.approx(math.sqrt(14 / 12))
    assert found.interval == pytest.approx((3 - 3.43742, 3 + 3.43742), abs=1e-4)


@pytest.mark.parametrize("statistic", [mean, share])
def test_nothing_has_no_mean(statistic):
    with pytest.raises(ValueError, match=r"empty.*give at least one"):
        statistic([])


def test_ties_are_half_a_win():
    assert win_rate([1, 1, 1], [1, 1, 1]).mean == 0.5
    assert win_rate([2, 1, 0, 1], [1, 1, 1, 1]).mean == 0.5
    assert win_rate([2, 2, 1, 0], [1, 1, 1, 1]).mean == pytest.approx(2.5 / 4)
    one, two = np.random.default_rng(0).integers(0, 3, (2, 50))
    assert win_rate(one, two).mean == pytest.approx(1 - win_rate(two, one).mean)


def test_win_rate_compares_the_same_items():
    with pytest.raises(ValueError, match="2 scores against 3: compare the same items"):
        win_rate([1, 2], [1, 2, 3])
