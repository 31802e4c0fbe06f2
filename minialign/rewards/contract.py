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

from torch import Tensor

from minialign.core.sampling import Rollout
from minialign.rewards import Data, Reward, call_reward, columns_of, place_of, reward_name

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


def rewards_of(
    reward: Reward, rollout: Rollout, rows: Sequence[Data] | None = None,
    numbers: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
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
    rewards = _of_rollout(reward, rollout, rows, each)
    if (missing := rewards.isnan()).any():
        i = int(missing.nonzero()[0, 0])
        raise ValueError(
            f"reward {reward_name(reward)} returned None for {place_of(i, rollout.prompts, each)}, "
            f"{int(missing.sum())} of {len(rewards)} in all, and there is no other reward; "
            "return a number, or add a reward that applies with `weighted`"
        )
    return rewards.to(rollout.logprobs.device)


def watched(
    watch: Mapping[str, Reward] | None, rollout: Rollout, rows: Sequence[Data] | None = None
) -> dict[str, float]:
    """The mean of each watched reward where it applies; nan where it does so nowhere."""
    each = {name: _of_rollout(one, rollout, rows) for name, one in (watch or {}).items()}
    return {name: rewards[~rewards.isnan()].mean().item() for name, rewards in each.items()}


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
