"""Rewards: what they are given and what they return, and what helps to write one."""

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

from minialign import modules_of

__getattr__ = modules_of(__name__)
Reward = Callable[..., Sequence[float | None]]
Completions = Sequence[str | list[dict[str, str]]]  # texts, or messages of one reply each
OWN = ("prompt", "completion", "completion_ids")  # columns that the contract itself fills
Data = Mapping[str, Any]  # a row: "prompt", and columns that the rewards read


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


def numbers_or_none(rewards: Tensor) -> list[float | None]:
    """(B,) rewards as a reward returns them: None where there is none.

    >>> numbers_or_none(torch.tensor([0.5, math.nan]))
    [0.5, None]
    """
    return [None if math.isnan(value) else value for value in rewards.tolist()]


def _text_of(completion: Any) -> str:
    """A text as it is, of messages their contents one after another."""
    turns = [{"content": completion}] if isinstance(completion, str) else completion
    if isinstance(turns, list) and all(isinstance(turn, Mapping) for turn in turns):
        said = [turn.get("content") for turn in turns]
        if all(isinstance(text, str) for text in said):
            return "".join(said)
    raise TypeError(
        f"a completion is {short(completion)}; use a text, or messages whose contents are texts"
    )


def short(value: Any) -> str:
    return f"{reprlib.repr(value)} ({type(value).__name__})"


def reward_name(reward: Reward) -> str:
    """What a reward is called in errors.

    >>> reward_name(len), reward_name(partial(len))
    ('len', 'len')
    """
    if isinstance(reward, partial):
        return reward_name(reward.func)
    return getattr(reward, "__qualname__", type(reward).__qualname__)


def as_float32(value: Any, name: str, place: str) -> float:
    """A value of a reward as a float that float32 holds; None is nan."""
    if value is None:
        return math.nan
    number = value
    if hasattr(value, "item") and math.prod(getattr(value, "shape", ())) == 1:
        number = value.item()
    if not isinstance(number, Real):  # a bool is one
        raise TypeError(
            f"reward {name} returned {short(value)} for {place}; return a number, or "
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


def refuse_unknown_arguments(reward: Reward, name: str, arguments: Mapping[str, Any]) -> None:
    if not callable(reward):
        raise TypeError(
            f"the reward is {short(reward)}, but must be a function; several are one by "
            "`weighted`, a model by `reward_model_score`"
        )
    try:
        signature = inspect.signature(reward)
    except (TypeError, ValueError):  # some built-in callables have none
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise TypeError(
            f"reward {name}{signature} cannot be called with {', '.join(arguments)} ({error}); "
            "name what it reads, end its parameters with **columns, and give the rows those columns"
        ) from None


def copied(values: Any) -> Any:
    """A column, each value a copy of its own; what TRL gives besides columns stays as it is."""
    return [copy.deepcopy(one) for one in values] if isinstance(values, list | tuple) else values


def place_of(i: int, prompts: Sequence, numbers: Sequence[int] | None) -> str:
    row = "" if numbers is None else f"row {numbers[i]} from 0, "
    return f"completion {i} ({row}prompt {reprlib.repr(prompts[i])})"


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
    arguments = {"prompts": prompts, "completions": completions, **columns}
    arguments = {key: copied(values) for key, values in arguments.items()}
    name = reward_name(reward)
    refuse_unknown_arguments(reward, name, arguments)
    returned = reward(**arguments)
    single = not hasattr(returned, "__iter__") or getattr(returned, "ndim", 1) == 0
    if single or isinstance(returned, str | bytes | Mapping):
        raise TypeError(
            f"reward {name} returned {short(returned)}, but must return a list, one number per "
            "completion, and not be async"
        )
    values = list(returned)
    if len(values) != len(prompts):
        raise ValueError(
            f"reward {name} returned {len(values)} numbers for {len(prompts)} completions; return "
            "exactly one for each, None where it does not apply"
        )
    places = [place_of(i, prompts, numbers) for i in range(len(values))]
    return torch.tensor([as_float32(v, name, p) for v, p in zip(values, places, strict=True)])
