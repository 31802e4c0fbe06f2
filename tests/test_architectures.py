"""Any causal language model: tiny random ones of four architectures go through every loop.

What differs: tied and untied heads, a pad token that is missing or equal to EOS, a chat template
that is missing, writes a system turn by itself, or refuses one, and a BOS that the model lacks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tiny_models import small_tokenizer
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from minialign.batching import encode, prompt_ids
from minialign.logprobs import token_logprobs
from minialign.models import RewardModel, add_lora, frozen_reference, load_policy
from minialign.rollout import sample
from minialign.train.rl import RlConfig, train_rl
from minialign.train.sft import SftConfig, train_sft

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8,
         "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2}  # fmt: skip

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<s>system: Be kind.</s>{% endif %}"
    "<s>{{ message['role'] + ': ' + message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)
WITHOUT_SYSTEM = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}<turn>{{ message['role'] + ': ' + message['content'] }}</turn>"
    "{% endfor %}{% if add_generation_prompt %}<turn>model: {% endif %}"
)


@dataclass(frozen=True)
class Kind:
    """An architecture, and what is special about its tokenizer."""

    make: Callable[[int], PreTrainedModel]  # from the size of the vocabulary
    template: str | None
    pad: str | None = None
    bos: bool = True


def llama(vocab: int, tied: bool) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocab, tie_word_embeddings=tied, **SIZES))


def qwen(vocab: int) -> PreTrainedModel:
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=vocab, tie_word_embeddings=True, **SIZES))


def gemma(vocab: int) -> PreTrainedModel:
    return Gemma3ForCausalLM(
        Gemma3TextConfig(vocab_size=vocab, layer_types=["full_attention"] * 2, **SIZES)
    )


KINDS = {
    "Llama, untied, a base model": Kind(lambda vocab: llama(vocab, False), None),
    "SmolLM2: Llama, tied, pad is EOS": Kind(lambda vocab: llama(vocab, True), CHATML, "<|eos|>"),
    "Qwen2, no BOS": Kind(qwen, CHATML, "<|pad|>", bos=False),
    "Gemma 3, no system turns": Kind(gemma, WITHOUT_SYSTEM, "<|pad|>"),
}


@pytest.fixture(params=KINDS, scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind, place = KINDS[request.param], tmp_path_factory.mktemp("model")
    tokenizer = copy.deepcopy(small_tokenizer())
    tokenizer.chat_template, tokenizer.pad_token = kind.template, kind.pad
    if not kind.bos:
        tokenizer.bos_token = None
    torch.manual_seed(0)
    kind.make(len(tokenizer)).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def test_prompts_and_completions_are_told_apart(folder: Path):
    policy, tokenizer = load_policy(folder)
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    system = [{"role": "system", "content": "the red house"}]
    asked = [{"role": "user", "content": "what is 2 plus 3?"}]
    for prompt in (asked[0]["content"], asked, system + asked):
        row = encode(tokenizer, prompt, "it is 5.")
        assert row.completion_ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(row.completion_ids[:-1]) == "it is 5."
        assert "what is 2 plus 3?" in tokenizer.decode(row.prompt_ids)
    assert "the red house" in tokenizer.decode(prompt_ids(tokenizer, system + asked))
    with torch.no_grad():
        ids = torch.tensor([row.ids])
        assert token_logprobs(policy, ids, torch.ones_like(ids)).isfinite().all()


def test_what_is_sampled_has_the_logprobs_of_the_update(folder: Path):
    """Of a cache, positions and left padding that differ, ratios would not be 1."""
    policy, tokenizer = load_policy(folder)
    generator = torch.Generator().manual_seed(0)
    prompts = ["what is 2 plus 3?", "a dog"]
    drawn = sample(policy, tokenizer, prompts, group_size=2, max_new_tokens=6, generator=generator)
    with torch.no_grad():
        again = token_logprobs(policy, drawn.input_ids, drawn.attention_mask)
    kept = drawn.completion_mask.bool()
    torch.testing.assert_close(drawn.logprobs[kept], again[kept], atol=1e-4, rtol=0)


@pytest.mark.parametrize("lora", [False, True], ids=["full", "LoRA"])
def test_supervised_tuning_and_reinforcement_learning(folder: Path, lora: bool):
    policy, tokenizer = load_policy(folder)
    policy = add_lora(policy, rank=4) if lora else policy
    reference = frozen_reference(policy)
    rows = [encode(tokenizer, "what is 2 plus 3?", text) for text in ("it is 5.", "the cat sat.")]
    config = SftConfig(steps=8, batch_size=2, learning_rate=1e-2)
    history = train_sft(policy, tokenizer, rows, config)
    assert history["loss"][-1] < history["loss"][0]
    config = RlConfig(steps=1, prompts=2, group_size=4, max_new_tokens=4, beta=0.1)

    def longest(prompts, completions, **columns):
        return [float(len(text)) for text in completions]

    data = [{"prompt": "a dog ran"}, {"prompt": "the cat"}]
    seen = train_rl(policy, tokenizer, data, longest, config)
    assert seen["off"][-1] < 0.02  # bfloat16 at most
    ids = torch.tensor([rows[0].ids])
    before, after = (
        token_logprobs(model, ids, torch.ones_like(ids)) for model in (reference, policy)
    )
    assert (before - after).abs().max() > 1e-4


def test_a_reward_model_is_saved_and_read_back(folder: Path, tmp_path: Path):
    policy, tokenizer = load_policy(folder)
    model = RewardModel.from_policy(policy)
    ids = torch.tensor([prompt_ids(tokenizer, "a dog ran to the red house")])
    score = model(ids, torch.ones_like(ids))
    model.save_pretrained(tmp_path)
    again = RewardModel.from_pretrained(tmp_path)(ids, torch.ones_like(ids))
    assert score.isfinite().all()
    torch.testing.assert_close(again, score)
