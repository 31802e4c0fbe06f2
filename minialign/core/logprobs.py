"""Log-probabilities of tokens: the only place where a sequence is shifted by one.

Column t of every (B, T) tensor of this package is about token t. `token_logprobs(...)[:, t]` is log
pi(token t | tokens before t), so no loss, mask or advantage ever shifts again. Positions are
counted from the attention mask, so left padding changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from minialign.core.models.architecture import MAX_CHUNK

MAX_NATS = 20.0  # of a log-ratio whose exponential is taken as it is: verl's bound


def gather_logprobs(logits: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
    """log softmax(logits / temperature) at the target ids.

    Args:
        logits: (..., V), any float type; the log-softmax is taken in float32, a chunk of rows at a
            time, or a float32 copy of all logits would be held.
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
        dtype = torch.promote_types(part.dtype, torch.float32)
        scaled = part if temperature == 1 else part.to(dtype) / temperature
        parts.append(log_softmax(scaled, -1, dtype=dtype).gather(-1, ids[:, None])[:, 0])
    return torch.cat(parts).view(targets.shape)


def token_logprobs(
    model: torch.nn.Module, input_ids: Tensor, attention_mask: Tensor,
    completion_mask: Tensor | None = None, *, temperature: float = 1.0, share_prompts: bool = True,
) -> Tensor:  # fmt: skip
    """log pi(token t | tokens before t) for every token of a batch, or of its completions.

    Args:
        model: a causal language model of transformers.
        input_ids: (B, T) ids, padded on either side.
        attention_mask: (B, T), 0 at padding, 1 at real tokens; where documents share a row, the
            number 1, 2, ... of the document that a token belongs to, and none sees another.
        completion_mask: (B, T), 1 at tokens that are asked for; None asks for all. No logits of
            others are made, and a prompt that rows share is read once (`models.sharing`).
        temperature: logits are divided by it, as in sampling.
        share_prompts: False reads a prompt in each of its rows, to see what is saved.

    Returns:
        (B, T) float32, in nats; 0 in column 0, at padding, at the first real token, which nothing
        predicts, and at what is not asked for.

    Raises:
        ValueError: as `inputs_for` says.
    """
    from minialign.core.models.sharing import logits_before  # to be understood later

    given = input_ids, attention_mask, completion_mask
    logits, asked = logits_before(model, *given, share_prompts=share_prompts)  # (N, V), (B, T)
    logprobs = gather_logprobs(logits, input_ids[asked], temperature)
    return logprobs.new_zeros(input_ids.shape).masked_scatter(asked, logprobs)


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum over the tokens of each sequence where mask is 1; (B, T), (B, T) to (B,).

    >>> masked_sum(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[0, 1, 1]]))
    tensor([6.])
    """
    return torch.where(mask.bool(), values, 0.0).sum(-1)  # where, so that inf * 0 is no nan


def masked_mean(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Mean over the masked tokens of the batch (dim None) or of each sequence (-1); 0 of none.

    >>> masked_mean(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[0, 1, 1]]))
    tensor(3.)
    """
    inside, mask = torch.where(mask.bool(), values, 0.0), mask.to(values.dtype)
    if dim is None:
        return inside.sum() / mask.sum().clamp(min=1)
    return inside.sum(dim) / mask.sum(dim).clamp(min=1)


def bounded_exp(
    log_ratio: Tensor, exp: Callable[[Tensor], Tensor] = torch.exp, most: float = MAX_NATS
) -> Tensor:
    """exp (or expm1) of a log-ratio, which beyond `most` nats goes on along its tangent.

    float32 overflows at 89 nats, and then the gradient is nan: infinity times 0. verl clamps
    log-ratios at -20 and 20 (core_algos.py), which leaves no gradient beyond. On the tangent, whose
    slope is exp(20) = 4.85e8, a token whose ratio has exploded is still pushed the way it was.

    >>> bounded_exp(torch.tensor([-1000.0, 0.0, 20.0, 21.0]))
    tensor([0.0000e+00, 1.0000e+00, 4.8517e+08, 9.7033e+08])
    """
    return exp(log_ratio.clamp(max=most)) + math.exp(most) * torch.relu(log_ratio - most)
