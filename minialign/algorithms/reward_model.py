"""Train a reward model: comparisons, or longer rankings, become one number per text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from minialign.core.batching import (
    Messages,
    Row,
    collate,
    completion_ids,
    length_batches,
    prompt_ids,
    require_encoded,
)
from minialign.core.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from minialign.core.history import History
from minialign.core.models.loading import RewardModel
from minialign.core.models.modes import training
from minialign.core.optim import (
    due,
    fast_matmul,
    linear_schedule,
    make_optimizer,
    refuse_non_finite,
    run_settings,
)
from minialign.variants.reward_losses import bradley_terry, plackett_luce, split_pairs

Ranking = tuple[Row, ...]  # K replies to one prompt, the best first; a comparison is K = 2
LOSSES = ("bradley_terry", "plackett_luce", "split_pairs")


@dataclass(frozen=True)
class RewardConfig:
    """Settings of `train_reward`."""

    steps: int = 200  # updates
    batch_size: int = 32  # rankings per update
    learning_rate: float = 5e-4  # peak of AdamW; a model of 100 M parameters wants about 1e-5
    warmup: int = 20  # updates until the peak, from which it falls linearly to a twentieth
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0  # the gradient is scaled down to this norm
    loss: str = "bradley_terry"  # plackett_luce or split_pairs where rankings are longer than 2
    margin: float = 0.0  # by how much the chosen reply should win, in units of score
    label_smoothing: float = 0.0  # share of comparisons taken to be wrong, below 0.5
    centering: float = 0.0  # pulls the mean score of a pair to 0; 0.01 in Eisenstein et al. 2023
    seed: int = 0  # of the order of the data
    save_every: int = 50  # updates between checkpoints

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}; use one of {', '.join(LOSSES)}")
        if min(self.steps, self.batch_size, self.save_every) < 1 or not self.learning_rate > 0:
            raise ValueError(
                f"steps={self.steps}, batch_size={self.batch_size}, save_every={self.save_every}, "
                f"learning_rate={self.learning_rate}: all must be positive"
            )
        extras = self.margin or self.label_smoothing or self.centering
        if extras and self.loss != "bradley_terry":
            raise ValueError(
                f"margin, label_smoothing and centering belong to bradley_terry, not {self.loss}; "
                "set them to 0 or change the loss"
            )


def both_orders(
    tokenizer: PreTrainedTokenizerBase, prompt: str | Messages, chosen: str, rejected: str
) -> Ranking:
    """A comparison for a model that reads both replies at once, in either order.

    The first row holds chosen before rejected, the second the reverse, so `bradley_terry` trains
    sigmoid(s(a, b) - s(b, a)) to be the chance that a beats b, and no order is preferred. The idea
    of PairRM: Jiang et al. 2023 (LLM-Blender), arXiv:2306.02561, section 3.
    """
    start = prompt_ids(tokenizer, prompt)
    a, b = (completion_ids(tokenizer, text) for text in (chosen, rejected))
    return Row(start, a + b), Row(start, b + a)


def ranking_loss(scores: Tensor, config: RewardConfig) -> Tensor:
    """(B, K) scores, best first, to (B,) nats."""
    if config.loss == "plackett_luce":
        return plackett_luce(scores)
    if config.loss == "split_pairs":
        return split_pairs(scores)
    return bradley_terry(
        scores[:, 0],
        scores[:, 1],
        margin=config.margin,
        label_smoothing=config.label_smoothing,
        centering=config.centering,
    )


def _check(rankings: Sequence[Ranking], config: RewardConfig) -> None:
    require_encoded([row for ranking in rankings for row in ranking])
    lengths = {len(ranking) for ranking in rankings}
    wanted = config.loss == "bradley_terry" and lengths - {2}
    if not rankings or len(lengths) > 1 or min(lengths) < 2 or wanted:
        raise ValueError(
            f"{len(rankings)} rankings of {sorted(lengths)} replies: {config.loss} wants at least "
            "one, all of the same length, 2 for bradley_terry; split or cut the others"
        )
    same = [i for i, r in enumerate(rankings) if len({tuple(row.ids) for row in r}) < len(r)]
    if same:
        raise ValueError(
            f"ranking {same[0]} holds the same text twice, which nothing can tell apart; drop it "
            f"({len(same)} such rankings)"
        )


def train_reward(
    model: RewardModel,
    tokenizer: PreTrainedTokenizerBase,
    rankings: Sequence[Ranking],
    config: RewardConfig | None = None,
    *,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """Train the reward model in place to score better replies higher.

    Args:
        model: starts best from the policy whose replies it will judge.
        tokenizer: for its pad id.
        rankings: encoded replies to one prompt each, best first, all K long.
        config: settings; None is the default.
        on_step: called with each step's metrics, for a live plot or a logger.
        checkpoint_dir: where to save; a run that was interrupted continues from there, bit-equal on
            CPU.

    Returns:
        A history of loss (nats per ranking), accuracy (of neighbours in a ranking), gap (best minus
        worst score), grad_norm and learning_rate.
    """
    config = config or RewardConfig()
    _check(rankings, config)
    torch.manual_seed(config.seed)
    optimizer = make_optimizer(model, config.learning_rate, config.weight_decay)
    history, first = History(), 0
    settings = run_settings("reward", config, rankings, model=model)
    if checkpoint_dir is not None and has_checkpoint(checkpoint_dir):
        state = load_checkpoint(checkpoint_dir, model, optimizer, settings)
        history, first = History.from_rows(state["history"]), state["step"]
    longest = [max(ranking, key=len) for ranking in rankings]
    order = length_batches(longest, config.batch_size, Random(config.seed))
    bar = tqdm(islice(order, first, config.steps), "reward", config.steps, initial=first)
    with training(model, dropout=True):
        for step, indices in enumerate(bar, start=first):
            # 1. Collect: all replies of a few rankings, one under the other.
            rows = [row for i in indices for row in rankings[i]]
            batch = collate(rows, tokenizer.pad_token_id).to(model.device)
            # 2. Score: one number per reply, (B, K).
            with fast_matmul(model.device):
                scores = model(batch.input_ids, batch.attention_mask).view(len(indices), -1)
            # 3. Loss: nats per ranking.
            loss = ranking_loss(scores, config).mean()
            # 4. Update.
            rate = linear_schedule(
                optimizer, config.learning_rate, step, config.steps, config.warmup
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            refuse_non_finite(step, indices, scores=scores, loss=loss, gradient=norm)
            optimizer.step()
            # 5. Watch.
            metrics = {"loss": loss.item(), "accuracy": _accuracy(scores)}
            metrics["gap"] = (scores[:, 0] - scores[:, -1]).mean().item()
            metrics |= {"grad_norm": norm.item(), "learning_rate": rate}
            history.log(step, **metrics)
            bar.set_postfix(loss=f"{metrics['loss']:.3f}", accuracy=f"{metrics['accuracy']:.2f}")
            if on_step is not None:
                on_step(metrics)
            # 6. Save, so that a kill loses little.
            if checkpoint_dir is not None and due(step + 1, config):
                state = {"step": step + 1, "history": history.to_rows()}
                save_checkpoint(checkpoint_dir, model, optimizer, settings, state)
    return history


def _accuracy(scores: Tensor) -> float:
    """How often a reply scores above the next one of its ranking; a tie counts one half."""
    gaps = scores[:, :-1] - scores[:, 1:]
    return ((gaps > 0).float() + 0.5 * (gaps == 0).float()).mean().item()
