"""Learning from unpaired feedback: completions that somebody liked or did not.

One loop for KTO and BCO. The reference is frozen, so its logprobs, of the completions and of the
mismatched ones that KTO's reference point needs, are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Row, collate, length_batches, require_encoded
from minialign.core.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from minialign.core.history import History
from minialign.core.models.modes import training
from minialign.core.optim import (
    completion_sums,
    due,
    fast_logprobs,
    linear_schedule,
    make_optimizer,
    reference_sums,
    refuse_non_finite,
    run_settings,
)
from minialign.variants.unpaired import bco_loss, kto_loss, mismatched_kl

LOSSES = ("kto", "bco")


@dataclass(frozen=True)
class UnpairedConfig:
    """Settings of `train_unpaired`."""

    steps: int = 200  # updates
    batch_size: int = 64  # completions per update; at least 2, for the reference point
    learning_rate: float = 5e-5  # peak; models of 1 B parameters want 5e-7
    warmup: int = 20  # updates until the peak, from which it falls linearly to a twentieth
    loss: str = "kto"  # or bco
    beta: float = 0.1  # a larger one keeps the policy nearer to the reference
    liked_weight: float = 1.0  # KTO's alone: lambda_D
    disliked_weight: float = 1.0  # KTO's alone: lambda_U
    max_grad_norm: float = 1.0  # the gradient is scaled down to this norm
    seed: int = 0  # of the order of the data
    save_every: int = 50  # updates between checkpoints

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}; use one of {', '.join(LOSSES)}")
        if min(self.steps, self.save_every) < 1 or self.batch_size < 2:
            raise ValueError(
                f"steps={self.steps}, save_every={self.save_every}, batch_size={self.batch_size}: "
                "use 1, 1 and 2 or more"
            )
        if self.loss == "bco" and (self.liked_weight, self.disliked_weight) != (1.0, 1.0):
            raise ValueError(
                f"liked_weight={self.liked_weight}, disliked_weight={self.disliked_weight}: they "
                "belong to KTO, and BCO has no weights; leave both at 1, or use loss='kto'"
            )
        if not min(self.learning_rate, self.liked_weight, self.disliked_weight) > 0:
            raise ValueError(
                f"learning_rate={self.learning_rate}, liked_weight={self.liked_weight}, "
                f"disliked_weight={self.disliked_weight}: all must be above 0"
            )


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
    found = []
    for i, row in enumerate(rows):
        others = (rows[(i + k) % len(rows)] for k in range(1, len(rows)))
        other = next((o for o in others if o.prompt_ids != row.prompt_ids), None)
        if other is None:
            raise ValueError("all rows have one prompt, so none can be mismatched; give several")
        found.append(Row(row.prompt_ids, other.completion_ids))
    return found


def sums_of(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row]
) -> Tensor:
    """(B,) summed completion logprobs of a batch of rows."""
    batch = collate(list(rows), tokenizer.pad_token_id).to(model.device)
    return completion_sums(fast_logprobs(model, batch), batch)[:, 0]


def train_unpaired(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    liked: Sequence[bool],
    config: UnpairedConfig | None = None,
    *,
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
        config: settings; None is the default. See `balanced` for its weights.
        reference: frozen; None is the policy as it is now.
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.

    Returns:
        A history of loss, kl (the reference point: of KTO in nats per completion, of BCO the
        running mean of implicit rewards, in beta times nats), liked and disliked (mean
        logratios in nats), grad_norm and learning_rate.
    """
    config = config or UnpairedConfig()
    require_encoded(rows)
    if len(rows) != len(liked):
        raise ValueError(f"{len(rows)} rows and {len(liked)} labels; give one for each")
    if strange_label := [one for one in liked if one not in (True, False)]:
        raise ValueError(f"a label is {strange_label[0]!r}; use True (liked) or False")
    balanced(liked)  # refuses a class without rows
    data, start = [rows, list(liked)], policy if reference is None else reference
    settings = run_settings("unpaired", config, data, model=policy, reference=start)
    strange = mismatched(rows)
    known, strange_known = (
        reference_sums(start, tokenizer, [(row,) for row in part])[:, 0] for part in (rows, strange)
    )
    labels = torch.tensor(liked, dtype=torch.bool, device=policy.device)
    optimizer = make_optimizer(policy, config.learning_rate)
    history, first, shift = History(), 0, 0.0
    if checkpoint_dir is not None and has_checkpoint(checkpoint_dir):
        state = load_checkpoint(checkpoint_dir, policy, optimizer, settings)
        history, first = History.from_rows(state["history"]), state["step"]
        shift = state["shift"]
    order = length_batches(rows, config.batch_size, Random(config.seed))
    bar = tqdm(islice(order, first, config.steps), config.loss, config.steps, initial=first)
    with training(policy):
        for step, indices in enumerate(bar, start=first):
            # 1. Logratios of the completions, (B,).
            sums = sums_of(policy, tokenizer, [rows[i] for i in indices])
            logratios, good = sums - known[indices], labels[indices]
            # 2. Reference point, a constant: KTO's KL, or BCO's running mean of rewards.
            if config.loss == "kto":
                with torch.no_grad():
                    others = sums_of(policy, tokenizer, [strange[i] for i in indices])
                point = mismatched_kl(others - strange_known[indices]).item()
            else:
                batch_mean = config.beta * logratios.detach().mean().item()
                point = shift = (step * shift + batch_mean) / (step + 1)
            # 3. Loss.
            loss = unpaired_loss(logratios, good, point, config).mean()
            # 4. Update.
            peak = config.learning_rate
            rate = linear_schedule(optimizer, peak, step, config.steps, config.warmup)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = clip_grad_norm_(policy.parameters(), config.max_grad_norm)
            refuse_non_finite(step, indices, logprobs=sums, point=point, loss=loss, gradient=norm)
            optimizer.step()
            # 5. Watch.
            metrics = {"loss": loss.item(), "kl": point, **shown(logratios, good)}
            metrics |= {"grad_norm": norm.item(), "learning_rate": rate}
            history.log(step, **metrics)
            bar.set_postfix(loss=f"{metrics['loss']:.3f}", kl=f"{point:.2f}")
            if on_step is not None:
                on_step(metrics)
            # 6. Save, so that a kill loses little.
            if checkpoint_dir is not None and due(step + 1, config):
                state = {"step": step + 1, "shift": shift, "history": history.to_rows()}
                save_checkpoint(checkpoint_dir, policy, optimizer, settings, state)
    return history


def unpaired_loss(logratios: Tensor, liked: Tensor, point: float, config: UnpairedConfig) -> Tensor:
    """(B,) by the loss that the settings name."""
    if config.loss == "bco":
        return bco_loss(logratios, liked, beta=config.beta, shift=point)
    weights = {"liked_weight": config.liked_weight, "disliked_weight": config.disliked_weight}
    return kto_loss(logratios, liked, point, beta=config.beta, **weights)


def shown(logratios: Tensor, liked: Tensor) -> dict[str, float]:
    """Mean logratio of each class in a batch; 0 for a class that is not in it."""
    values = logratios.detach()
    means = {"liked": values[liked], "disliked": values[~liked]}
    return {name: part.mean().item() if len(part) else 0.0 for name, part in means.items()}
