"""Public data sets: fourteen formats, each turned into one of the course's shapes.

A format is told by the columns that most of the first rows have, so a name or a path is all that is
asked for. Whatever the format, a system text and a history of turns become part of the prompt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from minialign.data import conversations as talks
from minialign.data import preferences, problems
from minialign.data.checks import listing
from minialign.data.shapes import Demonstration, Feedback, Pair, Prompt, Row


@dataclass(frozen=True)
class Format:
    """How rows of a kind look, and what they become."""

    shape: type
    columns: tuple[str, ...]  # those by which it is told
    columns_of: Callable[[Row], dict[str, Any]]  # the shape's columns, of a row
    example: str  # a data set of the hub in this format, if there is a well-known one

    def convert(self, row: Row) -> dict[str, Any]:
        """A row as one of the shape; raises BadRow."""
        return talks.with_frame(row, self.columns_of(row))


# Tried in this order: a row of a later format may have the columns of an earlier one, never both.
FORMATS: dict[str, Format] = {
    name: Format(shape, tuple(columns.split()), columns_of, example)
    for name, shape, columns, columns_of, example in [
        ("preferences", Pair, "prompt chosen rejected", preferences.pair,
         "HuggingFaceH4/ultrafeedback_binarized"),
        ("transcripts", Pair, "chosen rejected", preferences.transcripts, "Anthropic/hh-rlhf"),
        ("feedback", Feedback, "prompt completion label", talks.feedback, "trl-lib/kto-mix-14k"),
        ("demonstrations", Demonstration, "prompt completion", talks.demonstration, "trl-lib/tldr"),
        ("messages", Demonstration, "messages", talks.conversation, "HuggingFaceH4/no_robots"),
        ("sharegpt", Demonstration, "conversations", talks.sharegpt,
         "anon8231489123/ShareGPT_Vicuna_unfiltered"),
        ("alpaca", Demonstration, "instruction output", talks.alpaca, "tatsu-lab/alpaca"),
        ("dolly", Demonstration, "instruction response", talks.dolly,
         "databricks/databricks-dolly-15k"),
        ("seed_tasks", Demonstration, "instruction instances", talks.seed_task, ""),
        ("multiple_choice", Prompt, "question choices", problems.multiple_choice,
         "allenai/ai2_arc"),
        ("worked", Prompt, "question answer", problems.worked, "openai/gsm8k"),
        ("boxed", Prompt, "problem solution", problems.solved, "HuggingFaceH4/MATH-500"),
        ("answered", Prompt, "problem answer", problems.answered, ""),
        ("problems", Prompt, "prompt answer", problems.answered, ""),
    ]
}  # fmt: skip


def told_by(row: Row, shape: type | None = None) -> str:
    """The name of a row's format, of a shape if one is given.

    >>> told_by({"question": "Two and two?", "answer": "2 + 2 = 4 #### 4"})
    'worked'

    Raises:
        ValueError: if there is none with its columns.
    """
    return told_by_most([row], shape)


def told_by_most(rows: Iterable[Row], shape: type | None = None) -> str:
    """The name of the format that most rows have: a header or a null does not decide for all.

    Formats of the shape go before others, since many rows can be read in two ways.

    Raises:
        ValueError: if no row has the columns of a format.
    """
    rows = list(rows)
    counts = Counter(filter(None, (_format_of(row, shape) for row in rows)))
    counts = counts or Counter(filter(None, (_format_of(row, None) for row in rows)))
    if counts:
        return counts.most_common(1)[0][0]
    known = "; ".join(f"{name}: {', '.join(one.columns)}" for name, one in FORMATS.items())
    columns = listing(rows[0]) if rows else "no row"
    raise ValueError(f"no format has the columns {columns}; rename them to those of one ({known})")


def _format_of(row: Row, shape: type | None) -> str | None:
    for name, known in FORMATS.items():
        if shape in (None, known.shape) and all(row.get(c) is not None for c in known.columns):
            plain = isinstance(row.get("chosen"), str)
            if name == "transcripts" and (not plain or _has_request(row)):
                return "preferences"  # the prompt has another name, or is in the messages
            return name
    return None


def _has_request(row: Row) -> bool:
    return any(row.get(name) is not None for name in talks.REQUESTS)
