"""The general loop of policy gradients: what papers differ in are callables.

An `advantage` (`variants.group_advantages`) compares the rewards of a group, or a `critic` makes
advantages of its own (`critic`, PPO); an `objective` (`variants.policy`) is to be maximised at
every token; an `average` (`variants.averages`) says how much each token counts. A completion that
was cut is not masked: without an answer it earns what its text earns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.grpo import group_zscore
from minialign.core.advantages import minibatches
from minialign.core.history import History
from minialign.core.kl import k1, k3
from minialign.core.logprobs import bounded_exp, masked_sum, token_logprobs
from minialign.core.models import fast_matmul, frozen_reference, training
from minialign.core.optim import part_size
from minialign.core.run import Run, prompt_batches, require_settings
from minialign.core.sampling import PART, Rollout, sample
from minialign.rewards import Data, Reward
from minialign.rewards.contract import paid_by, rewards_of, watched
from minialign.variants.averages import Average, sequence_mean
from minialign.variants.group_advantages import greedy_baseline, has_signal, process_zscore
from minialign.variants.loops.critic import Critic, ExtraLoss
from minialign.variants.policy import clipped

StepRewards = Callable[[Rollout, Sequence[Data]], Tensor]  # (B, T), nan where no step ends
CLIP = 0.2  # of a ratio, for clip_fraction, where the objective is not given one
OVERSAMPLING = 2  # times the prompts, of which those with a signal are kept


@dataclass(frozen=True)
class PolicyConfig:
    """Settings of `train_policy`."""

    steps: int = 100  # rollouts
    prompts: int = 16  # of a rollout
    group_size: int = 8  # completions of each prompt
    epochs: int = 1  # passes over a rollout; after the first update it is old, and ratios leave 1
    minibatches: int = 1  # updates in a pass
    learning_rate: float = 1e-4  # 1e-6 for models of 1 B parameters
    beta: float = 0.0  # price of a nat, in reward, or for kl="loss" in advantage
    kl: str = "loss"  # "loss" (k3 per token), or "reward" (k1: summed, or per token with a critic)
    dynamic: bool = False  # twice the prompts are drawn, and those with a signal kept
    greedy: bool = False  # the reward of the greedy completion is subtracted (ReMax)
    max_new_tokens: int = 64  # a completion is cut there
    seed: int = 0  # of prompts, sampling and minibatches
    save_every: int = 10  # steps between checkpoints

    def __post_init__(self) -> None:
        whole = ["prompts", "group_size", "epochs", "minibatches", "max_new_tokens"]
        require_settings(self, whole=whole)
        if self.beta < 0 or self.kl not in ("loss", "reward"):
            raise ValueError(f"beta={self.beta}, kl={self.kl!r}: use at least 0, loss or reward")
        if self.minibatches > self.prompts * self.group_size:
            raise ValueError(
                f"{self.prompts * self.group_size} completions cannot fill {self.minibatches} "
                "minibatches; use fewer"
            )


def train_policy(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Data],
    reward: Reward,
    config: PolicyConfig | None = None,
    *,
    advantage: Callable[[Tensor], Tensor] = group_zscore,
    objective: Callable[..., Tensor] = clipped,
    average: Average = sequence_mean,
    critic: Critic | None = None,
    step_rewards: StepRewards | None = None,
    extra_loss: ExtraLoss | None = None,
    watch: Mapping[str, Reward] | None = None,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """Train the policy in place so that its completions earn more.

    Args:
        policy: whose frozen copy is the reference where beta is above 0, or with a critic.
        tokenizer: with a chat template.
        rows: what to ask ("prompt"), and columns for the rewards.
        reward: TRL's signature, see `rewards.contract`; each completion needs a number.
        config: settings; None is the default.
        advantage: (P, G) rewards to (P, G); unused with a critic or rewards of steps.
        objective: (logprobs, old_logprobs, advantages, mask) to (B, T), to be maximised.
        average: (mask, longest length) to the weight of each token in the loss.
        critic: PPO's; wants kl="reward".
        step_rewards: rewards of single steps, standardised within the group (process supervision).
        extra_loss: a scalar that is added to the loss of each update, such as `imitation`.
        watch: name -> reward that is logged and never learnt from.
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.

    Returns:
        A history of reward (mean, of all that was drawn), signal (share of groups whose rewards
        differ), kl (nats per completion, with a reference), entropy, length and stops
        (`Rollout.summary`), loss, off (mean |ratio - 1| in the last pass), grad_norm,
        learning_rate, one column for each of `watch`, and with a critic beta, explained_variance,
        value_loss and clip_fraction.
    """
    config = config or PolicyConfig()
    _check(config, advantage, critic, step_rewards)
    reference = frozen_reference(policy) if config.beta or critic else None
    parts = {"advantage": advantage, "objective": objective, "average": average}
    optional = {"critic": critic, "step_rewards": step_rewards, "extra_loss": extra_loss}
    models = policy
    if critic is not None:
        models = torch.nn.ModuleDict({"policy": policy, "value": critic.model})
    run = Run(
        "policy", config, models, [rows, tokenizer.chat_template], on_step, checkpoint_dir,
        reference=reference, rewards=paid_by(reward, watch), eps=1e-5,
        functions=parts | {name: one for name, one in optional.items() if one is not None},
    )  # fmt: skip
    if extra_loss is not None:
        extra_loss = partial(extra_loss, policy, tokenizer)
    most = config.prompts * (OVERSAMPLING if config.dynamic else 1)
    with training(policy, *([] if critic is None else [critic.model])):
        for step, indices in run.batches(prompt_batches(rows, most, run.order)):
            # 1. Roll out a group of completions for each prompt, and reward them: (P, G).
            batch = [rows[i] for i in indices]
            rollout = _sample(policy, tokenizer, batch, config, run.generator)
            rewards = rollout.grouped(rewards_of(reward, rollout, batch, indices))
            signal = has_signal(rewards)
            metrics = {"reward": rewards.mean(), "signal": signal.float().mean()}
            if config.dynamic:
                rollout, rewards, batch = keep(signal, config.prompts, rollout, rewards, batch)
            metrics |= rollout.summary()
            # 2. The KL to the reference, of each token.
            ref_logprobs, kl = None, torch.zeros_like(rollout.logprobs)
            if reference is not None:
                with fast_matmul(policy.device):
                    ref_logprobs = rollout.logprobs_under(reference)
                kl = k1(rollout.logprobs, ref_logprobs)
                metrics["kl"] = masked_sum(kl, rollout.completion_mask).mean()
            # 3. Advantages, (B, T).
            if critic is not None:
                advantages, returns, of_critic = critic.advantages(
                    rollout, rewards.flatten(), kl, config.beta, run.state
                )
                metrics |= of_critic
            elif step_rewards is not None:
                advantages = process_zscore(step_rewards(rollout, batch), config.group_size)
            else:
                if config.kl == "reward":
                    whole = masked_sum(kl, rollout.completion_mask)
                    rewards = rewards - config.beta * rollout.grouped(whole)
                if config.greedy:
                    best = _sample(policy, tokenizer, batch, config, None)
                    rewards = greedy_baseline(rewards, rewards_of(reward, best, batch))
                advantages = advantage(rewards).view(-1, 1).expand_as(rollout.logprobs)
            # 4. Update.
            metrics |= policy_update(
                run, policy, rollout, advantages, objective, average,
                ref_logprobs=ref_logprobs if config.kl == "loss" else None,
                value=None if critic is None else (critic, returns), extra_loss=extra_loss,
            )  # fmt: skip
            # 5. Watch.
            run.log(step, **metrics, **watched(watch, rollout, batch))
    return run.history


def policy_update(
    run: Run,
    policy: PreTrainedModel,
    rollout: Rollout,
    advantages: Tensor,
    objective: Callable[..., Tensor] = clipped,
    average: Average = sequence_mean,
    *,
    ref_logprobs: Tensor | None = None,
    value: tuple[Critic, Tensor] | None = None,
    extra_loss: Callable[[int, torch.Generator], Tensor] | None = None,
) -> dict[str, float]:
    """The updates with one rollout; returns loss and off of the last pass, and what PPO shows.

    Minibatches are steps of their own; parts of one, of like length, only save memory: their losses
    add up to the minibatch's. `off` is the mean of |ratio - 1| over tokens: 0 in the first update
    but for rounding, which differs a little between sampling and update.
    """
    config, mask = run.config, rollout.completion_mask
    clip = getattr(objective, "keywords", {}).get("clip", CLIP)
    updates = []
    for rows, parts in _minibatches(rollout, config, policy, run.shuffler):
        weights = torch.zeros(mask.shape, device=mask.device)
        weights[rows] = average(mask[rows], config.max_new_tokens)
        totals = torch.zeros(4)  # loss, and sums over tokens: off, clip_fraction, value_loss
        for part in parts:
            ids, attention_mask = rollout.input_ids[part], rollout.attention_mask[part]
            old_logprobs, tokens = rollout.logprobs[part], mask[part]
            with fast_matmul(policy.device):
                logprobs = token_logprobs(policy, ids, attention_mask, tokens)
            per_token = -objective(logprobs, old_logprobs, advantages[part], tokens)
            if ref_logprobs is not None:
                per_token = per_token + config.beta * k3(logprobs, ref_logprobs[part])
            error = torch.zeros_like(per_token)
            if value is not None:
                critic, returns = value
                error = critic.loss(ids, attention_mask, part, returns)
                per_token = per_token + error
            loss = (weights[part] * per_token).sum()
            if extra_loss is not None:
                loss = loss + len(ids) / len(rows) * extra_loss(len(ids), run.shuffler)
            off = (bounded_exp(logprobs.detach() - old_logprobs) - 1).abs()
            sums = [
                masked_sum(x.detach(), tokens).sum() for x in (off, (off > clip).float(), error)
            ]
            made_of = {"advantages": advantages[part], "logprobs": logprobs}
            totals += torch.tensor([run.backward(loss, **made_of), *sums])
        run.update()
        totals[1:] /= mask[rows].sum().cpu()
        updates.append(totals)
    loss, off = torch.stack(updates[-config.minibatches :]).mean(0)[:2].tolist()
    clip_fraction, value_loss = torch.stack(updates).mean(0)[2:].tolist()
    of_critic = {} if value is None else {"clip_fraction": clip_fraction, "value_loss": value_loss}
    return {"loss": loss, "off": off} | of_critic


def _minibatches(
    rollout: Rollout, config: PolicyConfig, policy: PreTrainedModel, generator: torch.Generator
) -> Iterator[tuple[Tensor, list[tuple[Tensor, slice]]]]:
    """(rows, parts of them that fit into memory) of each update with a rollout."""
    if config.minibatches == 1:
        every = torch.arange(len(rollout))
        for _ in range(config.epochs):
            yield every, rollout.parts(PART, policy)
        return
    size = part_size(policy, rollout.input_ids.shape[1], PART)
    for rows, columns in minibatches(rollout, config.epochs, config.minibatches, generator):
        yield rows, [(part, columns) for part in rows.split(size)]


def _sample(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: Sequence[Data],
    config: PolicyConfig,
    generator: torch.Generator | None,
) -> Rollout:
    """A rollout of the rows' prompts; without a generator the likeliest completion of each."""
    greedy = {"group_size": 1, "temperature": 0.0}
    sampled = {"group_size": config.group_size, "generator": generator}
    prompts = [row["prompt"] for row in batch]
    with fast_matmul(policy.device):  # as in the update, or its ratios leave 1
        return sample(
            policy, tokenizer, prompts, max_new_tokens=config.max_new_tokens,
            **(greedy if generator is None else sampled),
        )  # fmt: skip


