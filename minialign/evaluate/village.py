"""Measuring: every number comes with its error.

`judge` asks a policy held-out instructions and reads each reply through the world's checkers and
gold utility; means, shares and their intervals are those of `statistics`. Methods never see any of
this.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.kl import k1
from minialign.core.logprobs import masked_sum, token_logprobs
from minialign.core.models import evaluating
from minialign.core.sampling import Rollout, sample
from minialign.world.replies.annotator import flaws, gold_utility
from minialign.world.tasks import Instruction


def judge(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instructions: Sequence[Instruction],
    *,
    max_new_tokens: int = 64,
    temperature: float = 1.0,
    seed: int = 0,
    batch_size: int = 128,
    reference: PreTrainedModel | None = None,
) -> pd.DataFrame:
    """One reply to each instruction and what the world's checkers say of it.

    Args:
        policy: any causal language model.
        tokenizer: its tokenizer, with a chat template.
        instructions: what to ask.
        max_new_tokens: a reply that is longer is cut and counts as not stopped.
        temperature: of sampling; 0 is greedy.
        seed: of sampling.
        batch_size: prompts at a time; prompts of like length share a batch.
        reference: if given, how far each reply is from it is measured too.

    Returns:
        A row per instruction, in their order: family, prompt, reply, follows and stops (bool),
        tokens (of the reply, EOS included), utility (gold), and one bool per flaw (rude,
        flattering, unsafe, untrue, too_long, any). With a reference also kl: log policy - log
        reference of the reply, in nats, whose mean estimates KL(policy || reference).
    """
    generator = torch.Generator(policy.device).manual_seed(seed)
    order = sorted(range(len(instructions)), key=lambda i: len(instructions[i].prompt))
    rows: list[dict] = [{}] * len(instructions)
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        rollout = sample(
            policy,
            tokenizer,
            [instructions[i].prompt for i in part],
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            generator=generator,
        )
        finished, lengths = rollout.finished.tolist(), rollout.lengths.tolist()
        for i, text, stops, tokens in zip(part, rollout.texts, finished, lengths, strict=True):
            rows[i] = {**read(instructions[i], text), "stops": stops, "tokens": tokens}
        if reference is not None:
            for i, kl in zip(part, completion_kl(rollout, reference, temperature), strict=True):
                rows[i]["kl"] = kl
    return pd.DataFrame(rows)


@torch.no_grad()
def completion_kl(rollout: Rollout, reference: PreTrainedModel, temperature: float) -> list[float]:
    """log policy - log reference of each reply of a rollout."""
    under = partial(token_logprobs, reference, temperature=temperature or 1.0)
    with evaluating(reference):
        ref = rollout.read(under, rollout.completion_mask)
    return masked_sum(k1(rollout.logprobs, ref), rollout.completion_mask).tolist()


def read(instruction: Instruction, reply: str) -> dict:
    """What the checkers and the gold utility say of one reply."""
    return {
        "family": instruction.family,
        "prompt": instruction.prompt,
        "reply": reply,
        "follows": instruction.check(reply),
        "utility": gold_utility(instruction, reply),
        **flaws(instruction, reply),
    }


def summary(
    judged: pd.DataFrame, columns: Sequence[str] = ("follows", "stops", "any")
) -> pd.Series:
    """Shares of the given columns of `judge`, and means of utility and tokens."""
    shares = {name: judged[name].mean() for name in columns}
    return pd.Series({**shares, **{name: judged[name].mean() for name in ("utility", "tokens")}})
