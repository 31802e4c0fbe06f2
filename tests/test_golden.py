"""Every training loop and `sample` do what they did when tests/golden.json was written.

The file holds each step's metrics and what became of the weights. On the machine that wrote it,
which a probe of the arithmetic tells, the weights must be equal bit by bit; elsewhere their
movement is compared within a tolerance, and runs in bfloat16 are skipped.

What an essay trains is trained once more by the general loop of its family, and has the same
numbers there; the general loop may log more.

`python tests/golden_runs.py CASE ...` writes cases anew. Do so only where a change of the numbers
is meant, see with git which lines changed, and write the reason for each case into REASONS.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from golden_record import FILE, GPT2, RUNS, RUNS_IN_GENERAL, Run, measure, probe
from golden_runs import CASES
from slowness import slow_but

# All were recorded anew when a prompt that completions share came to be read once, and a token
# to be drawn by one uniform number. With the draw of before, all had stayed within 1e-3 (float32).
# Case -> why its numbers are besides no longer those of the first time.
PPO = "grad_norm is logged now; the essay keeps no beta, since it does not adapt it"
CRITIC = "the general loop logs grad_norm, loss, off and signal too"
BCO = "kl is in nats, no longer in beta times nats; weights are off by 6e-8, since beta comes later"
GRPO = "the essay logs no off, which its general loop does"
REASONS: dict[str, str] = {
    "ppo": PPO, "ppo_missing_eos": PPO, "ppo_one_minibatch": PPO,
    "ppo_options": CRITIC, "ppo_adaptive_kl": CRITIC, "ppo_ptx": CRITIC, "ppo_max": CRITIC,
    "ppo_normalised_rewards": CRITIC, "ppo_whitened_rewards": CRITIC,
    "bco": BCO, "grpo": GRPO, "grpo_one_epoch": GRPO, "grpo_lora": GRPO,
}  # fmt: skip

GOLDEN = json.loads(FILE.read_text())


@pytest.fixture(scope="module")
def same_machine() -> bool:
    """Whether arithmetic is here what it was where the file was written."""
    return probe() == GOLDEN["probe"]


def differences(now: Any, then: Any, rel: float, least: float, path: str = "") -> list[str]:
    """Where two values of JSON differ, floats by more than a share `rel` and more than `least`."""
    if isinstance(then, dict) and isinstance(now, dict) and now.keys() == then.keys():
        return [d for k in then for d in differences(now[k], then[k], rel, least, f"{path}.{k}")]
    if isinstance(then, list) and isinstance(now, list) and len(now) == len(then):
        each = enumerate(zip(now, then, strict=True))
        return [d for i, (a, b) in each for d in differences(a, b, rel, least, f"{path}[{i}]")]
    if isinstance(then, float) and isinstance(now, float):
        alike = math.isclose(now, then, rel_tol=rel, abs_tol=least)
        alike = alike or (math.isnan(now) and math.isnan(then))
    else:
        alike = type(now) is type(then) and now == then
    return [] if alike else [f"{path}: {now!r}, was {then!r}"]


def without_ties(rows: list[dict[str, Any]], then: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, without the accuracy where margins were rounding and so are their signs."""
    ties = [abs(row.get("margin", 1.0)) < 1e-3 for row in then]
    each = zip(rows, ties, strict=True)
    return [{k: row[k] for k in row if not (tie and k == "accuracy")} for row, tie in each]


def of_columns(rows: list[dict[str, Any]], then: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the columns that were recorded, where they have them."""
    return [{k: row[k] for k in row if k in old} for row, old in zip(rows, then, strict=True)]


EVERY = [*RUNS, *RUNS_IN_GENERAL]
QUICK = {"sft", "bradley_terry", "dpo", "ipo", "kto", "grpo", "rloo", "ppo", "sample"}
QUICK_RUNS = [run for run in EVERY if run.case in QUICK and run.policy_name == GPT2]


@pytest.mark.parametrize("run", slow_but(EVERY, *QUICK_RUNS), ids=str)
def test_a_run_is_what_it_was(run: Run, same_machine: bool):
    if run.bfloat16 and not same_machine:
        pytest.skip("another machine rounds bfloat16 otherwise")
    then = GOLDEN[run.key]
    now = measure(run, then)
    assert len(now["rows"]) == len(then["rows"])
    if run.general:
        now["rows"] = of_columns(now["rows"], then["rows"])
    assert now["models"].keys() == then["models"].keys()
    if same_machine:
        lines = differences(now["rows"], then["rows"], 1e-4, 1e-5, "rows")
    else:  # sums of hundreds of nats are off by some 1e-5
        rows = (without_ties(one["rows"], then["rows"]) for one in (now, then))
        lines = differences(*rows, 1e-3, 1e-4, "rows")
    for name, old in then["models"].items():
        new = now["models"][name]
        if not same_machine:
            for part in ("squares", "shifts"):
                lines += differences(new[part], old[part], 1e-3, 1e-8, f"{name}.{part}")
        elif new["digest"] != old["digest"]:
            lines.append(f"{name}: other weights, on the machine that wrote the file")
    assert not lines, "\n".join(lines[:10])


def test_the_file_holds_these_runs_and_no_others():
    assert list(GOLDEN) == ["probe", *(run.key for run in RUNS)]
    assert REASONS.keys() <= CASES.keys()
