"""What training loops share: optimizer, learning rate, when to save, and sums over completions."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Batch, Row, collate
from minialign.core.checkpoint import fingerprint, weights_digest
from minialign.core.logprobs import masked_sum, token_logprobs
from minialign.core.models.modes import evaluating
from minialign.rewards.contract import Reward, reward_identity
from minialign.system.memory import PART_BYTES, Shape, tokens_that_fit
from minialign.variants.preference_scores import length_desensitised


def make_optimizer(
    model: torch.nn.Module, learning_rate: float, weight_decay: float = 0.0, eps: float = 1e-8
) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, with weight decay on matrices only.

    A step frees the gradients, so that a trained model that is kept holds its weights alone.

    Raises:
        ValueError: if no parameter is trainable, or one is not finite already.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise ValueError(
            "no parameter of the model is trainable; set requires_grad_(True), or load an adapter "
            "with load_policy, which leaves it trainable"
        )
    if bad := [name for name, p in model.named_parameters() if not p.isfinite().all()]:
        raise ValueError(
            f"the model's weights are not finite before any step ({bad[0]}, {len(bad)} in all); "
            "load it anew from where they are"
        )
    if rounded := {str(p.dtype) for p in trainable} & {"torch.bfloat16", "torch.float16"}:
        warnings.warn(
            f"trainable weights are {rounded.pop().removeprefix('torch.')}: steps that are small "
            "beside a weight are lost in rounding; load the model in float32, the loops multiply "
            "in bfloat16 by themselves where the hardware does",
            stacklevel=3,
        )
    groups = [
        {"params": [p for p in trainable if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    adam = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95), eps=eps, fused=True)
    adam.register_step_post_hook(lambda optimizer, *_: optimizer.zero_grad(set_to_none=True))
    return adam


def linear_schedule(
    optimizer: torch.optim.Optimizer, peak: float, step: int, steps: int, warmup: int
) -> float:
    """Set the rate of this step: up linearly for `warmup` steps, then down to a twentieth.

    A warmup that is longer than the run is cut to half of it, or the peak would never come. The
    rate is a function of the step alone, so a resumed run needs no state for it.
    """
    warmup = warmup if warmup <= steps else steps // 2
    fall = max(0, step - warmup) / max(1, steps - warmup)
    rate = peak * min(1.0, (step + 1) / max(1, warmup)) * (1 - 0.95 * fall)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, else float32."""
    native = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device.type == "cuda"
        else device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)
    )
    return torch.bfloat16 if native else torch.float32


def fast_matmul(device: torch.device) -> contextlib.AbstractContextManager:
    """Autocast to `fast_dtype`.

    Where logprobs are compared, both sides need it: an update in bfloat16 on samples in float32
    reads rounded weights, which small steps do not move, while the sampler's do. GRPO on
    SmolLM2-135M then left its samples (`off` .03 to .5 in 12 steps) and collapsed. Not to be nested
    in another autocast, whose copies of the weights would outlive a step.
    """
    dtype = fast_dtype(device)
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)


