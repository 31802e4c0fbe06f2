"""Recorded runs of a real model, and how a notebook shows them."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from minialign.course import studies
from minialign.course.studies import recorded_runs
from minialign.show.tokens import table


def test_every_run_that_is_promised_is_recorded():
    stages, rules = (studies.recorded(name) for name in ("real_stages", "real_constraints"))
    assert set(stages["stage"]) == {"sft", "reward", "dpo", "ppo"}
    assert (stages.groupby("stage")["seed"].nunique() >= 2).all() and rules["seed"].nunique() >= 2
    assert set(stages["model"]) == set(rules["model"]) == {"smollm2-135m-instruct"}
    for row in (*stages["settings"], *rules["settings"]):
        assert json.loads(row)["steps"] > 1


def test_a_change_is_the_mean_of_the_seeds_with_the_prompts_interval():
    columns = {"any_before": [0.4, 0.4], "any_after": [0.2, 0.4], "any_error": [0.05, 0.05]}
    rows = pd.DataFrame(columns | {"n": [288, 288], "few_n": [3, 3]})
    (found,) = recorded_runs.changes(rows, ["any"]).to_dict("records")
    assert found["before"] == 0.4 and found["after"] == pytest.approx(0.3)
    assert found["change"] == "-0.10 [-0.20, -0.00]" and found["by seed"] == "-0.20 +0.00"
    few = rows.rename(columns=lambda name: name.replace("any", "few"))
    (found,) = recorded_runs.changes(few, ["few"]).to_dict("records")
    assert found["change"] == "-0.10 [-0.32, +0.12]"  # of 3 prompts: 4.303 standard errors


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("model", ["tiny-base", "smollm2-135m-instruct"])
@pytest.mark.parametrize("stage", recorded_runs.MEASURES)
def test_a_stage_is_shown_beside_a_notebooks_own(stage: str, model: str, capsys):
    judged = pd.DataFrame({name: [True, False] for name in recorded_runs.MEASURES[stage]})
    recorded_runs.show_stage(stage, judged, judged, model)
    assert "recorded: smollm2-135m-instruct, x86_64" in capsys.readouterr().out
    bars, curves = (plt.figure(number) for number in plt.get_fignums())
    assert "Real model, " in bars.axes[0].get_title() and len(curves.axes) >= 1
    assert len(bars.axes[0].patches) == 4 * len(recorded_runs.MEASURES[stage])


def test_a_reward_model_and_rules_are_shown(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(recorded_runs, "show", lambda rows, title: shown.append(table(rows)))
    recorded_runs.show_reward({"accuracy": 0.8, "ceiling": 0.9, "gold accuracy": 0.9}, "tiny-base")
    assert "tiny-base" in shown[0] and "0.75" in shown[0] and "smollm2-135m-instruct" in shown[0]
    tries = pd.DataFrame({"problem": [0, 0, 1, 1], "right": [True, False, False, False]})
    recorded_runs.show_constraints(tries, tries, "tiny-base")
    labels = [label.get_text() for label in plt.gcf().axes[0].get_yticklabels()]
    assert capsys.readouterr().out.count("recorded: ") == 2 and len(labels) >= 1
