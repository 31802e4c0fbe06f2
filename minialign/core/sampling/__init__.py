"""Sampling completions, with the logprobs of what was sampled.

There are two tiers behind one name. The reference, `read_anew`, is a page that anyone can read:
every step reads every unfinished text from its first token. The fast tier (`fast`) keeps what was
read in a cache; it draws the same tokens. There is no top-k and no top-p: tokens come from exactly
the distribution whose logprobs a loss will use, so the first ratio of a policy update is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Row, collate
from minialign.core.logprobs import masked_mean, token_logprobs
from minialign.core.models import evaluating
from minialign.core.models.architecture import inputs_for, logits_at, require_positions
from minialign.core.optim import rows_together
from minialign.core.tokens import Messages, end_ids, prompt_ids

PART = 32  # completions in one forward or backward pass, fewer of a large model


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

    def parts(
        self, size: int, trained: PreTrainedModel | None = None
    ) -> list[tuple[Tensor, slice]]:
        """`size` rows of like length and the columns that they fill: `tensor[part]` of any (B, T).

        Groups stay together where they fit; of a model that is trained, so must a backward pass.
        """
        lengths = self.attention_mask.sum(1)
        parts = rows_together(lengths, self.lengths, self.group_size, size, trained)
        return [(rows, slice(int(lengths[rows].max()))) for rows in parts]

    @torch.no_grad()
    def read(self, compute: Callable[..., Tensor], *masks: Tensor, size: int = PART) -> Tensor:
        """compute(input_ids, attention_mask, *masks) of all rows, (B, T), hardly any padding."""
        values = torch.zeros(self.input_ids.shape, device=self.input_ids.device)
        given = self.input_ids, self.attention_mask, *masks
        for part in self.parts(size):
            values[part] = compute(*(tensor[part] for tensor in given)).float()
        return values

    def logprobs_under(self, model: PreTrainedModel) -> Tensor:
        """(B, T) logprobs of the completions under another model, such as the reference."""
        return self.read(partial(token_logprobs, model), self.completion_mask)

    def summary(self) -> dict[str, float]:
        """Entropy (nats per token, of samples: unbiased), length (tokens), stops (a share)."""
        return {
            "entropy": -masked_mean(self.logprobs, self.completion_mask).item(),
            "length": self.lengths.float().mean().item(),
            "stops": self.finished.float().mean().item(),
        }

    def grouped(self, values: Tensor) -> Tensor:
        """(B,) values as (P, G)."""
        return values.view(-1, self.group_size)


@torch.no_grad()
def sample(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str | Messages],
    *, group_size: int = 1, max_new_tokens: int = 64, temperature: float = 1.0,
    generator: torch.Generator | None = None, fast: bool = True,
) -> Rollout:  # fmt: skip
    """Sample `group_size` completions of each prompt.

    Args:
        policy: a causal language model; its train or eval mode is restored afterwards.
        tokenizer: with a chat template; a prompt that is a string is one user turn.
        prompts: P prompts.
        group_size: G completions of each.
        max_new_tokens: a completion is cut there, unfinished, without an end.
        temperature: > 0; 0 takes the likeliest token (logprobs are then those at temperature 1).
        generator: of random numbers, on the policy's device; None is a fresh one with seed 0.
        fast: False reads every text anew at every step, for comparison.

    Returns:
        A `Rollout` of P * group_size rows whose logprobs equal `token_logprobs` at this
        temperature. A row ends with the first token of `end_ids`.

    Raises:
        ValueError: if nothing ends a turn, prompt and completion would exceed the model's
            positions, or its logits are nan.
    """
    numbers = all(isinstance(n, int | float) for n in (group_size, max_new_tokens, temperature))
    if not numbers or group_size < 1 or max_new_tokens < 1 or temperature < 0 or not prompts:
        raise ValueError(
            f"sample got {len(prompts)} prompts, group_size={group_size!r}, max_new_tokens="
            f"{max_new_tokens!r}, temperature={temperature!r}; give numbers from 1, 1, 1 and 0"
        )
    from minialign.core.sampling.fast import read_on_from_cache  # the page needs none of it

    generator = generator or torch.Generator(policy.device).manual_seed(0)
    ends = torch.tensor(end_ids(tokenizer, policy), device=policy.device)
    rows = [prompt_ids(tokenizer, prompt) for prompt in prompts]
    require_positions(policy, max(map(len, rows)) + max_new_tokens)
    draw = partial(draw_tokens, temperature=temperature, generator=generator, ends=ends)
    tier = read_on_from_cache if fast else read_anew
    with evaluating(policy):
        tokens, logprobs = tier(policy, rows, group_size, max_new_tokens, draw)
    every = [each for each in zip(prompts, rows, strict=True) for _ in range(group_size)]
    return _rollout(tokenizer, every, tokens, logprobs, ends, group_size)


def read_anew(
    policy: PreTrainedModel, prompts: Sequence[list[int]], group_size: int, max_new_tokens: int,
    draw: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]],
) -> tuple[list[list[int]], list[list[float]]]:  # fmt: skip
    """The reference: at every step all unfinished texts are read from their first token on.

    Returns the tokens and the logprobs of B completions; `draw` is `draw_tokens`.
    """
    prompts = [prompt for prompt in prompts for _ in range(group_size)]
    tokens, logprobs = [[] for _ in prompts], [[] for _ in prompts]
    unfinished = torch.arange(len(prompts))
    for _ in range(max_new_tokens):
        rows = [Row(prompts[i], tokens[i]) for i in unfinished.tolist()]
        batch = collate(rows, pad_id=0).to(policy.device)  # what stands in padding is not read
        starts = torch.arange(0, batch.input_ids.numel(), batch.input_ids.shape[1])
        last = starts.to(policy.device) + batch.attention_mask.sum(1) - 1  # of the flattened batch
        inputs = inputs_for(policy, batch.input_ids, batch.attention_mask)
        token, logprob, going = draw(logits_at(policy, inputs, last))
        for i, t, p in zip(unfinished.tolist(), token.tolist(), logprob.tolist(), strict=True):
            tokens[i].append(t)
            logprobs[i].append(p)
        unfinished = unfinished[going.cpu()]
        if not len(unfinished):
            break
    return tokens, logprobs


def draw_tokens(
    logits: Tensor, *, temperature: float, generator: torch.Generator, ends: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, their logprobs, and who goes on: (rows, V) to (rows,), (rows,) and indices.

    Raises:
        ValueError: if logits are nan.
    """
    scale = temperature or 1.0  # of what is greedy, the logprobs are those of the policy
    logprobs = torch.log_softmax(logits.float() / scale, -1)
    if (bad := logprobs[:, 0].isnan()).any():  # one nan spoils its row
        raise ValueError(
            f"the policy's logits after {int(bad.sum())} of {len(bad)} prompts are nan, so nothing "
            "can be sampled; load weights that are finite, or in float32"
        )
    if temperature == 0:
        token = logits.argmax(-1, keepdim=True)
    else:  # where the sum of the probabilities passes a uniform number; below 1, also when rounded
        below = logprobs.exp().cumsum(-1)
        uniform = torch.rand(len(logits), 1, generator=generator, device=logits.device)
        token = torch.searchsorted(below, uniform * (1 - 2**-23) * below[:, -1:], right=True)
    going = gaps_filled(~torch.isin(token[:, 0], ends))
    return token[:, 0], logprobs.gather(-1, token)[:, 0], going


