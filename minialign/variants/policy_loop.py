"""Reinforcement learning without a critic: a group of completions is its own baseline.

One loop. What REINFORCE, RLOO, GRPO, DAPO and their relatives differ in are an advantage
(`group_advantages`), an objective (`losses.policy`) and an average (`losses.averages`), each by
name. A completion that was cut is not masked: without an answer it earns what its text earns.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import by_length, prompt_batches
from minialign.core.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from minialign.core.history import History
from minialign.core.kl import bounded_exp, k1, k3
from minialign.core.logprobs import masked_mean, masked_sum, token_logprobs
from minialign.core.models.loading import frozen_reference
from minialign.core.models.modes import training
from minialign.core.optim import (
    due,
    fast_matmul,
    linear_schedule,
    make_optimizer,
    part_size,
    refuse_non_finite,
    run_settings,
)
from minialign.core.sampling import Rollout, sample
from minialign.rewards.contract import Data, Reward, paid_by, rewards_of, watched
from minialign.variants import policy as objectives
from minialign.variants.averages import AVERAGES
from minialign.variants.group_advantages import (
    GROUP_ADVANTAGES,
    greedy_baseline,
    has_signal,
    process_zscore,
)

StepRewards = Callable[[Rollout, Sequence[Data]], Tensor]  # (B, T), nan where no step ends

OBJECTIVES: dict[str, Callable[..., Tensor]] = {
    "reinforce": lambda logprobs, old, advantages, mask: objectives.reinforce(
        logprobs, advantages, mask
    ),
    "clipped": objectives.clipped,
    "gspo": objectives.gspo,
    "cispo": objectives.cispo,
    "sapo": objectives.sapo,
    "vespo": objectives.vespo,
    "squared_ratio": objectives.squared_ratio,
}
ADVANTAGES = (*GROUP_ADVANTAGES, "greedy", "process")
COMPARED = ("centred", "leave_one_out", "zscore", "batch_scaled")  # with the others of a group
EPS = 1e-5  # of Adam
WARMUP = 5  # steps until the learning rate's peak
MAX_GRAD_NORM = 1.0
PART = 64  # completions in one forward pass of an update, fewer of a large model
OVERSAMPLING = 2  # times the prompts, of which those with a signal are kept


@dataclass(frozen=True)
class RlConfig:
    """Settings of `train_rl`."""

    steps: int = 100  # rollouts
    prompts: int = 16  # of a rollout
    group_size: int = 8  # completions of each prompt
    epochs: int = 1  # updates with a rollout; after the first it is old, and ratios leave 1
    learning_rate: float = 1e-4  # 1e-6 for models of 1 B parameters
    advantage: str = "zscore"  # a name of ADVANTAGES
    objective: str = "clipped"  # a name of OBJECTIVES
    average: str = "sequence"  # a name of AVERAGES
    options: Mapping[str, float | bool] = field(default_factory=dict)  # the objective's keywords
    beta: float = 0.0  # price of a nat, in reward, or for kl="loss" in advantage
    kl: str = "loss"  # "loss" (k3 per token), or "reward" (k1, summed, paid by every token)
    dynamic: bool = False  # twice the prompts are drawn, and those with a signal kept
    max_new_tokens: int = 64  # a completion is cut there
    seed: int = 0  # of prompts and sampling
    save_every: int = 10  # steps between checkpoints

    def __post_init__(self) -> None:
        whole = ("steps", "prompts", "group_size", "epochs", "max_new_tokens", "save_every")
        if small := [name for name in whole if getattr(self, name) < 1]:
            raise ValueError(f"{small[0]} is {getattr(self, small[0])}; use 1 or more")
        if self.group_size < 2 and self.advantage in COMPARED:
            raise ValueError(
                f"group_size is {self.group_size}, and {self.advantage!r} compares a prompt's "
                "completions, so nothing would be learnt; use 2 or more"
            )
        if self.advantage == "process" and self.kl == "reward" and self.beta:
            raise ValueError(
                f"advantage='process' with kl='reward' and beta={self.beta}: rewards of steps have "
                "no place for the penalty of a completion; use kl='loss', or beta=0"
            )
        if not self.learning_rate > 0 or self.beta < 0 or self.kl not in ("loss", "reward"):
            raise ValueError(
                f"learning_rate={self.learning_rate}, beta={self.beta}, kl={self.kl!r}: use above "
                "0, at least 0, and loss or reward"
            )
        for name, known in (
            ("advantage", ADVANTAGES), ("objective", OBJECTIVES), ("average", AVERAGES)
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; use one of {', '.join(known)}"
                )
        takes = [
            name
            for name, p in inspect.signature(OBJECTIVES[self.objective]).parameters.items()
            if p.kind is p.KEYWORD_ONLY
        ]
        if strange := sorted(set(self.options) - set(takes)):
            raise ValueError(
                f"objective {self.objective!r} has no option {strange[0]!r}; it has "
                f"{', '.join(takes) or 'none'}"
            )


def roll_out(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Data],
    reward: Reward,
    config: RlConfig,
    generator: torch.Generator,
    numbers: Sequence[int] | None = None,
) -> tuple[Rollout, Tensor, list[Data], dict[str, float]]:
    """A rollout, its (P, G) rewards, its rows, and what all drawn groups show.

    With `dynamic`, the first of those with a signal are kept, or what there is of them: dynamic
    sampling, Yu et al. 2025 (DAPO), arXiv:2503.14476, equation 11. The mean reward is over all that
    were drawn: among the kept ones, neither the solved nor the hopeless are seen. `numbers` are
    those of the rows, for an error.
    """
    limits = {"max_new_tokens": config.max_new_tokens, "generator": generator}
    prompts = [row["prompt"] for row in rows]
    with fast_matmul(policy.device):  # as in the update, or its ratios leave 1
        rollout = sample(policy, tokenizer, prompts, group_size=config.group_size, **limits)
    rewards = rollout.grouped(rewards_of(reward, rollout, rows, numbers))
    signal = has_signal(rewards)
    drawn = {"reward": rewards.mean().item(), "signal": signal.float().mean().item()}
    if not config.dynamic:
        return rollout, rewards, list(rows), drawn
    kept = signal.nonzero()[:, 0].tolist()[: config.prompts] or list(range(config.prompts))
    return rollout.groups(kept), rewards[kept], [rows[i] for i in kept], drawn


def advantages_of(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rollout: Rollout,
    rewards: Tensor,
    rows: Sequence[Data],
    reward: Reward,
    steps: StepRewards | None,
    config: RlConfig,
) -> Tensor:
    """(B, T) advantages by the name in the settings; those of a completion are all the same."""
    if config.advantage == "process":
        return process_zscore(steps(rollout, rows), config.group_size)
    if config.advantage == "greedy":
        limits = {"max_new_tokens": config.max_new_tokens, "temperature": 0.0}
        with fast_matmul(policy.device):
            best = sample(policy, tokenizer, [row["prompt"] for row in rows], **limits)
        found = greedy_baseline(rewards, rewards_of(reward, best, rows))
    else:
        found = GROUP_ADVANTAGES[config.advantage](rewards)
    return found.view(-1, 1).expand_as(rollout.logprobs)


def policy_update(
    policy: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    advantages: Tensor,
    ref_logprobs: Tensor | None,
    config: RlConfig,
    place: tuple[int, Sequence[int]] = (0, ()),
) -> dict[str, float]:
    """`epochs` steps on one rollout; returns loss, grad_norm and off, all of the last of them.

    Completions of like length are read together, in parts whose losses add up to the batch's: a
    token mean is over the batch, not over a part. `off` is the mean of |ratio - 1| over tokens: 0
    in the first update but for rounding, which differs a little between sampling and update.
    `place` is step and rows, for an error.
    """
    average, objective = AVERAGES[config.average], OBJECTIVES[config.objective]
    seen, mask = rollout.attention_mask, rollout.completion_mask
    parts = seen.sum(1).argsort().split(part_size(policy, seen.shape[1], PART))
    with training(policy):
        for _ in range(config.epochs):
            optimizer.zero_grad(set_to_none=True)
            loss, off = 0.0, 0.0
            for rows in parts:
                width = int(seen[rows].sum(1).max())  # beyond it there is padding only
                kept, old = mask[rows, :width], rollout.logprobs[rows, :width]
                with fast_matmul(policy.device):
                    ids = rollout.input_ids[rows, :width]
                    logprobs = token_logprobs(policy, ids, seen[rows, :width])
                given = logprobs, old, advantages[rows, :width], kept
                cost = -objective(*given, **config.options)
                if ref_logprobs is not None:
                    cost = cost + config.beta * k3(logprobs, ref_logprobs[rows, :width])
                tokens = config.average == "token"
                share = kept.sum() / mask.sum() if tokens else len(rows) / len(mask)
                part = share * average(cost, kept, config.max_new_tokens)
                part.backward()
                loss += part.item()
                moved = bounded_exp((logprobs - old).detach(), torch.expm1).abs()
                off += (masked_sum(moved, kept).sum() / mask.sum()).item()
            norm = clip_grad_norm_(policy.parameters(), MAX_GRAD_NORM)
            refuse_non_finite(*place, advantages=advantages, loss=loss, gradient=norm)
            optimizer.step()
    return {"loss": loss, "grad_norm": norm.item(), "off": off}


def shown(rollout: Rollout) -> dict[str, float]:
    """What a rollout shows: nats per token, tokens, a share."""
    return {
        "entropy": -masked_mean(rollout.logprobs, rollout.completion_mask).item(),
        "length": rollout.lengths.float().mean().item(),
        "stops": rollout.finished.float().mean().item(),
    }


def train_rl(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Data],
    reward: Reward,
    config: RlConfig | None = None,
    *,
    steps: StepRewards | None = None,
    watch: Mapping[str, Reward] | None = None,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> History:
    """Train the policy in place so that its completions earn more.

    Args:
        policy: whose frozen copy is the reference where beta is above 0.
        tokenizer: with a chat template.
        rows: what to ask ("prompt"), and columns for the rewards.
        reward: TRL's signature, see `rewards.contract`; each completion needs a number.
        config: settings; None is the default.
        steps: rewards of single steps, for the advantage "process".
        watch: name -> reward that is logged and never learnt from.
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.

    Returns:
        A history of reward (mean, of all that was drawn), signal (share of groups whose rewards
        differ), kl (nats per completion,
        with beta), entropy (nats per token), length (tokens), stops (share), loss, grad_norm, off
        (mean |ratio - 1| in the last update), learning_rate, and one column for each of `watch`.
    """
    config = config or RlConfig()
    _check(rows, steps, config)
    reference = frozen_reference(policy) if config.beta else None
    optimizer = make_optimizer(policy, config.learning_rate, eps=EPS)
    generator = torch.Generator(policy.device).manual_seed(config.seed)
    paid = paid_by(reward, watch) | ({} if steps is None else {"steps": steps})
    data, start = [rows, tokenizer.chat_template], policy if config.beta else None
    known = {"rewards": paid, "model": policy, "reference": start}
    settings = run_settings("rl", config, data, **known)
    history, first, made = History(), 0, (policy, optimizer, settings)
    if checkpoint_dir is not None and has_checkpoint(checkpoint_dir):
        state = load_checkpoint(checkpoint_dir, *made, (generator,))
        history, first = History.from_rows(state["history"]), state["step"]
    drawn = config.prompts * (OVERSAMPLING if config.dynamic else 1)
    batches = prompt_batches(len(rows), drawn, Random(config.seed))
    bar = tqdm(islice(batches, first, config.steps), "rl", config.steps, initial=first)
    for step, indices in enumerate(bar, start=first):
        # 1. Roll out a group of completions for each prompt; 2. reward them: (P, G).
        asked = [rows[i] for i in indices]
        rolled = roll_out(policy, tokenizer, asked, reward, config, generator, indices)
        rollout, rewards, asked, drawn = rolled
        metrics = {**drawn, **shown(rollout)}
        ref_logprobs = None
        if reference is not None:
            ref_logprobs, kl = reference_logprobs(reference, rollout)
            metrics["kl"] = kl.mean().item()
            if config.kl == "reward":
                rewards = rewards - config.beta * rollout.grouped(kl)
                ref_logprobs = None
        # 3. Advantage: of each completion within its group, (B, T).
        given = rollout, rewards, asked, reward, steps, config
        advantages = advantages_of(policy, tokenizer, *given)
        # 4. Update.
        peak = config.learning_rate
        rate = linear_schedule(optimizer, peak, step, config.steps, WARMUP)
        given = rollout, advantages, ref_logprobs, config, (step, indices)
        metrics |= policy_update(policy, optimizer, *given)
        # 5. Watch.
        metrics["learning_rate"] = rate
        metrics |= watched(watch, rollout, asked)
        history.log(step, **metrics)
        bar.set_postfix({name: f"{metrics[name]:.2f}" for name in ("reward", "signal")})
        if on_step is not None:
            on_step(metrics)
        # 6. Save, so that a kill loses little.
        if checkpoint_dir is not None and due(step + 1, config):
            state = {"step": step + 1, "history": history.to_rows()}
            save_checkpoint(checkpoint_dir, *made, state, (generator,))
    return history


@torch.no_grad()
def reference_logprobs(reference: PreTrainedModel, rollout: Rollout) -> tuple[Tensor, Tensor]:
    """(B, T) logprobs under the reference, and (B,) log pi - log pi_ref of each completion."""
    compute = partial(token_logprobs, reference)
    with fast_matmul(reference.device):
        found = by_length(compute, rollout.input_ids, rollout.attention_mask)
    return found, masked_sum(k1(rollout.logprobs, found), rollout.completion_mask)


def _check(rows: Sequence[Data], steps: StepRewards | None, config: RlConfig) -> None:
    if not rows or any(not isinstance(row, Mapping) or "prompt" not in row for row in rows):
        raise ValueError(f"{len(rows)} rows: give at least one, each a dict with a prompt")
    if (steps is not None) != (config.advantage == "process"):
        raise ValueError(
            f"advantage is {config.advantage!r} and steps is {'given' if steps else 'None'}: "
            "rewards of steps belong to the advantage process"
        )
