"""How much memory the activations of an update need, and what to lower where it ran out.

A model of what autograd keeps of a decoder with gated feed-forward layers (Llama, SmolLM2, Qwen,
Gemma), counted as in Korthikanti et al. 2022, arXiv:2205.05198, section 4. The tests hold it to
measured peaks within a tenth.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import walk_tb
from typing import Any
from weakref import WeakKeyDictionary

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from minialign.core.models.architecture import MAX_CHUNK

GIB = 2**30
PART = 32  # completions of such a pass at most, as in core/sampling
PART_BYTES = 3 * GIB  # of activations that RL's backward pass keeps: beside weights, fits 8 GB
ENDS = 14  # bytes per width outside the layers
# Bytes per element that autograd keeps: in float32, and under bfloat16 autocast, where norms and
# the residual stream stay float32. Of the vocabulary, for tokens that a loss looks at: log-softmax,
# and logits or their gradient; `chunk` are those of logits in hand, MAX_CHUNK of them at most.
KEPT = {
    torch.float32: {
        "hidden": 32, "keys": 8, "inner": 16, "scores": 8, "vocabulary": 8, "chunk": 0
    },
    torch.bfloat16: {
        "hidden": 30, "keys": 4, "inner": 8, "scores": 8, "vocabulary": 6, "chunk": 2
    },
}  # fmt: skip
# What CUDA and MPS, the CPU, Windows, and oneDNN say when memory has run out.
FULL = ("out of memory", "allocate memory", "not enough memory", "could not create a primitive")
CONFIGS: WeakKeyDictionary[torch.nn.Module, Any] = WeakKeyDictionary()  # of what a `Run` trains


@dataclass(frozen=True)
class Shape:
    """What of a model decides its memory."""

    parameters: int
    layers: int
    hidden: int
    inner: int  # width of the feed-forward layers
    heads: int
    keys: int  # width of all keys, as of all values
    vocabulary: int

    @classmethod
    def of(cls, model: PreTrainedModel) -> Shape:
        """The shape of a loaded model."""
        return cls.of_config(model.config, sum(p.numel() for p in model.parameters()))

    @classmethod
    def of_config(cls, config: PreTrainedConfig, parameters: int) -> Shape:
        """The shape that a configuration gives, whose parameters are counted elsewhere.

        Of a composite model the language model counts; a layer without heads counts as one head.
        """
        config = config.get_text_config()
        heads, hidden = getattr(config, "num_attention_heads", None) or 1, config.hidden_size
        width = getattr(config, "head_dim", None) or hidden // heads
        inner = getattr(config, "intermediate_size", None) or 4 * hidden
        inner = inner if isinstance(inner, int) else max(inner)  # one for each layer
        keys = width * (getattr(config, "num_key_value_heads", None) or heads)
        layers = config.num_hidden_layers
        return cls(parameters, layers, hidden, inner, heads, keys, config.vocab_size)


def token_bytes(shape: Shape, dtype: torch.dtype, *, length: int = 0, head: bool = True) -> float:
    """Bytes that one token keeps until the backward pass.

    Args:
        shape: of the model.
        dtype: of the multiplications: float32, or bfloat16 under autocast.
        length: of the sequences where attention keeps its scores (eager, as on the CPU); 0 where it
            does not (sdpa).
        head: whether there are logits; False for a reward or value model.
    """
    kept = KEPT[dtype]
    layer = (
        kept["hidden"] * shape.hidden
        + kept["keys"] * shape.keys
        + kept["inner"] * shape.inner
        + kept["scores"] * shape.heads * length
    )
    ends = ENDS * shape.hidden + kept["vocabulary"] * shape.vocabulary * head
    return shape.layers * layer + ends


def tokens_that_fit(budget: float, shape: Shape, dtype: torch.dtype, **where: int | bool) -> int:
    """Tokens of one backward pass whose activations take at most `budget` bytes; at least 1."""
    left = budget - KEPT[dtype]["chunk"] * MAX_CHUNK
    return max(1, int(left / token_bytes(shape, dtype, **where)))


def is_full(error: BaseException) -> bool:
    """Whether an error says that memory has run out."""
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in FULL)


@contextmanager
def advice(setting: str) -> Iterator[None]:
    """Where memory runs out before the first update, add to the error what halves the need."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_full(error):
            error.add_note(
                f"memory ran out before the first update: {setting} halves what it needs"
            )
        raise


def note_if_full(error: BaseException, *models: torch.nn.Module) -> None:
    """Where memory ran out in a loop, add to the error what halves the need of what it was doing.

    `models` are those that the loop trains, whose config its `Run` has told.
    """
    configs = [CONFIGS[model] for model in models if model in CONFIGS]
    if configs and is_full(error):
        files = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
        rooms = {file.replace("\\", "/").split("/")[-2] for file in files if file.count("/")}
        doing = "sampling" if "sampling" in rooms else "Adam" if "optim" in rooms else "an update"
        error.add_note(f"memory ran out in {doing}: {what_halves(configs[0], doing)}")


def what_halves(config: Any, doing: str) -> str:
    """What to set so that "sampling", "an update" or "Adam" needs half the memory, or less.

    >>> from minialign.algorithms.sft import SftConfig
    >>> what_halves(SftConfig(batch_size=32), "an update")
    'SftConfig(batch_size=16) in place of 32 halves what it needs'
    """
    if doing == "Adam":
        return "train adapters alone, add_lora(policy); gradients and moments are of them only"
    name, value = _half(config, doing)
    if name == "PART_BYTES":
        return f"minialign.core.models.memory.PART_BYTES = {value} halves what it keeps at a time"
    if name:
        now = getattr(config, name)
        return f"{type(config).__name__}({name}={value}) in place of {now} halves what it needs"
    return "use shorter rows, or policy.gradient_checkpointing_enable()"


def _half(config: Any, doing: str) -> tuple[str, int]:
    """The setting that decides how many tokens are held at a time, and its next value."""
    if hasattr(config, "batch_size"):
        return ("batch_size", config.batch_size // 2) if config.batch_size > 1 else ("", 0)
    if doing == "sampling":
        least = {"prompts": 1, "group_size": 2, "max_new_tokens": 1}
        fields = [(name, getattr(config, name, 0) // 2) for name in least]
        return next(((name, half) for name, half in fields if half >= least[name]), ("", 0))
    count = getattr(config, "minibatches", 0)
    if not hasattr(config, "group_size"):  # PPO, whose minibatch is one pass
        return ("minibatches", 2 * count) if 2 * count <= config.prompts else ("", 0)
    few = config.prompts * config.group_size <= PART * max(1, count)  # one part holds them all
    halves = config.prompts // 2
    if few and halves and halves * config.group_size >= count:
        return "prompts", halves
    return "PART_BYTES", PART_BYTES // 2
