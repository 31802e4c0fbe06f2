"""Supervised fine-tuning: a language model imitates demonstrations, token by token.

The chat format turns a demonstration into one sequence: the prompt, then the reply and its end. The
model already predicts every token from those before it; here its prediction of the reply's tokens
is made more likely, and the prompt only stands before them. Ouyang et al. 2022 (InstructGPT),
arXiv:2203.02155, section 3.5, is the method in its modern use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Row, collate, length_batches, require_encoded
from minialign.core.history import History
from minialign.core.logprobs import masked_sum, token_logprobs
from minialign.core.models import fast_matmul, training
from minialign.core.run import Run, require_settings


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
    seed: int = 0  # of the order of the data
    save_every: int = 50  # updates between checkpoints

    def __post_init__(self) -> None:
        require_settings(self, whole=["batch_size"], above_0=["eps", "max_grad_norm"])


def cross_entropy(logprobs: Tensor, mask: Tensor) -> Tensor:
    """-log pi of each sequence's masked tokens, summed: (B, T), (B, T) to (B,), in nats.

    Divide by the number of masked tokens of the whole batch to train on the token mean: a mean per
    row would weigh a token of a short reply more, and a mean per micro-batch would change with the
    batch.

    Two tokens of probability 1/2 and 1/4 cost log 2 + log 4 = 2.0794, the prompt before them
    nothing:

    >>> import torch
    >>> logprobs = torch.tensor([[0.0, 0.1, 0.5, 0.25]]).log()
    >>> cross_entropy(logprobs, torch.tensor([[0, 0, 1, 1]]))
    tensor([2.0794])
    """
    return -masked_sum(logprobs, mask)


def train_sft(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    config: SftConfig | None = None,
    *,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """Train the policy in place to imitate the completions of `rows` (see `tokens.encode`).

    Args:
        policy: a causal language model.
        tokenizer: for its pad id.
        rows: encoded demonstrations.
        config: settings; None is the default.
        on_step: called with each step's metrics, for a live plot or a logger.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.

    Returns:
        A history of loss (nats per imitated token), tokens (imitated), grad_norm, learning_rate.
    """
    config = config or SftConfig()
    require_encoded(rows)
    run = Run("sft", config, policy, rows, on_step, checkpoint_dir)
    with training(policy, dropout=True):
        for step, indices in run.batches(length_batches(rows, config.batch_size, run.order)):
            # 1. Collect: a batch of demonstrations of like length.
            batch = collate([rows[i] for i in indices], tokenizer.pad_token_id).to(policy.device)
            # 2. Logprobs: what the policy says of every completion token, (B, T).
            mask = batch.completion_mask
            with fast_matmul(policy.device):
                logprobs = token_logprobs(policy, batch.input_ids, batch.attention_mask, mask)
            # 3. Loss: the mean over all completion tokens of the batch, in nats.
            tokens = mask.sum()
            loss = cross_entropy(logprobs, mask).sum() / tokens
            # 4. Update.
            run.update(loss)
            run.log(step, loss=loss, tokens=tokens)
    return run.history
