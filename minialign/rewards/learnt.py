"""Rewards that a model has learnt, alone or several as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase

from minialign.core.batching import Row, collate
from minialign.core.checkpoint import identity, weights_digest
from minialign.core.models import evaluating
from minialign.core.models.heads import RewardModel
from minialign.core.tokens import Messages, prompt_ids
from minialign.core.tokens import completion_ids as ids_of
from minialign.rewards import Completions, Reward, call_reward, numbers_or_none, texts_of
from minialign.variants.reward_losses import ensemble


@torch.no_grad()
def score_rows(
    model: RewardModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], size: int = 64
) -> torch.Tensor:
    """(N,) scores of encoded texts, on the CPU; texts of like length share a batch."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    scores = torch.zeros(len(rows))
    with evaluating(model):
        for start in range(0, len(order), size):
            part = order[start : start + size]
            batch = collate([rows[i] for i in part], tokenizer.pad_token_id).to(model.device)
            given = batch.input_ids, batch.attention_mask, batch.completion_mask
            scores[part] = model(*given).cpu()
    return scores


def reward_model_score(model: RewardModel, tokenizer: PreTrainedTokenizerBase) -> Reward:
    """A reward model as a reward: its score of the prompt and the tokens that were sampled.

    So a completion that was cut is scored without an end, and no text is encoded a second time: a
    reply of any length, or one that spells out a special token, is scored as it was sampled. The
    model must read the policy's own tokens. Without `completion_ids` (replies that nobody sampled)
    the text is encoded, its end appended.
    """

    def reward(
        prompts: Sequence[str | Messages], completions: Completions,
        completion_ids: Sequence[Sequence[int]] | None = None, **columns: object,
    ) -> list[float]:  # fmt: skip
        if completion_ids is None:
            completion_ids = [ids_of(tokenizer, text) for text in texts_of(completions)]
        given = zip(prompts, completion_ids, strict=True)
        rows = [Row(prompt_ids(tokenizer, prompt), list(ids)) for prompt, ids in given]
        return score_rows(model, tokenizer, rows).tolist()

    reward.identity = lambda: f"reward_model_score {weights_digest(model)}"
    return reward


def set_zero(
    model: RewardModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str | Messages],
    completions: Completions,
    completion_ids: Sequence[Sequence[int]] | None = None,
) -> None:
    """Shift the reward model's scores to mean 0 over some replies, such as the reference's own.

    Comparisons leave the zero free, but a penalty for a missing end, a critic and a reader need
    one: Ouyang et al. 2022, section 3.5; detail 15 of Huang et al. 2024, arXiv:2403.17031.
    """
    reward = reward_model_score(model, tokenizer)
    columns = {} if completion_ids is None else {"completion_ids": completion_ids}
    model.zero += call_reward(reward, prompts, completions, **columns).mean().item()


def ensemble_score(rewards: Sequence[Reward], how: str = "mean", *, penalty: float = 1.0) -> Reward:
    """Several rewards as one: their mean, the worst, or mean - penalty * variance ("cautious").

    All of them must apply to every completion.
    """

    def reward(
        prompts: Sequence, completions: Completions, **columns: Sequence
    ) -> list[float | None]:
        each = [call_reward(one, prompts, completions, **columns) for one in rewards]
        return numbers_or_none(ensemble(torch.stack(each), how, penalty=penalty))

    reward.identity = lambda: f"ensemble_score({how}, {', '.join(map(identity, rewards))})"
    return reward
