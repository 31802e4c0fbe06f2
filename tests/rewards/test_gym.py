"""Tasks of Reasoning Gym: what is taken, what an answer is, and a task that can be learnt from."""

from __future__ import annotations

import sys

import pytest
from tiny_models import small_tokenizer, tiny_llama

from minialign.rewards.gym import gym_answer, gym_rows, gym_tasks
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy


@pytest.mark.parametrize(
    ("completion", "answer", "worth"),
    [
        ("5 + 9 = 14.", "14", 1),
        ("The answer is 14.", "14", 1),
        ("The answer is 13. No, the answer is 14", "14", 1),
        ("14 or 15", "14", 0),
        ("The answer is 14.", "4", 0),
        ("14", "-14", 0),
        ("-14", "-14", 1),
        ("", "14", 0),
        ("\u0661\u0664", "14", 0),  # digits of another script
        ("1 " * 10_000 + "14", "14", 1),
        ("the answer is: ABBA.", "ABBA", 1),
        ("ABBA ABBA", "ABBA", 0),
        ("__import__('os').getpid()", "14", 0),
    ],
)
def test_what_an_answer_is_worth(completion: str, answer: str, worth: float):
    assert gym_answer(["?"], [completion], [answer]) == [worth]


def test_without_the_package_there_is_a_repair(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    monkeypatch.setitem(sys.modules, "reasoning_gym.dataset", None)
    with pytest.raises(ImportError, match="run `pip install reasoning-gym`"):
        gym_rows("gcd", 2)


def test_rows_of_two_tasks_are_learnt_from():
    pytest.importorskip("reasoning_gym")
    for task in ("basic_arithmetic", "letter_counting"):
        rows = gym_rows(task, 40, seed=1)
        assert rows == gym_rows(task, 40, seed=1) and len({r["prompt"] for r in rows}) > 30
        assert not {r["prompt"] for r in rows} & {r["prompt"] for r in gym_rows(task, 40, seed=2)}
        assert gym_answer([], [r["answer"] for r in rows], [r["answer"] for r in rows]) == [1] * 40
        config = PolicyConfig(steps=1, prompts=2, group_size=2, max_new_tokens=4)
        history = train_policy(tiny_llama(), small_tokenizer(), rows, gym_answer, config)
        assert len(history["reward"]) == 1


def test_a_task_whose_scorer_is_code_of_its_own_is_refused():
    pytest.importorskip("reasoning_gym")
    assert "number_sorting" not in gym_tasks()  # its scorer evaluates what was written
    with pytest.raises(ValueError, match="'number_sorting' is unknown or not compared as text"):
        gym_rows("number_sorting", 2)
