"""Solving: a policy's tries at word problems, each verified, and pass@k with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.sampling import sample
from minialign.evaluate.statistics import Estimate, bounded_mean, pass_at_k
from minialign.evaluate.village import completion_kl
from minialign.rewards.verifiers import right_answer, right_format, sound_steps


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
    temperature: float = 1.0,
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
        temperature: logits are divided by it.

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
            temperature=temperature,
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
            seen["kl"] = completion_kl(rollout, reference, temperature)
        found.append(pd.DataFrame(seen))
    return pd.concat(found, ignore_index=True)


def passed(solved: pd.DataFrame, k: int) -> list[float]:
    """`pass_at_k` of each problem of `solve`."""
    groups = solved.groupby("problem")["right"]
    return [pass_at_k(int(right.sum()), len(right), k) for _, right in groups]


def pass_rate(solved: pd.DataFrame, k: int) -> Estimate:
    """Mean of `passed`, with an interval over problems: tries at one problem are alike."""
    return bounded_mean(passed(solved, k))
