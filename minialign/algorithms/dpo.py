"""Direct preference optimisation: a policy learns from comparisons, without a reward model.

Of all policies, that which earns most reward less beta times its KL to the reference is known in
closed form: pi(y|x) is proportional to ref(y|x) exp(r(x, y) / beta). Solved for the reward, r is
beta log(pi / ref) plus a term of the prompt alone, which cancels between two replies to one prompt.
So the policy is its own reward model, and the loss of Bradley and Terry trains it: Rafailov et al.
2023, arXiv:2305.18290. At the first step policy and reference agree: the loss is log 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import RowPair, collate, length_batches, require_rankings, stacked
from minialign.core.history import History
from minialign.core.logprobs import masked_sum, token_logprobs
from minialign.core.models import fast_matmul, training
from minialign.core.models.references import completion_logprobs
from minialign.core.run import Run, require_settings


@dataclass(frozen=True)
class DpoConfig:
    """Settings of `train_dpo`."""

    steps: int = 200  # updates
    batch_size: int = 32  # comparisons per update
    beta: float = 0.1  # price of a nat of distance from the reference; a larger one stays nearer
    learning_rate: float = 5e-5  # peak; models of 1 B parameters want 5e-7
    warmup: int = 20  # updates until the peak, from which it falls linearly to a twentieth
    max_grad_norm: float = 1.0  # the gradient is scaled down to this norm
    seed: int = 0  # of the order of the data
    save_every: int = 50  # updates between checkpoints

    def __post_init__(self) -> None:
        require_settings(self, whole=["batch_size"], above_0=["beta", "max_grad_norm"])


def dpo_loss(chosen_logratio: Tensor, rejected_logratio: Tensor, *, beta: float = 0.1) -> Tensor:
    """-log sigmoid(beta * (chosen - rejected)) of logratios log pi - log ref: (B,), (B,) to (B,).

    Rafailov et al. 2023, arXiv:2305.18290, equation 7; logratios are summed over a completion.
    beta times a logratio is the implicit reward; a larger beta keeps the policy nearer to the
    reference.

    A margin of 10 nats is a lead of 1 and costs log(1 + 1/e) = 0.3133:

    >>> import torch
    >>> dpo_loss(torch.tensor([0.0, -5.0]), torch.tensor([0.0, -15.0]))
    tensor([0.6931, 0.3133])
    """
    return -logsigmoid(beta * (chosen_logratio - rejected_logratio))


def train_dpo(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    comparisons: Sequence[RowPair],
    config: DpoConfig | None = None,
    *,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """Train the policy in place to prefer what was preferred; the reference is what it is now.

    Args:
        policy: the instruction-tuned model.
        tokenizer: for its pad id.
        comparisons: (chosen, rejected) rows of `tokens.encode`, after one prompt each.
        config: settings; None is the default.
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.

    Returns:
        A history of loss (nats), margin (chosen minus rejected logratio, in nats), accuracy (share
        of positive ones, 0 counts half), chosen and rejected (logratios), grad_norm, learning_rate.
    """
    config = config or DpoConfig()
    require_rankings(comparisons, 2, one_prompt=True)
    # The reference is frozen, so it is read once: (N, 2) summed logprobs, before the first update.
    ref_logprobs = completion_logprobs(policy, comparisons, tokenizer.pad_token_id)
    run = Run("dpo", config, policy, comparisons, on_step, checkpoint_dir, reference=policy)
    longest = [max(pair, key=len) for pair in comparisons]
    with training(policy):
        for step, indices in run.batches(length_batches(longest, config.batch_size, run.order)):
            # 1. Collect: chosen, rejected, chosen, rejected ... of a few comparisons.
            rows = stacked(comparisons, indices)
            batch = collate(rows, tokenizer.pad_token_id).to(policy.device)
            # 2. Logratios: log pi - log ref, summed over each completion, (B,) and (B,).
            mask = batch.completion_mask
            with fast_matmul(policy.device):
                logprobs = token_logprobs(policy, batch.input_ids, batch.attention_mask, mask)
            sums = masked_sum(logprobs, mask).view(-1, 2)
            chosen, rejected = (sums - ref_logprobs[indices]).unbind(1)
            # 3. Loss: nats per comparison.
            loss = dpo_loss(chosen, rejected, beta=config.beta).mean()
            # 4. Update.
            run.update(loss, logprobs=sums)
            margin = (chosen - rejected).detach()
            accuracy = (margin.sign() + 1).mean() / 2
            logratios = {"chosen": chosen.mean(), "rejected": rejected.mean()}
            run.log(step, loss=loss, margin=margin.mean(), accuracy=accuracy, **logratios)
    return run.history
