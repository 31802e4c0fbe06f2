"""Exercise checks name the mistake, and a cell is held to the package's own code."""

from __future__ import annotations

import pytest
from torch.nn.functional import logsigmoid

from minialign.algorithms import dpo
from minialign.algorithms.sft import cross_entropy
from minialign.course.exercises import check

EXERCISES = [found for found in vars(check).values() if isinstance(found, check.Exercise)]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_the_reference_is_right_and_every_mistake_is_named(exercise, capsys):
    assert exercise(exercise.reference)
    for mistake, wrong in exercise.mistakes.items():
        capsys.readouterr()
        assert not exercise(wrong)
        assert mistake in capsys.readouterr().out


def test_an_exercise_has_the_name_by_which_notebooks_call_it():
    assert EXERCISES and all(getattr(check, one.name) is one for one in EXERCISES)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (lambda logprobs, mask: None, "not solved yet"),
        (lambda logprobs, mask: 1.0, "returns a float"),
        (lambda logprobs, mask: cross_entropy(logprobs, mask).sum(), "has shape ()"),
        (lambda logprobs, mask: 2 * cross_entropy(logprobs, mask), "where"),
        (lambda logprobs, mask: logprobs.undo(), "raises AttributeError"),
    ],
)
def test_an_answer_is_told_what_is_wrong(answer, verdict: str, capsys):
    assert not check.cross_entropy(answer)
    assert verdict in capsys.readouterr().out


def test_the_losses_of_the_notebooks_are_the_package_s_without_types(capsys):
    def dpo_loss(chosen_logratio, rejected_logratio, *, beta=0.1):
        return -logsigmoid(beta * (chosen_logratio - rejected_logratio))

    assert check.same_code(dpo_loss, dpo.dpo_loss)

    def dpo_loss(chosen_logratio, rejected_logratio, *, beta=0.1):
        return -logsigmoid(beta * (rejected_logratio - chosen_logratio))

    capsys.readouterr()
    assert not check.same_code(dpo_loss, dpo.dpo_loss)
    assert "rejected_logratio - chosen_logratio" in capsys.readouterr().out
