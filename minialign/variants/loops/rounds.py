"""Preference optimisation in rounds: a reference that moves, and replies of the policy's own.

Written comparisons show what is better among replies that somebody else wrote. In `own_rankings`
all replies to an instruction come from the policy itself. Who values them is a function:
annotators, or a reward model, which asks nobody ("sft-sample-rank", Liu et al. 2023,
arXiv:2309.06657). Between rounds the reference may move after the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Row, RowRanking
from minialign.core.history import History
from minialign.core.models import frozen_reference
from minialign.core.sampling import Rollout, sample
from minialign.rewards import Reward
from minialign.rewards.contract import rewards_of
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.preference import logistic_loss
from minialign.variants.ranks import RankLogprobs

Values = Callable[[Sequence[Any], Rollout], Sequence[float]]  # of instructions; one per reply
Loss = Callable[[RankLogprobs], Tensor]


@torch.no_grad()
def mix_into(reference: PreTrainedModel, policy: PreTrainedModel, share: float) -> None:
    """Move every weight of the reference by `share` of the way to the policy's, adapters merged.

    >>> a, b = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    >>> mix_into(a, b, 1.0)
    >>> bool(a.weight == b.weight)
    True
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: of the way to the policy, use 0 to 1")
    if isinstance(policy, PeftModel):  # the reference has the adapters in its weights
        policy = frozen_reference(policy)
    for old, new in zip(reference.parameters(), policy.parameters(), strict=True):
        old.lerp_(new.detach().to(old.dtype), share)


