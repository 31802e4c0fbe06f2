"""Rewards that a program can compute: no reward model, no annotator.

All keep the contract of `rewards.contract`: columns of the data come by name, and what a function
does not use it ignores. They read what a policy wrote, so they parse and never evaluate; what is
unclear earns nothing. Where a row lacks the column that one reads, it does not apply: None.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from minialign.core.checkpoint import identity
from minialign.core.sampling import Rollout
from minialign.core.tokens import pieces
from minialign.rewards import Completions, Reward, by_column, call_reward, numbers_or_none, texts_of
from minialign.rewards.equations import MAX_CHARS, equation_ends
from minialign.rewards.solutions import has_format, verify_outcome, verify_steps

Scores = list[float | None]


def right_answer(
    prompts: Sequence, completions: Completions, answer: Sequence[int], **columns: object
) -> Scores:
    """1 where "The answer is N" gives the right number, once and without doubt, else 0.

    >>> right_answer(["?"] * 2, ["So the answer is 7.", "The answer is 7 or 8."], answer=[7, 7])
    [1.0, 0.0]
    """
    return by_column(verify_outcome, completions, answer)


def right_format(prompts: Sequence, completions: Completions, **columns: object) -> list[float]:
    """1 where there is an equation, and one final answer as the end, else 0.

    >>> right_format(["?"] * 2, ["2 + 5 = 7. The answer is 7.", "7"])
    [1.0, 0.0]
    """
    return [float(has_format(text)) for text in texts_of(completions)]


def sound_steps(
    prompts: Sequence, completions: Completions, numbers: Sequence[Sequence[int]], **columns: object
) -> Scores:
    """Share of equations that are true and use given numbers or earlier results; 0 without any.

    >>> sound_steps(["?"], ["2 + 5 = 7. 7 + 1 = 9."], numbers=[(2, 5, 1)])
    [0.5]
    """

    def share(given: Sequence[int], text: str) -> float:
        steps = verify_steps(given, text)
        return sum(steps) / len(steps) if steps else 0.0

    return by_column(share, completions, numbers)


def careless_answer(
    prompts: Sequence, completions: Completions, answer: Sequence[int], **columns: object
) -> Scores:
    """1 where the right number stands anywhere. A loophole on purpose: list many numbers.

    >>> careless_answer(["?"], ["1 2 3 4 5 6 7 8"], answer=[7])
    [1.0]
    """

    def listed(number: int, text: str) -> bool:
        return str(number) in re.findall(r"[0-9]+", text[:MAX_CHARS])

    return by_column(listed, completions, answer)


def soft_overlong(limit: int, margin: int) -> Reward:
    """0 up to limit - margin tokens, then down linearly to -1 at the limit.

    Yu et al. 2025 (DAPO), arXiv:2503.14476, equation 13. Reads the column completion_ids, as TRL
    and the loops give it.

    >>> soft_overlong(limit=10, margin=4)(["?"] * 3, [""] * 3, completion_ids=[[1] * 6, [1] * 8,
    ...     [1] * 12])
    [0.0, -0.5, -1.0]
    """
    if not 0 < margin <= limit:
        raise ValueError(f"margin={margin}, limit={limit}: use 0 < margin <= limit")

    def reward(
        prompts: Sequence, completions: Completions, completion_ids: Sequence[Sequence[int]],
        **columns: object,
    ) -> list[float]:  # fmt: skip
        return [0.0 - min(1.0, max(0, len(i) - limit + margin) / margin) for i in completion_ids]

    reward.identity = lambda: f"soft_overlong({limit}, {margin})"
    return reward


def lower_case(prompts: Sequence, completions: Completions, **columns: object) -> list[float]:
    """1 where there are letters and none is a capital.

    >>> lower_case(["?"] * 3, ["a small owl.", "An owl.", "42"])
    [1.0, 0.0, 0.0]
    """
    return [float(text.islower()) for text in texts_of(completions)]


def item_count(
    prompts: Sequence, completions: Completions, items: Sequence[int], **columns: object
) -> Scores:
    """1 where a list "a, b, and c" has exactly the number of different items asked for.

    >>> item_count(["?"] * 2, ["a cup and a bell.", "a cup, a cup, and a cup."], items=[2, 3])
    [1.0, 0.0]
    """

    def listed(wanted: int, text: str) -> bool:
        parts = re.split(r",\s*and\s+|,|\s+and\s+", text[:MAX_CHARS].strip(" .!\n"))
        named = [part.strip().lower() for part in parts]
        return all(named) and len(set(named)) == len(named) == wanted

    return by_column(listed, completions, items)


def mentions(
    prompts: Sequence, completions: Completions, word: Sequence[str], **columns: object
) -> Scores:
    """1 where a word stands in the reply as a whole word, whatever its case.

    >>> mentions(["?"] * 2, ["An Owl sat.", "owls"], word=["owl", "owl"])
    [1.0, 0.0]
    """

    def holds(wanted: str, text: str) -> bool:
        pattern = rf"(?<![\w']){re.escape(wanted)}(?![\w'])"
        return re.search(pattern, text[:MAX_CHARS], re.IGNORECASE) is not None

    return by_column(holds, completions, word)


def weighted(parts: Mapping[str, tuple[Reward, float]]) -> Reward:
    """Several rewards as one: name -> (reward, weight), added up.

    A part that does not apply to a completion (None) counts nothing there, as in TRL; where none
    applies, the sum does not either.

    >>> both = weighted({"format": (right_format, 0.2), "lower": (lower_case, 1.0)})
    >>> [round(value, 1) for value in both(["?"], ["2 + 5 = 7. The answer is 7."])]
    [0.2]
    """
    if not parts:
        raise ValueError("there are no rewards; give at least one")
    if bad := [name for name, part in parts.items() if not isinstance(part, tuple | list)]:
        raise TypeError(f"part {bad[0]!r} is no pair; give (reward, weight)")

    def reward(prompts: Sequence, completions: Completions, **columns: Sequence) -> Scores:
        each = [(call_reward(one, prompts, completions, **columns), w) for one, w in parts.values()]
        rewards = torch.stack([w * values for values, w in each])  # (parts, B)
        missing = rewards.isnan()
        return numbers_or_none(rewards.nansum(0).masked_fill(missing.all(0), math.nan))

    reward.identity = lambda: " + ".join(f"{w} {n}: {identity(x)}" for n, (x, w) in parts.items())
    return reward


def step_rewards(
    tokenizer: PreTrainedTokenizerBase, rollout: Rollout, numbers: Sequence[Sequence[int]]
) -> Tensor:
    """(B, T): 1 or 0 at the token that ends each equation, sound or not; nan elsewhere.

    For `process_zscore`. `numbers` are those given in each completion's prompt.
    """
    rewards = torch.full_like(rollout.logprobs, float("nan"))
    for row, given in enumerate(numbers):
        columns = rollout.completion_mask[row].nonzero()[:, 0].tolist()
        said = pieces(tokenizer, rollout.input_ids[row, columns].tolist())
        text, ends = "".join(said), list(accumulate(map(len, said)))
        for sound, end in zip(verify_steps(given, text), equation_ends(text), strict=True):
            token = next(t for t, stop in enumerate(ends) if stop >= end)
            rewards[row, columns[token]] = float(sound)
    return rewards
