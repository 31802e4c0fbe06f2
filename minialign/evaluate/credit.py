"""What each token of a reply earned, by a critic: PPO's advantages laid open."""

from __future__ import annotations

import torch
from transformers import PreTrainedTokenizerBase

from minialign.core.advantages import gae
from minialign.core.batching import collate
from minialign.core.models import evaluating
from minialign.core.models.heads import ValueModel
from minialign.core.tokens import encode, pieces


@torch.no_grad()
def credit(
    value_model: ValueModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    reply: str,
    score: float,
    *,
    lam: float = 0.95,
) -> tuple[list[str], list[float]]:
    """A reply's tokens, and the advantage of each under a critic: what earned or cost the score.

    Args:
        value_model: the critic.
        tokenizer: its tokenizer, with a chat template.
        prompt: what was asked.
        reply: without its end, which is appended.
        score: of the whole reply; it comes with the last token.
        lam: of the generalised advantages.
    """
    row = encode(tokenizer, prompt, reply)
    batch = collate([row], tokenizer.pad_token_id).to(value_model.device)
    with evaluating(value_model):
        values = value_model(batch.input_ids, batch.attention_mask)
    rewards = torch.zeros_like(values)
    rewards[0, -1] = score
    found = gae(rewards, values, batch.completion_mask, lam=lam)[batch.completion_mask.bool()]
    return pieces(tokenizer, row.completion_ids), found.tolist()
