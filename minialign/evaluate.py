"""Measuring: every number comes with its error.

`judge` asks a policy held-out instructions and reads each reply through the world's checkers and
gold utility; means, shares and their intervals are those of `intervals`, which may be called from
here too; the rest are the field's common statistics. Methods never see any of this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.advantages import gae
from minialign.batching import collate, encode, pieces
from minialign.intervals import (
    Estimate,
    bounded_mean,
    mean,  # noqa: F401
    share,
    wilson,  # noqa: F401
    win_rate,  # noqa: F401
)
from minialign.kl import k1
from minialign.logprobs import masked_sum, token_logprobs
from minialign.models import ValueModel
from minialign.modes import evaluating
from minialign.rollout import Rollout, sample
from minialign.verifiers import right_answer, right_format, sound_steps
from minialign.world.annotator import flaws, gold_utility
from minialign.world.tasks import Instruction


def pass_at_k(correct: int, n: int, k: int) -> float:
    """Unbiased chance that at least one of k completions is right, from `correct` out of n.

    1 - C(n - c, k) / C(n, k): Chen et al. 2021, arXiv:2107.03374, equation 1.

    >>> pass_at_k(correct=1, n=4, k=2), pass_at_k(0, 8, 8), pass_at_k(8, 8, 1)
    (0.5, 0.0, 1.0)
    """
    if not 1 <= k <= n or not 0 <= correct <= n:
        raise ValueError(
            f"correct={correct}, n={n}, k={k}: needs 0 <= correct <= n and 1 <= k <= n"
        )
    return 1 - math.comb(n - correct, k) / math.comb(n, k)


def calibration(
    probabilities: Sequence[float], outcomes: Sequence[bool], bins: int = 10
) -> pd.DataFrame:
    """How often what was given a probability came true, in bins of equal width over [0, 1].

    Returns:
        A row per bin that holds anything: predicted (mean probability), observed (share), low and
        high (Wilson's interval), n. A calibrated predictor has observed near predicted.

    >>> calibration([0.1, 0.1, 0.9, 0.9], [False, False, True, False], bins=2).observed.tolist()
    [0.0, 0.5]
    """
    p, came = np.asarray(probabilities, dtype=float), np.asarray(outcomes, dtype=bool)
    if p.shape != came.shape or p.size == 0 or p.min() < 0 or p.max() > 1:
        raise ValueError(
            f"{p.size} probabilities against {came.size} outcomes: give one outcome for each, and "
            "probabilities in [0, 1]"
        )
    place = np.minimum((p * bins).astype(int), bins - 1)
    rows = []
    for bin_ in np.unique(place):
        found = share(came[place == bin_].tolist())
        low, high = found.interval
        rows.append((p[place == bin_].mean(), found.mean, low, high, found.n))
    return pd.DataFrame(rows, columns=["predicted", "observed", "low", "high", "n"])


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rho: the correlation of ranks, ties by their mean rank.

    >>> rank_correlation([1, 2, 3], [10, 100, 1000]), rank_correlation([1, 2, 3], [3, 2, 1])
    (1.0, -1.0)
    """
    ranks = pd.Series(a, dtype=float).rank(), pd.Series(b, dtype=float).rank()
    return round(float(ranks[0].corr(ranks[1])), 12)


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
            for i, kl in zip(part, _distances(rollout, reference, temperature), strict=True):
                rows[i]["kl"] = kl
    return pd.DataFrame(rows)


@torch.no_grad()
def _distances(rollout: Rollout, reference: PreTrainedModel, temperature: float) -> list[float]:
    """log policy - log reference of each reply of a rollout."""
    given = rollout.input_ids, rollout.attention_mask, temperature or 1.0
    with evaluating(reference):
        ref = token_logprobs(reference, *given)
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


def solve(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Mapping[str, Any]],
    *,
    group_size: int = 8,
    max_new_tokens: int = 64,
    seed: int = 0,
    batch_size: int = 32,
    reference: PreTrainedModel | None = None,
) -> pd.DataFrame:
    """Several sampled solutions of each problem, and what the verifiers say of them.

    Args:
        policy: any causal language model.
        tokenizer: its tokenizer, with a chat template.
        rows: problems as `problem_rows` gives them.
        group_size: solutions of each problem.
        max_new_tokens: a solution that is longer is cut.
        seed: of sampling.
        batch_size: problems at a time.
        reference: if given, how far each solution is from it is measured too.

    Returns:
        A row per solution, a problem's one after another: problem (its number), prompt, level,
        reply, right and format (bool), sound (share of sound steps), stops (bool), tokens. With a
        reference also kl, as in `judge`.
    """
    generator = torch.Generator(policy.device).manual_seed(seed)
    found = []
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        rollout = sample(
            policy,
            tokenizer,
            [row["prompt"] for row in part],
            group_size=group_size,
            max_new_tokens=max_new_tokens,
            generator=generator,
        )
        each = [start + i for i in range(len(part)) for _ in range(group_size)]
        columns = {name: [rows[i][name] for i in each] for name in ("answer", "numbers", "level")}
        given = rollout.prompts, rollout.texts
        seen = {
            "problem": each,
            "prompt": rollout.prompts,
            "level": columns["level"],
            "reply": rollout.texts,
            "right": np.array(right_answer(*given, **columns), bool),
            "format": np.array(right_format(*given), bool),
            "sound": sound_steps(*given, **columns),
            "stops": rollout.finished.tolist(),
            "tokens": rollout.lengths.tolist(),
        }
        if reference is not None:
            seen["kl"] = _distances(rollout, reference, 1.0)
        found.append(pd.DataFrame(seen))
    return pd.concat(found, ignore_index=True)


def passed(solved: pd.DataFrame, k: int) -> list[float]:
    """`pass_at_k` of each problem of `solve`."""
    groups = solved.groupby("problem")["right"]
    return [pass_at_k(int(right.sum()), len(right), k) for _, right in groups]


def pass_rate(solved: pd.DataFrame, k: int) -> Estimate:
    """Mean of `passed`, with an interval over problems: tries at one problem are alike."""
    return bounded_mean(passed(solved, k))


def summary(
    judged: pd.DataFrame, columns: Sequence[str] = ("follows", "stops", "any")
) -> pd.Series:
    """Shares of the given columns of `judge`, and means of utility and tokens."""
    shares = {name: judged[name].mean() for name in columns}
    return pd.Series({**shares, **{name: judged[name].mean() for name in ("utility", "tokens")}})


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
