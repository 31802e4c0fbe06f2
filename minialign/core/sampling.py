"""Sampling completions, with the logprobs of what was sampled.

Prompts are prefilled once and shared by their group, each step feeds one token per unfinished row
through the KV cache, and a finished row leaves the batch at once. There is no top-k and no top-p:
the tokens come from exactly the distribution whose logprobs a loss will use, so the first ratio of
a policy update is 1. Recurrent layers read padding as text, so their prompts are never padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Messages, prompt_ids
from minialign.core.fast_cache import can_cache, gaps_filled, prefill, read, read_on, select_rows
from minialign.core.logprobs import gather_logprobs
from minialign.core.models.architecture import is_recurrent, require_positions
from minialign.core.models.modes import evaluating
from minialign.core.turn_ends import end_ids


@dataclass(frozen=True)
class Rollout:
    """B = P * G sampled sequences, prompt and completion, padded on the right.

    Row p * G + g is completion g of prompt p.
    """

    prompts: list[str | Messages]  # B, each prompt repeated for its group
    texts: list[str]  # B completions without special tokens
    input_ids: Tensor  # (B, T) prompt and completion
    attention_mask: Tensor  # (B, T) 1 at real tokens
    completion_mask: Tensor  # (B, T) 1 at sampled tokens, the end of the turn included
    logprobs: Tensor  # (B, T) of the sampled tokens under the policy that sampled; 0 elsewhere
    finished: Tensor  # (B,) bool: it ended its turn before the length limit
    group_size: int

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def lengths(self) -> Tensor:
        """(B,) tokens of each completion, its end included."""
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
        max_new_tokens: a completion is cut there, unfinished, without an end.
        temperature: > 0; 0 takes the likeliest token (logprobs are then those at temperature 1).
        generator: of random numbers, on the policy's device; None is a fresh one with seed 0.

    Returns:
        A `Rollout` of P * group_size rows whose logprobs equal `token_logprobs` at this
        temperature. A row ends with the first token of `end_ids`.

    Raises:
        ValueError: if nothing ends a turn, or prompt and completion would exceed the model's
            positions.
    """
    if group_size < 1 or max_new_tokens < 1 or temperature < 0 or not prompts:
        raise ValueError(
            f"sample got {len(prompts)} prompts, group_size={group_size}, max_new_tokens="
            f"{max_new_tokens}, temperature={temperature}; use at least 1, 1, 1 and 0"
        )
    device = policy.device
    if generator is None:
        generator = torch.Generator(device).manual_seed(0)
    ends = torch.tensor(end_ids(tokenizer, policy), device=device)
    rows = [prompt_ids(tokenizer, prompt) for prompt in prompts]
    require_positions(policy, max(map(len, rows)) + max_new_tokens)
    with evaluating(policy):
        ids, mask = _left_padded(rows, tokenizer.pad_token_id, device)
        state = _Sampler(policy, tokenizer, ids, mask, group_size, max_new_tokens, ends)
        for part in _prompts_together(policy, mask.sum(1)):
            state.run(part, temperature, generator)
    return state.rollout([p for p in prompts for _ in range(group_size)], group_size)


def _left_padded(rows: list[list[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


class _Sampler:
    """The buffers of one call of `sample`, each (B, prompt width + max_new_tokens)."""

    def __init__(
        self, policy, tokenizer, ids: Tensor, mask: Tensor, group: int, new: int, ends: Tensor
    ) -> None:
        self.policy, self.tokenizer, self.ends = policy, tokenizer, ends
        self.width, self.group, self.new = ids.shape[1], group, new
        self.cached = can_cache(policy)
        room = (0, new)
        pad = torch.nn.functional.pad
        self.ids = pad(ids.repeat_interleave(group, 0), room, value=tokenizer.pad_token_id)
        self.mask = pad(mask.repeat_interleave(group, 0), room)
        self.logprobs = torch.zeros(self.ids.shape, device=ids.device)
        self.prompt_length = mask.sum(1).repeat_interleave(group)

    def run(self, prompts: Tensor, temperature: float, generator: torch.Generator) -> None:
        """Sample token after token until every row of these prompts has ended or is full."""
        full, every = self.ids.shape[1], torch.arange(len(self.ids), device=self.ids.device)
        alive = every.view(-1, self.group)[prompts].flatten()  # rows in the cache, in order
        self.start = self.width - int(self.prompt_length[alive].max())  # padding before it
        asked = alive[:: self.group], slice(self.start, self.width)
        limits = self.group, self.new, self.cached
        logits, cache = prefill(self.policy, self.ids[asked], self.mask[asked], *limits)
        if logits.isnan().any():
            raise ValueError(
                f"the policy's logits after {int(logits.isnan().any(1).sum())} of {len(logits)} "
                "prompts are nan, so nothing can be sampled; load weights that are finite, or in "
                "float32"
            )
        for t in range(self.width, full):
            token, logprob = _draw(logits, temperature, generator)
            self.ids[alive, t], self.logprobs[alive, t], self.mask[alive, t] = token, logprob, 1
            going = ~torch.isin(token, self.ends)
            left = int(going.sum())
            if left == 0 or t + 1 == full:
                return
            if left < len(alive):
                keep = gaps_filled(going)
                if cache is not None:
                    select_rows(cache, keep)
                alive = alive[keep]
            logits = self._step(alive, t, cache)

    def _step(self, alive: Tensor, t: int, cache: DynamicCache | None) -> Tensor:
        """(rows, V) logits after the token at column t of the rows that are alive."""
        mask = self.mask[alive, self.start : t + 1]
        if cache is None:
            return read(self.policy, self.ids[alive, self.start : t + 1], mask, None)
        return read_on(self.policy, self.ids[alive, t], mask, cache)

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
        finished = torch.isin(last, self.ends)
        said = completion.bool() & ~(finished[:, None] & (columns == lengths[:, None] - 1))
        sampled = [row[kept].tolist() for row, kept in zip(ids, said, strict=True)]
        return Rollout(
            prompts=prompts,
            texts=self.tokenizer.batch_decode(sampled, skip_special_tokens=True),
            input_ids=ids,
            attention_mask=mask,
            completion_mask=completion,
            logprobs=self.logprobs.gather(1, places) * mask,
            finished=finished,
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


def _prompts_together(policy: PreTrainedModel, lengths: Tensor) -> list[Tensor]:
    """Indices of the prompts that are sampled together: all, or those of equal length only."""
    if not is_recurrent(policy):
        return [torch.arange(len(lengths), device=lengths.device)]
    return [(lengths == length).nonzero()[:, 0] for length in lengths.unique()]
