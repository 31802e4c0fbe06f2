"""Fast sampling: a step reads one new token of each unfinished row and what a cache keeps.

Each prompt is read once for its group, and a finished row leaves the batch at once. Keys and values
lie in buffers with room for the tokens to come. Other states (sliding windows, recurrent layers,
convolutions) are kept in transformers' own way, where a trial shows that it holds when rows are
repeated and dropped; else there is no cache, and each step reads the whole text. Recurrent layers
read padding as text, so their prompts are never padded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from minialign.core.batching import Row, collate
from minialign.core.models.architecture import (
    is_recurrent,
    once_per_model,
    position_ids,
    reads_table,
    rounding,
    takes,
    text_config,
)

BLOCK = 32  # columns by which a full buffer grows
Draw = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]  # `sampling.draw_tokens`
Sampled = tuple[list[list[int]], list[list[float]]]  # tokens and logprobs of B completions


def read_on_from_cache(
    policy: PreTrainedModel,
    prompts: Sequence[list[int]],
    group_size: int,
    max_new_tokens: int,
    draw: Draw,
) -> Sampled:
    """Tokens and logprobs of group_size completions of each prompt, as `sampling.read_anew`."""
    rows = [Row(prompt, []) for prompt in prompts]
    batch = collate(rows, pad_id=0, side="left").to(policy.device)
    sampler = _Sampler(policy, batch.input_ids, batch.attention_mask, group_size, max_new_tokens)
    for part in _prompts_together(policy, batch.attention_mask.sum(1)):
        sampler.run(part, draw)
    return sampler.sampled()


class _Sampler:
    """The buffers of one call of `sample`: (B, prompt width + max_new_tokens), mask wider."""

    def __init__(
        self,
        policy: PreTrainedModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        group_size: int,
        max_new_tokens: int,
    ) -> None:
        self.policy, self.group = policy, group_size
        self.width = input_ids.shape[1]
        self.cached = can_cache(policy)
        pad = torch.nn.functional.pad
        self.ids = pad(input_ids.repeat_interleave(group_size, 0), (0, max_new_tokens))
        free = max_new_tokens + BLOCK  # the last block of a cache may reach further
        self.mask = pad(attention_mask.repeat_interleave(group_size, 0), (0, free))
        self.logprobs = torch.zeros(self.ids.shape, device=input_ids.device)
        self.prompt_lengths = attention_mask.sum(1).repeat_interleave(group_size)

    def run(self, prompts: Tensor, draw: Draw) -> None:
        """Sample token after token until every row of these prompts has ended or is full."""
        full, every = self.ids.shape[1], torch.arange(len(self.ids), device=self.ids.device)
        alive = every.view(-1, self.group)[prompts].flatten()  # rows in the cache, in order
        self.start = self.width - int(self.prompt_lengths[alive].max())  # padding before it
        once = alive[:: self.group], slice(self.start, self.width)  # each prompt
        logits, cache = prefill(
            self.policy, self.ids[once], self.mask[once], self.group, self.cached
        )
        for t in range(self.width, full):
            token, logprob, going = draw(logits)
            self.ids[alive, t], self.logprobs[alive, t], self.mask[alive, t] = token, logprob, 1
            if len(going) == 0 or t + 1 == full:
                return
            if len(going) < len(alive):
                if cache is not None:
                    select_rows(cache, going)
                alive = alive[going]
            logits = self._step(alive, t, cache)

    def _step(self, alive: Tensor, t: int, cache: DynamicCache | None) -> Tensor:
        """(rows, V) logits after the token at column t of the rows that are alive."""
        if cache is None:
            text = alive, slice(self.start, t + 1)
            return read(self.policy, self.ids[text], self.mask[text], None)
        free = cache.layers[0].reserve(1) if isinstance(cache.layers[0], _RoomyLayer) else 0
        mask = self.mask[alive, self.start : max(t + 1, self.start + free)]
        return read_on(self.policy, self.ids[alive, t], mask, cache)

    def sampled(self) -> Sampled:
        """Tokens and logprobs of every row's completion."""
        mask = self.mask[:, self.width : self.ids.shape[1]].bool().cpu()
        new = (self.ids[:, self.width :].cpu(), self.logprobs[:, self.width :].cpu())
        tokens, logprobs = (
            [x[m].tolist() for x, m in zip(part, mask, strict=True)] for part in new
        )
        return tokens, logprobs


def _prompts_together(policy: PreTrainedModel, lengths: Tensor) -> list[Tensor]:
    """Indices of the prompts that are sampled together: all, or those of equal length only."""
    if not is_recurrent(policy):
        return [torch.arange(len(lengths), device=lengths.device)]
    return [(lengths == length).nonzero()[:, 0] for length in lengths.unique()]


