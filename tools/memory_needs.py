"""How much memory a stage of the course needs: weights, their training, activations.

The README's table of cards is this model's, and a test holds them equal. What CUDA itself takes
(half a GiB, and fragments) is not in it.
"""

from __future__ import annotations

import torch

from minialign.core.models.memory import KEPT, MAX_CHUNK, PART_BYTES, Shape, token_bytes

ADAM = 8  # bytes of a trained parameter: two averages in float32
COPY = {torch.float32: 0, torch.bfloat16: 2}  # bytes of a parameter that autocast copies


def update_bytes(
    shape: Shape,
    tokens: int,
    *,
    dtype: torch.dtype = torch.float32,
    length: int = 0,
    head: bool = True,
    trained: int | None = None,
    frozen: int = 0,
) -> dict[str, float]:
    """Bytes at the peak of an update, by what they are for.

    Args:
        shape: of the model that is trained, with weights in float32.
        tokens: in one backward pass, padding included.
        dtype: as in `token_bytes`.
        length: as in `token_bytes`.
        head: as in `token_bytes`.
        trained: parameters that are trained; None is all (LoRA trains few).
        frozen: other models of this size that are held, such as a reference.
    """
    trained = shape.parameters if trained is None else trained
    in_hand = KEPT[dtype]["chunk"] * min(MAX_CHUNK, tokens * shape.vocabulary) * head
    return {
        "weights": 4.0 * shape.parameters * (1 + frozen),
        "gradients": 4.0 * trained,
        "optimizer": float(ADAM * trained),
        "copies": float(COPY[dtype] * shape.parameters),
        "activations": in_hand + tokens * token_bytes(shape, dtype, length=length, head=head),
    }


def stage_bytes(
    stage: str, batch_size: int, shape: Shape, length: int, dtype: torch.dtype = torch.float32
) -> float:
    """At most the bytes at a stage's peak, on a device where attention keeps no scores.

    Args:
        stage: "sft", "reward", "ppo", "dpo" or "grpo".
        batch_size: sequences in one update of fine-tuning, as a profile has it.
        shape: of its model.
        length: of the longest row, in tokens; every row is taken to be as long.
        dtype: of the multiplications.
    """

    def peak(rows: float, **which: int | bool) -> float:
        return sum(update_bytes(shape, int(rows * length), dtype=dtype, **which).values())

    if stage == "grpo":  # its update is cut into parts
        return peak(0, frozen=1) + PART_BYTES
    if stage == "ppo":  # policy and critic learn; reference and scorer are held; four minibatches
        return peak(batch_size / 2, frozen=2) + peak(batch_size / 2, head=False)
    pairs = {"reward": {"head": False, "frozen": 1}, "dpo": {"frozen": 2}}  # policy; ref., scorer
    return peak(2 * batch_size, **pairs[stage]) if stage in pairs else peak(batch_size)
