"""Rewards that a model has learnt, and the world's own gold utility, which is only watched."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase

from minialign.batching import Messages, Row, collate, encode, prompt_ids
from minialign.losses.reward import ensemble
from minialign.models import RewardModel
from minialign.rewards.contract import Reward
from minialign.world.annotator import gold_utility
from minialign.world.tasks import Instruction


@torch.no_grad()
def score_rows(
    model: RewardModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], size: int = 128
) -> torch.Tensor:
    """(N,) scores of encoded texts, on the CPU; texts of like length share a batch."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    found = torch.zeros(len(rows))
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(order), size):
            part = order[start : start + size]
            batch = collate([rows[i] for i in part], tokenizer.pad_token_id).to(model.device)
            found[part] = model(batch.input_ids, batch.attention_mask).cpu()
    finally:
        model.train(was_training)
    return found


def reward_model_score(model: RewardModel, tokenizer: PreTrainedTokenizerBase) -> Reward:
    """A reward model as a reward: its score of each reply, end of text included.

    A completion is scored as training showed it. An empty one is scored too: its end of text alone.
    """

    def reward(
        prompts: Sequence[str | Messages], completions: Sequence[str], **columns: object
    ) -> list[float]:
        pairs = zip(prompts, completions, strict=True)
        rows = [
            encode(tokenizer, p, c)
            if c.strip()
            else Row(prompt_ids(tokenizer, p), [tokenizer.eos_token_id])
            for p, c in pairs
        ]
        return score_rows(model, tokenizer, rows).tolist()

    return reward


def set_zero(
    model: RewardModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str | Messages],
    completions: Sequence[str],
) -> None:
    """Shift the reward model's scores to mean 0 over some replies, such as the reference's own.

    Comparisons leave the zero free, but a penalty for a missing end, a critic and a reader need
    one: Ouyang et al. 2022, section 3.5; detail 15 of Huang et al. 2024, arXiv:2403.17031.
    """
    scores = reward_model_score(model, tokenizer)(prompts, completions)
    model.zero += sum(scores) / len(scores)


def ensemble_score(rewards: Sequence[Reward], how: str = "mean", *, penalty: float = 1.0) -> Reward:
    """Several rewards as one: their mean, the worst, or mean - penalty * variance ("cautious")."""

    def reward(prompts: Sequence, completions: Sequence[str], **columns: object) -> list[float]:
        each = [one(prompts, completions, **columns) for one in rewards]
        return ensemble(torch.tensor(each), how, penalty=penalty).tolist()

    return reward


def gold_reward(instructions: Sequence[Instruction]) -> Reward:
    """The gold utility of replies to known instructions: to be watched, never to be learnt from."""
    known = {instruction.prompt: instruction for instruction in instructions}

    def reward(
        prompts: Sequence[str | Messages], completions: Sequence[str], **columns: object
    ) -> list[float]:
        return [gold_utility(known[p], c) for p, c in zip(prompts, completions, strict=True)]

    return reward
