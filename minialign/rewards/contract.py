"""The contract of a reward: TRL's signature, so that a function moves both ways.

    reward(*, prompts, completions, completion_ids, **columns) -> one number per completion

It is called by keyword, as TRL 1.16 calls it: `prompts` and `completions` are texts, or messages
where the prompt is one; `completion_ids` are the sampled tokens, their end included; every other
column of the rows comes by its name. None says that a reward does not apply to a completion. TRL's
`trainer_state`, `log_extra` and `log_metric` are not given. The loops call every reward through
`call_reward`, which refuses what would train on nonsense.
"""

from __future__ import annotations

import copy
import inspect
import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from minialign.core.checkpoint import fingerprint
from minialign.core.sampling import Rollout

Reward = Callable[..., Sequence[float | None]]
Completions = Sequence[str | list[dict[str, str]]]  # texts, or messages of one reply each
Data = Mapping[str, Any]  # a row: "prompt", and columns that the rewards read
LOGGED = {
    "reward", "signal", "kl", "entropy", "length", "stops", "loss", "grad_norm", "off", "beta",
    "learning_rate", "clip_fraction", "value_loss", "explained_variance",
}  # columns that a loop logs by itself  # fmt: skip
OWN = ("prompt", "completion", "completion_ids")  # columns that the contract itself fills


def reward_name(reward: Reward) -> str:
    """What a reward is called in errors.

    >>> reward_name(len), reward_name(partial(len))
    ('len', 'len')
    """
    if isinstance(reward, partial):
        return reward_name(reward.func)
    return getattr(reward, "__qualname__", type(reward).__qualname__)


def reward_identity(reward: Reward) -> str:
    """What a checkpoint knows a reward by: its name, or what it says of itself.

    One that is made of others, or of weights, has an attribute `identity`, a function without
    arguments; of a partial its arguments count, of an object what it holds.
    """
    identity = getattr(reward, "identity", None)
    if callable(identity):
        return identity()
    if isinstance(reward, partial):
        held = fingerprint([reward.args, reward.keywords])
        return f"{reward_identity(reward.func)} {held}"
    held = vars(reward) if hasattr(reward, "__dict__") else {}
    return f"{reward_name(reward)} {fingerprint(held)}" if held else reward_name(reward)


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


def texts_of(completions: Completions) -> list[str]:
    """Completions as texts, whichever way they came.

    >>> texts_of(["Yes.", [{"role": "assistant", "content": "No."}]])
    ['Yes.', 'No.']
    """
    return [_text_of(completion) for completion in completions]


def by_column(
    check: Callable[[Any, str], float], completions: Completions, column: Sequence
) -> list[float | None]:
    """check(value, text) of each completion; None where its row has no value in the column.

    >>> by_column(lambda value, text: value == text, ["7", "8", "9"], ["7", "7", None])
    [1.0, 0.0, None]
    """
    pairs = zip(column, texts_of(completions), strict=True)
    return [None if value is None else float(check(value, text)) for value, text in pairs]


def columns_of(rows: Sequence[Data]) -> dict[str, list]:
    """The columns of all rows, the contract's own left out; None where a row lacks one.

    >>> columns_of([{"prompt": "?", "answer": 7}, {"prompt": "?", "word": "owl"}])
    {'answer': [7, None], 'word': [None, 'owl']}
    """
    names = dict.fromkeys(name for row in rows for name in row if name not in OWN)
    if taken := sorted({"prompts", "completions"} & names.keys()):
        raise ValueError(
            f"the rows have a column {taken[0]!r}, which is the name of what every reward is "
            "given; rename it"
        )
    return {name: [row.get(name) for row in rows] for name in names}


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
    given = {key: _copied(values) for key, values in given.items()}
    name = reward_name(reward)
    _refuse_unknown_arguments(reward, name, given)
    found = reward(**given)
    single = not hasattr(found, "__iter__") or getattr(found, "ndim", 1) == 0
    if single or isinstance(found, str | bytes | Mapping):
        raise TypeError(
            f"reward {name} returned {_short(found)}, but must return a list, one number per "
            "completion, and not be async"
        )
    values = list(found)
    if len(values) != len(prompts):
        raise ValueError(
            f"reward {name} returned {len(values)} numbers for {len(prompts)} completions; return "
            "exactly one for each, None where it does not apply"
        )
    places = [_place(i, prompts, numbers) for i in range(len(values))]
    return torch.tensor([_number(v, name, p) for v, p in zip(values, places, strict=True)])


def numbers_or_none(rewards: Tensor) -> list[float | None]:
    """(B,) rewards as a reward returns them: None where there is none.

    >>> numbers_or_none(torch.tensor([0.5, math.nan]))
    [0.5, None]
    """
    return [None if math.isnan(value) else value for value in rewards.tolist()]


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
            f"reward {reward_name(reward)} returned None for {_place(i, rollout.prompts, each)}, "
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


def _refuse_unknown_arguments(reward: Reward, name: str, given: Mapping[str, Any]) -> None:
    if not callable(reward):
        raise TypeError(
            f"the reward is {_short(reward)}, but must be a function; several are one by "
            "`weighted`, a model by `reward_model_score`"
        )
    try:
        signature = inspect.signature(reward)
    except (TypeError, ValueError):  # some built-in callables have none
        return
    try:
        signature.bind(**given)
    except TypeError as error:
        raise TypeError(
            f"reward {name}{signature} cannot be called with {', '.join(given)} ({error}); name "
            "what it reads, end its parameters with **columns, and give the rows those columns"
        ) from None


def _number(value: Any, name: str, place: str) -> float:
    """A value of a reward as a float that float32 holds; None is nan."""
    if value is None:
        return math.nan
    number = value
    if hasattr(value, "item") and math.prod(getattr(value, "shape", ())) == 1:
        number = value.item()
    if not isinstance(number, Real):  # a bool is one
        raise TypeError(
            f"reward {name} returned {_short(value)} for {place}; return a number, or "
            "None where it does not apply"
        )
    try:
        float32 = torch.tensor(float(number), dtype=torch.float32).item()
    except OverflowError:  # a whole number that no float holds
        float32 = math.inf
    if not math.isfinite(float32):
        raise ValueError(
            f"reward {name} returned {reprlib.repr(number)} for {place}, which is not "
            "finite in float32 and would destroy the weights; return a finite number, or None "
            "where it does not apply"
        )
    return float32


def _copied(values: Any) -> Any:
    """A column, each value a copy of its own; what TRL gives besides columns stays as it is."""
    return [copy.deepcopy(one) for one in values] if isinstance(values, list | tuple) else values


def _text_of(completion: Any) -> str:
    """A text as it is, of messages their contents one after another."""
    turns = [{"content": completion}] if isinstance(completion, str) else completion
    if isinstance(turns, list) and all(isinstance(turn, Mapping) for turn in turns):
        said = [turn.get("content") for turn in turns]
        if all(isinstance(text, str) for text in said):
            return "".join(said)
    raise TypeError(
        f"a completion is {_short(completion)}; use a text, or messages whose contents are texts"
    )


def _place(i: int, prompts: Sequence, numbers: Sequence[int] | None) -> str:
    row = "" if numbers is None else f"row {numbers[i]} from 0, "
    return f"completion {i} ({row}prompt {reprlib.repr(prompts[i])})"


def _short(value: Any) -> str:
    return f"{reprlib.repr(value)} ({type(value).__name__})"
