"""What a model keeps of the tokens before, so that a step of sampling reads one token alone.

Keys and values lie in buffers with room for the tokens to come. Other states (sliding windows,
recurrent layers, convolutions) are kept in transformers' own way, where a trial shows that it holds
when rows are repeated and dropped; else there is no cache, and each step reads the whole text.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from minialign.core.logprobs import position_ids
from minialign.core.models.architecture import (
    is_recurrent,
    once_per_model,
    rounding,
    takes,
    text_config,
)


class _RoomyLayer(DynamicLayer):
    """Keys and values of one layer in buffers with room for every token to come.

    A new token is written into its column and a dropped row into its gap, so a step copies neither
    the columns before it nor the other rows.
    """

    def __init__(self, like: DynamicLayer, rows: int, width: int, room: int) -> None:
        super().__init__()
        self.lazy_initialization(like.keys, like.values)
        shapes = [(rows, x.shape[1], width + room, x.shape[3]) for x in (like.keys, like.values)]
        self.buffers = [like.keys.new_empty(shape) for shape in shapes]
        self._view(rows, width)

    def _view(self, rows: int, columns: int) -> None:
        self.keys, self.values = (x[:rows, :, :columns] for x in self.buffers)

    def put(self, rows: Tensor, prompts: DynamicLayer) -> None:
        """Write n prompts into the rows of their groups, (n, G); what is masked must be finite."""
        left = (0, 0, self.keys.shape[2] - prompts.keys.shape[2], 0)  # columns, not head widths
        for x, new in ((self.keys, prompts.keys), (self.values, prompts.values)):
            x[rows] = torch.nn.functional.pad(new, left)[:, None]

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs):
        """Append (rows, heads, new columns, width); returns all keys and values so far."""
        start = self.keys.shape[2]
        self._view(len(key_states), start + key_states.shape[2])
        self.keys[:, :, start:], self.values[:, :, start:] = key_states, value_states
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the rows of `gaps_filled`: only those that fill a gap are copied."""
        gaps = (indices >= len(indices)).nonzero()[:, 0]
        for x in (self.keys, self.values):
            x[gaps] = x[indices[gaps]]
        self._view(len(indices), self.keys.shape[2])


def prefill(
    policy: PreTrainedModel, ids: Tensor, mask: Tensor, group: int, room: int, cached: bool
) -> tuple[Tensor, DynamicCache | None]:
    """(B, V) logits after the prompts, and their cache: B rows with room for `room` tokens.

    Each prompt is run once for its group, and prompts of like length together, so that hardly any
    padding is computed. The cache is None if `cached` is False.
    """
    cache = DynamicCache(config=policy.config) if cached else None
    if cache is None or any(type(layer) is not DynamicLayer for layer in cache.layers):
        logits = read(policy, ids, mask, cache)  # a sliding window or the like keeps its own way
        every = torch.arange(len(ids), device=ids.device).repeat_interleave(group)
        if cache is not None:
            select_rows(cache, every)
        return logits[every], cache
    every = torch.arange(len(ids) * group, device=ids.device).view(-1, group)
    for part in _of_like_length(mask.sum(1)):
        width = int(mask[part].sum(1).max())
        found = DynamicCache(config=policy.config)
        logits = read(policy, ids[part, -width:], mask[part, -width:], found)
        if not isinstance(cache.layers[0], _RoomyLayer):
            after = logits.new_empty(every.numel(), logits.shape[1])
            cache.layers = [
                _RoomyLayer(layer, every.numel(), ids.shape[1], room) for layer in found.layers
            ]
        after[every[part]] = logits[:, None]
        for whole, layer in zip(cache.layers, found.layers, strict=True):
            whole.put(every[part], layer)
    return after, cache


def read(policy: PreTrainedModel, ids: Tensor, mask: Tensor, cache: DynamicCache | None) -> Tensor:
    """(n, V) logits after n texts, whose keys and values go into an empty cache, if any."""
    given = {"attention_mask": mask, "use_cache": cache is not None}
    given |= {} if cache is None else {"past_key_values": cache}
    extra = {"position_ids": position_ids(mask), "logits_to_keep": 1}
    given |= {name: value for name, value in extra.items() if takes(policy, name)}
    return policy(input_ids=ids, **given).logits[:, -1]


def read_on(policy: PreTrainedModel, token: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
    """(n, V) logits after one more token of n texts, (n,), whose mask is (n, T) with it."""
    position = {"position_ids": mask.sum(1, keepdim=True) - 1}
    out = policy(
        input_ids=token[:, None],
        attention_mask=mask,
        past_key_values=cache,
        use_cache=True,
        **(position if takes(policy, "position_ids") else {}),
    )
    return out.logits[:, -1]


def select_rows(cache: DynamicCache, rows: Tensor) -> None:
    """Keep some rows of a cache, in this order; a row may come several times."""
    for layer in cache.layers:
        if isinstance(layer, _RoomyLayer):
            layer.batch_select_indices(rows)
        else:
            layer.reorder_cache(rows)


def can_cache(policy: PreTrainedModel) -> bool:
    """Whether the policy takes a cache that holds: of keys and values, or one that was tried."""
    if not takes(policy, "past_key_values"):
        return False
    cache = DynamicCache(config=policy.config)
    attention = DynamicLayer, DynamicSlidingWindowLayer
    if all(type(layer) in attention for layer in cache.layers) and not is_recurrent(policy):
        return True
    return _holds(policy, cache)


@once_per_model
def _holds(policy: PreTrainedModel, cache: DynamicCache) -> bool:
    """Whether a short text has the logits with this cache that it has without one."""
    text = torch.arange(8, device=policy.device)[None] % text_config(policy).vocab_size
    seen = torch.ones_like(text)
    with torch.autocast(policy.device.type, enabled=False):
        whole = [read(policy, text[:, :n], seen[:, :n], None) for n in range(3, 9)]
        try:
            found = [read(policy, text[:, :3], seen[:, :3], cache)]
            for n, rows in zip(range(4, 9), (2, 2, 3, 3, 1), strict=True):
                one = torch.zeros(rows, dtype=torch.long, device=text.device)
                select_rows(cache, one)
                found.append(read_on(policy, text[one, n - 1], seen[one, :n], cache))
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError):
            return False  # a cache of another kind
    off = [(a - b).abs().mean() / b.std() for a, b in zip(found, whole, strict=True)]
    return bool(torch.stack(off).max() < rounding(policy.dtype))


def _of_like_length(lengths: Tensor) -> Iterator[Tensor]:
    """Indices of all rows in parts whose longest row is at most half as long again as the shortest.

    >>> [part.tolist() for part in _of_like_length(torch.tensor([30, 8, 10, 31, 12, 80]))]
    [[1, 2, 4], [0, 3], [5]]
    """
    order = lengths.argsort(stable=True)
    start, ordered = 0, lengths[order].tolist()
    for end in range(1, len(ordered) + 1):
        if end == len(ordered) or ordered[end] > 1.5 * ordered[start]:
            yield order[start:end]
            start = end


def gaps_filled(going: Tensor) -> Tensor:
    """Indices of the rows that go on; those at the end move into the gaps before them.

    >>> gaps_filled(torch.tensor([True, False, True, False, True, True])).tolist()
    [0, 5, 2, 4]
    """
    rows = going.nonzero()[:, 0]
    keep = torch.arange(len(rows), device=going.device)
    keep[~going[: len(rows)]] = rows[rows >= len(rows)].flip(0)
    return keep
