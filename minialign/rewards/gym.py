"""Tasks of Reasoning Gym as rows and a reward: `pip install reasoning-gym`, which is optional.

Stojanovski et al. 2025, arXiv:2505.24760: over a hundred generators of problems with answers. Only
tasks are taken whose answer is compared as text; the scorers of others evaluate what they are
given, and a policy wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from minialign.rewards import Completions, by_column

SEED_STEP = 10**6  # item i of a dataset is drawn with seed + i, so near seeds share items
_SAID = re.compile(r"answer is:?\s*", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]+")


def gym_tasks() -> list[str]:
    """Names of the tasks that `gym_rows` takes."""
    base, tasks = _import()
    return sorted(name for name, (kind, _) in tasks.items() if kind.score_answer is base)


def gym_rows(task: str, n: int, *, seed: int = 0, **settings: object) -> list[dict[str, str]]:
    """`n` problems of a task as rows for `train_grpo`: prompt and answer.

    Args:
        task: one of `gym_tasks`.
        n: how many; different seeds give different ones up to a million.
        seed: of the draw.
        settings: of the task's generator, such as min_digits.

    Raises:
        ImportError: if Reasoning Gym is not installed.
        ValueError: if a task is unknown, or its scorer is not a comparison of text.
    """
    if task not in (known := gym_tasks()):
        raise ValueError(
            f"task {task!r} is unknown or not compared as text; use one of {', '.join(known)}"
        )
    import reasoning_gym

    drawn = reasoning_gym.create_dataset(task, size=n, seed=seed * SEED_STEP, **settings)
    return [{"prompt": item["question"].strip(), "answer": item["answer"]} for item in drawn]


def gym_answer(
    prompts: Sequence, completions: Completions, answer: Sequence[str], **columns: object
) -> list[float | None]:
    """1 where a completion gives the right answer, else 0; nothing in between.

    What counts is what stands after the last "answer is", else all of it; where the right answer is
    a whole number, the last whole number there.

    >>> gym_answer(["?"] * 3, ["5 + 9 = 14.", "The answer is 13.", "It is 14, or 15."], ["14"] * 3)
    [1.0, 0.0, 0.0]
    >>> gym_answer(["?"] * 2, ["The answer is lamp.", "lamp lamp"], ["lamp"] * 2)
    [1.0, 0.0]
    """
    return by_column(lambda a, text: _given(text, a) == a.strip(), completions, answer)


def _given(completion: str, answer: str) -> str | None:
    starts = [said.end() for said in _SAID.finditer(completion)]
    text = completion[starts[-1] if starts else 0 :]
    if _NUMBER.fullmatch(answer.strip()):
        return (_NUMBER.findall(text) or [None])[-1]
    return text.strip().rstrip(".").strip()


def _import() -> tuple:
    try:
        from reasoning_gym.dataset import ProceduralDataset
        from reasoning_gym.factory import DATASETS
    except ImportError as error:
        raise ImportError(
            "Reasoning Gym is not installed; run `pip install reasoning-gym`"
        ) from error
    return ProceduralDataset.score_answer, DATASETS
