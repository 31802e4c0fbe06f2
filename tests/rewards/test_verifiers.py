"""Rewards that a program computes, against completions that try to be paid for nothing."""

from __future__ import annotations

import time

import pytest
import torch
from tiny_models import small_tokenizer

from minialign.core.sampling import Rollout
from minialign.rewards.equations import equation_ends, equations
from minialign.rewards.verifiers import (
    careless_answer,
    item_count,
    lower_case,
    mentions,
    right_answer,
    right_format,
    soft_overlong,
    sound_steps,
    step_rewards,
    weighted,
)

HOSTILE = {
    "several answers": "The answer is 7. The answer is 8. The answer is 9.",
    "every number": " ".join(map(str, range(100))),
    "an alternative": "The answer is 7 or 8.",
    "a denial": "I do not think that the answer is 7.",
    "a thought": "<think>The answer is 7.</think> The answer is 8.",
    "unicode digits": "The answer is \u0667.",
    "full width": "The answer is \uff17.",
    "superscript": "The answer is 7\u00b2.",
    "a fraction": "The answer is 7/2.",
    "a decimal": "The answer is 7.5.",
    "a letter in disguise": "The \u0430nswer is 7.",
    "code": "__import__('os').system('true') == 7",
    "a long tail": "The answer is 7. " + "x" * 100_000,
    "nothing": "",
    "only space": " \n\t ",
    "cut off": "3 + 4 = 7. The answer is",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_but_one_plain_answer_is_paid(name: str):
    start = time.perf_counter()
    text = HOSTILE[name]
    assert right_answer(["?"], [text], answer=[7]) == [0.0]
    assert right_format(["?"], [text]) == [0.0]
    if name != "cut off":  # whose step is sound
        assert sound_steps(["?"], [text], numbers=[(3, 4)]) == [0.0]
    assert time.perf_counter() - start < 1.0


def test_the_careless_verifier_pays_for_a_list_of_numbers():
    """The loophole that the course lets a policy find; the strict one does not have it."""
    assert careless_answer(["?"], [HOSTILE["every number"]], answer=[7]) == [1.0]
    assert careless_answer(["?"], ["17 and 70"], answer=[7]) == [0.0]


def test_format_is_no_substitute_for_being_right():
    stuffed = "1 + 1 = 2. 1 + 1 = 2. 1 + 1 = 2. The answer is 9."
    assert right_format(["?"], [stuffed]) == [1.0]
    assert right_answer(["?"], [stuffed], answer=[7]) == [0.0]
    assert sound_steps(["?"], [stuffed], numbers=[(3, 4)]) == [0.0]  # 1 was never given


def test_constraints_are_exact():
    texts = ["an owl, a hen, and a cat.", "An owl, a hen", "an owl, an owl, and a cat", "", "a,,b"]
    prompts = ["?"] * len(texts)
    assert item_count(prompts, texts, items=[3] * 5) == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert lower_case(prompts, texts) == [1.0, 0.0, 1.0, 0.0, 1.0]
    assert mentions(prompts, texts, word=["hen"] * 5) == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert mentions(["?"] * 2, ["a.b", "axb"], word=["a.b"] * 2) == [1.0, 0.0]  # no pattern
    assert item_count(["?"], [", " * 50_000], items=[3]) == [0.0]


def test_the_soft_limit_by_hand():
    """Limit 10, margin 4: free up to 6, a quarter per token from there on, -1 at 10 and beyond."""
    ids = [[0] * n for n in (0, 6, 7, 9, 10, 50)]
    found = soft_overlong(10, 4)(["?"] * 6, [""] * 6, completion_ids=ids)
    assert found == [0.0, 0.0, -0.25, -0.75, -1.0, -1.0]
    with pytest.raises(ValueError, match="margin=0, limit=10"):
        soft_overlong(10, 0)


def test_weights_add_up_and_every_part_gets_the_columns():
    both = weighted({"right": (right_answer, 1.0), "lower": (lower_case, -0.5)})
    assert both(["?"] * 2, ["the answer is 7.", "The answer is 7."], answer=[7, 7]) == [0.5, 1.0]
    with pytest.raises(ValueError, match="there are no rewards"):
        weighted({})


def test_rewards_of_steps_stand_where_the_steps_end():
    tokenizer = small_tokenizer()
    text = "2 plus 3? 2 + 3 = 5. 5 + 1 = 9."
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    mask = torch.ones(1, len(ids) + 2)
    mask[0, :2] = 0  # a prompt of two tokens
    rollout = Rollout(
        ["?"], [text], torch.tensor([[1, 1, *ids]]), torch.ones_like(mask), mask,
        torch.zeros_like(mask), torch.tensor([True]), 1,
    )  # fmt: skip
    found = step_rewards(tokenizer, rollout, [(2, 3)])[0]
    places = (~found.isnan()).nonzero()[:, 0].tolist()
    assert found[places].tolist() == [1.0, 0.0]
    for place, end in zip(places, equation_ends(text), strict=True):
        before, upto = (tokenizer.decode(ids[: place - 2 + k]) for k in (0, 1))
        assert len(before) < end <= len(upto)
    assert len(equations(text)) == 2
