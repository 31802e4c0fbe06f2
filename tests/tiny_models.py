"""Tiny random models and a small tokenizer, built in a moment, for the tests of the core."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from minialign.core.logprobs import token_logprobs
from minialign.core.models.architecture import disable_dropout
from tools.world_builder.training.tokenizer import train_tokenizer

torch.set_num_threads(1)  # tensors this small are slower on several, much slower on a busy machine

WORDS = ["the cat sat on the mat", "a dog ran to the red house", "what is 2 plus 3?", "it is 5."]
FAMILIES = ("llama", "gpt2")  # rotary positions, absolute positions
IDS = torch.tensor([[1, 40, 50, 60, 2], [1, 33, 44, 55, 66]])  # two texts of five tokens
MASK = torch.ones_like(IDS)
# As Gemma's and Phi-3's: a turn ends with a token that is not the end of the text.
TURNS = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<turn>' + message['role'] + '\n' + message['content'] + '</turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<turn>assistant\n' }}{% endif %}"
)


@lru_cache
def small_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level, with few merges and the course's chat template."""
    return train_tokenizer(WORDS * 4)


def without_pad_in_vocabulary() -> PreTrainedTokenizerFast:
    """A tokenizer that knows neither <|pad|> nor any pad token, as many base models have."""
    text = small_tokenizer().backend_tokenizer.to_str().replace("<|pad|>", "<|unused|>")
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(text), bos_token="<|bos|>", eos_token="<|eos|>"
    )


@lru_cache
def sentencepiece_tokenizer() -> PreTrainedTokenizerFast:
    """Like Llama's and Gemma's: a space belongs to the word after it, other bytes are tokens."""
    core = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    named = ["<pad>", "<s>", "</s>", "<unk>", "<turn>", "</turn>"]
    special = [*named, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=special, show_progress=False)
    core.train_from_iterator([*WORDS * 4, "0 1 2 3 4 5 6 7 8 9 = + . ?"], trainer)
    # Bytes are plain tokens, which decoding may not skip.
    state = json.loads(core.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] in named]
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens=["<turn>", "</turn>"],
        chat_template=TURNS,
    )


def tiny_llama(seed: int = 0, **settings) -> LlamaForCausalLM:
    """Rotary positions and grouped queries; weights large enough for a lively distribution."""
    torch.manual_seed(seed)
    sizes = {
        "vocab_size": len(small_tokenizer()),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.2,
    }
    tokenizer = small_tokenizer()
    ids = {f"{n}_token_id": getattr(tokenizer, f"{n}_token_id") for n in ("pad", "bos", "eos")}
    return LlamaForCausalLM(LlamaConfig(**sizes | ids | settings)).eval()


def gpt2_with_dropout(seed: int = 0, **settings) -> GPT2LMHeadModel:
    """Absolute positions, and dropout of 0.1 as in the original."""
    torch.manual_seed(seed)
    sizes = {
        "vocab_size": len(small_tokenizer()),
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 256,
        "initializer_range": 0.2,
    }
    tokenizer = small_tokenizer()
    ids = {f"{n}_token_id": getattr(tokenizer, f"{n}_token_id") for n in ("pad", "bos", "eos")}
    return GPT2LMHeadModel(GPT2Config(**sizes | ids | settings)).eval()


def tiny(family: str, seed: int = 0) -> PreTrainedModel:
    """A tiny model of one of FAMILIES, without dropout."""
    model = tiny_llama(seed) if family == "llama" else gpt2_with_dropout(seed)
    return disable_dropout(model)


def padded(rows: Sequence[Sequence[int]], side: str, extra: int = 0) -> tuple[Tensor, Tensor]:
    """(B, T) ids and mask of rows padded on a side, `extra` columns wider than needed."""
    width, pad = max(map(len, rows)) + extra, small_tokenizer().pad_token_id
    ids, mask = [], []
    for row in rows:
        gap = width - len(row)
        left, right = (gap, 0) if side == "left" else (0, gap)
        ids.append([pad] * left + list(row) + [pad] * right)
        mask.append([0] * left + [1] * len(row) + [0] * right)
    return torch.tensor(ids), torch.tensor(mask)


def train_a_little(policy: PreTrainedModel, steps: int = 3) -> None:
    """Some steps of gradient descent towards IDS, on what is trainable."""
    policy.train()
    optimizer = torch.optim.SGD([p for p in policy.parameters() if p.requires_grad], lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        (-token_logprobs(policy, IDS, MASK).mean()).backward()
        optimizer.step()
