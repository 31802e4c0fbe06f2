"""Sampling completions, with the logprobs of what was sampled.

Prompts are prefilled once and shared by their group, each step feeds one token per unfinished row
through the KV cache, and a finished row leaves the batch at once. There is no top-k and no top-p:
the tokens come from exactly the distribution whose logprobs a loss will use, so the first ratio of
a policy update is 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicLayer

from minialign.batching import Messages, prompt_ids
from minialign.logprobs import gather_logprobs, position_ids
from minialign.modes import evaluating


@dataclass(frozen=True)
class Rollout:
    """B = P * G sampled sequences, prompt and completion, padded on the right.

    Row p * G + g is completion g of prompt p.
    """

    prompts: list[str | Messages]  # B, each prompt repeated for its group
    texts: list[str]  # B completions without special tokens
    input_ids: Tensor  # (B, T) prompt and completion
    attention_mask: Tensor  # (B, T) 1 at real tokens
    completion_mask: Tensor  # (B, T) 1 at sampled tokens, EOS included
    logprobs: Tensor  # (B, T) of the sampled tokens under the policy that sampled; 0 elsewhere
    finished: Tensor  # (B,) bool: it ended with EOS before the length limit
    group_size: int

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def lengths(self) -> Tensor:
        """(B,) tokens of each completion, EOS included."""
        return self.completion_mask.sum(1)

    @property
    def completion_ids(self) -> list[list[int]]:
        """The sampled tokens of each completion, its end included; B lists."""
        rows = zip(self.input_ids, self.completion_mask.bool(), strict=True)
        return [ids[sampled].tolist() for ids, sampled in rows]

    def grouped(self, values: Tensor) -> Tensor:
        """(B,) values as (P, G)."""
        return values.view(-1, self.group_size)

    def groups(self, which: Sequence[int]) -> Rollout:
        """The rollout of some prompts only, by their numbers."""
        rows = [p * self.group_size + g for p in which for g in range(self.group_size)]
        tensors = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        lists = {name: [getattr(self, name)[i] for i in rows] for name in ("prompts", "texts")}
        return replace(self, **tensors, **lists)


@torch.no_grad()
def sample(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str | Messages],
    *,
    group_size: int = 1,
    max_new_tokens: int = 64,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Rollout:
    """Sample `group_size` completions of each prompt.

    Args:
        policy: a causal language model; its train or eval mode is restored afterwards.
        tokenizer: with a chat template; a prompt that is a string is one user turn.
        prompts: P prompts.
        group_size: G completions of each.
        max_new_tokens: a completion is cut there, unfinished, without EOS.
        temperature: > 0; 0 takes the likeliest token (logprobs are then those at temperature 1).
        generator: of random numbers, on the policy's device; None is a fresh one with seed 0.

    Returns:
        A `Rollout` of P * group_size rows whose logprobs equal `token_logprobs` at this
        temperature.
    """
    if group_size < 1 or max_new_tokens < 1 or temperature < 0 or not prompts:
        raise ValueError(
            f"sample got {len(prompts)} prompts, group_size={group_size}, max_new_tokens="
            f"{max_new_tokens}, temperature={temperature}; use at least 1, 1, 1 and 0"
        )
    device = policy.device
    if generator is None:
        generator = torch.Generator(device).manual_seed(0)
    rows = [prompt_ids(tokenizer, prompt) for prompt in prompts]
    with evaluating(policy):
        ids, mask = _left_padded(rows, tokenizer.pad_token_id, device)
        state = _Sampler(policy, tokenizer, ids, mask, group_size, max_new_tokens)
        state.run(temperature, generator)
    return state.rollout([p for p in prompts for _ in range(group_size)], group_size)


def _left_padded(rows: list[list[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


class _Sampler:
    """The buffers of one call of `sample`, each (B, prompt width + max_new_tokens)."""

    def __init__(self, policy, tokenizer, ids: Tensor, mask: Tensor, group: int, new: int) -> None:
        self.policy, self.tokenizer, self.width = policy, tokenizer, ids.shape[1]
        self.logits, self.cache = _prefill(policy, ids, mask, group, new)
        room = (0, new)
        pad = torch.nn.functional.pad
        self.ids = pad(ids.repeat_interleave(group, 0), room, value=tokenizer.pad_token_id)
        self.mask = pad(mask.repeat_interleave(group, 0), room)
        self.logprobs = torch.zeros(self.ids.shape, device=ids.device)
        self.prompt_length = mask.sum(1).repeat_interleave(group)

    def run(self, temperature: float, generator: torch.Generator) -> None:
        """Sample token after token until every row has ended or is full."""
        eos, full = self.tokenizer.eos_token_id, self.ids.shape[1]
        alive = torch.arange(len(self.ids), device=self.ids.device)  # rows in the cache, in order
        for t in range(self.width, full):
            token, logprob = _draw(self.logits, temperature, generator)
            self.ids[alive, t], self.logprobs[alive, t], self.mask[alive, t] = token, logprob, 1
            going = token != eos
            left = int(going.sum())
            if left == 0 or t + 1 == full:
                return
            if left < len(alive):
                keep = _gaps_filled(going)
                self.cache.batch_select_indices(keep)
                alive, token = alive[keep], token[keep]
            self.logits = self._step(alive, token, t)

    def _step(self, alive: Tensor, token: Tensor, t: int) -> Tensor:
        """(rows, V) logits after feeding one token at column t to the rows that are alive."""
        position = self.prompt_length[alive] + t - self.width
        out = self.policy(
            input_ids=token[:, None],
            attention_mask=self.mask[alive, : t + 1],
            position_ids=position[:, None],
            past_key_values=self.cache,
            use_cache=True,
        )
        return out.logits[:, -1]

    def rollout(self, prompts: list, group_size: int) -> Rollout:
        """What was sampled; every row is moved to column 0, so that padding is on the right."""
        lengths = self.mask.sum(1)
        longest = int(lengths.max())
        columns = torch.arange(longest, device=lengths.device)
        mask = (columns < lengths[:, None]).long()
        start = (self.width - self.prompt_length)[:, None]  # padding before the prompt
        places = (columns + start).clamp(max=self.ids.shape[1] - 1)
        ids = self.ids.gather(1, places).masked_fill(mask == 0, self.tokenizer.pad_token_id)
        completion = mask * (columns >= self.prompt_length[:, None])
        last = ids.gather(1, lengths[:, None] - 1)[:, 0]
        sampled = [row[kept].tolist() for row, kept in zip(ids, completion.bool(), strict=True)]
        return Rollout(
            prompts=prompts,
            texts=self.tokenizer.batch_decode(sampled, skip_special_tokens=True),
            input_ids=ids,
            attention_mask=mask,
            completion_mask=completion,
            logprobs=self.logprobs.gather(1, places) * mask,
            finished=last == self.tokenizer.eos_token_id,
            group_size=group_size,
        )


def _draw(logits: Tensor, temperature: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One token per row and its logprob; (rows, V) to (rows,), (rows,)."""
    if temperature == 0:
        token = logits.argmax(-1)
        return token, gather_logprobs(logits, token)
    probs = torch.softmax(logits.float() / temperature, -1)
    token = torch.multinomial(probs, 1, generator=generator)[:, 0]
    return token, gather_logprobs(logits, token, temperature)


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
        """Keep the rows of `_gaps_filled`: only those that fill a gap are copied."""
        gaps = (indices >= len(indices)).nonzero()[:, 0]
        for x in (self.keys, self.values):
            x[gaps] = x[indices[gaps]]
        self._view(len(indices), self.keys.shape[2])


