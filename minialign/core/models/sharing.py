"""A prompt that several completions share is read once: a fold of rows into wider ones.

A folded row is a prompt and, one after the other, the completions that follow it. Each token sees
the prompt and its own completion up to itself, a tree of which every completion is a branch, and
positions restart after the prompt in every branch. So each completion is read as if it stood alone,
and the prompt's last token predicts the first token of every branch. Known as shared-prefix
attention: Liu et al. 2025 (Prefix Grouper), arXiv:2506.05433.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from minialign.core.models import evaluating
from minialign.core.models.architecture import (
    inputs_for,
    is_recurrent,
    logits_at,
    once_per_model,
    position_ids,
    reads_table,
    require_positions,
    rounding,
    takes,
    text_config,
    window,
)

ROOM = 512  # tokens of completions in a row; attention's cost grows with the square of a row
WORTH = 0.9  # a fold that leaves more than this share of the tokens to read is not made
ATTENTION = ("eager", "sdpa")  # kinds that take any mask
Branch = tuple[int, int, int, int]  # row, its first column, tokens of the prompt, all tokens


def logits_before(
    model: torch.nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor,
    completion_mask: Tensor | None = None,
    *,
    share_prompts: bool = True,
) -> tuple[Tensor, Tensor]:
    """(N, V) logits from which the N tokens that are asked for are predicted, and which they are.

    Arguments are those of `token_logprobs`. Asked for are the completions' tokens, or all, but for
    the first of each document; (B, T) bool.
    """
    same = (attention_mask[:, 1:] == attention_mask[:, :-1]) & (attention_mask[:, 1:] > 0)
    asked = torch.nn.functional.pad(same, (1, 0))
    if completion_mask is not None:
        asked = asked & completion_mask.bool()
    own = None if completion_mask is None or not share_prompts else asked
    inputs, places = rows_to_read(model, input_ids, attention_mask, own)
    return logits_at(model, inputs, places.roll(1, 1)[asked]), asked


def rows_to_read(
    model: torch.nn.Module, input_ids: Tensor, attention_mask: Tensor, own: Tensor | None = None
) -> tuple[dict[str, Any], Tensor]:
    """`inputs_for`, and (B, T) where each token stands in what is read, flattened.

    Args:
        model: a causal language model, or its body.
        input_ids: (B, T) ids.
        attention_mask: (B, T) as `token_logprobs` takes it.
        own: (B, T) bool; what stands before a row's first such token is its prompt. A prompt that
            rows share is then read once for all of them, where that saves work and the model can.
            None reads every row as it is.
    """
    if own is not None and (fold := folded(model, input_ids, attention_mask, own)) is not None:
        return fold
    places = torch.arange(input_ids.numel(), device=input_ids.device).view_as(input_ids)
    return inputs_for(model, input_ids, attention_mask), places


def folded(
    model: torch.nn.Module, input_ids: Tensor, attention_mask: Tensor, own: Tensor
) -> tuple[dict[str, Any], Tensor] | None:
    """What a forward pass over the folded rows is called with, and where each token stands in it.

    Args:
        model: a causal language model, or its body.
        input_ids: (B, T) ids.
        attention_mask: (B, T) 1 at real tokens, 0 at padding.
        own: (B, T) bool; from its first such token on, a row is a branch of its own.

    Returns:
        The inputs of R rows of W tokens, and (B, T) places in their R * W tokens; None where
        nothing is saved, or the model cannot read a fold.

    Raises:
        ValueError: if the model has too few positions.
    """
    attention_mask = attention_mask.long()
    starts = attention_mask.diff(dim=1, prepend=torch.zeros_like(attention_mask[:, :1])) > 0
    if (attention_mask > 1).any() or (starts.sum(1) > 1).any():  # documents, or holes
        return None
    rows = list(_rows(_branches(input_ids, attention_mask, own)))
    width, tokens = max(tokens for _, tokens in rows), sum(tokens for _, tokens in rows)
    saves = tokens <= WORTH * attention_mask.sum() and len(rows) * width < input_ids.numel()
    if not saves or not reads_folds(model):
        return None
    positions = position_ids(attention_mask)
    require_positions(model, input_ids.shape[1], positions)
    places, numbers = _places(rows, width, input_ids.shape).to(input_ids.device)
    real = attention_mask > 0
    ids, position, branch = input_ids.new_zeros(3, len(rows) * width)
    branch -= 1  # padding
    for fold, plain in ((ids, input_ids), (position, positions), (branch, numbers)):
        fold[places[real]] = plain[real]
    shape = len(rows), width
    mask = _tree_mask(branch.view(shape), model.dtype)
    inputs = {"input_ids": ids.view(shape), "position_ids": position.view(shape)}
    return {**inputs, "attention_mask": mask, "use_cache": False}, places


def _branches(
    input_ids: Tensor, attention_mask: Tensor, own: Tensor
) -> dict[tuple[int, ...], list[Branch]]:
    """prompt -> the rows that begin with it. A row without a token of its own is all prompt."""
    first = attention_mask.argmax(1).tolist()
    count = attention_mask.sum(1).tolist()
    start = torch.where(own.any(1), own.long().argmax(1), input_ids.shape[1]).tolist()
    branches: dict[tuple[int, ...], list[Branch]] = {}
    for row, ids in enumerate(input_ids.tolist()):
        prompt = tuple(ids[first[row] : min(start[row], first[row] + count[row])])
        branches.setdefault(prompt, []).append((row, first[row], len(prompt), count[row]))
    return branches


def _rows(branches: dict[tuple[int, ...], list[Branch]]) -> Iterator[tuple[list[Branch], int]]:
    """Branches that share a folded row, and its tokens; a new row where completions fill one."""
    for prompt, members in branches.items():
        part: list[Branch] = []
        tokens = 0
        for branch in members:
            new = branch[3] - len(prompt)
            if part and tokens + new > ROOM:
                yield part, len(prompt) + tokens
                part, tokens = [], 0
            part.append(branch)
            tokens += new
        yield part, len(prompt) + tokens


def _places(rows: list[tuple[list[Branch], int]], width: int, shape: tuple[int, int]) -> Tensor:
    """(2, B, T): where each token stands in the folded rows, and its branch; 0 is the prompt."""
    places, numbers = both = torch.zeros(2, *shape, dtype=torch.long)
    for i, (part, _) in enumerate(rows):
        start = i * width
        free = start + part[0][2]
        for k, (row, first, prompt, count) in enumerate(part, start=1):
            branch, end = first + prompt, first + count
            places[row, first:branch] = torch.arange(start, start + prompt)
            places[row, branch:end] = torch.arange(free, free + end - branch)
            numbers[row, branch:end] = k
            free += end - branch
    return both


def _tree_mask(branch: Tensor, dtype: torch.dtype) -> Tensor:
    """(R, 1, W, W) to be added to scores, of (R, W) numbers of branches: 0 prompt, -1 padding.

    >>> (_tree_mask(torch.tensor([[0, 1, 1, 2]]), torch.float32)[0, 0] == 0).int()
    tensor([[1, 0, 0, 0],
            [1, 1, 0, 0],
            [1, 1, 1, 0],
            [1, 0, 0, 1]], dtype=torch.int32)
    """
    same = branch[:, :, None] == branch[:, None, :]
    visible = (same | (branch == 0)[:, None, :]).tril()
    mask = torch.zeros(visible.shape, dtype=dtype, device=branch.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]


def reads_folds(model: torch.nn.Module) -> bool:
    """Whether a model, or a body, sees what the mask of a fold lets it see, at given positions.

    Not so with recurrent layers, windows, masks or positions counted over the whole row, and kinds
    of attention that take no such mask.
    """
    config = text_config(model)
    if config is None or not takes(model, "position_ids") or is_recurrent(model):
        return False
    if window(model) is not None or reads_table(model):
        return False
    if getattr(config, "_attn_implementation", "eager") not in ATTENTION:
        return False
    return _reads_alike(model)


@once_per_model
@torch.no_grad()
def _reads_alike(model: torch.nn.Module) -> bool:
    """Whether a short fold is read as its rows are one by one."""
    size = text_config(model).vocab_size
    ids = torch.tensor([[1, 2, 3, 4, 5, 6], [1, 2, 3, 7, 8, 9]], device=model.device) % size
    places, numbers = _places([([(0, 0, 3, 6), (1, 0, 3, 6)], 9)], 9, ids.shape).to(ids.device)
    order = torch.tensor([0, 1, 2, 3, 4, 5, 9, 10, 11], device=ids.device)
    fold = {
        "input_ids": ids.flatten()[order][None],
        "position_ids": (order % 6)[None],
        "attention_mask": _tree_mask(numbers.flatten()[order][None], model.dtype),
        "use_cache": False,
    }
    with evaluating(model), torch.autocast(model.device.type, enabled=False):
        alone = _output(model(**inputs_for(model, ids, torch.ones_like(ids)))).flatten(0, 1)
        try:
            together = _output(model(**fold))[0][places.flatten()]
        except (IndexError, RuntimeError, TypeError, ValueError):
            return False
    off = (alone - together).abs().mean() / alone.std()
    return bool(off < rounding(model.dtype))


def _output(out: Any) -> Tensor:
    """(B, T, V) logits of a language model, or (B, T, d) of a body."""
    return out.logits if "logits" in out else out.last_hidden_state
