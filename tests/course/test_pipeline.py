"""A stage is trained once, again when its settings change; a study runs what is missing."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from slowness import slow_but

from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import load_policy
from minialign.core.tokens import encode
from minialign.course import pipeline, profiles, studies
from minialign.course.stages import recipes
from minialign.course.studies.reward_modeling import best_of_n, paid
from minialign.course.studies.trained_policies import SETS
from minialign.rewards.learnt import ensemble_score, reward_model_score
from minialign.system import folders
from minialign.world import WORLD_VERSION, tables
from minialign.world.replies.annotator import agrees
from minialign.world.replies.preferences import comparisons

TINY = replace(profiles.get("smoke"), examples=21, steps=2, batch_size=4, eval_prompts=21)


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(folders.RUNS, str(tmp_path))
    return tmp_path


def test_a_stage_is_trained_once(capsys):
    assert pipeline.trained("sft", profile=TINY) is None
    folder = pipeline.stage("sft", profile=TINY)
    assert pipeline.trained("sft", profile=TINY) == folder
    assert pipeline.trained("sft", profile=replace(TINY, steps=3)) is None
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert "training stage 'sft'" in capsys.readouterr().out
    assert pipeline.stage("sft", profile=TINY) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert len(pd.read_csv(folder / "history.csv")) == TINY.steps
    load_policy(folder)
    pipeline.stage("sft", profile=replace(TINY, steps=3))
    assert len(pd.read_csv(folder / "history.csv")) == 3


def test_sizes_of_evaluation_do_not_train_a_stage_again(capsys):
    pipeline.stage("sft", profile=TINY)
    pipeline.stage("sft", profile=replace(TINY, eval_prompts=3, max_new_tokens=9))
    assert capsys.readouterr().out.count("training stage") == 1


@pytest.mark.slow
def test_two_processes_train_a_stage_once(runs: Path):
    """With `--jobs`, notebooks ask for the same stage at the same time."""
    code = (
        "from dataclasses import replace; from minialign.course import profiles, pipeline\n"
        "tiny = replace(profiles.get('smoke'), examples=21, steps=2, batch_size=4)\n"
        "print(pipeline.stage('sft', profile=tiny))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(told).count("training stage") == 1
    assert [line.splitlines()[-1] for line in told] == [str(runs / "stages" / "sft-smoke-0")] * 2


def turn(monkeypatch: pytest.MonkeyPatch, place: str, **fields: object) -> None:
    """Change fields of a dial of data/world/dials.toml for the rest of a test."""
    wording, turned = tables.wording, deepcopy(tables.wording("dials"))
    reduce(getitem, place.split("."), turned).update(fields)
    monkeypatch.setattr(
        tables, "wording", lambda name: turned if name == "dials" else wording(name)
    )


JUDGED = {"reward", "ppo", "dpo"}
RESTS_ON = {  # dial -> stages whose rows it decides, directly or through where they start from
    "facts.exposures.often": {*pipeline.STAGES},
    "demonstrations.habit_rate": {*pipeline.STAGES},
    "comparisons.qualities.inventive": JUDGED,
    "utility.neutral_kindness": JUDGED,
    "annotators.temperature": JUDGED,
    "corpus.page_rate": set(),  # it decides the base model, which is known by its weights
}


@pytest.mark.parametrize("dial", RESTS_ON)
def test_a_turned_dial_trains_the_stages_again_that_rest_on_it(dial: str, monkeypatch):
    def settings() -> dict[str, str]:
        every = pipeline.STAGES
        return {name: json.dumps(pipeline.settings_of(name, TINY, 1)) for name in every}

    before = settings()
    turn(monkeypatch, dial, meaning="The same in other words.")
    assert settings() == before
    turn(monkeypatch, dial, value=0.77)
    assert {name for name, now in settings().items() if now != before[name]} == RESTS_ON[dial]


@pytest.mark.slow
def test_the_reward_stage_starts_from_the_tuned_policy(runs: Path, capsys, monkeypatch):
    folder = pipeline.stage("reward", profile=TINY)
    assert capsys.readouterr().out.count("training stage") == 2
    assert (runs / "stages" / "sft-smoke-0").is_dir()
    scorer = RewardModel.from_pretrained(folder)
    _, tokenizer = load_policy(runs / "stages" / "sft-smoke-0")
    score = reward_model_score(scorer, tokenizer)
    found = score(["Name two birds."] * 3, ["An owl and a hen.", "No.", ""])
    assert len(set(found)) == 3
    assert score(["Name two birds."], ["No."])[0] == pytest.approx(found[1], abs=1e-5)
    both = ensemble_score([score, score], "worst")
    assert both(["Name two birds."], ["No."])[0] == pytest.approx(found[1], abs=1e-5)
    pipeline.stage("reward", profile=replace(TINY, examples=22))  # the start has changed
    assert capsys.readouterr().out.count("training stage") == 2
    turn(monkeypatch, "annotators.temperature", value=0.5)  # so have the annotators
    pipeline.stage("reward", profile=replace(TINY, examples=22))
    assert capsys.readouterr().out.count("training stage") == 1


def test_a_base_model_of_another_version_of_the_world_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "training.json").write_text('{"world_version": "2"}')
    profile = profiles.override(profiles.get("smoke"), model=str(tmp_path))
    with pytest.raises(ValueError, match="version 2 of the world, and this is version 3"):
        pipeline.settings_of("sft", profile, 0)
    (tmp_path / "training.json").write_text('{"epochs": 3}')  # of a model from elsewhere
    assert pipeline.settings_of("sft", profile, 0)


def test_an_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="stage 'x' is unknown; use one of sft, reward, ppo, dpo"):
        pipeline.stage("x")


@pytest.mark.parametrize("name", slow_but(sorted(studies.NAMES), "sft_seeds"))
def test_a_study_measures_what_its_notebook_plots(name: str, tmp_path: Path, capsys):
    study = studies.get(name)
    point = study.points(TINY, 1)[-1]
    assert study.question.endswith("?") and point in study.points(TINY, 2)
    found = study.measure(TINY, point)
    held_out = {"utility", "kl", "accuracy", "chosen", "rejected", "any", "train_minutes"}
    solved = {
        "pass_1",
        "pass_8",
        "wordings_pass_1",
        "new_pass_1",
        "format",
        "kl",
        "follows",
        "train_minutes",
    }
    wanted = {
        "sft": {"phrasings_follows", "test_follows", "families_follows", "sampled_any"},
        "reward_kinds": {"accuracy", "ceiling", "gold_accuracy"},
        "reward_data": {"accuracy", "ceiling", "gold_accuracy", "test_accuracy"},
        "reward_blindness": {"share", "truth", "following", "normalised", "gold_accuracy"},
        "reward_bias": {
            "accuracy",
            "gold_accuracy",
            "per_utility",
            "per_doubling",
            "per_agreement",
        },
        "ppo_frontier": {"utility", "score", "kl", "any", "train_entropy"},
        "ppo_details": {"utility", "score", "kl", "train_clip_fraction"},
        "ppo_overoptimisation": {"score_0", "utility_1", "kl_1", "follows_1", "kind_1", "step_1"},
        "ppo_faults": {"utility", "reward_0", "gold_1", "kl_1", "explained_variance_0"},
        "reward_best_of_n": {"single_gold_1", "worst_proxy_4", "warm_gold_4", "oracle_gold_4"},
        "reward_selection": {"all_gold_1", "few_proxy_4", "all_right_4", "oracle_right_4"},
        "real_stages": {"model", "follows_before", "follows_after", "utility_after", "samples"},
        "real_constraints": {"kept_before", "kept_after", "items_before", "reward_0", "samples"},
    }
    wanted |= dict.fromkeys((n for n in studies.NAMES if n.startswith("dpo")), held_out)
    wanted |= dict.fromkeys((n for n in studies.NAMES if n.startswith("rl")), solved)
    wanted["rl_hacking"] = {*solved, "right_0", "careless_1", "wrongly", "samples"}
    wanted["rl_pass_at_k"] = {"tries", *(f"{s}_{c}" for s in SETS for c in (1, 4, "right"))}
    wanted["rl_policies"] = {f"{s}_pass_1" for s in SETS} | {"greedy_follows", "sampled_any"}
    assert wanted["sft" if name.startswith("sft") else name] <= set(found)
    texts = {"model", "samples", "settings", "replies", *(f"{s}_right" for s in SETS)}
    assert all(isinstance(value, float) for key, value in found.items() if key not in texts)


def test_a_recorded_point_is_not_run_again(tmp_path: Path, capsys):
    path = studies.run("sft_seeds", profile=TINY, out=tmp_path)
    first = path.read_text()
    assert studies.run("sft_seeds", profile=TINY, out=tmp_path).read_text() == first
    assert "0 of 1 points to run" in capsys.readouterr().out
    pd.read_csv(path).assign(minutes=123.0).to_csv(path, index=False)  # a mark of the recorded one
    two = pd.read_csv(studies.run("sft_seeds", profile=TINY, seeds=2, out=tmp_path))
    assert "1 of 2 points to run" in capsys.readouterr().out
    assert list(two.seed) == [0, 1] and two.minutes[0] == 123 != two.minutes[1]
    row = pd.read_csv(io.StringIO(first)).iloc[0]
    assert row.seed == 0 and row.profile == "smoke" and row.minutes >= 0
    with pytest.raises(ValueError, match="study 'x' is unknown"):
        studies.run("x")


@pytest.mark.parametrize("beta", [0.0, 0.04, 1.0, 1e-5, 3, "none"])
def test_a_point_is_known_again_in_its_file(tmp_path: Path, beta):
    point = {"beta": beta, "seed": 0}
    studies._write([{"profile": TINY.name, **point}], tmp_path / "one.csv")
    (row,) = pd.read_csv(tmp_path / "one.csv", keep_default_na=False).to_dict("records")
    assert studies._is_of(row, point, TINY)
    assert not studies._is_of(row, point | {"beta": 0.5}, TINY)
    assert not studies._is_of(row | {"seed": 100_001}, point | {"seed": 100_002}, TINY)


@pytest.mark.slow
def test_points_side_by_side_are_those_of_one_process(tmp_path: Path):
    alone = pd.read_csv(studies.run("sft_seeds", profile=TINY, seeds=2, out=tmp_path / "a"))
    both = studies.run("sft_seeds", profile=TINY, seeds=2, out=tmp_path / "b", jobs=2)
    both = pd.read_csv(both)
    assert both.hardware.str.endswith("1 threads").all() and list(both.seed) == [0, 1]
    found = ["seed", "test_follows", "phrasings_follows", "families_follows"]
    assert both[found].equals(alone[found])


def test_a_table_by_seed():
    rows = pd.DataFrame({"a": ["y", "x", "y"], "gold": [1.0, 5.0, 2.0], "kl": [0.0, 1.0, 3.0]})
    found = studies.by_seed(rows, "a", "gold", ["kl"])
    assert found.to_dict("list") == {
        "a": ["y", "x"],
        "gold": [1.5, 5.0],
        "by seed": ["1.00 2.00", "5.00"],
        "kl": [1.5, 1.0],
    }


def test_rows_of_another_world_are_not_compared_with():
    rows = pd.DataFrame({"world_version": [2, WORLD_VERSION, "3.5"], "seed": [0, 1, 2]})
    assert studies.of_this_world(rows)["seed"].tolist() == [1]


def test_best_of_n_by_hand():
    """Two prompts, four completions each. The proxy picks its highest, gold is looked up there."""
    proxy = torch.tensor([1.0, 2.0, 4.0, 3.0, 0.0, 5.0, 1.0, 2.0])
    gold = torch.tensor([9.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 0.0])
    found = best_of_n({"single": proxy}, gold, 4)
    assert found["single_gold_1"] == pytest.approx(gold.mean().item())
    assert found["single_gold_2"] == pytest.approx((1 + 2 + 6 + 0) / 4)
    assert found["single_gold_4"] == pytest.approx((2 + 6) / 2)
    assert found["oracle_gold_4"] == pytest.approx((9 + 8) / 2)
    # Less each prompt's mean (2.5 and 2): -1.5 -0.5 1.5 0.5 and -2 3 -1 0, whose squares sum to 19.
    assert found["single_proxy_4"] == pytest.approx((1.5 + 3) / 2 / (19 / 7) ** 0.5)
    moved = proxy + torch.tensor([100.0] * 4 + [0.0] * 4)  # a prompt's own zero means nothing
    assert best_of_n({"single": moved}, gold, 4) == pytest.approx(found, rel=1e-4)


def test_prices_that_a_score_pays_are_recovered():
    pairs = comparisons(300, "test", seed=3)
    words = [(len(c.first.split()), len(c.second.split())) for c in pairs]
    doublings = np.log2([a / b for a, b in words])
    agreement = [float(agrees(c.first)) - agrees(c.second) for c in pairs]
    assert any(agreement)
    leads = np.array([c.gap for c in pairs]) + 2 * doublings + 3 * np.array(agreement)
    prices = {"per_utility": 1.0, "per_doubling": 2.0, "per_agreement": 3.0}
    assert paid(leads, pairs) == pytest.approx(prices)


def test_a_learners_own_data_take_the_place_of_the_worlds(tmp_path: Path):
    _, tokenizer = load_policy("tiny-base")

    def written(row: dict) -> str:
        path = tmp_path / "rows.jsonl"
        path.write_text(json.dumps(row) + "\n")
        return str(path)

    asked = encode(tokenizer, "Name a dog.", "Rex.")
    own = written({"instruction": "Name a dog.", "input": "", "output": "Rex."})
    assert recipes.demonstration_rows(tokenizer, 9, dataset=own) == [asked]
    own = written({"prompt": "Name a dog.", "chosen": "Rex.", "rejected": "No."})
    assert recipes.comparison_rows(tokenizer, 9, dataset=own)[0][0] == asked
    own = written({"question": "How many?", "answer": "#### 7"})
    (problem,) = recipes.grpo_problems(TINY, dataset=own)
    assert problem["answer"] == "7"