class _RoomyLayer(DynamicLayer):
    """Keys and values of one layer in buffers with room for tokens to come, BLOCK at a time.

    A new token is written into its column and a dropped row into its gap, so a step copies neither
    the columns before it nor the other rows. Attention reads the whole buffer, whose free columns
    are masked: a part of it would be copied at each step by some kernels.
    """

    def __init__(self, like: DynamicLayer, rows: int, width: int) -> None:
        super().__init__()
        self.lazy_initialization(like.keys, like.values)
        device = like.keys.device.type  # what autocast would round at every step is kept rounded
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        shapes = [(rows, x.shape[1], width, x.shape[3]) for x in (like.keys, like.values)]
        self.keys, self.values = (like.keys.new_zeros(shape, dtype=dtype) for shape in shapes)
        self.columns = width

    def put(self, rows: Tensor, prompts: DynamicLayer) -> None:
        """Write n prompts into the rows of their groups, (n, G)."""
        start = self.columns - prompts.keys.shape[2]
        for x, new in ((self.keys, prompts.keys), (self.values, prompts.values)):
            x[rows, :, start : self.columns] = new[:, None].to(x.dtype)

    def reserve(self, tokens: int) -> int:
        """Make room for more tokens where there is none; returns the columns of the buffer."""
        if self.columns + tokens > self.keys.shape[2]:
            block = (0, 0, 0, max(BLOCK, tokens))  # columns, not head widths
            self.keys, self.values = (
                torch.nn.functional.pad(x, block) for x in (self.keys, self.values)
            )
        return self.keys.shape[2]

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs):
        """Append (rows, heads, new columns, width); returns all keys and values, with free ones."""
        self.reserve(key_states.shape[2])
        start, self.columns = self.columns, self.columns + key_states.shape[2]
        self.keys[:, :, start : self.columns] = key_states
        self.values[:, :, start : self.columns] = value_states
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Tokens so far."""
        return self.columns

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns that attention reads, and the first of them."""
        return self.reserve(query_length), 0

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the rows of `sampling.gaps_filled`: only those that fill a gap are copied."""
        gaps = (indices >= len(indices)).nonzero()[:, 0]
        for x in (self.keys, self.values):
            x[gaps] = x[indices[gaps]]
        self.keys, self.values = self.keys[: len(indices)], self.values[: len(indices)]


def prefill(
    policy: PreTrainedModel, ids: Tensor, mask: Tensor, group: int, cached: bool
) -> tuple[Tensor, DynamicCache | None]:
    """(B, V) logits after the prompts, and their cache of B rows.

    Each prompt is run once for its group, and prompts of like length together, so that hardly any
    padding is computed. The cache is None if `cached` is False.
    """
    cache = DynamicCache(config=policy.config) if cached else None
    roomy = cache is not None and all(type(layer) is DynamicLayer for layer in cache.layers)
    if not roomy or reads_table(policy):
        logits = read(policy, ids, mask, cache)  # a sliding window or the like keeps its own way
        every = torch.arange(len(ids), device=ids.device).repeat_interleave(group)
        if cache is not None:
            select_rows(cache, every)
        return logits[every], cache
    every = torch.arange(len(ids) * group, device=ids.device).view(-1, group)
    for part in _of_like_length(mask.sum(1)):
        width = int(mask[part].sum(1).max())
        part_cache = DynamicCache(config=policy.config)
        logits = read(policy, ids[part, -width:], mask[part, -width:], part_cache)
        if not isinstance(cache.layers[0], _RoomyLayer):
            after = logits.new_empty(every.numel(), logits.shape[1])
            width = ids.shape[1]
            cache.layers = [_RoomyLayer(x, every.numel(), width) for x in part_cache.layers]
        after[every[part]] = logits[:, None]
        for whole, layer in zip(cache.layers, part_cache.layers, strict=True):
            whole.put(every[part], layer)
    return after, cache


def read(policy: PreTrainedModel, ids: Tensor, mask: Tensor, cache: DynamicCache | None) -> Tensor:
    """(n, V) logits after n texts, whose keys and values go into an empty cache, if any."""
    inputs = {"attention_mask": mask, "use_cache": cache is not None}
    inputs |= {} if cache is None else {"past_key_values": cache}
    extra = {"position_ids": position_ids(mask), "logits_to_keep": 1}
    inputs |= {name: value for name, value in extra.items() if takes(policy, name)}
    return policy(input_ids=ids, **inputs).logits[:, -1]


def read_on(policy: PreTrainedModel, token: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
    """(n, V) logits after one more token of n texts, (n,), whose mask is (n, T or more) with it."""
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
    attention_mask = torch.ones_like(text)
    with torch.autocast(policy.device.type, enabled=False):
        whole = [read(policy, text[:, :n], attention_mask[:, :n], None) for n in range(3, 9)]
        try:
            stepwise = [read(policy, text[:, :3], attention_mask[:, :3], cache)]
            for n, rows in zip(range(4, 9), (2, 2, 3, 3, 1), strict=True):
                one = torch.zeros(rows, dtype=torch.long, device=text.device)
                select_rows(cache, one)
                stepwise.append(read_on(policy, text[one, n - 1], attention_mask[one, :n], cache))
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError):
            return False  # a cache of another kind
    off = [(a - b).abs().mean() / b.std() for a, b in zip(stepwise, whole, strict=True)]
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
