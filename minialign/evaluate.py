"""Measuring: every number comes with its error.

`judge` asks a policy held-out instructions and reads each reply through the world's checkers and
gold utility; `Estimate` carries a mean, its standard error and an interval; the rest are the
field's common statistics. Methods never see any of this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.advantages import gae
from minialign.batching import collate, encode, pieces
from minialign.kl import k1
from minialign.logprobs import masked_sum, token_logprobs
from minialign.models import ValueModel
from minialign.rollout import Rollout, sample
from minialign.verifiers import right_answer, right_format, sound_steps
from minialign.world.annotator import flaws, gold_utility
from minialign.world.tasks import Instruction

Z95 = 1.959964  # 97.5% point of the normal distribution


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error, a 95% interval and the number of values behind it."""

    mean: float
    error: float
    n: int
    interval: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.mean:.3f} [{low:.3f}, {high:.3f}] (n = {self.n})"


def mean(values: Sequence[float]) -> Estimate:
    """Mean of independent values, with the normal interval.

    >>> str(mean([1.0, 2.0, 3.0]))
    '2.000 [0.868, 3.132] (n = 3)'
    """
    found = np.asarray(values, dtype=float)
    if found.size == 0:
        raise ValueError("values is empty, so there is no mean; give at least one value")
    middle = float(found.mean())
    error = float(found.std(ddof=1) / math.sqrt(found.size)) if found.size > 1 else math.nan
    return Estimate(middle, error, found.size, (middle - Z95 * error, middle + Z95 * error))


def share(successes: Sequence[bool]) -> Estimate:
    """Share of successes with Wilson's interval, which holds near 0 and 1 too.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    >>> str(share([True] * 8 + [False] * 2))
    '0.800 [0.490, 0.943] (n = 10)'
    """
    n, hits = len(successes), int(sum(bool(s) for s in successes))
    if n == 0:
        raise ValueError("successes is empty, so there is no share; give at least one")
    return wilson(hits / n, n)


def wilson(p: float, n: int) -> Estimate:
    """A share `p` of `n` trials with Wilson's interval: too wide where `p` is a mean over runs.

    >>> str(wilson(0.8, 10))
    '0.800 [0.490, 0.943] (n = 10)'
    """
    if not 0 <= p <= 1 or n < 1:
        raise ValueError(f"p is {p}, n is {n}; needs p in [0, 1] and n of at least 1")
    z2 = Z95 * Z95
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # At 0 and 1 the interval ends there exactly, but rounding may miss it.
    interval = centre - half if p > 0 else 0.0, centre + half if p < 1 else 1.0
    return Estimate(p, math.sqrt(p * (1 - p) / n), n, interval)


def win_rate(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """How often `first` scores higher than `second`, item by item; a tie counts one half.

    >>> win_rate([1.0, 2.0, 3.0, 0.0], [0.0, 2.0, 4.0, -1.0]).mean
    0.625
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape:
        raise ValueError(f"{a.size} scores against {b.size}: compare the same items in both")
    return mean((a > b) + 0.5 * (a == b))


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
    ref = token_logprobs(
        reference, rollout.input_ids, rollout.attention_mask, temperature or 1.0
    )
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
    found = mean(passed(solved, k))
    low, high = found.interval
    return replace(found, interval=(max(0.0, low), min(1.0, high)))


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
    values = value_model(batch.input_ids, batch.attention_mask)
    rewards = torch.zeros_like(values)
    rewards[0, -1] = score
    found = gae(rewards, values, batch.completion_mask, lam=lam)[batch.completion_mask.bool()]
    return pieces(tokenizer, row.completion_ids), found.tolist()
