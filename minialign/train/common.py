"""What every training loop shares: the optimizer and the learning-rate schedule."""

from __future__ import annotations

import contextlib

import torch


def make_optimizer(
    model: torch.nn.Module, learning_rate: float, weight_decay: float = 0.0, eps: float = 1e-8
) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, with weight decay on matrices only."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95), eps=eps, fused=True)


def linear_schedule(
    optimizer: torch.optim.Optimizer, peak: float, step: int, steps: int, warmup: int
) -> float:
    """Set the rate of this step: up linearly for `warmup` steps, then down to a twentieth.

    The rate is a function of the step alone, so a resumed run needs no state for it.
    """
    fall = max(0, step - warmup) / max(1, steps - warmup)
    rate = peak * min(1.0, (step + 1) / max(1, warmup)) * (1 - 0.95 * fall)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def fast_matmul(device: torch.device) -> contextlib.AbstractContextManager:
    """bfloat16 autocast where the hardware multiplies bfloat16 natively, else plain float32.

    For losses that need no exact logprobs: a policy ratio wants the float32 of the sampler.
    """
    native = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device.type == "cuda"
        else device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)
    )
    return torch.autocast(device.type, torch.bfloat16) if native else contextlib.nullcontext()
