"""Rewards that a model has learnt, what tells rewards apart, and those that misbehave."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from reward_cases import (
    CHAT,
    PROMPTS,
    TOKENIZER,
    Object,
    letters,
    loops,
    only_completions,
)
from tiny_models import tiny_llama

from minialign.algorithms.grpo import GrpoConfig, group_zscore
from minialign.core.checkpoint import identity
from minialign.core.models.heads import RewardModel
from minialign.core.sampling import sample
from minialign.rewards import reward_name
from minialign.rewards.contract import call_reward, rewards_of, watched
from minialign.rewards.learnt import ensemble_score, reward_model_score
from minialign.rewards.verifiers import weighted
from minialign.variants.group_advantages import batch_scaled, group_centred, leave_one_out
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy

# --- rewards that a model has learnt


def scorer():
    return RewardModel.from_policy(tiny_llama()).eval()


def test_a_learnt_reward_scores_the_sampled_ids():
    """Also of a reply longer than 512 tokens, or one that spells out the end of text."""
    model, rollout = scorer(), sample(tiny_llama(), TOKENIZER, PROMPTS, max_new_tokens=5)
    found = rewards_of(reward_model_score(model, TOKENIZER), rollout)
    with torch.no_grad():
        expected = model(rollout.input_ids, rollout.attention_mask)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_reply_that_spells_the_end_of_text_is_scored():
    reward = reward_model_score(scorer(), TOKENIZER)
    text = f"it is {TOKENIZER.eos_token} 5."
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert len(reward(["the cat"], [text], completion_ids=[ids])) == 1
    assert len(reward(["the cat"], [text])) == 1


def test_a_learnt_reward_is_not_limited_to_512_tokens():
    reward = reward_model_score(scorer(), TOKENIZER)
    assert len(reward(["the cat"], ["a" * 100 + " b" * 600])) == 1


def test_an_ensemble_is_called_like_any_other():
    both = ensemble_score([letters, only_completions])
    assert both(prompts=["?"], completions=["abcde"]) == [0.5]


# --- names


def test_identities_tell_rewards_apart():
    model = scorer()
    found = {identity(reward_model_score(model, TOKENIZER))}
    model.head.weight.data += 1
    found.add(identity(reward_model_score(model, TOKENIZER)))
    model.zero += 1  # a penalty for a missing end is measured from it
    found.add(identity(reward_model_score(model, TOKENIZER)))
    assert len(found) == 3
    assert identity(weighted({"a": (letters, 1.0)})) == "1.0 a: letters"
    assert reward_name(Object()) == "Object" and reward_name(partial(letters)) == "letters"


def test_a_rewards_own_attribute_may_be_called_identity():
    class Named(Object):
        identity = "mine"

    assert identity(Named()).endswith("Named")


@loops
@pytest.mark.parametrize("name", ["reward", "kl", "loss", "learning_rate"])
def test_a_watched_reward_takes_no_column_of_the_history(loop, name):
    with pytest.raises(ValueError, match=f"'{name}', which is a column of the history"):
        loop(letters, watch={name: letters})


@loops
def test_the_row_is_named(loop):
    def third(prompts, completions, **kwargs):
        return [float("nan") if p == "a dog" else 1.0 for p in prompts]

    with pytest.raises(ValueError, match=r"row 2 from 0, prompt 'a dog'"):
        loop(third)


def test_call_reward_and_watched_agree():
    rollout = sample(tiny_llama(), TOKENIZER, PROMPTS, max_new_tokens=4)
    found = call_reward(letters, rollout.prompts, rollout.texts)
    assert found.dtype == torch.float32
    means = watched({"one": letters}, rollout)
    assert means == {"one": pytest.approx(found.mean().item())}
    assert watched(None, rollout) == {}


# --- rewards that do what they should not


@loops
def test_a_reward_that_changes_what_it_is_given_changes_no_row(loop):
    rows = [{"prompt": [dict(CHAT[0])], "keys": [1, 2]} for _ in range(4)]

    def judge(prompts, completions, keys, **kwargs):
        for prompt, completion, key in zip(prompts, completions, keys, strict=True):
            assert len(prompt) == 1 and len(key) == 2
            prompt.append(completion[0])
            key.pop()
        return [1.0] * len(prompts)

    loop(weighted({"a": (judge, 1.0), "b": (judge, 1.0)}), rows)
    assert all(len(row["prompt"]) == 1 and row["keys"] == [1, 2] for row in rows)


@loops
@pytest.mark.parametrize("reward", [[letters, letters], "owner/model", None])
def test_what_is_no_function_is_refused(loop, reward):
    with pytest.raises(TypeError, match="must be a function; several are one by `weighted`"):
        loop(reward)


@loops
def test_watch_is_a_dict_and_a_part_is_a_pair(loop):
    with pytest.raises(TypeError, match="watch is a list"):
        loop(letters, watch=[letters])
    with pytest.raises(TypeError, match="part 'a' is no pair"):
        weighted({"a": letters})


def test_arguments_and_contents_tell_rewards_apart():
    class Target:
        def __init__(self, goal):
            self.goal = goal

        def __call__(self, completions, **columns):
            return [float(self.goal)] * len(completions)

    assert identity(partial(letters, goal=5)) != identity(partial(letters, goal=6))
    assert identity(Target(5)) == identity(Target(5)) != identity(Target(6))


@pytest.mark.parametrize("advantage", [group_centred, leave_one_out, group_zscore, batch_scaled])
def test_a_group_of_one_compares_nothing(advantage):
    config = PolicyConfig(steps=1, group_size=1)
    rows = [{"prompt": prompt} for prompt in PROMPTS]
    with pytest.raises(ValueError, match="nothing would be learnt"):
        train_policy(tiny_llama(), TOKENIZER, rows, letters, config, advantage=advantage)


def test_the_essays_group_is_of_two_or_more():
    with pytest.raises(ValueError, match=r"group_size=1.*use 2 or more, since a group is compared"):
        GrpoConfig(group_size=1)


@loops
@pytest.mark.parametrize("rows", [["a prompt here"], [3], [("prompt", "x")], [{"answer": 5}]])
def test_rows_are_dicts(loop, rows):
    with pytest.raises(ValueError, match="give at least one, each a dict with a prompt"):
        loop(letters, rows)
