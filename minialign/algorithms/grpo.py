"""Group relative policy optimisation: a group of completions is its own baseline.

Several completions of one prompt are sampled and rewarded. What was better than its group becomes
likelier, what was worse less likely, within PPO's clip and on a leash to the reference; no critic.
Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, equation 3 and section 4.1.2. A completion that
was cut is not masked: without an answer it earns what its text earns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.history import History
from minialign.core.kl import k3
from minialign.core.logprobs import bounded_exp, masked_sum, token_logprobs
from minialign.core.models import fast_matmul, frozen_reference, training
from minialign.core.run import Run, prompt_batches, require_settings
from minialign.core.sampling import PART, sample
from minialign.rewards.contract import paid_by, rewards_of, watched

STD_EPS = 1e-4  # beside a standard deviation, so that rounding in a tied group stays small


@dataclass(frozen=True)
class GrpoConfig:
    """Settings of `train_grpo`."""

    steps: int = 100  # rollouts
    prompts: int = 16  # of a rollout
    group_size: int = 8  # completions of each prompt
    epochs: int = 1  # updates with a rollout; after the first it is old, and ratios leave 1
    learning_rate: float = 1e-4  # 1e-6 for models of 1 B parameters
    clip: float = 0.2  # a ratio that has moved farther from 1 is pulled no farther
    beta: float = 0.04  # price of a nat of distance from the reference, in advantage
    max_new_tokens: int = 64  # a completion is cut there
    seed: int = 0  # of prompts and sampling
    save_every: int = 10  # steps between checkpoints

    def __post_init__(self) -> None:
        require_settings(self, whole=["prompts", "epochs", "max_new_tokens"])
        if self.group_size < 2 or not 0 < self.clip < 1 or self.beta < 0:
            given = f"group_size={self.group_size}, clip={self.clip}, beta={self.beta}"
            rule = "use 2 or more, since a group is compared; between 0 and 1; at least 0"
            raise ValueError(f"{given}: {rule}")


def group_zscore(rewards: Tensor) -> Tensor:
    """(P, G) rewards centred and divided by each group's standard deviation: (P, G) advantages.

    With Bessel's correction and 1e-4 beside it, as in TRL; the paper says neither. Prompts that are
    nearly always or nearly never solved count most. One right of four has a deviation of 0.5:

    >>> group_zscore(torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]))
    tensor([[ 1.4997, -0.4999, -0.4999, -0.4999],
            [ 0.0000,  0.0000,  0.0000,  0.0000]])
    """
    centred = rewards - rewards.mean(1, keepdim=True)
    return centred / (rewards.std(1, keepdim=True) + STD_EPS)


def grpo_loss(
    logprobs: Tensor, old_logprobs: Tensor, ref_logprobs: Tensor, advantages: Tensor,
    *, clip: float = 0.2, beta: float = 0.04,
) -> Tensor:  # fmt: skip
    """-min(ratio A, clipped ratio A) + beta k3: (B, T) each to (B, T), to minimise.

    ratio = exp(logprobs - old_logprobs). Past the clip the way A pulls it the gain has no gradient,
    and the full one the other way. A = 1 at ratio 2 is clipped to 1.2, A = -1 is not (k3 is 0):

    >>> zero, twice = torch.zeros(1, 2), torch.full((1, 2), 0.69315)
    >>> grpo_loss(twice, zero, twice, torch.tensor([[1.0, -1.0]]))
    tensor([[-1.2000,  2.0000]])
    """
    ratio = bounded_exp(logprobs - old_logprobs)
    gain = torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)
    return beta * k3(logprobs, ref_logprobs) - gain


def train_grpo(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Mapping], reward: Callable, config: GrpoConfig | None = None,
    *, watch: Mapping[str, Callable] | None = None,
    on_step: Callable[[dict[str, float]], None] | None = None, checkpoint_dir: Path | None = None,
) -> History:  # fmt: skip
    """Train the policy in place so that its completions earn more.

    Args:
        policy: the instruction-tuned model; a frozen copy of it is the reference.
        tokenizer: with a chat template.
        rows: what to ask ("prompt"), and columns for the rewards.
        reward: TRL's signature, see `rewards.contract`; each completion needs a number.
        config: settings; None is the default.
        watch: name -> reward that is logged and never learnt from.
        on_step: called with each step's metrics.
        checkpoint_dir: where to save; an interrupted run continues from there, bit-equal on CPU.

    Returns:
        A history of reward (mean), signal (share of groups whose rewards differ), kl (nats per
        completion), entropy, length, stops (`Rollout.summary`), loss, grad_norm, learning_rate and
        one column for each of `watch`.
    """
    config = config or GrpoConfig()
    reference, device = frozen_reference(policy), policy.device
    run = Run(
        "grpo", config, policy, [rows, tokenizer.chat_template], on_step, checkpoint_dir,
        reference=reference, rewards=paid_by(reward, watch), eps=1e-5,  # of Adam, as for PPO
    )  # fmt: skip
    with training(policy):
        for step, indices in run.batches(prompt_batches(rows, config.prompts, run.order)):
            # 1. Sample a group of completions of each prompt, B = P * G in all.
            batch = [rows[i] for i in indices]
            with fast_matmul(device):  # as in the update, or ratios leave 1
                rollout = sample(
                    policy, tokenizer, [row["prompt"] for row in batch],
                    group_size=config.group_size, max_new_tokens=config.max_new_tokens,
                    generator=run.generator,
                )  # fmt: skip
                ref_logprobs = rollout.logprobs_under(reference)
            # 2. Reward each; what counts is how it compares with its group, (P, G) to (B, T).
            rewards = rollout.grouped(rewards_of(reward, rollout, batch, indices))
            advantages = group_zscore(rewards).view(-1, 1).expand_as(rollout.logprobs)
            # 3. Update: a mean over tokens, then over completions; losses of parts add up to it.
            mask = rollout.completion_mask
            weights = mask / mask.sum(1, keepdim=True) / len(mask)
            for _ in range(config.epochs):
                loss = 0.0
                for part in rollout.parts(PART, policy):
                    ids, attention_mask = rollout.input_ids[part], rollout.attention_mask[part]
                    with fast_matmul(device):
                        logprobs = token_logprobs(policy, ids, attention_mask, mask[part])
                    per_token = grpo_loss(
                        logprobs, rollout.logprobs[part], ref_logprobs[part], advantages[part],
                        clip=config.clip, beta=config.beta,
                    )  # fmt: skip
                    part_loss = (weights[part] * per_token).sum()
                    loss += run.backward(part_loss, advantages=advantages, logprobs=logprobs)
                run.update()
            # 4. Watch.
            kl = masked_sum(rollout.logprobs - ref_logprobs, mask).mean()
            signal = (rewards.amax(1) - rewards.amin(1) > 1e-6).float().mean()
            summary = rollout.summary() | watched(watch, rollout, batch)
            run.log(step, reward=rewards.mean(), signal=signal, kl=kl, loss=loss, **summary)
    return run.history
