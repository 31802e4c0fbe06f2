"""What is compared with TRL from token ids to the gradient of all weights, on one tiny model.

TRL's own collators pad, its fused head takes the logprobs in float32, and its trainers' methods
average; minialign has `collate`, `token_logprobs` and a loss. A shift or a mask that is off by one
on either side shows here and nowhere in a comparison from logprobs on.
"""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from functools import cache
from types import SimpleNamespace

import torch
from torch import Generator, Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
from trl.trainer.utils import add_fused_lm_head, pad

from benchmarks import trl_calls as trl
from benchmarks.parity_cases import Case, Draw
from minialign.algorithms.dpo import dpo_loss
from minialign.algorithms.grpo import grpo_loss
from minialign.algorithms.sft import cross_entropy
from minialign.core.batching import Batch, Row, collate
from minialign.core.logprobs import masked_sum, token_logprobs
from minialign.variants.averages import sequence_mean

WHOLE = "From token ids to the gradient of all weights"
WORDS, PAD, BETA = 23, 0, 0.04
FIELDS = ("log_probs", "entropy", "mean_logits", "is_top1")


@cache
def tiny_model() -> LlamaForCausalLM:
    """A Llama of two layers that also has TRL's head; called without it, it is as it was."""
    config = LlamaConfig(
        vocab_size=WORDS, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=32, initializer_range=0.5, pad_token_id=PAD,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
    add_fused_lm_head(model, outputs=FIELDS)
    return model


def texts(generator: Generator) -> Draw:
    """2 to 8 rows, two after each prompt; prompts and completions of 1 to 7 tokens."""

    def some() -> list[int]:
        length = int(torch.randint(1, 8, (), generator=generator))
        return torch.randint(1, WORDS, (length,), generator=generator).tolist()

    rows = []
    for _ in range(int(torch.randint(1, 5, (), generator=generator))):
        prompt = some()
        rows += [Row(prompt, some()), Row(prompt, some())]
    size = (len(rows), 7)
    model = tiny_model()
    leaves = {f"weight_{i}": weight for i, weight in enumerate(model.parameters())}
    return SimpleNamespace(
        model=model, rows=rows, temperature=1.0, **leaves, leaves=tuple(leaves),
        ref_sums=-3 * torch.rand(len(rows) // 2, 2, generator=generator),
        old=-3 * torch.rand(size, generator=generator),
        ref=-3 * torch.rand(size, generator=generator),
        advantages=torch.randn(len(rows), generator=generator),
    )  # fmt: skip


def ours(d: Draw) -> tuple[Batch, Tensor]:
    """A batch as the loops make it, and the logprobs of its tokens."""
    batch = collate(d.rows, PAD)
    logprobs = token_logprobs(
        d.model, batch.input_ids, batch.attention_mask, temperature=d.temperature
    )
    return batch, logprobs


def sft_loss(d: Draw) -> Tensor:
    """The loss of `train_sft`."""
    batch, logprobs = ours(d)
    return cross_entropy(logprobs, batch.completion_mask).sum() / batch.completion_mask.sum()


def sft_by_trl(d: Draw) -> Tensor:
    """TRL's, of labels that its data preparation would make."""
    examples = [
        {"input_ids": row.ids, "labels": [-100] * len(row.prompt_ids) + row.completion_ids}
        for row in d.rows
    ]
    return trl.sft_of(d.model, DataCollatorForLanguageModeling(pad_token_id=PAD)(examples))


def preference(d: Draw) -> Tensor:
    """The loss of `train_dpo`."""
    batch, logprobs = ours(d)
    sums = masked_sum(logprobs, batch.completion_mask).view(-1, 2)
    return dpo_loss(*(sums - d.ref_sums).unbind(1)).mean()


def preference_by_trl(d: Draw) -> Tensor:
    """TRL's, collated by it."""
    examples = [
        {
            "prompt_ids": chosen.prompt_ids, "chosen_ids": chosen.completion_ids,
            "rejected_ids": rejected.completion_ids, "ref_chosen_logps": ref[0],
            "ref_rejected_logps": ref[1],
        }
        for chosen, rejected, ref in zip(
            d.rows[::2], d.rows[1::2], d.ref_sums.tolist(), strict=True
        )
    ]  # fmt: skip
    return trl.dpo_of(d.model, DataCollatorForPreference(pad_token_id=PAD)(examples), "sigmoid")


def group(d: Draw) -> Tensor:
    """The loss of `train_grpo`."""
    batch, logprobs = ours(d)
    old, ref = torch.zeros_like(logprobs), torch.zeros_like(logprobs)
    for i, row in enumerate(d.rows):
        place = slice(len(row.prompt_ids), len(row))
        old[i, place] = d.old[i, : len(row.completion_ids)]
        ref[i, place] = d.ref[i, : len(row.completion_ids)]
    advantages = d.advantages[:, None].expand_as(logprobs)
    per_token = grpo_loss(logprobs, old, ref, advantages, beta=BETA)
    mask = batch.completion_mask
    return (sequence_mean(mask, trl.LIMIT) * per_token * mask).sum()


def group_by_trl(d: Draw) -> Tensor:
    """TRL's: prompts padded on the left, completions on the right."""

    def padded(side: str, ids: list[list[int]]) -> tuple[Tensor, Tensor]:
        whole = [torch.tensor(one) for one in ids]
        ones = [torch.ones_like(one) for one in whole]
        return tuple(pad(x, padding_value=0, padding_side=side) for x in (whole, ones))

    prompts, prompt_mask = padded("left", [row.prompt_ids for row in d.rows])
    ids, mask = padded("right", [row.completion_ids for row in d.rows])
    trainer = trl.stand_in()
    trainer.accelerator.autocast = nullcontext
    untimed = inspect.unwrap(GRPOTrainer._get_per_token_logps_and_entropies)
    logprobs = untimed(
        trainer, d.model, torch.cat([prompts, ids], 1), torch.cat([prompt_mask, mask], 1),
        ids.shape[1],
    )[0]  # fmt: skip
    width = slice(ids.shape[1])
    return trl.policy_gradient(
        logprobs, d.old[:, width], d.advantages, mask, d.ref[:, width], beta=BETA
    )


F32 = torch.float32
MODELS = (
    Case(WHOLE, "`collate`, `token_logprobs`, `cross_entropy`", "SFT, collator and fused head",
         texts, sft_loss, sft_by_trl, ("sft",), dtype=F32),
    Case(WHOLE, "`collate`, `token_logprobs`, `dpo_loss`", "DPO, collator and fused head",
         texts, preference, preference_by_trl, ("dpo",), dtype=F32),
    Case(WHOLE, "`collate`, `token_logprobs`, `grpo_loss`", "GRPO, left padding and fused head",
         texts, group, group_by_trl, ("grpo",), dtype=F32),
)  # fmt: skip
