"""The contract of a reward: TRL's signature, so that a function moves both ways.

    reward(*, prompts, completions, completion_ids, **columns) -> one number per completion

It is called by keyword, as TRL 1.16 calls it: `prompts` and `completions` are texts, or messages
where the prompt is one; `completion_ids` are the sampled tokens, their end included; every other
column of the rows comes by its name. None says that a reward does not apply to a completion. TRL's
`trainer_state`, `log_extra` and `log_metric` are not given. The loops call every reward through
`call_reward`, which refuses what would train on nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from minialign.core.sampling import Rollout
from minialign.rewards import (
    Completions,
    Data,
    Reward,
    as_float32,
    columns_of,
    copied,
    place_of,
    refuse_unknown_arguments,
    reward_name,
    short,
)

LOGGED = {
    "reward", "signal", "kl", "entropy", "length", "stops", "loss", "grad_norm", "off", "beta",
    "learning_rate", "clip_fraction", "value_loss", "explained_variance",
}  # columns that a loop logs by itself  # fmt: skip


def paid_by(reward: Reward, watch: Mapping[str, Reward] | None) -> dict[str, Reward]:
    """The rewards of a run by name: that which is learnt from is "reward", others are watched.

    Raises:
        ValueError: if a watched one has the name of a column of the history.
    """
    if watch is not None and not isinstance(watch, Mapping):
        raise TypeError(
            f"watch is a {type(watch).__name__}; give a dict of names and rewards, such as "
            "{'gold': gold_reward(...)}"
        )
    if taken := sorted(LOGGED & (watch or {}).keys()):
        raise ValueError(
            f"watch has a reward {taken[0]!r}, which is a column of the history already; rename it"
        )
    return {"reward": reward, **(watch or {})}


def call_reward(
    reward: Reward,
    prompts: Sequence,
    completions: Completions,
    numbers: Sequence[int] | None = None,
    /,
    **columns: Sequence,
) -> Tensor:
    """(B,) float32 rewards, nan where the reward does not apply: None, as in TRL.

    The reward gets copies, so that one that changes what it is given changes no row.

    Args:
        reward: any function that keeps the contract.
        prompts: B texts or messages.
        completions: B texts or messages.
        numbers: B numbers of rows, for an error.
        columns: B values each; `completion_ids` among them where tokens were sampled.

    Raises:
        TypeError: if the reward takes no such arguments, or returns what is no row of numbers.
        ValueError: if it returns another count of numbers, or one that is not finite in float32.
        The message names the reward, the completion and its prompt, and the repair.
    """
    given = {"prompts": prompts, "completions": completions, **columns}
    given = {key: copied(values) for key, values in given.items()}
    name = reward_name(reward)
    refuse_unknown_arguments(reward, name, given)
    found = reward(**given)
    single = not hasattr(found, "__iter__") or getattr(found, "ndim", 1) == 0
    if single or isinstance(found, str | bytes | Mapping):
        raise TypeError(
            f"reward {name} returned {short(found)}, but must return a list, one number per "
            "completion, and not be async"
        )
    values = list(found)
    if len(values) != len(prompts):
        raise ValueError(
            f"reward {name} returned {len(values)} numbers for {len(prompts)} completions; return "
            "exactly one for each, None where it does not apply"
        )
    places = [place_of(i, prompts, numbers) for i in range(len(values))]
    return torch.tensor([as_float32(v, name, p) for v, p in zip(values, places, strict=True)])


def rewards_of(
    reward: Reward,
    rollout: Rollout,
    rows: Sequence[Data] | None = None,
    numbers: Sequence[int] | None = None,
) -> Tensor:
    """(B,) float32 rewards of a rollout, on its device.

    Args:
        reward: any function that keeps the contract.
        rollout: of P prompts, G completions each.
        rows: P rows with the columns that the reward reads, each repeated for its group.
        numbers: P numbers of these rows, from 0 in what the loop was given, for an error.

    Raises:
        TypeError: as `call_reward`.
        ValueError: as `call_reward`, and if no reward applies to a completion.
    """
    each = None if numbers is None else [n for n in numbers for _ in range(rollout.group_size)]
    found = _of_rollout(reward, rollout, rows, each)
    if (missing := found.isnan()).any():
        i = int(missing.nonzero()[0, 0])
        raise ValueError(
            f"reward {reward_name(reward)} returned None for {place_of(i, rollout.prompts, each)}, "
            f"{int(missing.sum())} of {len(found)} in all, and there is no other reward; return a "
            "number, or add a reward that applies with `weighted`"
        )
    return found.to(rollout.logprobs.device)


def watched(
    watch: Mapping[str, Reward] | None, rollout: Rollout, rows: Sequence[Data] | None = None
) -> dict[str, float]:
    """The mean of each watched reward where it applies; nan where it does so nowhere."""
    found = {name: _of_rollout(one, rollout, rows) for name, one in (watch or {}).items()}
    return {name: rewards[~rewards.isnan()].mean().item() for name, rewards in found.items()}


def _of_rollout(
    reward: Reward, rollout: Rollout, rows: Sequence | None, numbers: Sequence[int] | None = None
) -> Tensor:
    each = [row for row in rows or () for _ in range(rollout.group_size)]
    completions = [
        text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
        for prompt, text in zip(rollout.prompts, rollout.texts, strict=True)
    ]
    columns = columns_of(each) | {"completion_ids": rollout.completion_ids}
    return call_reward(reward, rollout.prompts, completions, numbers, **columns)