def part_size(model: PreTrainedModel, width: int, most: int) -> int:
    """Sequences of `width` tokens whose backward pass keeps at most PART_BYTES, or `most`."""
    length = width if model.config._attn_implementation == "eager" else 0
    dtype = fast_dtype(model.device)
    tokens = tokens_that_fit(PART_BYTES, Shape.of(model), dtype, length=length)
    return min(most, max(1, tokens // width))


class NonFiniteStep(ArithmeticError):
    """An update whose numbers are not finite; it was not made."""


def refuse_non_finite(step: int, rows: Sequence[int], **values: Tensor | float) -> None:
    """Stop before an update that would make every weight nan.

    Args:
        step: its number, from 0.
        rows: numbers of the rows in its batch, from 0 in what the loop was given.
        values: by name, in the order in which they were computed: the first that is not finite is
            the nearest to the cause.

    Raises:
        NonFiniteStep: if one is not finite; the message names step, rows and value.
    """
    for name, value in values.items():
        found = torch.as_tensor(value).detach()
        if not found.isfinite().all():
            bad = f" ({found.item()})" if found.numel() == 1 else ""
            raise NonFiniteStep(
                f"step {step}, rows {', '.join(map(str, sorted(set(rows))))} (from 0, of what the "
                f"loop was given): {name} is not finite{bad}, so this update was not made; a "
                "checkpoint stands as it was last saved. Lower learning_rate, or look at the rows"
            )


def due(step: int, config: Any) -> bool:
    """Whether a loop saves after `step` updates: every `save_every`, and at the end."""
    return step % config.save_every == 0 or step == config.steps


def run_settings(
    loop: str,
    config: Any,
    data: Any,
    *,
    model: torch.nn.Module | None = None,
    reference: torch.nn.Module | None = None,
    rewards: Mapping[str, Reward] | None = None,
) -> dict[str, Any]:
    """What a checkpoint is known by: the loop, its settings, and digests of all that it reads.

    Args:
        loop: its name.
        config: its dataclass.
        data: rows, labels and columns.
        model: whose frozen weights count, below an adapter.
        reference: all of whose weights count.
        rewards: whose names count, those of watched ones too.
    """
    known = {"loop": loop, **asdict(config), "data": fingerprint(data)}
    if model is not None:
        known["frozen"] = weights_digest(model, frozen_only=True)
        configs = [vars(m).get("peft_config", {}) for m in model.modules()]
        known["adapters"] = [
            [c.r, c.lora_alpha, c.use_rslora] for one in configs for c in one.values()
            if hasattr(c, "lora_alpha")
        ]  # fmt: skip
    if reference is not None:
        known["reference"] = weights_digest(reference)
    if rewards is not None:
        known["paid_by"] = {name: reward_identity(one) for name, one in rewards.items()}
    return known


def fast_logprobs(model: torch.nn.Module, batch: Batch) -> Tensor:
    """(B, T) `token_logprobs` with `fast_matmul`, for sums that are compared with a reference's.

    Where that is bfloat16, a completion's sum is off by 0.05 nats on average: little beside margins
    of several nats.
    """
    with fast_matmul(batch.input_ids.device):
        return token_logprobs(model, batch.input_ids, batch.attention_mask)


def completion_sums(logprobs: Tensor, batch: Batch, k: int = 1, tail: float = 1.0) -> Tensor:
    """(B * K, T) logprobs to (B, K) sums over completions.

    With `tail` below 1 a token counts less where it lies beyond the shortest of the ranking.
    """
    mask = batch.completion_mask
    if tail == 1.0:
        return masked_sum(logprobs, mask).view(-1, k)
    shortest = mask.view(-1, k, mask.shape[1]).sum(2).min(1).values.repeat_interleave(k)
    shared = torch.arange(mask.shape[1], device=mask.device) < shortest[:, None]
    return length_desensitised(logprobs, mask, shared.long(), alpha=tail).view(-1, k)


@torch.no_grad()
def reference_sums(
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rankings: Sequence[Sequence[Row]],
    *,
    tail: float = 1.0,
    size: int = 128,
) -> Tensor:
    """(N, K) summed logprobs of all completions under the reference, like lengths together.

    `size` completions are read at a time.
    """
    k = len(rankings[0])
    found = torch.zeros(len(rankings), k, device=reference.device)
    order = sorted(range(len(rankings)), key=lambda i: max(map(len, rankings[i])))
    step = max(1, size // k)
    with evaluating(reference):
        for start in tqdm(range(0, len(order), step), "reference", leave=False):
            indices = order[start : start + step]
            rows = [row for i in indices for row in rankings[i]]
            batch = collate(rows, tokenizer.pad_token_id).to(reference.device)
            found[indices] = completion_sums(fast_logprobs(reference, batch), batch, k, tail)
    return found
