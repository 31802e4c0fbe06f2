"""The general loop's preference family: any loss of `RankLogprobs`, on pairs or longer rankings.

What the methods differ in is a function of summed completion logprobs under policy and reference
(`variants.preference` and its neighbours). Two change the sums or what a ranking counts, and are
settings: `tail` (LD-DPO) and `weigh` (WPO). The reference is frozen, so it is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import log_softmax
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Batch, RowRanking, require_rankings
from minialign.core.history import History
from minialign.core.logprobs import (
    gather_logprobs,
    masked_mean,
    masked_sum,
    token_logprobs,
)  # fmt: skip
from minialign.core.models import fast_matmul
from minialign.core.models.references import completion_logprobs
from minialign.core.models.sharing import logits_before
from minialign.core.run import require_settings
from minialign.variants.loops.offline_loop import Metrics, train_offline
from minialign.variants.preference import logistic_loss
from minialign.variants.ranks import RankLogprobs

PART = 256  # tokens whose probabilities are squared at a time
CHECKED = 8  # rankings whose given references are computed again


@dataclass(frozen=True)
class PreferenceConfig:
    """Settings of `train_preference`."""

    steps: int = 200  # updates
    batch_size: int = 32  # rankings per update
    learning_rate: float = 5e-5  # peak; models of 1 B parameters want 5e-7
    warmup: int = 20  # updates until the peak, from which it falls linearly to a twentieth
    tail: float = 1.0  # weight of tokens beyond the shorter completion: LD-DPO below 1
    weigh: bool = False  # WPO: rankings count as much as the policy is likely to write them
    max_grad_norm: float = 1.0  # the gradient is scaled down to this norm
    seed: int = 0  # of the order of the data
    save_every: int = 50  # updates between checkpoints

    def __post_init__(self) -> None:
        require_settings(self, whole=["batch_size"], above_0=["max_grad_norm"])
        if not 0 <= self.tail <= 1:
            raise ValueError(f"tail is {self.tail}: a weight of tokens, use 0 to 1")


def train_preference(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rankings: Sequence[RowRanking],
    config: PreferenceConfig | None = None,
    *,
    loss: Callable[[RankLogprobs], Tensor] = logistic_loss,
    reference: PreTrainedModel | None = None,
    ref_logprobs: Tensor | None = None,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """Train the policy in place to prefer what was preferred.

    Args:
        policy: the instruction-tuned model.
        tokenizer: for its pad id.
        rankings: encoded completions of one prompt each, best first, all K long; paired losses
            compare the best with the last.
        config: settings; None is the default.
        loss: of a batch's logprobs, (B,) nats; settings by `functools.partial`.
        reference: frozen; None is the policy as it is now.
        ref_logprobs: (N, K) of `completion_logprobs` under that reference, where several methods
            learn from the same rankings; a few are computed again and compared. None computes all.
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.

    Returns:
        A history of loss, margin (chosen minus rejected logratio), accuracy (share of implicit
        rewards in the right order), chosen and rejected (logratios in nats, of the best and the
        last), grad_norm and learning_rate.
    """
    config = config or PreferenceConfig()
    require_rankings(rankings, one_prompt=True)
    k, pad = len(rankings[0]), tokenizer.pad_token_id
    total = masked_sum if config.tail == 1 else partial(tail_sum, k=k, tail=config.tail)
    start = policy if reference is None else reference  # read before the first update
    if ref_logprobs is None:
        ref_logprobs = completion_logprobs(start, rankings, pad, total=total)
    else:
        _check_references(ref_logprobs, start, rankings, pad, total)
    ref_logprobs = ref_logprobs.to(policy.device)

    def preferred(batch: Batch, indices: list[int]) -> tuple[Tensor, Metrics, Metrics]:
        mask = batch.completion_mask
        with fast_matmul(policy.device):
            logprobs, collisions = _logprobs(policy, batch, config.weigh)
        sums, lengths = total(logprobs, mask).view(-1, k), mask.sum(1).view(-1, k)
        ranks = RankLogprobs(sums, ref_logprobs[indices], lengths)
        each = loss(ranks)
        if config.weigh:
            each = wpo_weights(logprobs, collisions, mask).view(-1, k).prod(1) * each
        return each.mean(), ranks_summary(ranks), {"logprobs": sums}

    return train_offline(
        "preference", policy, tokenizer, rankings, preferred, config, reference=start,
        functions={"loss": loss}, on_step=on_step, checkpoint_dir=checkpoint_dir,
    )  # fmt: skip


@torch.no_grad()
def ranks_summary(ranks: RankLogprobs) -> Metrics:
    """What a batch shows: margin, order of implicit rewards, logratios of the best and the last."""
    gaps = ranks.logratios[:, :-1] - ranks.logratios[:, 1:]
    return {
        "margin": ranks.margin.mean(),
        "accuracy": (gaps.sign() + 1).mean() / 2,
        "chosen": ranks.chosen_logratio.mean(),
        "rejected": ranks.rejected_logratio.mean(),
    }


def tail_sum(logprobs: Tensor, mask: Tensor, *, k: int, tail: float) -> Tensor:
    """(B * K, T) to (B * K,): sums in which tokens beyond the ranking's shortest count `tail`.

    Of policy and reference alike: tail 1 is DPO, 0 cuts all to the shortest length. Liu et al. 2024
    (LD-DPO), arXiv:2409.06411.

    Three tokens of -1 beside a completion of one: -1 - 0.5 * 2 = -2.

    >>> mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    >>> tail_sum(-torch.ones(2, 3), mask, k=2, tail=0.5)
    tensor([-2., -1.])
    """
    shortest = mask.view(-1, k, mask.shape[1]).sum(2).amin(1).repeat_interleave(k)
    shared = (mask.cumsum(1) <= shortest[:, None]) * mask
    return masked_sum(logprobs, shared) + tail * masked_sum(logprobs, mask - shared)


def wpo_weights(logprobs: Tensor, log_collisions: Tensor, mask: Tensor) -> Tensor:
    """(B,) exp of the mean over tokens of log pi - log sum_v pi(v)^2, a constant, at most 1.

    How likely the policy itself is to write such a completion: pairs are weighted by the product of
    their two. Zhou et al. 2024 (WPO), arXiv:2406.11827, equations 1 and 2. The paper caps nothing;
    the authors' code caps the product at 1; here each weight is capped.

    Args:
        logprobs: (B, T) of the tokens.
        log_collisions: (B, T) log of the sum of squared probabilities at each token, the mean
            probability of the policy's own choice.
        mask: (B, T) 1 at completion tokens.

    >>> wpo_weights(torch.tensor([[-2.0]]), torch.tensor([[-1.0]]), torch.ones(1, 1))
    tensor([0.3679])
    """
    return masked_mean((logprobs - log_collisions).detach(), mask, dim=-1).exp().clamp(max=1.0)


def _logprobs(
    policy: PreTrainedModel, batch: Batch, collisions: bool
) -> tuple[Tensor, Tensor | None]:
    """`token_logprobs`, and for WPO log sum_v pi(v)^2 at each token, a constant; (B, T) each."""
    given = batch.input_ids, batch.attention_mask, batch.completion_mask
    if not collisions:
        return token_logprobs(policy, *given), None
    logits, asked = logits_before(policy, *given)
    with torch.no_grad():
        parts = (log_softmax(part.float(), -1) for part in logits.split(PART))
        twice = torch.cat([part.mul(2).logsumexp(-1) for part in parts])
    both = gather_logprobs(logits, batch.input_ids[asked]), twice
    return tuple(x.new_zeros(asked.shape).masked_scatter(asked, x) for x in both)


def _check_references(
    ref_logprobs: Tensor,
    reference: PreTrainedModel,
    rankings: Sequence[RowRanking],
    pad_id: int,
    total: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Refuse sums of other rankings, of another order or another reference: a few are redone."""
    shape = (len(rankings), len(rankings[0]))
    if tuple(ref_logprobs.shape) != shape or not ref_logprobs.isfinite().all():
        raise ValueError(
            f"ref_logprobs has shape {tuple(ref_logprobs.shape)}, but needs one finite sum for "
            f"each completion, {shape}; compute it with completion_logprobs, or leave it out"
        )
    few = torch.linspace(0, len(rankings) - 1, min(len(rankings), CHECKED)).long().tolist()
    again = completion_logprobs(reference, [rankings[i] for i in few], pad_id, total=total)
    few_logprobs = ref_logprobs[few].to(again)
    off = (again - few_logprobs).abs() - 0.01 * again.abs()
    if (off > 0.5).any():  # rounding of another device or number type is far below
        worst = few[int(off.amax(1).argmax())]
        raise ValueError(
            f"ref_logprobs are not those of these rankings under this reference: of ranking "
            f"{worst} they differ by more than rounding; give them in the rankings' order, of the "
            "same reference and tail, or leave them out"
        )
