"""Log-probabilities of tokens: the only place where a sequence is shifted by one.

Column t of every (B, T) tensor of this package is about token t. `token_logprobs(...)[:, t]` is log
pi(token t | tokens before t), so no loss, mask or advantage ever shifts again. Positions are
counted from the attention mask, so left padding changes nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from minialign.core.models.architecture import (
    require_positions,
    require_right_padding,
    require_separable,
    takes,
)
from minialign.system.memory import MAX_CHUNK


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
    seen = same & torch.ones_like(same[0]).tril()
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(
        ~seen, torch.finfo(dtype).min
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
    given = {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": False}
    return given | ({"position_ids": positions} if takes(model, "position_ids") else {})


def gather_logprobs(logits: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
    """log softmax(logits / temperature) at the target ids.

    Args:
        logits: (..., V), any float type; the log-softmax is taken in float32, a chunk of rows at a
            time, so that no float32 copy of all logits is held where no gradient is needed.
        targets: (...) ids.
        temperature: > 0; above 1 flatter, below 1 sharper.

    Returns:
        (...) float32 (float64 for float64 logits), in nats.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, but must be > 0; for greedy use argmax")
    rows, flat = logits.flatten(0, -2), targets.flatten()
    size = max(1, MAX_CHUNK // logits.shape[-1])
    parts = []
    for part, ids in zip(rows.split(size), flat.split(size), strict=True):
        part = part if part.dtype == torch.float64 else part.float()
        parts.append(log_softmax(part / temperature, -1).gather(-1, ids[:, None])[:, 0])
    return torch.cat(parts).view(targets.shape)


def token_logprobs(
    model: torch.nn.Module, input_ids: Tensor, attention_mask: Tensor, temperature: float = 1.0
) -> Tensor:
    """log pi(token t | tokens before t) for every token of a batch.

    Args:
        model: a causal language model of transformers.
        input_ids: (B, T) ids, padded on either side.
        attention_mask: (B, T), 0 at padding, 1 at real tokens; or, where several documents share a
            row, the number 1, 2, ... of the document that a token belongs to. Documents see neither
            each other nor the positions before them.
        temperature: logits are divided by it, as in sampling.

    Returns:
        (B, T) float32, in nats; 0 in column 0, at padding, and at the first real token, which
        nothing predicts.

    Raises:
        ValueError: as `inputs_for` says.
    """
    logits = _logits(model, input_ids, attention_mask)
    # The shift is of the ids: a slice of the logits would be copied when it is flattened.
    found = gather_logprobs(logits, input_ids.roll(-1, 1), temperature)
    return _of_tokens(found, attention_mask)


def _logits(model: torch.nn.Module, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """(B, T, V): column t is about the token after t."""
    return model(**inputs_for(model, input_ids, attention_mask)).logits


def _of_tokens(found: Tensor, attention_mask: Tensor) -> Tensor:
    """(B, T) about the token after t to (B, T) about token t, 0 where nothing predicts it."""
    predicted = (attention_mask[:, 1:] == attention_mask[:, :-1]) & (attention_mask[:, 1:] > 0)
    return torch.nn.functional.pad(found[:, :-1].masked_fill(~predicted, 0.0), (1, 0))


def logprobs_and_collisions(
    model: torch.nn.Module, input_ids: Tensor, attention_mask: Tensor
) -> tuple[Tensor, Tensor]:
    """`token_logprobs`, and log sum_v pi(v)^2 at each token, a constant; (B, T) each.

    The second is the log of the chance that two draws of the next token agree, which is also the
    mean probability of the policy's own choice.
    """
    logits = _logits(model, input_ids, attention_mask)
    found = gather_logprobs(logits, input_ids.roll(-1, 1))
    with torch.no_grad():
        twice = torch.stack([log_softmax(row.float(), -1).mul(2).logsumexp(-1) for row in logits])
    return _of_tokens(found, attention_mask), _of_tokens(twice, attention_mask)


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of softmax(logits) over the last axis; (..., V) to (...).

    >>> entropy(torch.zeros(4))  # log 4
    tensor(1.3863)
    """
    logp = log_softmax(logits if logits.dtype == torch.float64 else logits.float(), -1)
    return -(logp.exp() * logp).sum(-1)


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum over the tokens of each sequence where mask is 1; (B, T), (B, T) to (B,).

    >>> masked_sum(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[0, 1, 1]]))
    tensor([6.])
    """
    return torch.where(mask.bool(), values, 0.0).sum(-1)  # where, so that inf * 0 is no nan


def masked_mean(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Mean over the masked tokens: of the batch (dim None) or of each sequence (dim=-1).

    An empty mask gives 0.

    >>> masked_mean(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[0, 1, 1]]))
    tensor(3.)
    """
    kept, mask = torch.where(mask.bool(), values, 0.0), mask.to(values.dtype)
    if dim is None:
        return kept.sum() / mask.sum().clamp(min=1)
    return kept.sum(dim) / mask.sum(dim).clamp(min=1)
