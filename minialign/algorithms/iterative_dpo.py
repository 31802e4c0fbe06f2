"""Rankings of a policy's own replies: sampled by the policy that is to learn, valued by somebody.

Written comparisons show what is better among replies that somebody else wrote. Here all replies to
an instruction come from the policy itself. Who values them is a function: annotators, or a reward
model, which asks nobody ("sft-sample-rank", Liu et al. 2023, arXiv:2309.06657).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.stepwise import train_stepwise
from minialign.core.batching import Row
from minialign.core.history import History
from minialign.core.sampling import Rollout, sample
from minialign.rewards.contract import Reward, rewards_of
from minialign.variants.preference_loop import PreferenceConfig, Ranking
from minialign.world.annotator import Annotator
from minialign.world.preferences import CROWD, noisy_utility
from minialign.world.tasks import Instruction

Values = Callable[[Sequence[Instruction], Rollout], Sequence[float]]  # one per reply


def by_annotators(seed: int = 0, annotator: Annotator = CROWD) -> Values:
    """Noisy utilities whose order is an annotator's: of two replies a choice, of more a ranking."""
    rng = Random(f"own replies {seed}")
    return lambda asked, rollout: [
        noisy_utility(rng, annotator, instruction, reply)
        for instruction, reply in zip(asked, rollout.texts, strict=True)
    ]


def by_reward(reward: Reward) -> Values:
    """What a reward function pays."""
    return lambda asked, rollout: rewards_of(reward, rollout).tolist()


def own_rankings(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instructions: Sequence[Instruction],
    values: Values,
    *,
    group_size: int = 2,
    least: float = 0.0,
    max_new_tokens: int = 64,
    seed: int = 0,
    batch_size: int = 256,
) -> list[Ranking]:
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
    found: dict[int, Ranking] = {}
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
                found[i] = tuple(rows[j] for j in ranked)
    return [found[i] for i in sorted(found)]


def train_on_own_replies(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instructions: Sequence[Instruction],
    values: Values,
    config: PreferenceConfig | None = None,
    *,
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
    return train_stepwise(policy, tokenizer, sampled, configs, share=0.0, **saved)


def _rows(rollout: Rollout) -> list[Row]:
    """The sampled sequences as rows."""
    said = rollout.completion_mask.bool()
    asked = rollout.attention_mask.bool() & ~said
    each = zip(rollout.input_ids, asked, said, strict=True)
    return [Row(ids[a].tolist(), ids[s].tolist()) for ids, a, s in each]
