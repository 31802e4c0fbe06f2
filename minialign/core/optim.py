"""One update: optimizer, learning rate, how much fits into a backward pass, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from minialign.core.models import fast_dtype


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


def part_size(model: PreTrainedModel, width: int, most: int) -> int:
    """Sequences of `width` tokens whose backward pass keeps at most PART_BYTES, or `most`."""
    from minialign.core.models.memory import (  # not for every method
        PART_BYTES,
        Shape,
        tokens_that_fit,
    )

    length = width if model.config._attn_implementation == "eager" else 0
    dtype = fast_dtype(model.device)
    tokens = tokens_that_fit(PART_BYTES, Shape.of(model), dtype, length=length)
    return min(most, max(1, tokens // width))


def rows_together(
    lengths: Tensor, completions: Tensor, group: int, size: int, trained: PreTrainedModel | None
) -> list[Tensor]:
    """Numbers of rows that are read together, about `size` of them, groups whole if they fit.

    Args:
        lengths: (B,) tokens of each row; of B / group prompts with `group` completions each.
        completions: (B,) tokens of each completion.
        group: completions of a prompt, one after the other, which is read once for them.
        size: rows at a time.
        trained: model whose backward pass must fit into memory; None where there is none.
    """
    fit = size if trained is None else part_size(trained, int(lengths.max()), size)
    group = group if fit >= group else 1
    rows = torch.arange(len(lengths), device=lengths.device).view(-1, group)
    tokens = lengths[rows[:, 0]] + completions[rows[:, 1:]].sum(1)
    groups = size // group
    if trained is not None:
        groups = part_size(trained, int(tokens.max()), groups)
    return [rows[part].flatten() for part in tokens.argsort().split(groups)]


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
        tensor = torch.as_tensor(value).detach()
        if not tensor.isfinite().all():
            bad = f" ({tensor.item()})" if tensor.numel() == 1 else ""
            raise NonFiniteStep(
                f"step {step}, rows {', '.join(map(str, sorted(set(rows))))} (from 0, of what the "
                f"loop was given): {name} is not finite{bad}, so this update was not made; a "
                "checkpoint stands as it was last saved. Lower learning_rate, or look at the rows"
            )
