"""A run that was stopped goes on bit by bit as if it had not been: every essay and general loop."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from loop_inputs import stop_at
from loop_runs import CRITICS, DEMOS, RUNS, kto, policy, supervised, trained_model
from same_weights import same, weights
from tiny_models import gpt2_with_dropout

from minialign.core.checkpoint import has_checkpoint
from minialign.variants.loops.critic import imitation
from minialign.variants.loops.unpaired_loop import running_point
from minialign.variants.unpaired import bco_loss

# Runs whose state, or whose random numbers, are more than those of the plain loop.
OTHERS = {
    "noise on the embeddings": ("supervised", partial(supervised, noise_alpha=5.0)),
    "a running reference point": ("kto", partial(kto, loss=bco_loss, point=running_point)),
    "demonstrations mixed in": ("policy", partial(policy, extra_loss=imitation(DEMOS))),
}
CASES = {name: (name, loop) for name, loop in RUNS.items()} | OTHERS


def outcome(case: str, folder, **more):
    """(history's rows, weights) after a run of fresh models."""
    name, loop = CASES[case]
    given = trained_model(name)
    history = loop(folder, **given, **more)
    return history.to_rows(), weights(*given.values())


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path, case, step):
    """Stopped in its first step, before anything is saved, or in its second, after one."""
    torch.manual_seed(5)
    rows, expected = outcome(case, None)
    torch.manual_seed(6)  # the global state is the run's own
    with pytest.raises(KeyboardInterrupt):
        outcome(case, tmp_path / "run", on_step=stop_at(step))
    assert has_checkpoint(tmp_path / "run") == (step == 2)
    torch.manual_seed(7)
    seen = []
    again, found = outcome(case, tmp_path / "run", on_step=seen.append)
    assert again == rows and same(found, expected) and len(seen) == 3 - step
    assert outcome(case, tmp_path / "run")[0] == rows  # a finished run says the same


@pytest.mark.parametrize("case", CASES)
def test_a_run_with_a_folder_is_the_run_without(tmp_path, case):
    rows, expected = outcome(case, None)
    saved, found = outcome(case, tmp_path / "run")
    assert saved == rows and same(found, expected)


@pytest.mark.parametrize("name", ["sft", "supervised", "reward", "rankings"])
def test_dropout_goes_on_with_its_own_random_numbers(tmp_path, name):
    def run(folder, **more):
        given = trained_model(name, gpt2_with_dropout)
        return RUNS[name](folder, **given, **more).to_rows(), weights(*given.values())

    rows, expected = run(None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", on_step=stop_at(2))
    torch.rand(3)
    again, found = run(tmp_path / "run")
    assert again == rows and same(found, expected)


@pytest.mark.parametrize("name", CRITICS)
def test_the_critic_is_found_again(tmp_path, name):
    """Its loss in the second step is of weights that the first has moved."""
    whole = RUNS[name](None)
    with pytest.raises(KeyboardInterrupt):
        RUNS[name](tmp_path / "run", on_step=stop_at(2))
    found = RUNS[name](tmp_path / "run")
    for column in ("value_loss", "explained_variance"):
        assert found[column].tolist() == whole[column].tolist()


def test_what_a_loop_adapts_is_found_again(tmp_path):
    """The penalty that follows a target, from step to step."""
    whole = RUNS["policy_critic"](None)["beta"].tolist()
    assert whole[0] != whole[1]
    with pytest.raises(KeyboardInterrupt):
        RUNS["policy_critic"](tmp_path / "run", on_step=stop_at(2))
    assert RUNS["policy_critic"](tmp_path / "run")["beta"].tolist() == whole
