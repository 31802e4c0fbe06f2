"""What every method of the registry does in its first steps: the right completion gains on others.

That a loss is finite and weights have moved says nothing of where they went.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext

import pytest
import torch
from loop_inputs import PAIRS, PROMPT_ROWS, TOKENIZER, TRIPLES, vowels
from tiny_models import tiny_llama
from torch import Tensor

from minialign.algorithms import dpo, grpo
from minialign.core.batching import Row, collate
from minialign.core.logprobs import masked_sum, token_logprobs
from minialign.core.tokens import prompt_ids
from minialign.variants import methods
from minialign.variants.loops import offline_loop, policy_loop, preference_loop

SHRINKS_FIRST = {"discopop"}  # its authors say so: see test_preference_losses.py


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """No bfloat16, in which a small step is lost."""
    for module in (policy_loop, preference_loop, offline_loop, dpo, grpo):
        monkeypatch.setattr(module, "fast_matmul", lambda device: nullcontext())


@torch.no_grad()
def said(policy, rows: list[Row]) -> Tensor:
    """(B,) log probability of each completion."""
    batch = collate(rows, TOKENIZER.pad_token_id)
    logprobs = token_logprobs(policy, batch.input_ids, batch.attention_mask)
    return masked_sum(logprobs, batch.completion_mask)


def lead(policy, rankings: list[tuple[Row, ...]]) -> float:
    """By how many nats the first completion is likelier than the last, on average."""
    return (said(policy, [r[0] for r in rankings]) - said(policy, [r[-1] for r in rankings])).mean()


@pytest.mark.parametrize("name", methods.table("train_dpo", "train_preference").index)
def test_the_chosen_completion_gains_on_the_rejected_one(name: str):
    policy = tiny_llama()
    one = methods.method(name)
    config = one.settings(steps=6, batch_size=4, warmup=2, learning_rate=1e-3)
    rankings = TRIPLES if "listwise" in str(one.functions.get("loss")) else PAIRS
    before = lead(policy, rankings)
    history = one.trainer()(policy, TOKENIZER, rankings, config)
    assert torch.tensor(history["loss"]).isfinite().all()
    assert (lead(policy, rankings) > before) != (name in SHRINKS_FIRST)


class Noted:
    """The rewards of a roll-out, and what was drawn."""

    __name__ = "noted"

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.paid: list[float] = []

    def __call__(self, prompts, completions, completion_ids, **columns) -> list[float]:
        paid = vowels(prompts, completions)
        if not self.rows:  # not the greedy baseline, which comes second
            self.paid = paid
            self.rows = [
                Row(prompt_ids(TOKENIZER, prompt), list(ids))
                for prompt, ids in zip(prompts, completion_ids, strict=True)
            ]
        return paid


def at_the_end(rollout, rows) -> Tensor:
    """The outcome as the reward of one step, the last."""
    paid = torch.tensor(vowels(rollout.prompts, rollout.texts))
    place = torch.arange(rollout.completion_mask.shape[1]).expand_as(rollout.completion_mask)
    last = (place * rollout.completion_mask).amax(1, keepdim=True)
    return torch.where(place == last, paid[:, None], float("nan"))


GROUPS = [name for name, one in methods.registry().items() if one.notebook == 5]


@pytest.mark.parametrize("name", GROUPS)
def test_what_earned_more_than_its_group_becomes_likelier_than_its_group(name: str):
    """After one update on 4 groups, of 16 if the method has no size: reward and change agree."""
    policy, reward = tiny_llama(), Noted()
    start = copy.deepcopy(policy)
    one = methods.method(name)
    changes = {"group_size": one.config.get("group_size", 16), "max_new_tokens": 8}
    config = one.settings(steps=1, prompts=4, learning_rate=1e-3, **changes)
    needs = {need: at_the_end for need in one.needs}
    history = one.trainer(**needs)(policy, TOKENIZER, PROMPT_ROWS, reward, config)
    assert torch.tensor(history["loss"]).isfinite().all()
    change = said(policy, reward.rows) - said(start, reward.rows)
    paid, change = (x.view(-1, config.group_size) for x in (torch.tensor(reward.paid), change))
    paid, change = (x - x.mean(1, keepdim=True) for x in (paid, change))
    assert (paid * change).sum() > 0