def gaps_filled(going: Tensor) -> Tensor:
    """Indices of the rows that go on; those at the end move into the gaps before them.

    Both tiers keep unfinished rows in this order, so that random numbers meet the same rows.

    >>> gaps_filled(torch.tensor([True, False, True, False, True, True])).tolist()
    [0, 5, 2, 4]
    """
    rows = going.nonzero()[:, 0]
    keep = torch.arange(len(rows), device=going.device)
    keep[~going[: len(rows)]] = rows[rows >= len(rows)].flip(0)
    return keep


def _rollout(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[tuple[str | Messages, list[int]]],
    tokens: list[list[int]], logprobs: list[list[float]], ends: Tensor, group_size: int,
) -> Rollout:  # fmt: skip
    """Prompts (words and ids) and what was sampled after them as one padded batch."""
    rows = [Row(ids, sampled) for (_, ids), sampled in zip(prompts, tokens, strict=True)]
    batch = collate(rows, tokenizer.pad_token_id)
    mask = batch.completion_mask.bool()
    per_token = torch.zeros(mask.shape)
    per_token[mask] = torch.tensor([one for row in logprobs for one in row])
    stops = set(ends.tolist())
    finished = [sampled[-1] in stops for sampled in tokens]
    words = [row[:-1] if ended else row for row, ended in zip(tokens, finished, strict=True)]
    batch = batch.to(ends.device)
    return Rollout(
        prompts=[prompt for prompt, _ in prompts],
        texts=tokenizer.batch_decode(words, skip_special_tokens=True),
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        completion_mask=batch.completion_mask,
        logprobs=per_token.to(ends.device),
        finished=torch.tensor(finished, device=ends.device),
        group_size=group_size,
    )
