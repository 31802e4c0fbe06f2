"""Every loop of the package at fixed lengths: seconds of a step, and memory beside its estimate.

The estimate is that of `tools.memory_needs.update_bytes` for what a loop itself holds: its models,
their training, and the activations of one backward pass. A stage of the course holds more models
beside them, for each of which `stage_bytes` adds four bytes a parameter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.gpu.measuring import Enough, Steps, peak_memory, taken
from benchmarks.gpu.models import RANK, Rows, Sizes, Spec, build, draw_rows
from minialign.algorithms.grpo import PART
from minialign.core.models import fast_dtype
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.models.loading import add_lora, parameter_counts
from minialign.core.models.memory import GIB, Shape
from minialign.core.optim import part_size
from minialign.rewards.learnt import reward_model_score
from minialign.variants.methods import method
from tools.memory_needs import update_bytes

ESSAYS = ("sft", "reward", "dpo", "grpo", "ppo")
GENERAL = ("neftune", "ipo", "kto", "rloo", "ppo_max")
PAIRED = ("reward", "dpo", "ipo")  # two sequences of a row in one backward pass
GROUPS = ("grpo", "rloo")
CRITICS = ("ppo", "ppo_max")


def even_share(
    *, completion_ids: Sequence[Sequence[int]], prompts: object = None, completions: object = None,
    **columns: object,
) -> list[float]:  # fmt: skip
    """A reward that costs nothing and differs within a group: the share of even token ids."""
    return [sum(i % 2 == 0 for i in ids) / max(1, len(ids)) for ids in completion_ids]


def with_head(kind: type[RewardModel], policy: PreTrainedModel, lora: bool) -> RewardModel:
    """A reward or value model from a policy, with adapters of its own where only they train."""
    model = kind.from_policy(policy)
    return kind(add_lora(model.body, rank=RANK)) if lora else model


def settings_of(loop: str, sizes: Sizes) -> dict[str, Any]:
    """Fields of a loop's config."""
    steps = {"steps": sizes.warm + sizes.steps}
    online = steps | {"max_new_tokens": sizes.new_tokens}
    if loop in GROUPS:
        return online | {"prompts": sizes.prompts, "group_size": sizes.group_size}
    if loop in CRITICS:
        minibatches = {"minibatches": sizes.minibatches, "epochs": 1}
        return online | {"prompts": 4 * sizes.prompts} | minibatches
    return steps | {"batch_size": sizes.batch_size}


def prepare(
    loop: str, policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Rows,
    sizes: Sizes, *, lora: bool,
) -> tuple[Callable, list[torch.nn.Module]]:  # fmt: skip
    """(the loop as a function of on_step, the models that it begins with, the trained ones first).

    PPO's frozen scorer is the last of the models.
    """
    row = method("bradley_terry" if loop == "reward" else loop)
    config = row.settings(**settings_of(loop, sizes))
    models = [with_head(RewardModel, policy, lora) if loop == "reward" else policy]
    pay, needs = even_share, {}
    if loop in CRITICS:
        scorer = RewardModel.from_policy(policy).requires_grad_(False).eval()
        pay = reward_model_score(scorer, tokenizer)
        needs = {"value_model": with_head(ValueModel, policy, lora)}
        models += [needs["value_model"], scorer]
    if loop in GROUPS + CRITICS:
        data = (rows.prompts, pay)
    elif loop in PAIRED:
        data = (rows.pairs,)
    else:
        data = (rows.demonstrations,)
    if loop == "kto":
        data += ([i % 2 == 0 for i in range(len(rows.demonstrations))],)
    train, model = row.trainer(**needs), models[0]
    return lambda on_step: train(model, tokenizer, *data, config, on_step=on_step), models


def expected(
    loop: str, sizes: Sizes, shape: Shape, *, dtype: torch.dtype = torch.float32, trained: int,
    head_trained: int = 0, part: int = PART, eager: bool = False,
) -> tuple[int, float]:  # fmt: skip
    """(sequences in one backward pass, bytes at the peak) of a loop and the models it holds.

    Args:
        loop: of ESSAYS or GENERAL.
        sizes: of its batches.
        shape: of its model.
        dtype: of the multiplications.
        trained: parameters that are trained.
        head_trained: of a critic likewise.
        part: completions of GRPO in one backward pass, by `part_size`.
        eager: whether attention keeps its scores.
    """
    same = {"dtype": dtype, "length": sizes.length if eager else 0}
    if loop in GROUPS:
        rows, frozen = min(part, sizes.prompts * sizes.group_size), 1  # the reference
    elif loop in CRITICS:
        rows, frozen = 4 * sizes.prompts // sizes.minibatches, 2  # the reference and the scorer
    else:
        rows, frozen = sizes.batch_size * (2 if loop in PAIRED else 1), 0
    tokens = rows * sizes.length
    head = loop != "reward"
    needs = update_bytes(shape, tokens, trained=trained, frozen=frozen, head=head, **same)
    total = sum(needs.values())
    if loop in CRITICS:
        total += sum(update_bytes(shape, tokens, trained=head_trained, head=False, **same).values())
    return rows, total


def measure(loop: str, spec: Spec, sizes: Sizes, device: str) -> dict[str, Any]:
    """One loop with one model: memory, estimate and seconds of a step."""
    before = taken(device)
    policy, tokenizer = build(spec, device)
    rows = draw_rows(tokenizer, policy.config.vocab_size, sizes)
    shape, eager = Shape.of(policy), policy.config._attn_implementation == "eager"
    part = part_size(policy, sizes.length, PART)
    run, models = prepare(loop, policy, tokenizer, rows, sizes, lora=spec.lora)
    del policy  # a reward model is trained without it
    trained = [parameter_counts(model)[0] for model in models]
    dtype = fast_dtype(torch.device(device))
    batch, estimate = expected(
        loop, sizes, shape, dtype=dtype, trained=trained[0], head_trained=(*trained, 0)[1],
        part=part, eager=eager,
    )  # fmt: skip
    steps = Steps(device, sizes.warm, sizes.steps, sizes.seconds)
    with peak_memory(device, models, before) as peak, contextlib.suppress(Enough):
        run(steps)
    return {
        "batch": batch, "length": sizes.length, "dtype": str(dtype).removeprefix("torch."),
        **peak.row(), "estimate_gib": round(estimate / GIB, 4),
        "ratio": round(peak.held / estimate, 3), **steps.row(),
    }  # fmt: skip
