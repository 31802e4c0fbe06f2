"""Faults that are planted into PPO for a notebook: each changes the run, and none stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from loop_inputs import ASK, PROMPTS, TOKENIZER, brevity, critic, small
from slowness import slow_but
from tiny_models import tiny_llama

from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.core.sampling import sample
from minialign.course.studies import policy_optimisation
from minialign.course.studies.policy_optimisation import FAULTS, planted


def test_the_fault_of_a_masked_eos_takes_the_last_token_out(monkeypatch):
    """Trap 12, planted: random models hardly ever stop, so the rollout is made to have stopped."""
    rollout = sample(tiny_llama(), TOKENIZER, PROMPTS, max_new_tokens=4)
    rollout = replace(rollout, finished=torch.tensor([True, True, False, True, True]))
    monkeypatch.setattr(policy_optimisation, "sample", lambda *args, **named: rollout)
    found = FAULTS["EOS outside the mask"][1]["sample"]()
    shorter = torch.tensor([1, 1, 0, 1, 1])
    assert torch.equal(found.completion_mask.sum(1), rollout.lengths - shorter)
    assert (found.completion_mask <= rollout.completion_mask).all()


def rows_of_a_run(**changes) -> list[dict]:
    policy = tiny_llama()
    config = small(PpoConfig, steps=3, prompts=8, **changes)
    history = train_ppo(policy, TOKENIZER, ASK, brevity, config, value_model=critic(policy))
    return history.to_rows()


@pytest.mark.parametrize(
    "fault", slow_but([name for name in FAULTS if "EOS" not in name], "healthy", "KL sign")
)
def test_a_planted_fault_changes_the_run_and_is_gone_afterwards(fault: str):
    healthy = rows_of_a_run()
    with planted(fault) as changes:
        rows = rows_of_a_run(**changes)
    assert (rows == healthy) == (fault == "healthy")
    assert rows_of_a_run() == healthy
