"""A valid row of each public format, and seeded mutations of rows, for the tests of readers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Any

USER, BOT = {"role": "user", "content": "Name a tree."}, {"role": "assistant", "content": "Oak."}
VALID: dict[str, dict[str, Any]] = {
    "preferences": {"prompt": "Name a tree.", "chosen": "Oak.", "rejected": "Ash.",
                    "score_chosen": 8.5, "score_rejected": "6.0"},
    "transcripts": {"chosen": "\n\nHuman: Hi.\n\nAssistant: Yes.",
                    "rejected": "\n\nHuman: Hi.\n\nAssistant: No."},
    "feedback": {"prompt": [USER], "completion": [BOT], "label": True},
    "demonstrations": {"prompt": "Name a tree.", "completion": "Oak."},
    "messages": {"prompt": "Name a tree.", "messages": [USER, BOT]},
    "sharegpt": {"system": "Be brief.", "conversations": [
        {"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hello."}]},
    "alpaca": {"instruction": "Name it.", "input": "It has acorns.", "output": "Oak.",
               "history": [["Hi.", "Hello."]]},
    "dolly": {"instruction": "Name it.", "context": "It has acorns.", "response": "Oak."},
    "seed_tasks": {"instruction": "Name it.", "instances": [{"input": "", "output": "Oak."}]},
    "multiple_choice": {"question": "Which?", "answerKey": "2",
                        "choices": {"text": ["Rook", "Oak"], "label": ["1", "2"]}},
    "worked": {"question": "How many?", "answer": "1 + 1 = 2\n#### 2"},
    "boxed": {"problem": "Solve.", "solution": r"It is $\boxed{\frac{1}{2}}$."},
    "answered": {"problem": "Solve.", "answer": "7"},
    "problems": {"prompt": "Two and two?", "answer": 4},
}  # fmt: skip
COLUMNS = sorted({
    *(name for row in VALID.values() for name in row), "system", "history", "tools", "images",
    "weight", "train", "role", "content", "tool_calls", "thinking", "chosen_rating", "text", "",
})  # fmt: skip


def _deep(levels: int) -> list:
    found: list = []
    for _ in range(levels):
        found = [found]
    return found


DEEP = _deep(5000)
ODD: list[Any] = [
    None, True, False, 0, 1, -3, 2.5, math.nan, math.inf, 10**5000, "", " \n", "x", "A", "2", "nan",
    "\ud800", "a\udfffb", "\0", "x" * 9000, "\u2028", "{" * 50, r"\boxed{", "####", b"bytes", b"",
    [], {}, [[]], [None], [{}], {"role": "tool", "content": "x"}, ["a", "b"], ("a", "b"), {1, 2},
    DEEP, {"a": DEEP}, [DEEP, DEEP], [USER, BOT], [BOT], object(), range(3), 3j,
]  # fmt: skip


def mutated(value: Any, random: Random) -> Any:
    """A value with one thing changed in it, somewhere."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        return _dict(value, random)
    if isinstance(value, list) and value and random.random() < 0.7:
        place, change = random.randrange(len(value)), random.randrange(4)
        if change == 0:
            return value[:place] + value[place + 1 :]
        if change == 1:
            return [*value, value[place]]
        return [*value[:place], mutated(value[place], random), *value[place + 1 :]]
    if isinstance(value, str) and random.random() < 0.3:
        place = random.randint(0, len(value))
        return (
            value[:place] + random.choice(["\ud800", "\n\nHuman:", "}", "x" * 50]) + value[place:]
        )
    return random.choice([*ODD, [value], {"value": value}])


def _dict(value: dict, random: Random) -> dict:
    name, change = random.choice(list(value)), random.randrange(8)
    rest = {other: v for other, v in value.items() if other != name}
    if change == 0:
        return rest
    if change == 1:
        return {**value, random.choice(COLUMNS): random.choice(ODD)}
    if change == 2:
        return {**rest, random.choice([str(name).upper(), 3, None, "\ud800"]): value[name]}
    if change == 3:
        other = random.choice(list(value))
        return {**value, name: value[other], other: value[name]}
    return {**value, name: mutated(value[name], random)}


def mutations(row: dict, n: int, seed: str) -> Iterator[Any]:
    """`n` rows, each with one to three changes, now and then no row at all."""
    random = Random(seed)
    for _ in range(n):
        found: Any = row
        for _ in range(random.choice((1, 1, 2, 3))):
            found = mutated(found, random)
        yield found
