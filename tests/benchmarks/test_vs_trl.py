"""The comparison with TRL: equal work is held, unequal work refused, and the table written."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

pytest.importorskip("trl")
from benchmarks import trl_sides, vs_trl
from benchmarks.trl_checks import UnequalWork, require_equal, require_like_lengths
from benchmarks.trl_profile import by_operator, by_phase
from benchmarks.trl_sides import Record, run_ours, run_theirs
from benchmarks.trl_work import METHODS, Work, order_of, parity, work_of
from minialign.core.models.loading import model_path


def small(method: str, **changes) -> Work:
    """Two steps of four rows, pairs or prompts."""
    sizes = {"size": 4, "steps": 2, "group": 2, "max_new_tokens": 6}
    return work_of("tiny-base", method, model_path("tiny-base"), **sizes | changes)


@pytest.mark.parametrize("method", METHODS)
def test_losses_and_gradients_agree(method: str):
    vs_trl.check(small(method))


def test_every_step_agrees():
    """DPO's first loss is log 2 whatever the rows are; its second is not."""
    work = small("dpo")
    ours, theirs = run_ours(work, parity), run_theirs(work, parity)
    require_equal(work, ours, theirs)
    assert len(ours.losses) == len(theirs.losses) == 2
    assert ours.losses[1] != pytest.approx(ours.losses[0], abs=1e-5)
    assert ours.reference > 0 and sum(ours.step_times) > sum(ours.times)


def test_bfloat16_agrees_within_its_rounding():
    vs_trl.check(small("sft", precision="bfloat16"))


def test_other_rows_are_refused(monkeypatch):
    """TRL gets the rows in another order, so that its steps hold others."""
    work = small("sft")
    ours = run_ours(work, parity)
    monkeypatch.setattr(trl_sides, "order_of", lambda *given: order_of(*given)[::-1])
    theirs = run_theirs(work, parity)
    with pytest.raises(UnequalWork, match=r"tokens of each step|rows of step"):
        require_equal(work, ours, theirs)
    require_equal(replace(work, same_order=False), ours, theirs)  # all in all they are the same


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batches": [[(1, 3)]]}, "rows of step 0 differ"),
        ({"tokens": [3]}, "tokens of each step differ"),
        ({"losses": [0.5002]}, "loss of step 0"),
        ({"norms": [2.01]}, "gradient norm of step 0"),
        ({"losses": [float("nan")]}, "loss of step 0"),
    ],
)
def test_what_differs_is_named(changes: dict, message: str):
    same = Record(tokens=[2], batches=[[(1, 2)]], losses=[0.5], norms=[2.0])
    require_equal(small("sft"), same, same)
    with pytest.raises(UnequalWork, match=message):
        require_equal(small("sft"), same, replace(same, **changes))


def test_lengths_that_differ_are_refused():
    short, long = [Record(tokens=[100])], [Record(tokens=[120])]
    assert require_like_lengths(small("grpo"), short, [Record(tokens=[110])]) == pytest.approx(1.1)
    with pytest.raises(UnequalWork, match="differ by more than 15%"):
        require_like_lengths(small("grpo"), short, long)


@pytest.fixture
def places(tmp_path) -> SimpleNamespace:
    return SimpleNamespace(results=tmp_path / "RESULTS.md", figures=tmp_path / "figures")


def test_the_table_is_written(places):
    """Two methods, one after the other: the second keeps the first's lines."""
    counts = {"sft-steps": 0, "repeats": 1, "steps": 1, "size": 2, "memory-repeats": 0}
    words = [word for name, n in counts.items() for word in (f"--{name}", str(n))]
    for method in ("sft", "reward"):
        vs_trl.main([*words, "--methods", method], **vars(places))
    text = places.results.read_text()
    assert "## `python -m benchmarks.vs_trl --model tiny-base --precision float32`" in text
    assert "| supervised tuning | 2 rows |" in text and "| reward model | 2 pairs |" in text
    lines = pd.read_csv(places.results.with_name("vs_trl.csv"))
    assert lines["method"].tolist() == ["reward", "sft"]
    assert (lines["ours_step_s"] > 0).all() and (lines["trl_step_s"] > 0).all()
    assert (lines["ours_tokens"] == lines["trl_tokens"]).all()
    assert (places.figures / vs_trl.FIGURE).stat().st_size > 5000


def test_a_reward_that_teaches_nothing_is_refused(monkeypatch):
    """Without a gradient there is nothing to agree on."""
    monkeypatch.setattr(vs_trl, "parity", lambda completions, **other: [1.0] * len(completions))
    with pytest.raises(UnequalWork, match="no gradient"):
        vs_trl.check(small("rloo"))


@pytest.mark.slow
def test_memory_is_counted_above_the_loaded_model():
    few, many = (vs_trl.peak_memory(small("sft", size=n), "ours", 1) for n in (1, 64))
    assert 0 < few < many


def test_the_profile_adds_up_to_the_step():
    work = small("grpo", steps=1)
    phases = by_phase(work, vs_trl.time.perf_counter)
    assert set(phases) >= {"sampling", "reference", "backward", "clipping and optimizer"}
    assert all(seconds > 0 for seconds in phases.values())
    assert by_operator(work)["matrix products"] > 0
