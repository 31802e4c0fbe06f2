"""The optimizers of pretraining: Muon, for many small matrices at once, and AdamW for the rest."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

Optimizers = tuple[torch.optim.Optimizer, torch.optim.Optimizer]


def make_optimizers(
    model: torch.nn.Module, matrix_rate: float, vector_rate: float, weight_decay: float
) -> Optimizers:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms.

    Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) reached the loss of AdamW in less
    than half of the time here.
    """
    inner = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() != 2 or "embed" in n]
    muon = StackedMuon(inner, lr=matrix_rate, weight_decay=weight_decay)
    adamw = torch.optim.AdamW(
        others, lr=vector_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
    )
    return muon, adamw


class StackedMuon(torch.optim.Muon):
    """`torch.optim.Muon` with a tenth of its calls, bit-equal on a CPU.

    The library runs the Newton-Schulz iteration matrix by matrix: 968 calls a step for the 42 of
    tiny-base, where this makes 87. The rest of a step makes about as many as the library's Muon,
    and on a graphics card the calls of a small model take longer than its arithmetic.
    Settings and state are the library's, so either goes on from a checkpoint of the other.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict) -> None:
        for p in params:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p.grad)
        grads = [p.grad for p in params]
        buffers = [self.state[p]["momentum_buffer"] for p in params]
        torch._foreach_lerp_(buffers, grads, 1 - group["momentum"])
        nesterov = group["nesterov"]
        updates = torch._foreach_lerp(grads, buffers, group["momentum"]) if nesterov else buffers
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        stacks: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, update in enumerate(updates):
            stacks[tuple(sorted(update.shape))].append(i)
        for members in stacks.values():
            wide = [u.T if u.size(0) > u.size(1) else u for u in (updates[i] for i in members)]
            for i, update in zip(members, orthogonalise(torch.stack(wide), group), strict=True):
                p = params[i]
                update = update.T if p.size(0) > p.size(1) else update
                p.add_(update, alpha=-group["lr"] * math.sqrt(max(1, p.size(0) / p.size(1))))


def orthogonalise(matrices: Tensor, group: dict) -> Tensor:
    """Nearly the nearest matrices whose rows are orthonormal: (N, rows, columns), rows <= columns.

    The quintic Newton-Schulz iteration of Jordan et al. 2024, in bfloat16; its singular values end
    near 1, not at it.
    """
    a, b, c = group["ns_coefficients"]
    x = matrices.bfloat16()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=group["eps"])  # else it would not converge
    for _ in range(group["ns_steps"]):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x
