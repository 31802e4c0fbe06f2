"""The general loop's family of unpaired feedback: completions that somebody liked or did not.

KTO and BCO differ in a loss and in the reference point from which a logratio counts as a gain. The
reference is frozen, so its logprobs, of the completions and of the mismatched ones that KTO's
reference point needs, are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Batch, Row, collate, require_encoded
from minialign.core.history import History
from minialign.core.logprobs import masked_sum, token_logprobs
from minialign.core.models import fast_matmul
from minialign.core.models.references import completion_logprobs
from minialign.core.run import require_settings
from minialign.variants.loops.offline_loop import Metrics, train_offline
from minialign.variants.unpaired import kto_loss, mismatched_kl

Point = Callable[[Tensor, Callable[[], Tensor], dict[str, Any]], float]


@dataclass(frozen=True)
class UnpairedConfig:
    """Settings of `train_unpaired`."""

    steps: int = 200  # updates
    batch_size: int = 64  # completions per update; at least 2, for the reference point
    learning_rate: float = 5e-5  # peak; models of 1 B parameters want 5e-7
    warmup: int = 20  # updates until the peak, from which it falls linearly to a twentieth
    max_grad_norm: float = 1.0  # the gradient is scaled down to this norm
    seed: int = 0  # of the order of the data
    save_every: int = 50  # updates between checkpoints

    def __post_init__(self) -> None:
        require_settings(self, whole=["batch_size"], above_0=["max_grad_norm"])
        if self.batch_size < 2:
            raise ValueError("batch_size is 1, but a reference point needs 2 or more")


def mismatched_point(
    logratios: Tensor, mismatched_logratios: Callable[[], Tensor], state: dict[str, Any]
) -> float:
    """KTO's reference point: `mismatched_kl` of the batch."""
    return mismatched_kl(mismatched_logratios()).item()


def running_point(
    logratios: Tensor, mismatched_logratios: Callable[[], Tensor], state: dict[str, Any]
) -> float:
    """BCO's reference point: the mean logratio of all batches so far, in nats."""
    seen, mean = state.get("seen", 0), state.get("mean", 0.0)
    mean = (seen * mean + logratios.detach().mean().item()) / (seen + 1)
    state |= {"seen": seen + 1, "mean": mean}
    return mean


def balanced(liked: Sequence[bool]) -> tuple[float, float]:
    """Weights of liked and disliked under which the two classes count alike, the larger being 1.

    >>> balanced([True, False, False, False])
    (1.0, 0.3333333333333333)
    """
    yes = sum(liked)
    no = len(liked) - yes
    if not yes or not no:
        raise ValueError(f"{yes} liked and {no} disliked: give some of each")
    return min(1.0, no / yes), min(1.0, yes / no)


def mismatched(rows: Sequence[Row]) -> list[Row]:
    """Each prompt with the completion of the next row that has another prompt."""
    pairs = []
    for i, row in enumerate(rows):
        others = (rows[(i + k) % len(rows)] for k in range(1, len(rows)))
        other = next((o for o in others if o.prompt_ids != row.prompt_ids), None)
        if other is None:
            raise ValueError("all rows have one prompt, so none can be mismatched; give several")
        pairs.append(Row(row.prompt_ids, other.completion_ids))
    return pairs


def train_unpaired(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    liked: Sequence[bool],
    config: UnpairedConfig | None = None,
    *,
    loss: Callable[[Tensor, Tensor, float], Tensor] = kto_loss,
    point: Point = mismatched_point,
    reference: PreTrainedModel | None = None,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """Train the policy in place towards what was liked and away from what was not.

    Args:
        policy: the instruction-tuned model.
        tokenizer: for its pad id.
        rows: N encoded completions; prompts may repeat.
        liked: N, of each.
        config: settings; None is the default.
        loss: (B,) logratios, (B,) liked and the reference point to (B,); see `variants.unpaired`,
            and `balanced` for KTO's weights.
        point: the reference point in nats, a constant of the step: `mismatched_point` of KTO,
            `running_point` of BCO.
        reference: frozen; None is the policy as it is now.
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.

    Returns:
        A history of loss, kl (the reference point, in nats per completion), liked and disliked
        (mean logratios in nats), grad_norm and learning_rate.
    """
    config = config or UnpairedConfig()
    require_encoded(rows)
    if len(rows) != len(liked):
        raise ValueError(f"{len(rows)} rows and {len(liked)} labels; give one for each")
    if wrong := [label for label in liked if label not in (True, False)]:
        raise ValueError(f"a label is {wrong[0]!r}; use True (liked) or False")
    balanced(liked)  # refuses a class without rows
    pad, device = tokenizer.pad_token_id, policy.device
    start = policy if reference is None else reference
    others = mismatched(rows)
    ref_logprobs, ref_others = (
        completion_logprobs(start, [(row,) for row in part], pad)[:, 0].to(device)
        for part in (rows, others)
    )
    labels = torch.tensor([bool(label) for label in liked], device=device)
    state: dict[str, Any] = {}

    def sums(batch: Batch) -> Tensor:
        mask = batch.completion_mask
        with fast_matmul(device):
            logprobs = token_logprobs(policy, batch.input_ids, batch.attention_mask, mask)
        return masked_sum(logprobs, mask)

    def gains(batch: Batch, indices: list[int]) -> tuple[Tensor, Metrics, Metrics]:
        logratios, good = sums(batch) - ref_logprobs[indices], labels[indices]

        @torch.no_grad()
        def mismatched_logratios() -> Tensor:
            other = collate([others[i] for i in indices], pad).to(device)
            return sums(other) - ref_others[indices]

        kl = point(logratios, mismatched_logratios, state)
        classes = {"liked": logratios[good], "disliked": logratios[~good]}
        means = {name: part.mean() if len(part) else 0.0 for name, part in classes.items()}
        made_of = {"logprobs": logratios, "point": kl}
        return loss(logratios, good, kl).mean(), {"kl": kl, **means}, made_of

    return train_offline(
        "unpaired", policy, tokenizer, [(row,) for row in rows], gains, config, data=list(liked),
        state=state, reference=start, functions={"loss": loss, "point": point}, on_step=on_step,
        checkpoint_dir=checkpoint_dir,
    )  # fmt: skip
