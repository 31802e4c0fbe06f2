"""Rewards of other people: how they are called, and what is refused before it can train."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from reward_cases import (
    CHAT,
    PROMPTS,
    Object,
    grpo,
    letters,
    loops,
    only_completions,
    ppo,
)
from tiny_models import tiny_llama

from minialign.rewards import verifiers
from minialign.rewards.verifiers import right_answer, weighted

NAN, INF = float("nan"), float("inf")


# --- how a reward is called


def other_order(completions, prompts, **kwargs):
    assert set(prompts) <= set(PROMPTS), "the prompts come by their name"
    return letters(completions)


def keywords_only(*, prompts, completions, completion_ids, **kwargs):
    return [len(ids) + len(text) for ids, text in zip(completion_ids, completions, strict=True)]


@loops
@pytest.mark.parametrize(
    "reward",
    [only_completions, other_order, keywords_only, Object(), partial(letters)],
)
def test_it_is_called_by_keyword_as_trl_does(loop, reward):
    assert len(loop(reward)) == 1


@loops
def test_a_conversation_gets_messages_and_a_text_gets_a_text(loop):
    seen = []

    def reward(prompts, completions, **kwargs):
        seen.extend(zip(prompts, completions, strict=True))
        return [0.5] * len(prompts)

    prompts = [CHAT, "a dog", CHAT, "it is"]
    loop(reward, [{"prompt": prompt} for prompt in prompts])
    for prompt, completion in seen:
        if isinstance(prompt, str):
            assert isinstance(completion, str)
        else:
            (turn,) = completion
            assert turn["role"] == "assistant" and isinstance(turn["content"], str)
    assert {type(completion) for _, completion in seen} == {str, list}


def test_the_verifiers_of_the_course_read_messages_too():
    said = [[{"role": "assistant", "content": "2 + 3 = 5. The answer is 5."}]]
    assert right_answer(["?"], said, answer=[5]) == [1.0]
    assert verifiers.right_format(["?"], said) == [1.0]
    assert verifiers.sound_steps(["?"], said, numbers=[(2, 3)]) == [1.0]
    assert verifiers.lower_case(["?"], said) == [0.0]


@pytest.mark.parametrize("bad", [7, None, [{"role": "assistant", "content": None}], ["text"],
                                 [{"content": [{"type": "text", "text": "5"}]}]])  # fmt: skip
def test_a_completion_that_is_no_text_is_named(bad):
    with pytest.raises(TypeError, match="use a text, or messages whose contents are texts"):
        right_answer(["?"], [bad], answer=[5])


@loops
def test_columns_of_all_rows_reach_it(loop):
    """The second kind of row has a column that the first has not."""
    seen = {}

    def reward(completions, answer, word, completion_ids, **kwargs):
        seen.update(zip(map(str, answer), word, strict=True))
        assert all(isinstance(i, int) for ids in completion_ids for i in ids)
        return letters(completions)

    rows = [{"prompt": "the cat", "answer": 1}, {"prompt": "a dog", "word": "owl"}] * 2
    loop(reward, rows)
    assert seen == {"1": None, "None": "owl"}


def test_a_column_may_be_called_reward():
    def paid(completions, reward, **kwargs):
        return reward

    assert grpo(paid, [{"prompt": "the cat", "reward": 0.5}] * 2)["reward"][0] == 0.5


@loops
@pytest.mark.parametrize("name", ["prompts", "completions"])
def test_a_column_that_would_hide_an_argument_is_refused(loop, name):
    with pytest.raises(ValueError, match=f"column '{name}', .*rename it"):
        loop(letters, [{"prompt": "the cat", name: 1}] * 4)


def test_a_column_of_the_datas_own_completion_does_not_take_the_samples_place():
    def reward(prompts, completions, **kwargs):
        assert "completion" not in kwargs and "written" not in completions
        return letters(completions)

    grpo(reward, [{"prompt": "the cat", "completion": "written"}] * 2)


@loops
@pytest.mark.parametrize("reward", [lambda prompts: [1.0], lambda completions, solution, **k: [1]])
def test_arguments_that_nobody_gives_are_one_sentence(loop, reward):
    with pytest.raises(TypeError, match=r"cannot be called with .*\*\*columns"):
        loop(reward)


# --- what it returns


FINE = {
    "int": lambda n: list(range(n)),
    "bool": lambda n: [True, False] * (n // 2),
    "numpy": lambda n: np.arange(n),
    "numpy float64": lambda n: list(np.linspace(0, 1, n)),
    "an int tensor": lambda n: torch.arange(n),
    "a half tensor": lambda n: torch.arange(n).bfloat16(),
    "one-element tensors": lambda n: [torch.ones(1)] * n,
    "a tuple": lambda n: (0.5,) * n,
    "a generator": lambda n: (0.25 for _ in range(n)),
    "with a gradient": lambda n: torch.ones(n, requires_grad=True),
}


@loops
@pytest.mark.parametrize("kind", FINE)
def test_numbers_of_any_kind_are_taken_as_float32(loop, kind):
    history = loop(lambda completions, **k: FINE[kind](len(completions)))
    n = len(PROMPTS) * (1 if loop is ppo else 2)
    expected = sum(torch.as_tensor(x).item() for x in FINE[kind](n)) / n
    assert history["reward"][0] == pytest.approx(expected)


BAD = {
    "nan": ([NAN], "nan for completion 0.*not finite"),
    "infinite": ([INF], "inf for completion 0"),
    "too large for float32": ([1e39], "not finite in float32"),
    "too large for any float": ([10**400], "not finite in float32"),
    "text": (["0.5"], r"'0.5' \(str\)"),
    "a list": ([[1.0]], r"\[1.0\] \(list\)"),
    "complex": ([1j], "complex"),
    "a pair in a tensor": ([torch.ones(2)], "Tensor"),
    "a dict": ([{"score": 1.0}], "dict"),
}


@loops
@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_finite_number_is_refused_and_the_weights_stay(loop, kind):
    (value,), message = BAD[kind]
    policy = tiny_llama()
    before = [p.detach().clone() for p in policy.parameters()]

    def my_reward(completions, **kwargs):
        return [value, *[1.0] * (len(completions) - 1)]

    with pytest.raises((TypeError, ValueError), match=rf"(?s)my_reward returned .*{message}"):
        loop(my_reward, policy=policy)
    assert all(torch.equal(a, b) for a, b in zip(before, policy.parameters(), strict=True))


@loops
@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([1.0], "1 numbers for"),
        ([], "0 numbers"),
        ([1.0] * 99, "99 numbers"),
        (1.0, r"1.0 \(float\), but must return a list"),
        (None, "NoneType"),
        ("1.0 1.0", "but must return a list"),
        ({"reward": [1.0]}, "but must return a list"),
        (torch.tensor(1.0), "must return a list"),
    ],
)
def test_another_count_is_refused(loop, found, message):
    def scores(prompts, completions, **kwargs):
        return found

    with pytest.raises((TypeError, ValueError), match=f"(?s)scores returned.*{message}"):
        loop(scores)


# --- None: a reward that does not apply


@loops
def test_none_from_the_only_reward_is_refused_with_the_prompt(loop):
    def picky(prompts, completions, **kwargs):
        return [None if p == "the cat" else 1.0 for p in prompts]

    with pytest.raises(ValueError, match=r"picky returned None .*'the cat'.*weighted"):
        loop(picky)


def test_none_counts_nothing_in_a_sum_and_all_none_stays_none():
    def first(prompts, completions, **kwargs):
        return [1.0, None, None]

    def second(prompts, completions, **kwargs):
        return [0.5, 2.0, None]

    both = weighted({"a": (first, 2.0), "b": (second, 1.0)})
    assert both(prompts=["?"] * 3, completions=["x"] * 3) == [2.5, 2.0, None]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_weighted_refuses_a_wrong_count_of_a_part(count):
    def part(completions, **kwargs):
        return [1.0] * count

    with pytest.raises(ValueError, match="part returned"):
        weighted({"a": (part, 1.0)})(prompts=["?"] * 3, completions=["x"] * 3)


@loops
def test_a_watched_reward_is_checked_alike_and_may_not_apply(loop):
    def some(prompts, completions, **kwargs):
        return [1.0 if p == "the cat" else None for p in prompts]

    def none(prompts, completions, **kwargs):
        return [None] * len(prompts)

    history = loop(letters, watch={"some": some, "none": none})
    assert history["some"].tolist() == [1.0] and np.isnan(history["none"]).all()
    with pytest.raises(ValueError, match="bad returned 1 numbers"):

        def bad(completions, **kwargs):
            return [1.0]

        loop(letters, watch={"watched": bad})


def test_village_verifiers_do_not_apply_to_rows_without_their_column():
    assert right_answer(["?"] * 2, ["The answer is 5."] * 2, answer=[5, None]) == [1.0, None]
