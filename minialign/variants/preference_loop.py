"""Preference optimisation: a policy learns from comparisons, without a reward model.

One loop for pairs and for longer rankings. What the methods differ in is a function of summed
completion logprobs under policy and reference (`losses.preference` and its neighbours). The
reference is frozen, so its logprobs are computed once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Batch, Row, collate, length_batches, require_encoded
from minialign.core.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from minialign.core.history import History
from minialign.core.logprobs import logprobs_and_collisions
from minialign.core.models.modes import training
from minialign.core.optim import (
    completion_sums,
    due,
    fast_logprobs,
    fast_matmul,
    linear_schedule,
    make_optimizer,
    reference_sums,
    refuse_non_finite,
    run_settings,
)
from minialign.variants import preference
from minialign.variants.listwise import lipo_loss, rrhf_loss
from minialign.variants.pairs import RankLogprobs
from minialign.variants.preference_scores import fdpo_loss, wpo_weights
from minialign.variants.reference_free import cpl_loss, cpo_loss, orpo_loss, simpo_loss
from minialign.variants.reward_losses import plackett_luce

Ranking = tuple[Row, ...]  # K completions of one prompt, the best first; a pair is K = 2
CHECKED = 8  # rankings whose given references are computed again

# Name -> loss of a PairLogprobs, and its settings as keywords.
PAIRED: dict[str, Callable[..., Tensor]] = {
    "dpo": preference.dpo_loss,
    "robust": preference.robust_dpo_loss,
    "ipo": preference.ipo_loss,
    "hinge": preference.hinge_loss,
    "dpo_norm": preference.dpo_norm_loss,
    "dpop": preference.dpop_loss,
    "rpo": preference.rpo_loss,
    "rdpo": preference.rdpo_loss,
    "odpo": preference.odpo_loss,
    "exo": preference.exo_loss,
    "sppo": preference.sppo_loss,
    "nca": preference.nca_loss,
    "bco_pair": preference.bco_pair_loss,
    "apo_zero": preference.apo_zero_loss,
    "apo_down": preference.apo_down_loss,
    "discopop": preference.discopop_loss,
    "aot": preference.aot_loss,
    "fdpo": fdpo_loss,
    "simpo": simpo_loss,
    "orpo": orpo_loss,
    "cpo": cpo_loss,
    "cpl": cpl_loss,
}


def _plackett_luce(ranks: RankLogprobs, *, beta: float = 0.1) -> Tensor:
    return plackett_luce(beta * ranks.logratios)


def _lipo(ranks: RankLogprobs, *, beta: float = 0.05) -> Tensor:
    return lipo_loss(ranks.logratios, ranks.utilities, beta=beta)


def _rrhf(ranks: RankLogprobs, *, nll: float = 1.0) -> Tensor:
    return rrhf_loss(ranks.means, ranks.utilities, nll=nll)


# Name -> loss of a RankLogprobs.
LISTWISE = {"plackett_luce": _plackett_luce, "lipo": _lipo, "rrhf": _rrhf}


@dataclass(frozen=True)
class PreferenceConfig:
    """Settings of `train_preference`."""

    steps: int = 200  # updates
    batch_size: int = 32  # rankings per update
    learning_rate: float = 5e-5  # peak; models of 1 B parameters want 5e-7
    warmup: int = 20  # updates until the peak, from which it falls linearly to a twentieth
    loss: str = "dpo"  # a name of PAIRED or LISTWISE
    options: Mapping[str, float | str | bool] = field(default_factory=dict)  # the loss's keywords
    tail: float = 1.0  # weight of tokens beyond the shorter completion: LD-DPO below 1
    weigh: bool = False  # WPO: rankings count as much as the policy is likely to write them
    max_grad_norm: float = 1.0  # the gradient is scaled down to this norm
    seed: int = 0  # of the order of the data
    save_every: int = 50  # updates between checkpoints

    def __post_init__(self) -> None:
        known = {**PAIRED, **LISTWISE}
        if self.loss not in known:
            raise ValueError(f"loss is {self.loss!r}; use one of {', '.join(known)}")
        takes = {
            name
            for name, p in inspect.signature(known[self.loss]).parameters.items()
            if p.kind is p.KEYWORD_ONLY
        }
        if strange := sorted(set(self.options) - takes):
            has = ", ".join(sorted(takes))
            raise ValueError(f"loss {self.loss!r} has no option {strange[0]!r}; it has {has}")
        if min(self.steps, self.batch_size, self.save_every) < 1 or not self.learning_rate > 0:
            raise ValueError(
                f"steps={self.steps}, batch_size={self.batch_size}, save_every={self.save_every}, "
                f"learning_rate={self.learning_rate}: all must be positive"
            )
        if not 0 <= self.tail <= 1:
            raise ValueError(f"tail is {self.tail}: a weight of tokens, use 0 to 1")


def weighed_logprobs(
    policy: PreTrainedModel, batch: Batch, k: int, config: PreferenceConfig
) -> tuple[Tensor, Tensor | float]:
    """(B * K, T) logprobs, and what each ranking counts: 1, or WPO's (B,) product of weights."""
    if not config.weigh:
        return fast_logprobs(policy, batch), 1.0
    with fast_matmul(policy.device):
        found = logprobs_and_collisions(policy, batch.input_ids, batch.attention_mask)
    logprobs, collisions = found
    weights = wpo_weights(logprobs, collisions, batch.completion_mask)
    return logprobs, weights.view(-1, k).prod(1)