def _prefill(
    policy: PreTrainedModel, ids: Tensor, mask: Tensor, group: int, room: int
) -> tuple[Tensor, DynamicCache]:
    """(B, V) logits after the prompts, and their cache: B rows with room for `room` tokens.

    Each prompt is run once for its group, and prompts of like length together, so that hardly any
    padding is computed.
    """
    cache = DynamicCache(config=policy.config)
    if any(type(layer) is not DynamicLayer for layer in cache.layers):
        logits = _read(policy, ids, mask, cache)  # a sliding window or the like keeps its own way
        cache.batch_repeat_interleave(group)
        return logits.repeat_interleave(group, 0), cache
    every = torch.arange(len(ids) * group, device=ids.device).view(-1, group)
    for part in _of_like_length(mask.sum(1)):
        width = int(mask[part].sum(1).max())
        found = DynamicCache(config=policy.config)
        logits = _read(policy, ids[part, -width:], mask[part, -width:], found)
        if not isinstance(cache.layers[0], _RoomyLayer):
            after = logits.new_empty(every.numel(), logits.shape[1])
            cache.layers = [
                _RoomyLayer(layer, every.numel(), ids.shape[1], room) for layer in found.layers
            ]
        after[every[part]] = logits[:, None]
        for whole, layer in zip(cache.layers, found.layers, strict=True):
            whole.put(every[part], layer)
    return after, cache


def _read(policy: PreTrainedModel, ids: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
    """(n, V) logits after n prompts, whose keys and values go into an empty cache."""
    return policy(
        input_ids=ids,
        attention_mask=mask,
        position_ids=position_ids(mask),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]


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


def _gaps_filled(going: Tensor) -> Tensor:
    """Indices of the rows that go on; those at the end move into the gaps before them.

    >>> _gaps_filled(torch.tensor([True, False, True, False, True, True])).tolist()
    [0, 5, 2, 4]
    """
    rows = going.nonzero()[:, 0]
    keep = torch.arange(len(rows), device=going.device)
    keep[~going[: len(rows)]] = rows[rows >= len(rows)].flip(0)
    return keep
