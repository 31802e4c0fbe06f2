"""Exercise checks name the mistake; the registry's rows can be run and name their papers."""

from __future__ import annotations

from inspect import signature

import pytest
from torch import Tensor

from minialign.algorithms.sft import cross_entropy
from minialign.core.logprobs import masked_sum
from minialign.course.exercises import check
from minialign.variants import methods, policy_loop, preference_loop, unpaired_loop
from minialign.variants.loops import ppo, reward_model, sft, stepwise

EXERCISES = [found for found in vars(check).values() if isinstance(found, check.Exercise)]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_the_reference_is_right_and_every_mistake_is_named(exercise, capsys):
    assert exercise(exercise.reference)
    for mistake, wrong in exercise.mistakes.items():
        capsys.readouterr()
        assert not exercise(wrong)
        assert mistake in capsys.readouterr().out


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


def test_shown_code_is_held_to_the_package(capsys):
    def cross_entropy(logprobs: Tensor, mask: Tensor) -> Tensor:
        """Other words."""
        return -masked_sum(logprobs, mask)

    check.same_code(cross_entropy, sft.cross_entropy)
    assert "checked: cross_entropy above" in capsys.readouterr().out

    def cross_entropy(logprobs: Tensor, mask: Tensor) -> Tensor:
        return masked_sum(logprobs, mask)

    with pytest.raises(AssertionError, match="cross_entropy above differs from minialign"):
        check.same_code(cross_entropy, sft.cross_entropy)


LOOPS = {
    "train_sft": (sft, sft.SftConfig),
    "train_reward": (reward_model, reward_model.RewardConfig),
    "train_ppo": (ppo, ppo.PpoConfig),
    "train_preference": (preference_loop, preference_loop.PreferenceConfig),
    "train_stepwise": (stepwise, signature(stepwise.train_stepwise).bind_partial),
    "train_unpaired": (unpaired_loop, unpaired_loop.UnpairedConfig),
    "train_on_own_replies": (
        iterative_dpo,
        signature(iterative_dpo.train_on_own_replies).bind_partial,
    ),
    "train_rl": (policy_loop, policy_loop.RlConfig),
}


def test_every_method_names_its_paper_and_fits_its_loop():
    for method in methods.REGISTRY.values():
        module, takes = LOOPS[method.loop]
        assert method.paper and method.idea and hasattr(module, method.loop)
        takes(**method.settings)
    assert list(methods.table().index) == list(methods.REGISTRY)
    assert set(methods.table("train_ppo")["loop"]) == {"train_ppo"}
    with pytest.raises(ValueError, match="method 'x' is unknown; use one of sft"):
        methods.method("x")
