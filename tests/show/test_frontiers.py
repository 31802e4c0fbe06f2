"""Figures of recorded studies: every run is drawn, and a line through the means."""

from __future__ import annotations

import pandas as pd
import pytest

from minialign.show import curves

pytestmark = pytest.mark.usefixtures("figures_closed")


def test_the_frontier_draws_every_run_and_a_line_through_the_means():
    rows = pd.DataFrame(
        {
            "beta": [0.0, 0.0, 0.1, 0.1],
            "seed": [0, 1, 0, 1],
            "kl": [10.0, 12, 1, 3],
            "score": [2.0, 4, 1, 1],
        }
    )
    before = pd.DataFrame({"kl": [0.0, 0.0], "score": [0.5, -0.5]})
    figure, (ax,) = curves.frontier(rows, {"score": "The proxy"}, before=before, title="Recorded")
    (line,) = ax.get_lines()
    assert line.get_xydata().tolist() == [[0, 0], [2, 1], [11, 3]]
    assert [c.get_offsets().tolist() for c in ax.collections] == [
        [[10, 2], [1, 1]],  # of seed 0
        [[12, 4], [3, 1]],
    ]
    assert [text.get_text() for text in ax.texts] == ["β 0.1", "β 0"]
    assert line.get_color() == curves.COLOURS["reward"] and "nats" in ax.get_xlabel()
    figure.canvas.draw()
    _, (ax,) = curves.frontier({"PPO": rows, "DPO": rows.assign(score=0.0)}, {"score": "Both"})
    first, second = ax.get_lines()
    assert first.get_color() != second.get_color() and second.get_ydata().tolist() == [0, 0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["PPO", "DPO"]


def test_traces_draw_each_setting_beside_the_baseline():
    rows = pd.DataFrame(
        {"fault": ["none", "odd", "odd"], "kl_0": [0.0, 1, 1], "kl_1": [0.0, 2, 3], "up_0": 9.0}
    )
    figure, axes = curves.traces(rows, {"odd": "kl"}, by="fault", baseline="none", title="Recorded")
    baseline, *odd = axes.flat[0].get_lines()
    assert baseline.get_ydata().tolist() == [0, 0] and baseline.get_linestyle() == "--"
    assert [line.get_ydata().tolist() for line in odd] == [[1, 2], [1, 3]]
    figure.canvas.draw()


def test_dots_are_ordered_by_the_mean_and_say_what_is_beside():
    runs = {"loss": ["a", "b"] * 2, "gold": [1.0, 5, 2, 3], "kl": [0.0, 1, 2, 3]}
    rows = pd.DataFrame(runs)
    figure, ax = curves.dots(rows, "gold", by="loss", beside="kl", colours={"a": "red"}, baseline=0)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    first, mean, second, *_ = ax.get_lines()
    assert first.get_xdata().tolist() == [1, 2] and first.get_color() == "red"
    assert mean.get_xdata().tolist() == [1.5] and second.get_xdata().tolist() == [5, 3]
    assert [text.get_text() for text in ax.texts] == ["1.0", "2.0", "kl"]
    figure.canvas.draw()
