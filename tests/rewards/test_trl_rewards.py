"""A reward moves both ways: TRL's own trainer calls ours, and ours are called as TRL calls them."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from tiny_models import small_tokenizer, tiny_llama
from trl import GRPOTrainer
from trl.trainer import grpo_trainer

from minialign.core.sampling import sample
from minialign.rewards.contract import rewards_of
from minialign.rewards.verifiers import (
    careless_answer,
    item_count,
    lower_case,
    mentions,
    right_answer,
    right_format,
    soft_overlong,
    sound_steps,
    weighted,
)

TOKENIZER = small_tokenizer()
TRL_ONLY = {"trainer_state", "log_extra", "log_metric"}
ROW = {"answer": 5, "numbers": (2, 3), "items": 2, "word": "cat"}
PROMPTS = {
    "texts": ["what is 2 plus 3?", "the cat"],
    "conversations": [[{"role": "user", "content": "a dog"}]] * 2,
}
OURS = {
    "right_answer": right_answer,
    "right_format": right_format,
    "sound_steps": sound_steps,
    "careless_answer": careless_answer,
    "lower_case": lower_case,
    "item_count": item_count,
    "mentions": mentions,
    "soft_overlong": soft_overlong(limit=6, margin=3),
    "weighted": weighted({"a": (right_format, 0.2), "b": (lower_case, 1.0)}),
}


def by_trl(rewards, prompts, rollout):
    """(B, n) rewards as GRPOTrainer of TRL computes them from the same completions."""
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(device=torch.device("cpu"), is_main_process=True),
        state=None,
        environments=None,
        reward_funcs=rewards,
        reward_processing_classes=[None] * len(rewards),
        reward_func_names=[f"reward {i}" for i in range(len(rewards))],
        _log_completion_extra=print,
        _log_metric=print,
    )
    each = [{"prompt": prompt, **ROW} for prompt in rollout.prompts]
    completions = [
        text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
        for prompt, text in zip(rollout.prompts, rollout.texts, strict=True)
    ]
    return GRPOTrainer._calculate_rewards(
        trainer, each, rollout.prompts, completions, rollout.completion_ids
    )


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setattr(grpo_trainer, "gather", lambda x: x)
    monkeypatch.setattr(grpo_trainer, "profiling_context", lambda *_: nullcontext())


@pytest.mark.parametrize("kind", PROMPTS)
def test_a_reward_gets_the_same_arguments_from_both(kind):
    calls = []

    def seen(**given):
        calls.append({name: value for name, value in given.items() if name not in TRL_ONLY})
        return [1.0] * len(given["prompts"])

    rollout = sample(tiny_llama(), TOKENIZER, PROMPTS[kind], group_size=2, max_new_tokens=5)
    by_trl([seen], PROMPTS[kind], rollout)
    rewards_of(seen, rollout, [{"prompt": p, **ROW} for p in PROMPTS[kind]])
    theirs, ours = calls
    assert ours == theirs and {"answer", "completion_ids"} <= set(ours)


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("name", OURS)
def test_a_reward_of_the_course_pays_the_same_in_trl(kind, name):
    rollout = sample(tiny_llama(), TOKENIZER, PROMPTS[kind], group_size=2, max_new_tokens=5)
    (theirs,) = by_trl([OURS[name]], PROMPTS[kind], rollout).unbind(1)
    ours = rewards_of(OURS[name], rollout, [{"prompt": p, **ROW} for p in PROMPTS[kind]])
    torch.testing.assert_close(ours, theirs)


def test_none_is_left_out_of_a_sum_as_trl_leaves_it_out():
    def first(prompts, **given):
        return [1.0, None] * (len(prompts) // 2)

    rollout = sample(tiny_llama(), TOKENIZER, PROMPTS["texts"], group_size=2, max_new_tokens=5)
    parts = by_trl([first, lower_case], PROMPTS["texts"], rollout)
    both = weighted({"a": (first, 2.0), "b": (lower_case, 1.0)})
    expected = (parts * torch.tensor([2.0, 1.0])).nansum(1)  # as the trainer adds them up
    torch.testing.assert_close(rewards_of(both, rollout), expected)
