"""Supervised fine-tuning: imitate demonstrations, token by token."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Batch, Row, collate, length_batches
from minialign.core.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from minialign.core.history import History
from minialign.core.logprobs import token_logprobs
from minialign.core.models.modes import training
from minialign.core.optim import (
    due,
    fast_matmul,
    linear_schedule,
    make_optimizer,
    refuse_non_finite,
    run_settings,
)
from minialign.variants.supervised import cross_entropy

LOSS_ON = ("completion", "all")


@dataclass(frozen=True)
class SftConfig:
    """Settings of `train_sft`."""

    steps: int = 800  # updates
    batch_size: int = 32  # demonstrations per update
    learning_rate: float = 5e-4  # peak of AdamW; a model of 100 M parameters wants about 2e-5
    warmup: int = 20  # updates until the peak, from which it falls linearly to a twentieth
    weight_decay: float = 0.0
    eps: float = 1e-5  # of AdamW; at 1e-8, tokens that the data never hold sink step by step
    max_grad_norm: float = 1.0  # the gradient is scaled down to this norm
    loss_on: str = "completion"  # or "all": the prompt's tokens are imitated too
    noise_alpha: float = 0.0  # NEFTune's scale of the noise on embeddings; 5 in the paper, 0 is off
    seed: int = 0  # of the order of the data and of the noise
    save_every: int = 50  # updates between checkpoints

    def __post_init__(self) -> None:
        if self.loss_on not in LOSS_ON:
            raise ValueError(f"loss_on is {self.loss_on!r}; use one of {', '.join(LOSS_ON)}")
        if min(self.steps, self.batch_size) < 1 or min(self.learning_rate, self.eps) <= 0:
            raise ValueError(
                f"steps={self.steps}, batch_size={self.batch_size}, learning_rate="
                f"{self.learning_rate}, eps={self.eps}: all four must be positive"
            )
        if self.save_every < 1 or not self.max_grad_norm > 0 or self.noise_alpha < 0:
            raise ValueError(
                f"save_every={self.save_every}, max_grad_norm={self.max_grad_norm}, noise_alpha="
                f"{self.noise_alpha}: the first two must be positive, the noise at least 0"
            )


def loss_mask(batch: Batch, loss_on: str) -> Tensor:
    """(B, T) 1 at the tokens that are imitated."""
    if loss_on == "completion":
        return batch.completion_mask
    mask = batch.attention_mask.clone()
    mask[:, 0] = 0  # nothing predicts the first token
    return mask


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


def train_sft(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    config: SftConfig | None = None,
    *,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """Train the policy in place to imitate the completions of `rows` (see `batching.encode`).

    Args:
        policy: a causal language model.
        tokenizer: for its pad id.
        rows: encoded demonstrations.
        config: settings; None is the default.
        on_step: called with each step's metrics, for a live plot or a logger.
        checkpoint_dir: where to save; a run that was interrupted continues from there, bit-equal on
            CPU.

    Returns:
        A history of loss (nats per imitated token), grad_norm, learning_rate and tokens (imitated).
    """
    config = config or SftConfig()
    torch.manual_seed(config.seed)
    optimizer = make_optimizer(policy, config.learning_rate, config.weight_decay, config.eps)
    history, first, pad = History(), 0, tokenizer.pad_token_id
    settings = run_settings("sft", config, rows, model=policy)
    if checkpoint_dir is not None and has_checkpoint(checkpoint_dir):
        state = load_checkpoint(checkpoint_dir, policy, optimizer, settings)
        history, first = History.from_rows(state["history"]), state["step"]
    order = length_batches(rows, config.batch_size, Random(config.seed))
    bar = tqdm(islice(order, first, config.steps), "sft", config.steps, initial=first)
    with training(policy, dropout=True):
        for step, indices in enumerate(bar, start=first):
            # 1. Collect: a batch of demonstrations of like length.
            batch = collate([rows[i] for i in indices], pad).to(policy.device)
            mask = loss_mask(batch, config.loss_on)
            # 2. Loss: nats per imitated token, the mean over the tokens of the batch.
            noise = embedding_noise(policy, config.noise_alpha)
            with noise, fast_matmul(policy.device):
                logprobs = token_logprobs(policy, batch.input_ids, batch.attention_mask)
            loss = cross_entropy(logprobs, mask).sum() / mask.sum()
            # 3. Update.
            rate = linear_schedule(
                optimizer, config.learning_rate, step, config.steps, config.warmup
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(policy.parameters(), config.max_grad_norm)
            refuse_non_finite(step, indices, loss=loss, gradient=norm)
            optimizer.step()
            # 4. Watch.
            metrics = {"loss": loss.item(), "grad_norm": norm.item(), "learning_rate": rate}
            metrics["tokens"] = float(mask.sum())
            history.log(step, **metrics)
            bar.set_postfix(loss=f"{metrics['loss']:.3f}")
            if on_step is not None:
                on_step(metrics)
            # 5. Save, so that a kill loses little.
            if checkpoint_dir is not None and due(step + 1, config):
                state = {"step": step + 1, "history": history.to_rows()}
                save_checkpoint(checkpoint_dir, policy, optimizer, settings, state)
    return history
