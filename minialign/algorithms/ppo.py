"""Proximal policy optimisation of a language model against a reward, with a critic and a KL leash.

Schulman et al. 2017, arXiv:1707.06347, as Ziegler et al. 2019, arXiv:1909.08593, and Ouyang et al.
2022, arXiv:2203.02155, use it for language: one completion is one episode, a token one action, the
score comes with the last token and a penalty on log pi - log pi_ref with every token. Which details
of Huang et al. 2024, arXiv:2403.17031, are done, and which are not: `variants.loops.critic`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.advantages import explained_variance, gae, minibatches, token_rewards, whiten
from minialign.core.history import History
from minialign.core.logprobs import bounded_exp, masked_mean, masked_sum, token_logprobs
from minialign.core.models import fast_matmul, frozen_reference, training
from minialign.core.run import Run, prompt_batches, require_settings
from minialign.core.sampling import sample
from minialign.rewards.contract import paid_by, rewards_of, watched


@dataclass(frozen=True)
class PpoConfig:
    """Settings of `train_ppo`."""

    steps: int = 100  # rollouts
    prompts: int = 64  # of a rollout, one completion each
    epochs: int = 2  # passes over a rollout
    minibatches: int = 4  # updates in a pass
    learning_rate: float = 1e-4  # of policy and critic; 3e-6 for models of 1 B parameters
    clip: float = 0.2  # a ratio, or a value, that has moved farther is pulled no farther
    lam: float = 0.95  # of the generalised advantages
    beta: float = 0.05  # KL penalty: reward per nat
    missing_eos: float | None = -1.0  # score of a completion that was cut; None scores it as it is
    max_new_tokens: int = 64  # a completion is cut there
    seed: int = 0  # of prompts, sampling and minibatches
    save_every: int = 10  # steps between checkpoints

    def __post_init__(self) -> None:
        require_settings(self, whole=["prompts", "epochs", "minibatches", "max_new_tokens"])
        if self.minibatches > self.prompts or self.beta < 0 or not 0 < self.clip < 1:
            given = f"minibatches={self.minibatches} of {self.prompts} prompts, beta={self.beta}"
            rule = "fill each minibatch, and use at least 0, and between 0 and 1"
            raise ValueError(f"{given}, clip={self.clip}: {rule}")


def policy_loss(ratio: Tensor, advantages: Tensor, *, clip: float = 0.2) -> Tensor:
    """-min(ratio A, clipped ratio A): Schulman et al. 2017, equation 7. (B, T) to (B, T).

    A = 1 at ratio 2 is cut to 1.2; A = -1 at ratio 2 is not cut, since it has gone the wrong way.

    >>> policy_loss(torch.tensor([2.0, 2.0]), torch.tensor([1.0, -1.0]))
    tensor([-1.2000,  2.0000])
    """
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantages, clipped * advantages)


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, *, clip: float | None = 0.2
) -> Tensor:
    """Half the squared error of the critic, the worse of moved and clipped: (B, T) to (B, T).

    Huang et al. 2024, detail 20. `clip` is in units of reward; None does not clip. From 0 to 1 with
    a return of 2: clipped to 0.2, which is worse, (1.8)^2 / 2 = 1.62.

    >>> value_loss(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([2.0]))
    tensor([1.6200])
    """
    error = (values - returns).square()
    if clip is not None:
        near = old_values + (values - old_values).clamp(-clip, clip)
        error = torch.maximum(error, (near - returns).square())
    return 0.5 * error


def train_ppo(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Mapping], reward: Callable, config: PpoConfig | None = None,
    *, value_model: torch.nn.Module, watch: Mapping[str, Callable] | None = None,
    on_step: Callable[[dict[str, float]], None] | None = None, checkpoint_dir: Path | None = None,
) -> History:  # fmt: skip
    """Train policy and critic in place so that completions earn more reward, near the start.

    Arguments are those of `train_grpo`, and value_model: (input_ids, attention_mask) to (B, T)
    values of the prefix before each token, such as a `ValueModel` made from the reward model.

    Returns:
        A history of reward (mean score), kl (nats per completion), `Rollout.summary`, value_loss,
        clip_fraction, explained_variance, grad_norm, learning_rate, one column for each of `watch`.
    """
    config = config or PpoConfig()
    reference, device = frozen_reference(policy), policy.device
    models = torch.nn.ModuleDict({"policy": policy, "value": value_model})
    run = Run(
        "ppo", config, models, [rows, tokenizer.chat_template], on_step, checkpoint_dir,
        reference=reference, rewards=paid_by(reward, watch), eps=1e-5,
    )  # fmt: skip
    with training(policy, value_model):
        for step, indices in run.batches(prompt_batches(rows, config.prompts, run.order)):
            # 1. Roll out: one completion of each prompt, and what reference and critic say of it.
            batch = [rows[i] for i in indices]
            with fast_matmul(device):  # as in the update, or ratios leave 1
                rollout = sample(
                    policy, tokenizer, [row["prompt"] for row in batch],
                    max_new_tokens=config.max_new_tokens, generator=run.generator,
                )  # fmt: skip
                ref_logprobs = rollout.logprobs_under(reference)
                old_values = rollout.read(value_model)
            # 2. Reward: the score at the last token, the KL penalty at every token.
            mask = rollout.completion_mask
            scores = rewards_of(reward, rollout, batch, indices)
            if config.missing_eos is not None:
                scores = torch.where(rollout.finished, scores, config.missing_eos)
            kl = rollout.logprobs - ref_logprobs
            rewards = token_rewards(scores, kl, mask, config.beta)
            # 3. Advantages; the critic's targets come before the whitening.
            advantages = gae(rewards, old_values, mask, lam=config.lam)
            returns = advantages + old_values
            advantages = whiten(advantages, mask)
            # 4. Update: a few passes over the rollout, in minibatches of like length.
            updates = []  # clip_fraction and value_loss of each update
            for part in minibatches(rollout, config.epochs, config.minibatches, run.shuffler):
                ids, attention_mask = rollout.input_ids[part], rollout.attention_mask[part]
                with fast_matmul(device):
                    logprobs = token_logprobs(policy, ids, attention_mask, mask[part])
                    values = value_model(ids, attention_mask)
                ratio = bounded_exp(logprobs - rollout.logprobs[part])
                cost = policy_loss(ratio, advantages[part], clip=config.clip)
                error = value_loss(values, old_values[part], returns[part], clip=config.clip)
                weights = mask[part] / mask[part].sum()  # the mean over the minibatch's tokens
                run.update((weights * (cost + error)).sum(), returns=returns[part])
                outside = ((ratio - 1).abs() > config.clip).float()
                updates.append([masked_mean(x, mask[part]).item() for x in (outside, error)])
            clip_fraction, error = torch.tensor(updates).mean(0)
            # 5. Watch.
            run.log(
                step, reward=scores.mean(), kl=masked_sum(kl, mask).mean(), **rollout.summary(),
                clip_fraction=clip_fraction, value_loss=error,
                explained_variance=explained_variance(old_values, returns, mask),
                **watched(watch, rollout, batch),
            )  # fmt: skip
    return run.history