def keep(
    signal: Tensor, most: int, rollout: Rollout, rewards: Tensor, batch: Sequence[Data]
) -> tuple[Rollout, Tensor, list[Data]]:
    """The first groups with a signal, `most` of them, or what there is: dynamic sampling.

    Yu et al. 2025 (DAPO), arXiv:2503.14476, equation 11. The mean reward that is logged is over all
    that were drawn: among the kept ones, neither the solved nor the hopeless are seen.
    """
    groups = signal.nonzero()[:, 0].tolist()[:most] or list(range(most))
    size = rollout.group_size
    rows = [p * size + g for p in groups for g in range(size)]
    tensors = {name: x[rows] for name, x in vars(rollout).items() if isinstance(x, Tensor)}
    lists = {name: [getattr(rollout, name)[i] for i in rows] for name in ("prompts", "texts")}
    return replace(rollout, **tensors, **lists), rewards[groups], [batch[p] for p in groups]


def _check(
    config: PolicyConfig,
    advantage: Callable[[Tensor], Tensor],
    critic: Critic | None,
    step_rewards: StepRewards | None,
) -> None:
    alone = critic is None and step_rewards is None
    if alone and config.group_size < 2 and getattr(advantage, "compares", False):
        raise ValueError(
            f"group_size is {config.group_size}, and {advantage.__name__} compares a prompt's "
            "completions, so nothing would be learnt; use 2 or more"
        )
    if step_rewards is not None and config.kl == "reward" and config.beta:
        raise ValueError(
            f"rewards of steps with kl='reward' and beta={config.beta}: they have no place for the "
            "penalty of a completion; use kl='loss', or beta=0"
        )
    if critic is not None and config.kl != "reward":
        raise ValueError(
            f"a critic with kl={config.kl!r}: PPO pays its penalty in the reward of each token; "
            "use kl='reward'"
        )
    if critic is not None and critic.target_kl is not None and not config.beta:
        raise ValueError("target_kl with beta=0: beta is adapted by factors; use beta above 0")
