"""History: what is logged comes back, from memory, CSV and JSON, and nothing wrong gets in."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minialign.core.history import History, log_scalars


@pytest.fixture
def history() -> History:
    h = History()
    h.log(0, loss=2.5)
    h.log(0, kl=0.0)
    h.log(10, loss=1.5)
    h.log(20, loss=float("nan"), reward=0.25)
    return h


def alike(one: History, two: History) -> bool:
    if len(one) != len(two) or set(one.names) != set(two.names):
        return False
    return all(
        np.array_equal(one.steps(name), two.steps(name))
        and np.array_equal(one[name], two[name], equal_nan=True)
        for name in one.names
    )


def test_values_steps_and_last(history: History):
    assert history["loss"].dtype == np.float64
    np.testing.assert_array_equal(history["loss"], [2.5, 1.5, math.nan])
    assert history.steps("loss").tolist() == [0, 10, 20]
    assert history.steps("reward").tolist() == [20] and history.last("reward") == 0.25
    assert history.names == ["loss", "kl", "reward"]
    assert len(history) == 3 and "kl" in history and "value" not in history


def test_a_missing_metric_names_those_that_exist(history: History):
    with pytest.raises(KeyError, match="no metric 'los' was logged; there is loss, kl, reward"):
        history["los"]
    with pytest.raises(KeyError, match="there is nothing"):
        History().last("loss")


def test_every_kind_of_number_is_taken():
    h = History()
    h.log(np.int64(3), a=1, b=np.float32(0.5), c=torch.tensor(2.0), d=torch.tensor([4]), e=True)
    assert h.to_rows() == [{"step": 3, "a": 1.0, "b": 0.5, "c": 2.0, "d": 4.0, "e": 1.0}]
    assert all(type(x) in (int, float) for x in h.to_rows()[0].values())


@pytest.mark.parametrize("value", ["0.5", None, [0.5], 1j, {"mean": 1}])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match=r"'loss' is .* but a metric is a number; leave it out"):
        History().log(0, loss=value)


def test_a_tensor_of_several_numbers_is_refused():
    for value in (torch.zeros(4), np.zeros((4,))):
        with pytest.raises(TypeError, match=r"'loss' has shape \(4,\).* log its mean"):
            History().log(0, loss=value)


@pytest.mark.parametrize("step", [1.0, "1", True, None])
def test_a_step_is_a_whole_number(step):
    with pytest.raises(TypeError, match="must be a whole number"):
        History().log(step, loss=1.0)


def test_a_refused_call_leaves_nothing_behind(history: History):
    before = history.to_rows()
    with pytest.raises(ValueError, match="step 19 comes after step 20, but steps never go back"):
        history.log(19, loss=1.0)
    with pytest.raises(ValueError, match="'reward' has a value at step 20 already; log its mean"):
        history.log(20, other=1.0, reward=1.0)
    with pytest.raises(TypeError):
        history.log(30, fine=1.0, loss="x")
    assert str(history.to_rows()) == str(before)


def test_an_empty_history_is_true_so_that_or_does_not_replace_it():
    assert History() and len(History()) == 0
    assert History().to_pandas().empty and repr(History()) == "History: nothing logged yet"


def test_to_pandas_has_a_row_per_step(history: History):
    frame = history.to_pandas()
    assert list(frame.columns) == ["loss", "kl", "reward"] and frame.index.name == "step"
    assert frame.index.tolist() == [0, 10, 20]
    assert frame.loc[0, "kl"] == 0.0 and math.isnan(frame.loc[10, "kl"])


def test_csv_keeps_nan_apart_from_what_was_not_logged(history: History, tmp_path):
    history.to_csv(tmp_path / "run.csv")
    text = (tmp_path / "run.csv").read_text()
    assert text == "step,loss,kl,reward\n0,2.5,0.0,\n10,1.5,,\n20,nan,,0.25\n"
    assert alike(History.from_csv(tmp_path / "run.csv"), history)


@pytest.mark.parametrize("text", ["loss\n1.0\n", "step,loss\n1.5,1\n", "step,loss\n0,1\n1,x\n"])
def test_a_csv_of_something_else_is_refused(text, tmp_path):
    (tmp_path / "run.csv").write_text(text)
    with pytest.raises(ValueError, match=r"run.csv, line \d: .*a whole number under 'step'"):
        History.from_csv(tmp_path / "run.csv")


numbers = st.floats() | st.integers(-(10**6), 10**6)
logged = st.dictionaries(st.integers(0, 10**9), st.dictionaries(st.sampled_from("abc"), numbers))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logged)
def test_json_and_csv_bring_back_every_digit(tmp_path, rows):
    history = History()
    for step in sorted(rows):
        history.log(step, **rows[step])
    assert alike(History.from_rows(json.loads(json.dumps(history.to_rows()))), history)
    history.to_csv(tmp_path / "run.csv")
    assert alike(History.from_csv(tmp_path / "run.csv"), history)


def test_rows_without_a_step_are_refused():
    with pytest.raises(ValueError, match="has no 'step'"):
        History.from_rows([{"loss": 1.0}])


def test_a_history_from_rows_goes_on(history: History):
    resumed = History.from_rows(history.to_rows())
    resumed.log(30, loss=1.0)
    assert len(resumed) == 4 and len(history) == 3


def test_repr_shows_the_last_values(history: History):
    assert repr(history).splitlines() == [
        "History: 3 steps, 0 to 20",
        "  loss    nan",
        "  kl      0  (step 0)",
        "  reward  0.25",
    ]


def test_a_callback_writes_every_metric_with_its_step():
    written = []
    writer = SimpleNamespace(add_scalar=lambda *row: written.append(row))
    log = log_scalars(writer, first=3)
    log({"loss": 2.0, "kl": 0.1})
    log({"loss": 1.0})
    assert written == [("loss", 2.0, 3), ("kl", 0.1, 3), ("loss", 1.0, 4)]
