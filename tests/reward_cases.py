"""Rewards of several kinds, and one step of each loop that takes a reward."""

from __future__ import annotations

import pytest
from tiny_models import small_tokenizer, tiny_llama

from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.core.models.heads import ValueModel
from minialign.variants.loops.policy_loop import RlConfig, train_rl

TOKENIZER = small_tokenizer()
PROMPTS = ["what is 2 plus 3?", "the cat", "a dog", "it is"]
CHAT = [{"role": "user", "content": "the cat"}]


def grpo(reward, rows=None, policy=None, **more):
    rows = rows or [{"prompt": prompt} for prompt in PROMPTS]
    config = RlConfig(steps=1, prompts=4, group_size=2, max_new_tokens=4, learning_rate=1e-3)
    return train_rl(policy or tiny_llama(), TOKENIZER, rows, reward, config, **more)


def ppo(reward, rows=None, policy=None, **more):
    policy = policy or tiny_llama()
    critic = ValueModel.from_policy(policy)
    config = PpoConfig(
        steps=1, prompts=4, epochs=1, minibatches=1, max_new_tokens=4, missing_eos=None
    )
    return train_ppo(policy, critic, TOKENIZER, rows or PROMPTS, reward, config, **more)


LOOPS = {"train_rl": grpo, "train_ppo": ppo}
loops = pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)


def letters(completions, **columns):
    return [len(text) / 10 for text in completions]


def only_completions(completions, **kwargs):
    return letters(completions)


class Object:
    def __call__(self, completions, **kwargs):
        return letters(completions)
