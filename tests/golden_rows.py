"""Models, rows and rewards of the golden runs, with fixed seeds."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import torch
from tiny_models import small_tokenizer, tiny
from torch import Tensor

from minialign.core.batching import Row
from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import load_policy
from minialign.core.tokens import encode
from minialign.world.problems import problem_rows
from minialign.world.replies.demonstrations import demonstrations
from minialign.world.replies.preferences import comparisons, rankings
from minialign.world.tasks import instructions

BASE, GPT2 = "tiny-base", "tiny-gpt2"
NEW = 12  # tokens of a completion at most


@cache
def _load(policy_name: str):
    if policy_name == GPT2:
        return with_ends(tiny("gpt2")), small_tokenizer()
    return load_policy(policy_name)


def with_ends(policy: torch.nn.Module) -> torch.nn.Module:
    """The policy with a large embedding of its end, so that completions differ in length."""
    policy.get_input_embeddings().weight.data[policy.config.eos_token_id] *= 2.5
    return policy


def start(policy_name: str):
    """A fresh policy and its tokenizer."""
    policy, tokenizer = _load(policy_name)
    return copy.deepcopy(policy), tokenizer


def scorer(policy: torch.nn.Module) -> RewardModel:
    """A reward model whose head does not depend on when it is made."""
    return RewardModel.from_policy(policy, seed=3)


def _rows(tokenizer, texts: list[tuple[str, ...]], n: int = 10, longest: int = 140) -> list:
    """Rows of the first n rankings (prompt, best, ..., worst) of short texts, as tuples."""
    few = [t for t in texts if max(len(t[0]) + len(x) for x in t[1:]) <= longest][:n]
    return [tuple(encode(tokenizer, t[0], x) for x in t[1:]) for t in few]


def demonstration_rows(tokenizer) -> list[Row]:
    """Demonstrations of the village."""
    texts = [(d.instruction.prompt, d.completion) for d in demonstrations(50)]
    return [row for (row,) in _rows(tokenizer, texts)]


def pairs(tokenizer) -> list[tuple[Row, Row]]:
    """Comparisons of the village, the chosen reply first."""
    texts = [(c.instruction.prompt, c.chosen, c.rejected) for c in comparisons(50)]
    return _rows(tokenizer, texts)


def triples(tokenizer) -> list[tuple[Row, Row, Row]]:
    """Rankings of the village."""
    return _rows(tokenizer, [(i.prompt, *replies) for i, replies in rankings(80, 3)], 8, 200)


def short_instructions(n: int) -> list:
    """Short instructions of the village."""
    return [i for i in instructions(40) if len(i.prompt) < 70][:n]


def asked_rows() -> list[dict[str, Any]]:
    """What PPO asks."""
    return [{"prompt": i.prompt} for i in short_instructions(6)]


def problems() -> list[dict[str, Any]]:
    """Problems of the village with a column that the reward reads."""
    rows = enumerate(problem_rows(6, levels=(1, 2)))
    return [{"prompt": r["prompt"], "level": r["level"], "letter": "aeiost"[i]} for i, r in rows]


# --- rewards: functions of the texts, or of the ids, alone


def vowels(prompts, completions, **columns) -> list[float]:
    """Share of vowels, and a little for each letter."""
    return [
        sum(c in "aeiou" for c in t) / max(1, len(t)) + len(t) / 100 - 0.25 for t in completions
    ]


def with_letter(prompts, completions, letter, **columns) -> list[float]:
    """As `vowels`, and a tenth for each time that the row's own letter comes."""
    each = zip(vowels(prompts, completions), completions, letter, strict=True)
    return [value + 0.1 * text.count(one) for value, text, one in each]


def brevity(prompts, completions, **columns) -> list[float]:
    """Short completions are good."""
    return [-len(text) / 20 for text in completions]


def every_third(rollout, rows) -> Tensor:
    """(B, T) rewards of steps, which end at every third token; nan elsewhere."""
    columns = torch.arange(rollout.input_ids.shape[1])
    ends = (columns % 3 == 0) & rollout.completion_mask.bool()
    return torch.where(ends, (rollout.input_ids % 7) / 7.0, float("nan"))


def snapshot(**models: torch.nn.Module) -> dict[str, Tensor]:
    """The weights of models before they are trained."""
    return {name: flat(model) for name, model in models.items()}


def flat(model: torch.nn.Module) -> Tensor:
    """(N,) all weights, in a copy."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])
