"""Instructions with a constraint that a program can verify, for models that know the real world.

In the manner of IFEval, Zhou et al. 2023, arXiv:2311.07911: a task, and a rule about the form of
the reply. Whether the task was done well is not looked at, only whether the rule was kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from minialign.rewards import Completions, by_column
from minialign.rewards.verifiers import Scores, item_count, lower_case, mentions

TOPICS = {
    "train": (
        "animals", "fruits", "colours", "cities", "sports", "tools", "birds", "trees", "drinks",
        "games", "musical instruments", "vegetables", "shapes", "planets", "rooms of a house",
        "kinds of weather", "jobs", "insects", "languages", "metals",
    ),
    "test": (
        "flowers", "countries", "fish", "desserts", "vehicles", "pieces of clothing", "hobbies",
        "school subjects", "kitchen tools", "rivers",
    ),
}  # fmt: skip
WORDS = {
    "train": ("morning", "water", "friend", "small", "summer", "music", "garden", "quiet", "blue",
              "money", "story", "winter", "green", "bread", "night", "road"),
    "test": ("river", "silver", "window", "market", "gentle", "island", "paper", "autumn"),
}  # fmt: skip
LIMITS = (8, 10, 12, 15, 20)  # words
COUNTS = (2, 3, 4, 5, 6)  # items


@dataclass(frozen=True)
class Constraint:
    """A rule: what is asked, with places for the topic and the value, and what keeps it."""

    wordings: dict[str, tuple[str, ...]]  # by split
    values: Callable[[str], Sequence[object]]  # from the split
    kept: Callable[[str, str], bool]  # (reply, value)


def _short(reply: str, value: str) -> bool:
    """At least three words, so that silence keeps no rule."""
    return 3 <= len(reply.split()) <= int(value)


def _listed(reply: str, value: str) -> bool:
    """One line of that many different items of three words at most."""
    parts = reply.strip().split(",")
    return (
        len(reply.strip().splitlines()) == 1
        and max(len(part.removeprefix(" and").split()) for part in parts) <= 3
        and item_count(["?"], [reply], [int(value)]) == [1.0]
    )


CONSTRAINTS: dict[str, Constraint] = {
    "lower case": Constraint(
        {
            "train": (
                "Tell me about {topic}. Use only lower case letters.",
                "Write one sentence about {topic}, all in lower case.",
                "Describe {topic} in a sentence without any capital letter.",
            ),
            "test": ("What can you say about {topic}? Do not use capital letters.",),
        },
        lambda split: ("",),
        lambda reply, value: bool(lower_case(["?"], [reply])[0]) and _short(reply, "1000"),
    ),
    "items": Constraint(
        {
            "train": (
                "Name exactly {value} {topic}, separated by commas, and nothing else.",
                "List {value} {topic} in one line with commas. No other words.",
                "Give me {value} {topic} as a list with commas only.",
            ),
            "test": ("Which {value} {topic} come to mind? Answer with a comma-separated list.",),
        },
        lambda split: COUNTS,
        _listed,
    ),
    "mentions": Constraint(
        {
            "train": (
                'Write one sentence about {topic} with the word "{value}" in it.',
                'Say something about {topic}. Mention the word "{value}".',
            ),
            "test": ('Make up a sentence about {topic} in which "{value}" occurs.',),
        },
        lambda split: WORDS[split],
        lambda reply, value: bool(mentions(["?"], [reply], [value])[0]) and _short(reply, "1000"),
    ),
    "length": Constraint(
        {
            "train": (
                "Tell me about {topic} in at most {value} words.",
                "Write about {topic}. Use no more than {value} words.",
            ),
            "test": ("Describe {topic} in {value} words or fewer.",),
        },
        lambda split: LIMITS,
        _short,
    ),
}


def constraint_rows(n: int, split: str = "train", seed: int = 0) -> list[dict[str, str]]:
    """`n` instructions (prompt, kind, value), the kinds in turn; split "test" has other words.

    >>> constraint_rows(1, seed=1)[0]["kind"]
    'lower case'

    Raises:
        ValueError: if the split is neither train nor test.
    """
    if split not in TOPICS:
        raise ValueError(f"split is {split!r}; use {' or '.join(TOPICS)}")
    rng, rows = Random(f"constraints {split} {seed}"), []
    for i in range(n):
        kind = list(CONSTRAINTS)[i % len(CONSTRAINTS)]
        rule = CONSTRAINTS[kind]
        value = str(rng.choice(list(rule.values(split))))
        words = {"topic": rng.choice(TOPICS[split]), "value": value}
        prompt = rng.choice(rule.wordings[split]).format(**words)
        rows.append({"prompt": prompt, "kind": kind, "value": value})
    return rows


def constraint_kept(
    prompts: Sequence, completions: Completions, kind: Sequence[str], value: Sequence[str],
    **columns: object,
) -> Scores:  # fmt: skip
    """1 where the reply keeps the rule of its row, else 0.

    >>> constraint_kept(["?"] * 2, ["oak, elm", "Oak."], ["items", "lower case"], ["2", ""])
    [1.0, 0.0]
    """

    def kept(rule: tuple[str, str], reply: str) -> bool:
        return CONSTRAINTS[rule[0]].kept(reply, rule[1])

    rules = [None if k is None else (k, v) for k, v in zip(kind, value, strict=True)]
    return by_column(kept, completions, rules)
