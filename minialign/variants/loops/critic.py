"""PPO in the general loop: a critic makes the advantages, with what papers change around it.

`Critic` is given to `train_policy` and is all that PPO adds to it: token rewards from scores and a
KL penalty, GAE, whitening, the value loss. Its settings are the variants: scores that are
normalised or clipped, whitened rewards, an adapted penalty.

Details of Huang et al. 2024, arXiv:2403.17031, by number, here and in the essay. Done: 3 own pad,
and EOS is learnt; 7 no dropout (`load_policy`); 11 and 12 head and place of the score
(`RewardModel`); 15 its zero (`set_zero`); 20 Adam's eps, lambda and clips; 21 prompts in a new
order each epoch; 22 critic from the reward model; 23 EOS trick; 24 and 25 whitening, of rewards as
an option. Not done: 1, 2 and 4 to 6 describe their data; 8 to 10 their hardware and the training of
the other models; 13, 14 and 16 to 19 observe their reward models (padding moves no score of ours);
of 20, a temperature of 0.7 (ours is 1, the policy itself), four epochs (the course takes one, in
four minibatches), 0.1 on the value loss (each model's gradient is clipped alone) and a rate that
falls to 0 (ours to a twentieth).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.ppo import value_loss
from minialign.algorithms.sft import cross_entropy
from minialign.core.advantages import explained_variance, gae, token_rewards, whiten
from minialign.core.batching import Row, collate
from minialign.core.checkpoint import fingerprint
from minialign.core.logprobs import masked_sum, token_logprobs
from minialign.core.models import fast_matmul
from minialign.core.sampling import Rollout

# (policy, tokenizer, completions, generator) to a scalar
ExtraLoss = Callable[[PreTrainedModel, PreTrainedTokenizerBase, int, torch.Generator], Tensor]
SCORES = ("plain", "normalised", "clipped")
SCORE_CLIP = 0.3  # standard deviations: delta of Zheng et al. 2023
HORIZON = 1000  # completions over which the adaptive penalty follows its target


@dataclass
class Critic:
    """A value model, and how it turns scores and KL into advantages.

    `scores` may be "plain", "normalised" by all scores so far to mean 0 and variance 1, or
    "clipped" as well: Zheng et al. 2023 (Secrets of RLHF, part I), arXiv:2307.04964, equation 18;
    their code scales without centring. Ziegler et al. 2019 normalise once, before training. With
    `whiten_rewards` the rewards per token get variance 1 and keep their mean (detail 24).
    """

    model: torch.nn.Module  # (ids, mask) to (B, T) values; trained beside the policy
    lam: float = 0.95  # of the generalised advantages
    clip: float | None = 0.2  # a value that has moved farther is pulled no farther; None: not
    missing_eos: float | None = -1.0  # score of a completion that was cut; None scores it as it is
    scores: str = "plain"  # or normalised, clipped
    whiten_rewards: bool = False
    target_kl: float | None = None  # nats per completion that beta is adapted to; None keeps beta

    def __post_init__(self) -> None:
        if self.scores not in SCORES:
            raise ValueError(f"scores is {self.scores!r}; use one of {', '.join(SCORES)}")
        if self.target_kl is not None and not self.target_kl > 0:
            raise ValueError(f"target_kl is {self.target_kl}; use above 0, or None: beta is kept")

    def identity(self) -> str:
        """What a checkpoint knows it by."""
        settings = {name: value for name, value in vars(self).items() if name in _SETTINGS}
        return f"Critic {settings}"

    def advantages(
        self, rollout: Rollout, scores: Tensor, kl: Tensor, beta: float, state: dict[str, Any]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor | float]]:
        """(B, T) advantages and (B, T) returns of (B,) scores, and what they show.

        `state` keeps the adapted beta and the running mean and variance of the scores.
        """
        mask = rollout.completion_mask
        with fast_matmul(scores.device):
            self.old_values = rollout.read(self.model)
        if self.missing_eos is not None:
            scores = torch.where(rollout.finished, scores, self.missing_eos)
        shaped = normalised(scores, state.setdefault("scores", [0, 0.0, 0.0]), self.scores)
        beta = state.setdefault("beta", beta)
        rewards = token_rewards(shaped, kl, mask, beta)
        if self.whiten_rewards:
            rewards = whiten(rewards, mask, shift_mean=False)
        advantages = gae(rewards, self.old_values, mask, lam=self.lam)
        returns = advantages + self.old_values
        mean_kl = masked_sum(kl, mask).mean().item()
        state["beta"] = adapt_beta(beta, mean_kl, self.target_kl, len(rollout))
        metrics = {"reward": scores.mean(), "beta": beta}
        metrics["explained_variance"] = explained_variance(self.old_values, returns, mask)
        return whiten(advantages, mask), returns, metrics

    def loss(
        self, input_ids: Tensor, attention_mask: Tensor, part: tuple, returns: Tensor
    ) -> Tensor:
        """(rows, T) value loss of a part of the rollout."""
        with fast_matmul(input_ids.device):
            values = self.model(input_ids, attention_mask)
        return value_loss(values, self.old_values[part], returns[part], clip=self.clip)


_SETTINGS = ("lam", "clip", "missing_eos", "scores", "whiten_rewards", "target_kl")


def normalised(scores: Tensor, running: list, how: str) -> Tensor:
    """(B,) scores, taken into the running [count, mean, sum of squares], scaled by it if asked."""
    for score in scores.tolist():  # Welford's update
        running[0] += 1
        off = score - running[1]
        running[1] += off / running[0]
        running[2] += off * (score - running[1])
    if how == "plain":
        return scores
    spread = math.sqrt(running[2] / max(1, running[0] - 1)) or 1.0
    scaled = (scores - running[1]) / spread
    return scaled.clamp(-SCORE_CLIP, SCORE_CLIP) if how == "clipped" else scaled


def imitation(rows: Sequence[Row], *, weight: float = 1.0) -> ExtraLoss:
    """`weight` times the cross-entropy per token of n demonstrations at random.

    The pretraining mix of Ouyang et al. 2022, equation 2 (PPO-ptx), as the `extra_loss` of
    `train_policy`; they mix in pretraining text.
    """
    if not rows or not weight > 0:
        raise ValueError(f"{len(rows)} demonstrations with weight {weight}: give some, and above 0")

    def loss(
        policy: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        n: int,
        generator: torch.Generator,
    ) -> Tensor:
        drawn = torch.randint(len(rows), (n,), generator=generator).tolist()
        batch = collate([rows[i] for i in drawn], tokenizer.pad_token_id).to(policy.device)
        mask = batch.completion_mask
        with fast_matmul(policy.device):
            logprobs = token_logprobs(policy, batch.input_ids, batch.attention_mask, mask)
        return weight * cross_entropy(logprobs, mask).sum() / mask.sum()

    loss.identity = lambda: f"imitation({fingerprint(rows)}, {weight})"
    return loss


def adapt_beta(beta: float, kl: float, target: float | None, n: int) -> float:
    """The next KL penalty after n completions whose mean KL was `kl`; a target of None keeps it.

    beta * (1 + e n / horizon) with e = kl / target - 1 within -+0.2, so up where the KL is above
    its target: Ziegler et al. 2019, arXiv:1909.08593, section 2.2. In their code the horizon is
    10,000 of two million completions; ours is `HORIZON`.

    >>> round(adapt_beta(0.1, kl=12.0, target=6.0, n=100), 6), adapt_beta(0.1, 12.0, None, 100)
    (0.102, 0.1)
    """
    if target is None:
        return beta
    return beta * (1 + max(-0.2, min(0.2, kl / target - 1)) * n / HORIZON)
