"""Bugs that are planted into DPO and GRPO for a notebook: each changes the run, and none stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tiny_models import small_tokenizer, tiny_llama

from minialign.algorithms import dpo
from minialign.core.tokens import encode
from minialign.course.studies import preference_optimisation, verifiable_rewards
from minialign.course.studies.measuring import planted_in
from minialign.variants.loops import policy_loop
from minialign.variants.loops.policy_loop import PolicyConfig

TOKENIZER = small_tokenizer()
LONG = " ".join(["the cat sat on the mat"] * 8)  # longer than `cut_apart` leaves it
TEXTS = [("a dog", "ran", "sat on a red mat"), (LONG, "is here", "no it is the red house")]
PAIRS = [tuple(encode(TOKENIZER, prompt, text) for text in texts) for prompt, *texts in TEXTS]


def dpo_run(edit: Callable = tuple) -> list[dict[str, float]]:
    config = dpo.DpoConfig(steps=3, batch_size=2, warmup=1, learning_rate=1e-3)
    pairs = [edit(pair) for pair in PAIRS]
    return dpo.train_dpo(tiny_llama(), TOKENIZER, pairs, config).to_rows()


@pytest.mark.parametrize("fault", preference_optimisation.FAULTS)
def test_a_bug_of_dpo_changes_the_run_and_is_gone_afterwards(fault: str):
    """A reference with dropout is noisy in spite of `evaluating`."""
    healthy = dpo_run()
    with planted_in(dpo, preference_optimisation.FAULTS[fault]) as changes:
        rows = dpo_run(**changes)
    assert (rows == healthy) == (fault == "healthy")
    assert dpo_run() == healthy


def grpo_run(functions: dict | None = None) -> list[dict[str, float]]:
    """Rewards are all equal, so nothing is to be learnt."""
    config = PolicyConfig(steps=2, prompts=2, group_size=4, max_new_tokens=5)
    rows = [{"prompt": "a dog"}, {"prompt": "the cat"}]
    history = policy_loop.train_policy(
        tiny_llama(), TOKENIZER, rows, lambda prompts, **_: [1.0] * len(prompts), config,
        **functions or {},
    )  # fmt: skip
    return history.to_rows()


@pytest.mark.parametrize("fault", ["healthy", "deviation of a tied group", "temperature mismatch"])
def test_a_bug_of_grpo_shows_in_its_curve_and_is_gone_afterwards(fault: str):
    with planted_in(policy_loop, verifiable_rewards.FAULTS[fault]) as changes:
        rows = grpo_run(**changes)
    assert (max(row["grad_norm"] for row in rows) > 0.1) == (fault == "deviation of a tied group")
    assert (max(row["off"] for row in rows) > 0.05) == (fault == "temperature mismatch")
    assert (rows == grpo_run()) == (fault == "healthy")
