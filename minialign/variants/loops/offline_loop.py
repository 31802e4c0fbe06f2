"""The general loop over rows that are there from the start: demonstrations, comparisons, rankings.

`train_offline` knows nothing of what is learnt: a callable makes a loss of a model and a batch.
`train_supervised` and `train_rankings` give it the losses of the supervised and the reward family,
`preference_loop` and `unpaired_loop` those that need a reference.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.reward_model import RewardConfig, bradley_terry
from minialign.algorithms.sft import SftConfig, cross_entropy
from minialign.core.batching import (
    Batch,
    Row,
    RowRanking,
    collate,
    length_batches,
    require_encoded,
    require_rankings,
    stacked,
)
from minialign.core.history import History
from minialign.core.logprobs import token_logprobs
from minialign.core.models import fast_matmul, training
from minialign.core.models.heads import RewardModel
from minialign.core.run import Run

Metrics = dict[str, Tensor | float]
# (batch, indices of its rows) to a scalar loss, what to log, and what the loss was made of, by name
BatchLoss = Callable[[Batch, list[int]], tuple[Tensor, Metrics, Metrics]]
LOSS_ON = ("completion", "all")


def train_offline(
    name: str,
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    rankings: Sequence[RowRanking],
    loss: BatchLoss,
    config: Any,
    *,
    data: Any = None,
    state: dict[str, Any] | None = None,
    reference: torch.nn.Module | None = None,
    functions: Mapping[str, Callable] | None = None,
    dropout: bool = False,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """Train a model in place by any loss of a batch.

    Args:
        name: of the method, shown and kept in checkpoints.
        model: what is trained.
        tokenizer: for its pad id.
        rankings: K encoded completions each; K = 1 for single rows.
        loss: (batch of B * K rows, indices of its B rankings) to a scalar, what to log, and what it
            was made of, in the order of computing: an error names the first that is not finite.
        config: steps, batch_size, learning_rate, warmup, seed, save_every and max_grad_norm.
        data: what else a checkpoint is known by, such as labels.
        state: what the loss keeps from step to step, JSON-able; filled when a run goes on.
        reference: whose weights a checkpoint is known by.
        functions: name -> function that makes the method; checkpoints are known by them too.
        dropout: whether the model trains with its dropout.
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.
    """
    run = Run(
        name, config, model, [rankings, data], on_step, checkpoint_dir,
        reference=reference, functions=functions,
    )  # fmt: skip
    if state is not None:
        state |= run.state
        run.state = state
    device = next(model.parameters()).device
    longest = [max(ranking, key=len) for ranking in rankings]
    with training(model, dropout=dropout):
        for step, indices in run.batches(length_batches(longest, config.batch_size, run.order)):
            rows = stacked(rankings, indices)
            batch = collate(rows, tokenizer.pad_token_id).to(device)
            cost, metrics, made_of = loss(batch, indices)
            run.update(cost, **made_of)
            run.log(step, loss=cost, **metrics)
    return run.history


def train_supervised(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    config: SftConfig | None = None,
    *,
    loss_on: str = "completion",
    noise_alpha: float = 0.0,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """`train_sft` with its variants; history as there.

    Args:
        policy: a causal language model.
        tokenizer: for its pad id.
        rows: encoded demonstrations.
        config: settings; None is the default.
        loss_on: "completion", or "all": the prompt's tokens are imitated too (instruction
            modelling, Shi et al. 2024, arXiv:2405.14394).
        noise_alpha: scale of NEFTune's noise on the embeddings; 5 in the paper, 0 is off.
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.
    """
    if loss_on not in LOSS_ON:
        raise ValueError(f"loss_on is {loss_on!r}; use one of {', '.join(LOSS_ON)}")
    if noise_alpha < 0:
        raise ValueError(f"noise_alpha is {noise_alpha}; use 0 (no noise) or more, such as 5")
    require_encoded(rows)

    def imitation(batch: Batch, indices: list[int]) -> tuple[Tensor, Metrics, Metrics]:
        mask = batch.completion_mask
        if loss_on == "all":
            mask = batch.attention_mask.clone()
            mask[:, 0] = 0  # nothing predicts the first token
        share = noise_alpha == 0  # noise is scaled by the length of a row
        with embedding_noise(policy, noise_alpha), fast_matmul(policy.device):
            logprobs = token_logprobs(
                policy, batch.input_ids, batch.attention_mask, mask, share_prompts=share
            )
        tokens = mask.sum()
        return cross_entropy(logprobs, mask).sum() / tokens, {"tokens": tokens}, {}

    return train_offline(
        "supervised", policy, tokenizer, [(row,) for row in rows], imitation,
        config or SftConfig(), data=[loss_on, noise_alpha], dropout=True, on_step=on_step,
        checkpoint_dir=checkpoint_dir,
    )  # fmt: skip


@contextlib.contextmanager
def embedding_noise(policy: PreTrainedModel, alpha: float) -> Iterator[None]:
    """NEFTune: add uniform noise to the input embeddings, alpha / sqrt(T d) at most per entry.

    Jain et al. 2023, arXiv:2310.05914, algorithm 1. T is the padded length here.
    """

    def add(module: torch.nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        scale = alpha / (output.shape[1] * output.shape[2]) ** 0.5
        return output + torch.empty_like(output).uniform_(-scale, scale)

    if alpha == 0:
        yield
        return
    handle = policy.get_input_embeddings().register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def train_rankings(
    model: RewardModel,
    tokenizer: PreTrainedTokenizerBase,
    rankings: Sequence[RowRanking],
    config: RewardConfig | None = None,
    *,
    loss: Callable[[Tensor], Tensor] | None = None,
    pair_loss: Callable[[Tensor, Tensor], Tensor] = bradley_terry,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """`train_reward` with any loss of `variants.reward_losses`, on rankings of any length.

    Args:
        model: the reward model.
        tokenizer: for its pad id.
        rankings: encoded replies to one prompt each, best first, all K long.
        config: settings; None is the default.
        loss: of whole rankings, (B, K) scores, best first, to (B,) nats; None compares pairs.
        pair_loss: of pairs, (B,) chosen and (B,) rejected scores to (B,) nats.
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.

    Returns:
        A history of loss (nats per ranking), accuracy (of neighbours in a ranking), margin (best
        minus worst score), grad_norm and learning_rate.
    """
    require_rankings(rankings, 2 if loss is None else None)

    def ranked(batch: Batch, indices: list[int]) -> tuple[Tensor, Metrics, Metrics]:
        with fast_matmul(model.device):
            scores = model(batch.input_ids, batch.attention_mask, batch.completion_mask)
        scores = scores.view(len(indices), -1)
        chosen, rejected = scores[:, 0], scores[:, -1]
        each = pair_loss(chosen, rejected) if loss is None else loss(scores)
        gaps = (scores[:, :-1] - scores[:, 1:]).detach()
        metrics = {"accuracy": (gaps.sign() + 1).mean() / 2, "margin": (chosen - rejected).mean()}
        return each.mean(), metrics, {"scores": scores}

    functions = {"loss": loss or pair_loss}
    return train_offline(
        "rankings", model, tokenizer, rankings, ranked, config or RewardConfig(),
        functions=functions, dropout=True, on_step=on_step, checkpoint_dir=checkpoint_dir,
    )  # fmt: skip
