"""Rewards of several kinds, and one step of each loop that takes a reward."""

from __future__ import annotations

import pytest
from tiny_models import small_tokenizer, tiny_llama

from minialign.algorithms.grpo import GrpoConfig, train_grpo
from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.core.models.heads import ValueModel
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy

TOKENIZER = small_tokenizer()
PROMPTS = ["what is 2 plus 3?", "the cat", "a dog", "it is"]
CHAT = [{"role": "user", "content": "the cat"}]


FEW = {"steps": 1, "prompts": 4, "max_new_tokens": 4, "learning_rate": 1e-3}


def rows_of(rows):
    return rows or [{"prompt": prompt} for prompt in PROMPTS]


def grpo(reward, rows=None, policy=None, **more):
    config = GrpoConfig(**FEW, group_size=2)
    return train_grpo(policy or tiny_llama(), TOKENIZER, rows_of(rows), reward, config, **more)


def general(reward, rows=None, policy=None, **more):
    config = PolicyConfig(**FEW, group_size=2)
    return train_policy(policy or tiny_llama(), TOKENIZER, rows_of(rows), reward, config, **more)


def ppo(reward, rows=None, policy=None, **more):
    policy = policy or tiny_llama()
    config = PpoConfig(**FEW, epochs=1, minibatches=1, missing_eos=None)
    return train_ppo(
        policy, TOKENIZER, rows_of(rows), reward, config,
        value_model=ValueModel.from_policy(policy), **more,
    )  # fmt: skip


LOOPS = {"train_grpo": grpo, "train_policy": general, "train_ppo": ppo}
loops = pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)


def letters(completions, **columns):
    return [len(text) / 10 for text in completions]


def only_completions(completions, **kwargs):
    return letters(completions)


class Object:
    def __call__(self, completions, **kwargs):
        return letters(completions)
