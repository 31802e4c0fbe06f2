"""The page that reads every text anew and the fast tier draw the same: tokens, texts, logprobs."""

from __future__ import annotations

import copy
import tempfile
from functools import cache
from pathlib import Path

import pytest
import torch
from model_abilities import in_float32
from model_matrix import MODELS, save
from slowness import slow_but
from tiny_models import FAMILIES, small_tokenizer, tiny

from minialign.core.models.architecture import is_recurrent
from minialign.core.models.loading import load_policy
from minialign.core.sampling import sample
from minialign.core.tokens import end_ids

PROMPTS = ["it", "what is 2 plus 3?", "the cat sat on the mat. a dog ran to the red house", "a dog"]
NEW = 14
ROUNDING = {"Zamba 2": 1e-3}  # a scan in chunks and one step by step differ more than attention
LOADED = [name for name, entry in MODELS.items() if "load" not in entry.refused]
RECURRENT = [name for name in LOADED if "recurrent" in MODELS[name].refused.get("pack", "")]
ATTENTION = [name for name in LOADED if name not in RECURRENT]


@cache
def loaded(name: str):
    """A policy and its tokenizer: of the shipped model, of the tiny families, or of the matrix."""
    if name in FAMILIES:
        return tiny(name), small_tokenizer()
    if name == "tiny-base":
        return load_policy(name)
    with tempfile.TemporaryDirectory() as folder:
        save(name, Path(folder))
        return load_policy(folder)


def both(name: str, **settings):
    """A rollout of each tier; many tokens end a turn, so that rows end at different times."""
    policy, tokenizer = loaded(name)
    many = copy.deepcopy(tokenizer)
    many.turn_ends = (*end_ids(tokenizer), *range(100, len(tokenizer), 5))
    with in_float32():
        return [
            sample(
                policy, many, PROMPTS, max_new_tokens=NEW, fast=fast,
                generator=torch.Generator().manual_seed(3), **settings,
            )
            for fast in (True, False)
        ]  # fmt: skip


def agree(name: str, **settings) -> None:
    fast, anew = both(name, **settings)
    assert fast.texts == anew.texts and fast.prompts == anew.prompts
    assert fast.completion_ids == anew.completion_ids
    for field in ("input_ids", "attention_mask", "completion_mask", "finished"):
        assert torch.equal(getattr(fast, field), getattr(anew, field)), field
    close = ROUNDING.get(name, 5e-5)
    torch.testing.assert_close(fast.logprobs, anew.logprobs, atol=close, rtol=0)
    assert len(fast) == len(PROMPTS) * fast.group_size


quick = slow_but(["llama", "gpt2", "tiny-base", *ATTENTION], "llama", "gpt2", "tiny-base",
                 "Mistral", "Mixtral", "Gemma 2")  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # transformers warns of kernels that are not installed
@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
@pytest.mark.parametrize("group_size", [1, 3])
@pytest.mark.parametrize("name", quick)
def test_both_tiers_draw_the_same(name, group_size, temperature):
    agree(name, group_size=group_size, temperature=temperature)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("group_size", [1, 3])
@pytest.mark.parametrize("name", slow_but(RECURRENT, "Mamba", "LFM2"))
def test_both_tiers_are_equally_greedy_where_layers_are_recurrent(name, group_size):
    """Their prompts of equal length are sampled together, so random numbers meet other rows."""
    assert is_recurrent(loaded(name)[0])
    agree(name, group_size=group_size, temperature=0.0)


@pytest.mark.parametrize("name", ["llama", "gpt2", "tiny-base"])
def test_rows_do_end_at_different_times(name):
    """Or nothing above would show that finished rows leave the batch."""
    fast, _ = both(name, group_size=3)
    lengths = fast.lengths.tolist()
    assert len(set(lengths)) > 2 and fast.finished.any()


def test_one_prompt_one_token():
    policy, tokenizer = loaded("llama")
    fast, anew = (sample(policy, tokenizer, ["it"], max_new_tokens=1, fast=f) for f in (1, 0))
    assert fast.completion_ids == anew.completion_ids
    torch.testing.assert_close(fast.logprobs, anew.logprobs, atol=5e-5, rtol=0)
