"""Where causal language models differ, read from the model: layers, positions, arguments.

Nothing here goes by a model's name. What cannot work is refused in one sentence, before any work.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import LinearAttentionCacheLayerMixin

MAX_CHUNK = 1 << 22  # logits in float32 at a time: 16 MiB


def base_of(model: torch.nn.Module) -> torch.nn.Module:
    """The transformers model inside, where adapters wrap it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def body_of(policy: PreTrainedModel) -> PreTrainedModel:
    """The model without its head, whose output is one vector per token."""
    base = base_of(policy)
    if base.base_model is not base:
        return base.base_model
    return next(part for part in base.children() if isinstance(part, PreTrainedModel))


def text_config(model: torch.nn.Module) -> PreTrainedConfig | None:
    """The configuration of the language model, also where it is one of several parts.

    None for a module that has no configuration.
    """
    config = getattr(base_of(model), "config", None)
    return config.get_text_config() if isinstance(config, PreTrainedConfig) else None


def once_per_model(check: Callable[..., bool]) -> Callable[..., bool]:
    """A check that tries a model out, whose verdict is kept for each model and dtype."""
    verdicts: WeakKeyDictionary[torch.nn.Module, dict[torch.dtype, bool]] = WeakKeyDictionary()

    @functools.wraps(check)
    def verdict(model: PreTrainedModel, *args: Any) -> bool:
        by_dtype = verdicts.setdefault(model, {})
        if model.dtype not in by_dtype:
            by_dtype[model.dtype] = check(model, *args)
        return by_dtype[model.dtype]

    return verdict


def takes(model: torch.nn.Module, argument: str) -> bool:
    """Whether a model's forward names an argument; what is no transformers model may take all."""
    base = base_of(model)
    return not isinstance(base, PreTrainedModel) or (
        argument in inspect.signature(base.forward).parameters
    )


def _cache_layers(config: PreTrainedConfig) -> list:
    """What each layer keeps of the tokens before, as transformers would keep it."""
    return DynamicCache(config=config).layers


@torch.no_grad()
def without_adapters(model: torch.nn.Module) -> list[str]:
    """Names of linear layers that an adapter would break or not reach.

    They are those that put out more than a product, as some routers do, and two of a Mamba layer,
    whose weights it reads for itself.
    """
    own = [
        name
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Linear)
        and type(part).__module__.startswith("transformers.")
        and not isinstance(part(part.weight[:1]), Tensor)
    ]
    mamba = [n for n, part in model.named_modules() if {"A_log", "D"} <= part._parameters.keys()]
    return [*own, *(f"{name}.{part}" for name in mamba for part in ("dt_proj", "out_proj"))]


def is_recurrent(model: torch.nn.Module) -> bool:
    """Whether some layer carries a state from token to token, through padding and borders alike."""
    config = text_config(model)
    if config is None:
        return False
    stateful = getattr(base_of(model), "_is_stateful", False)
    return stateful or any(
        isinstance(layer, LinearAttentionCacheLayerMixin) for layer in _cache_layers(config)
    )


def window(model: torch.nn.Module) -> int | None:
    """Tokens that the layer with the shortest sight looks back; None where all see everything."""
    widths = [getattr(layer, "sliding_window", None) for layer in _cache_layers(text_config(model))]
    return min((width for width in widths if width is not None), default=None)


def position_limit(model: torch.nn.Module) -> int | None:
    """Tokens that a model with absolute positions can tell apart; None where there is no limit.

    The limit of longrope and dynamic rope is where a longer row changes every angle. Other rotary
    positions go on beyond `max_position_embeddings`, if badly; so do states and ALiBi, but for
    MPT's, which is a table of `max_seq_len`.
    """
    config = text_config(model)
    if config is None:
        return None
    rope = getattr(config, "rope_parameters", None) or {}
    parts = [rope, *(part for part in rope.values() if isinstance(part, dict))]
    switches = [
        part.get("original_max_position_embeddings") or config.max_position_embeddings
        for part in parts
        if part.get("rope_type") in ("longrope", "dynamic")
    ]
    if switches or rope or is_recurrent(model):
        return min(switches, default=None)
    names = ("max_position_embeddings", "max_seq_len")
    limits = [getattr(config, name, None) for name in names]
    return next((limit for limit in limits if limit is not None and limit > 0), None)


def reads_table(model: torch.nn.Module) -> bool:
    """Whether a model reads its mask from a table of columns, whatever positions it is given."""
    limit = position_limit(model)
    tables = (buffer.shape[-2:] for buffer in model.buffers())
    return limit is not None and (limit, limit) in tables


def rounding(dtype: torch.dtype) -> float:
    """How far, relative to their spread, logits may differ that are the same but for rounding."""
    return max(1e-3, 4 * torch.finfo(dtype).eps)


def require_positions(model: torch.nn.Module, tokens: int, positions: Tensor | None = None) -> None:
    """Raise ValueError if a model has too few positions.

    Args:
        model: a causal language model, or its body.
        tokens: of the longest row, padding included.
        positions: (B, T) position of each token, where the model is to be told: only the largest
            counts then, unless the model reads its mask from a table of its own, as GPT-Neo does.
    """
    limit = position_limit(model)
    if limit is None or tokens <= limit:
        return
    if positions is not None and takes(model, "position_ids") and not reads_table(model):
        tokens = int(positions.max()) + 1
    if tokens > limit:
        raise ValueError(
            f"a row has {tokens} tokens, but {_name(model)} has positions for {limit}: "
            "shorten the rows (max_length, or `length` of `pack`) or the replies (max_new_tokens)"
        )


