"""Reward modeling: comparisons of two replies become one number per reply.

People say which of two replies they like better. A score for each reply, whose differences are the
log-odds of being chosen, is the model of Bradley and Terry (1952). Fitted to a transformer with a
linear head, it is the reward model of Ouyang et al. 2022 (InstructGPT), arXiv:2203.02155, equation
1. Comparisons fix differences only: the zero of the scores is free (`rewards.learnt.set_zero`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import PreTrainedTokenizerBase

from minialign.core.batching import RowPair, collate, length_batches, require_rankings, stacked
from minialign.core.history import History
from minialign.core.models import fast_matmul, training
from minialign.core.models.heads import RewardModel
from minialign.core.run import Run, require_settings


@dataclass(frozen=True)
class RewardConfig:
    """Settings of `train_reward`."""

    steps: int = 200  # updates
    batch_size: int = 32  # comparisons per update
    learning_rate: float = 5e-4  # peak of AdamW; a model of 100 M parameters wants about 1e-5
    warmup: int = 20  # updates until the peak, from which it falls linearly to a twentieth
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0  # the gradient is scaled down to this norm
    seed: int = 0  # of the order of the data
    save_every: int = 50  # updates between checkpoints

    def __post_init__(self) -> None:
        require_settings(self, whole=["batch_size"], above_0=["max_grad_norm"])


def bradley_terry(chosen: Tensor, rejected: Tensor) -> Tensor:
    """-log P(chosen beats rejected) = -log sigmoid(chosen - rejected): (B,) scores to (B,) nats.

    Its slope is the chance that the model gives to the wrong order, so a pair that it has right
    pulls little. Variants with a margin, smoothed labels or a pull to mean 0 are in
    `variants.reward_losses`.

    Equal scores cost log 2 = 0.6931; a lead of log 3 is a chance of 3/4 and costs log(4/3):

    >>> import torch
    >>> bradley_terry(torch.tensor([0.0, 1.0986]), torch.zeros(2))
    tensor([0.6931, 0.2877])
    """
    return -logsigmoid(chosen - rejected)


def train_reward(
    model: RewardModel,
    tokenizer: PreTrainedTokenizerBase,
    comparisons: Sequence[RowPair],
    config: RewardConfig | None = None,
    *,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """Train the reward model in place to score the chosen replies higher.

    Args:
        model: starts best from the policy whose replies it will judge.
        tokenizer: for its pad id.
        comparisons: encoded (chosen, rejected) replies to one prompt each.
        config: settings; None is the default.
        on_step: called with each step's metrics, for a live plot or a logger.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.

    Returns:
        A history of loss (nats per comparison), accuracy (share of pairs in the right order, a tie
        counts half), margin (mean chosen minus rejected score), grad_norm and learning_rate.
    """
    config = config or RewardConfig()
    require_rankings(comparisons, 2)
    run = Run("reward", config, model, comparisons, on_step, checkpoint_dir)
    longest = [max(pair, key=len) for pair in comparisons]
    with training(model, dropout=True):
        for step, indices in run.batches(length_batches(longest, config.batch_size, run.order)):
            # 1. Collect: chosen, rejected, chosen, rejected ... of a few comparisons.
            rows = stacked(comparisons, indices)
            batch = collate(rows, tokenizer.pad_token_id).to(model.device)
            # 2. Score: one number per reply, read at its last token, (2 B,) to (B,) and (B,).
            with fast_matmul(model.device):
                scores = model(batch.input_ids, batch.attention_mask, batch.completion_mask)
            chosen, rejected = scores.view(-1, 2).unbind(1)
            # 3. Loss: nats per comparison.
            loss = bradley_terry(chosen, rejected).mean()
            # 4. Update.
            run.update(loss, scores=scores)
            margin = (chosen - rejected).detach()
            accuracy = (margin.sign() + 1).mean() / 2
            run.log(step, loss=loss, accuracy=accuracy, margin=margin.mean())
    return run.history