def preference_loss(ranks: RankLogprobs, config: PreferenceConfig) -> Tensor:
    """(B,) of a batch, by the loss that the settings name."""
    if config.loss in LISTWISE:
        return LISTWISE[config.loss](ranks, **config.options)
    return PAIRED[config.loss](ranks.pair, **config.options)


def train_preference(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rankings: Sequence[Ranking],
    config: PreferenceConfig | None = None,
    *,
    reference: PreTrainedModel | None = None,
    references: Tensor | None = None,
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
        reference: frozen; None is the policy as it is now.
        references: (N, K) of `reference_sums` under that reference, where several methods learn
            from the same rankings; a few are computed again and compared. None computes them all.
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.

    Returns:
        A history of loss, accuracy (share of implicit rewards in the right order), margin, chosen
        and rejected (logratios in nats, of the best and the last), grad_norm and learning_rate.
    """
    config = config or PreferenceConfig()
    _check(rankings, config)
    k, pad = len(rankings[0]), tokenizer.pad_token_id
    start = policy if reference is None else reference  # read before the first update
    if references is None:
        references = reference_sums(start, tokenizer, rankings, tail=config.tail)
    else:
        _check_references(references, start, tokenizer, rankings, config.tail)
    references = references.to(policy.device)
    optimizer = make_optimizer(policy, config.learning_rate)
    history, first = History(), 0
    known = {"model": policy, "reference": start}
    settings = run_settings("preference", config, rankings, **known)
    if checkpoint_dir is not None and has_checkpoint(checkpoint_dir):
        state = load_checkpoint(checkpoint_dir, policy, optimizer, settings)
        history, first = History.from_rows(state["history"]), state["step"]
    longest = [max(ranking, key=len) for ranking in rankings]
    order = length_batches(longest, config.batch_size, Random(config.seed))
    left = islice(order, first, config.steps)
    bar = tqdm(left, config.loss, config.steps, initial=first)
    with training(policy):
        for step, indices in enumerate(bar, start=first):
            # 1. Collect: all completions of a few rankings, one under the other.
            rows = [row for i in indices for row in rankings[i]]
            batch = collate(rows, pad).to(policy.device)
            # 2. Logprobs, summed over completions, (B, K); the reference's are known.
            logprobs, weights = weighed_logprobs(policy, batch, k, config)
            sums = completion_sums(logprobs, batch, k, config.tail)
            lengths = batch.completion_mask.sum(1).view(-1, k)
            ranks = RankLogprobs(sums, references[indices], lengths)
            # 3. Loss: one number per ranking.
            loss = (weights * preference_loss(ranks, config)).mean()
            # 4. Update.
            peak = config.learning_rate
            rate = linear_schedule(optimizer, peak, step, config.steps, config.warmup)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = clip_grad_norm_(policy.parameters(), config.max_grad_norm)
            refuse_non_finite(step, indices, logprobs=sums, loss=loss, gradient=norm)
            optimizer.step()
            # 5. Watch.
            metrics = {"loss": loss.item(), **shown(ranks), "grad_norm": norm.item()}
            metrics["learning_rate"] = rate
            history.log(step, **metrics)
            bar.set_postfix(margin=f"{metrics['margin']:.2f}")
            if on_step is not None:
                on_step(metrics)
            # 6. Save, so that a kill loses little.
            if checkpoint_dir is not None and due(step + 1, config):
                state = {"step": step + 1, "history": history.to_rows()}
                save_checkpoint(checkpoint_dir, policy, optimizer, settings, state)
    return history


def shown(ranks: RankLogprobs) -> dict[str, float]:
    """What a batch shows: order of implicit rewards, margin, logratios of the best and the last."""
    with torch.no_grad():
        pair, gaps = ranks.pair, ranks.logratios[:, :-1] - ranks.logratios[:, 1:]
        right = (gaps > 0).float() + 0.5 * (gaps == 0).float()
        return {
            "accuracy": right.mean().item(),
            "margin": pair.margin.mean().item(),
            "chosen": pair.chosen_logratio.mean().item(),
            "rejected": pair.rejected_logratio.mean().item(),
        }


def _check(rankings: Sequence[Ranking], config: PreferenceConfig) -> None:
    """Refuse what cannot be trained on, with the row."""
    require_encoded([row for ranking in rankings for row in ranking])
    lengths = {len(ranking) for ranking in rankings}
    if not rankings or len(lengths) > 1 or min(lengths) < 2:
        raise ValueError(
            f"{len(rankings)} rankings of {sorted(lengths)} completions: give at least one, all of "
            "the same length, 2 or more"
        )
    (k,) = lengths
    for i, ranking in enumerate(rankings):
        if any(row.prompt_ids != ranking[0].prompt_ids for row in ranking):
            raise ValueError(
                f"ranking {i} has different prompts, so log Z would not cancel; cut all "
                "completions' prompts alike"
            )
        if len({tuple(row.ids) for row in ranking}) < k:
            raise ValueError(
                f"ranking {i} holds the same completion twice, a constant loss; drop it"
            )


def _check_references(
    references: Tensor,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rankings: Sequence[Ranking],
    tail: float,
) -> None:
    """Refuse sums of other rankings, of another order or another reference: a few are redone."""
    shape = (len(rankings), len(rankings[0]))
    if tuple(references.shape) != shape or not references.isfinite().all():
        raise ValueError(
            f"references has shape {tuple(references.shape)}, but needs one finite sum for each "
            f"completion, {shape}; compute it with reference_sums, or leave it out"
        )
    few = torch.linspace(0, len(rankings) - 1, min(len(rankings), CHECKED)).long().tolist()
    again = reference_sums(reference, tokenizer, [rankings[i] for i in few], tail=tail)
    given = references[few].to(again)
    off = (again - given).abs() - 0.01 * again.abs()
    if (off > 0.5).any():  # rounding of another device or number type is far below
        worst = few[int(off.amax(1).argmax())]
        raise ValueError(
            f"references are not those of these rankings under this reference: of ranking {worst} "
            "they differ by more than rounding; give them in the rankings' order, of the same "
            "reference and tail, or leave them out"
        )
