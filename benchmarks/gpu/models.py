"""Three models and rows of fixed lengths, made on the spot: nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Row, RowPair
from minialign.core.models.architecture import disable_dropout
from minialign.core.models.loading import add_lora, attention_for, load_policy
from minialign.core.tokens import prompt_ids

RANK = 16  # of the adapters


@dataclass(frozen=True)
class Sizes:
    """Of one measurement; those of the profile `small`, but for the number of sampled tokens."""

    batch_size: int = 16  # demonstrations, or comparisons of two replies
    prompts: int = 8  # of a rollout of GRPO; of PPO four times as many
    group_size: int = 8
    minibatches: int = 4  # of PPO
    prompt_tokens: int = 128
    new_tokens: int = 64
    warm: int = 2  # steps that are not timed
    steps: int = 5  # that are timed at most
    seconds: float = 10.0  # after which a loop is stopped, once two steps are done

    @property
    def length(self) -> int:
        """Tokens of every sequence."""
        return self.prompt_tokens + self.new_tokens


QUICK = Sizes(
    batch_size=2, prompts=2, group_size=2, minibatches=2, prompt_tokens=24, new_tokens=8, warm=1,
    steps=2, seconds=1.0,
)  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """A model: its name, and the sizes of a random one; None is a model that the course ships."""

    name: str
    config: dict[str, Any] | None = None
    lora: bool = False  # only adapters are trained

    @property
    def trained(self) -> str:
        """What is trained, in words."""
        return f"LoRA, rank {RANK}" if self.lora else "all"


SHIPPED = Spec("tiny-base")
# Random too: the shipped one ends its replies, so that no two rollouts are as long.
TINY = Spec(
    "tiny-base",
    {
        "hidden_size": 192, "intermediate_size": 640, "num_hidden_layers": 6,
        "num_attention_heads": 6, "num_key_value_heads": 6, "vocab_size": 2560,
        "tie_word_embeddings": True, "max_position_embeddings": 512, "rms_norm_eps": 1e-6,
    },
)  # fmt: skip
# The public configurations of HuggingFaceTB/SmolLM2-135M and meta-llama/Llama-3.2-1B.
SMOLLM2 = Spec(
    "SmolLM2-135M",
    {
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
        "tie_word_embeddings": True, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
    },
)  # fmt: skip
LLAMA = Spec(
    "Llama-3.2-1B",
    {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
        "tie_word_embeddings": True, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
    },
    lora=True,
)  # fmt: skip
SPECS = (SMOLLM2, TINY, LLAMA)
CUT = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
       "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 2560}  # fmt: skip


def reduced(spec: Spec) -> Spec:
    """A small stand-in under a name that says so."""
    return replace(spec, name=f"{spec.name}, cut", config=spec.config | CUT)


def build(
    spec: Spec, device: str, *, adapters: bool | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model, with weights in float32, and tiny-base's tokenizer.

    A random model says every token alike, so its completions hardly ever end.

    Args:
        spec: of the model.
        device: where its weights are drawn.
        adapters: whether it gets LoRA adapters; None is what the spec says.
    """
    model, tokenizer = load_policy(SHIPPED.name, device=device)
    if spec.config is not None:
        attention = attention_for(torch.device(device))
        ids = {f"{n}_token_id": getattr(tokenizer, f"{n}_token_id") for n in ("pad", "bos", "eos")}
        config = LlamaConfig(**spec.config, **ids, attn_implementation=attention)
        torch.manual_seed(0)
        with torch.device(device):
            model = disable_dropout(LlamaForCausalLM(config)).eval()
    if spec.lora if adapters is None else adapters:
        model = add_lora(model, rank=RANK)
    return model, tokenizer


@dataclass(frozen=True)
class Rows:
    """What the loops are given, all of the same length."""

    demonstrations: list[Row]
    pairs: list[RowPair]
    prompts: list[dict[str, Any]]  # in messages, so that every library writes the same prompt


def draw_rows(tokenizer: PreTrainedTokenizerBase, vocabulary: int, sizes: Sizes) -> Rows:
    """Random tokens as demonstrations and pairs; random words as prompts."""
    rng, few = Random(0), 4 * sizes.batch_size

    def ids(n: int) -> list[int]:
        return [rng.randrange(10, vocabulary) for _ in range(n)]

    rows = [Row(ids(sizes.prompt_tokens), ids(sizes.new_tokens)) for _ in range(few)]
    pairs = [(row, Row(row.prompt_ids, ids(sizes.new_tokens))) for row in rows]
    texts = [prompt_text(tokenizer, sizes.prompt_tokens, rng) for _ in range(8 * sizes.prompts)]
    return Rows(rows, pairs, [{"prompt": [{"role": "user", "content": text}]} for text in texts])


@cache
def words_of(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Words that are one token each within a text."""
    vocabulary = sorted(tokenizer.get_vocab())
    return [token[1:] for token in vocabulary if token[0] == "Ġ" and token[1:].isalpha()]


def prompt_text(tokenizer: PreTrainedTokenizerBase, tokens: int, rng: Random) -> str:
    """Random words that make a prompt of exactly so many tokens, its template included.

    Raises:
        ValueError: if the template alone has more.
    """
    words = words_of(tokenizer)
    chosen = [rng.choice(words)]
    while (n := len(prompt_ids(tokenizer, " ".join(chosen)))) != tokens:
        if n < tokens:
            chosen += rng.choices(words, k=max(1, (tokens - n) // 2))
        elif len(chosen) > 1:
            chosen = [*chosen[: len(chosen) - max(1, (n - tokens) // 2)]]
        else:
            raise ValueError(f"a prompt of one word has {n} tokens; ask for more than {tokens}")
    return " ".join(chosen)