def require_separable(model: torch.nn.Module, attention_mask: Tensor) -> None:
    """Raise ValueError if a model cannot keep the documents apart that share a row.

    Args:
        model: a causal language model.
        attention_mask: (B, T) number of the document that each token belongs to; 0 at padding.
    """
    config = text_config(model)
    if config is None:
        return
    reason, width = None, window(model)
    if is_recurrent(model):
        reason = "its recurrent layers carry a state from one document into the next"
    elif not _takes_block_mask(model, config):
        reason = "its positions (ALiBi) are counted over the whole row"
    elif width is not None and (longest := _longest_document(attention_mask)) > width:
        reason = f"a document has {longest} tokens, more than its window of {width}"
    if reason is not None:
        raise ValueError(
            f"{_name(model)} cannot keep packed documents apart, since {reason}; use `collate` "
            "in place of `pack`"
        )


@once_per_model
@torch.no_grad()
def _takes_block_mask(model: torch.nn.Module, config: PreTrainedConfig) -> bool:
    """Whether a model takes a mask of (B, 1, T, T); some with ALiBi count positions from (B, T)."""
    if takes(model, "position_ids") and not getattr(config, "alibi", False):
        return True
    ids = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    mask = torch.zeros(1, 1, 1, 1, dtype=model.dtype, device=model.device)
    try:
        model(input_ids=ids, attention_mask=mask, use_cache=False)
    except (IndexError, RuntimeError, ValueError):
        return False
    return True


def require_right_padding(model: torch.nn.Module, attention_mask: Tensor) -> None:
    """Raise ValueError if padding comes before a text that recurrent layers would read with it."""
    if bool((attention_mask[:, 0] == 0).any()) and is_recurrent(model):
        raise ValueError(
            f"rows are padded on the left, which the recurrent layers of {_name(model)} would "
            "read as text; pad on the right (collate's default)"
        )


def _longest_document(attention_mask: Tensor) -> int:
    numbers = range(1, int(attention_mask.max()) + 1)
    return max(int((attention_mask == number).sum(1).max()) for number in numbers)


def _name(model: torch.nn.Module) -> str:
    return type(base_of(model)).__name__


def position_ids(attention_mask: Tensor) -> Tensor:
    """(B, T) position of each token within its sequence, or within its document; 0 at padding.

    >>> position_ids(torch.tensor([[0, 0, 1, 1, 1], [1, 1, 2, 2, 0]]))
    tensor([[0, 0, 0, 1, 2],
            [0, 1, 0, 1, 0]])
    """
    columns = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    before = torch.nn.functional.pad(attention_mask[:, :-1], (1, 0), value=-1)
    starts = torch.where(attention_mask != before, columns, 0).cummax(1).values
    return torch.where(attention_mask > 0, columns - starts, 0)


def _block_mask(attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, 1, T, T) to be added to scores: a token sees its own document, up to itself."""
    same = attention_mask[:, :, None] == attention_mask[:, None, :]
    visible = same & torch.ones_like(same[0]).tril()
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill(
        ~visible, torch.finfo(dtype).min
    )[:, None]


def inputs_for(model: torch.nn.Module, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Any]:
    """What a forward pass over whole sequences is called with.

    Args:
        model: a causal language model, or its body.
        input_ids: (B, T) ids.
        attention_mask: (B, T) as `token_logprobs` takes it.

    Raises:
        ValueError: if the model would read padding or another document as text, or has too few
            positions; one sentence, before any work.
    """
    positions = position_ids(attention_mask)
    require_positions(model, attention_mask.shape[1], positions)
    require_right_padding(model, attention_mask)
    if (attention_mask > 1).any():
        require_separable(model, attention_mask)
        attention_mask = _block_mask(attention_mask, model.dtype)
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": False}
    return inputs | ({"position_ids": positions} if takes(model, "position_ids") else {})


def logits_at(model: torch.nn.Module, inputs: Mapping[str, Any], places: Tensor) -> Tensor:
    """(N, V) logits at N places of the flattened inputs.

    The head, which is wide, reads no others, so the logits of a whole batch are never held.
    """
    shape, reached = inputs["input_ids"].shape, []

    def keep(head: torch.nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not given or given[0].shape[:2] != shape:
            return None
        reached.append(head)
        return (given[0].flatten(0, 1)[places][None], *given[1:])

    head = getattr(model, "get_output_embeddings", lambda: None)()
    hook = head.register_forward_pre_hook(keep) if isinstance(head, torch.nn.Module) else None
    try:
        logits = model(**inputs).logits
    finally:
        if hook is not None:
            hook.remove()
    return logits[0] if reached else logits.flatten(0, 1)[places]


def dropouts(model: torch.nn.Module) -> list[tuple[object, str]]:
    """Where the rates of dropout stand that are not 0: (owner, name of its attribute)."""
    marks = ("dropout", "pdrop", "layerdrop")
    places = [(m, "p") for m in model.modules() if isinstance(m, torch.nn.Dropout) and m.p]
    owners = [*model.modules(), *filter(None, [getattr(model, "config", None)])]
    return places + [
        (owner, name)
        for owner in owners
        for name, value in vars(owner).items()
        if isinstance(value, float) and value and any(mark in name for mark in marks)
    ]


def disable_dropout(model: PreTrainedModel) -> PreTrainedModel:
    """Set every dropout to 0, in modules, as plain numbers in modules, and in the config."""
    for owner, name in dropouts(model):
        setattr(owner, name, 0.0)
    return model


def jitters(model: torch.nn.Module) -> list[tuple[object, str]]:
    """Where experts' inputs are multiplied by random numbers in train mode alone."""
    names = ("jitter_noise", "inputjitters_noise", "moejitters_eps")
    return [
        (m, n) for m in model.modules() for n in names if isinstance(getattr(m, n, None), float)
    ]