def train_stepwise(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rounds: Iterable[Sequence[RowRanking]],
    config: PreferenceConfig | Sequence[PreferenceConfig] | None = None,
    *,
    loss: Loss = logistic_loss,
    share: float = 1.0,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> list[History]:
    """`train_preference` on each round's rankings in turn; one history per round.

    Parts of the data in turn, easy ones first, with share 1: stepwise DPO, Kim et al. 2024,
    arXiv:2403.19270, section 3.2. The same data in every round: a trust region whose centre is
    updated, hard with share 1 and softly below, Gorbatovski et al. 2024 (TR-DPO),
    arXiv:2404.09656; here the learning rate starts anew in every round.

    Args:
        policy: trained in place; the first reference is what it is now.
        tokenizer: for its pad id.
        rounds: the rankings of each round; each is asked for when its turn comes.
        config: of every round, or one for each; None is the default.
        loss: as `train_preference` takes it.
        share: of the way that the reference moves to the policy after a round; 0 keeps it.
        on_step: called with each step's metrics.
        checkpoint_dir: a folder in it per round; an interrupted run goes on where it stopped.
    """
    reference = frozen_reference(policy)
    histories = []
    each = isinstance(config, Sequence)
    configs = config if each else repeat(config)
    for i, (rankings, settings) in enumerate(zip(rounds, configs, strict=each)):
        folder = None if checkpoint_dir is None else checkpoint_dir / f"round-{i}"
        histories.append(
            train_preference(
                policy, tokenizer, rankings, settings, loss=loss, reference=reference,
                on_step=on_step, checkpoint_dir=folder,
            )
        )  # fmt: skip
        mix_into(reference, policy, share)
    return histories


def by_reward(reward: Reward) -> Values:
    """What a reward function pays."""
    return lambda asked, rollout: rewards_of(reward, rollout).tolist()


def own_rankings(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instructions: Sequence[Any],
    values: Values,
    *,
    group_size: int = 2,
    least: float = 0.0,
    max_new_tokens: int = 64,
    seed: int = 0,
    batch_size: int = 256,
) -> list[RowRanking]:
    """Rows of replies that the policy samples to each instruction, the best first.

    Rows hold the sampled tokens, so a reply that was cut has no end of text. Instructions are left
    out whose replies are not all different, or all nearly as good.

    Args:
        policy: who replies.
        tokenizer: its tokenizer, with a chat template.
        instructions: what to ask; prompts of like length are sampled together.
        values: who ranks.
        group_size: replies to each instruction; 2 make a pair.
        least: how much the best must be ahead of the last.
        max_new_tokens: a reply is cut there.
        seed: of sampling.
        batch_size: replies at a time.
    """
    generator = torch.Generator(policy.device).manual_seed(seed)
    order = sorted(range(len(instructions)), key=lambda i: len(instructions[i].prompt))
    step = max(1, batch_size // group_size)
    rankings: dict[int, RowRanking] = {}
    for start in tqdm(range(0, len(order), step), "own replies", leave=False):
        part = order[start : start + step]
        rollout = sample(
            policy, tokenizer, [instructions[i].prompt for i in part], group_size=group_size,
            max_new_tokens=max_new_tokens, generator=generator,
        )  # fmt: skip
        rows = _rows(rollout)
        worth = values([instructions[i] for i in part for _ in range(group_size)], rollout)
        for k, i in enumerate(part):
            group = range(k * group_size, (k + 1) * group_size)
            ranked = sorted(group, key=lambda j: -worth[j])
            different = len({tuple(rows[j].completion_ids) for j in group}) == group_size
            if different and worth[ranked[0]] - worth[ranked[-1]] >= least:
                rankings[i] = tuple(rows[j] for j in ranked)
    return [rankings[i] for i in sorted(rankings)]


def train_on_own_replies(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instructions: Sequence[Any],
    values: Values,
    config: PreferenceConfig | None = None,
    *,
    loss: Loss = logistic_loss,
    rounds: int = 2,
    max_new_tokens: int = 64,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> list[History]:
    """`train_stepwise` on `own_rankings` of the policy itself; one history per round.

    Each round asks its part of the instructions and takes its part of the steps; its replies come
    from the policy as it is by then. The reference stays that of the start. One round is
    sft-sample-rank, Liu et al. 2023, arXiv:2309.06657; more are iterative DPO, Xiong et al. 2023,
    arXiv:2312.11456. Pairs that are nearer than 0.1 have no verdict.

    Args:
        policy: trained in place.
        tokenizer: its tokenizer, with a chat template.
        instructions: what to ask, in all rounds together.
        values: who ranks.
        config: of the whole; None is the default.
        loss: as `train_preference` takes it.
        rounds: of sampling.
        max_new_tokens: a reply is cut there.
        on_step: called with each step's metrics.
        checkpoint_dir: a folder in it per round; an interrupted run samples again and goes on
            where it stopped if the replies are the same, as on one CPU; else it is refused.
    """
    config = config or PreferenceConfig()
    if not 1 <= rounds <= min(config.steps, len(instructions)):
        raise ValueError(
            f"rounds is {rounds}, with {config.steps} steps and {len(instructions)} instructions: "
            "each needs one at least"
        )
    sampled = (  # one round at a time, from the policy as it is when its turn comes
        own_rankings(
            policy, tokenizer, instructions[i::rounds], values, least=0.1,
            max_new_tokens=max_new_tokens, seed=config.seed + i,
        )
        for i in range(rounds)
    )  # fmt: skip
    parts = [len(range(i, config.steps, rounds)) for i in range(rounds)]  # they add up to steps
    configs = [replace(config, steps=steps) for steps in parts]
    saved = {"on_step": on_step, "checkpoint_dir": checkpoint_dir}
    return train_stepwise(policy, tokenizer, sampled, configs, loss=loss, share=0.0, **saved)


def _rows(rollout: Rollout) -> list[Row]:
    """The sampled sequences as rows."""
    completion = rollout.completion_mask.bool()
    prompt = rollout.attention_mask.bool() & ~completion
    each = zip(rollout.input_ids, prompt, completion, strict=True)
    return [Row(ids[a].tolist(), ids[s].tolist()) for ids, a, s in each]
