"""Rows as a training loop takes them: encoded demonstrations and comparisons, problems with a task.

Each function reads a file or a data set of the hub in any of the known formats (`formats`), leaves
out what is malformed, too long or without use, and says which rows and why. What it returns is a
list whose `numbers` and `dropped` (`reading.Rows`) account for every row that was read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from minialign.core.batching import Row as Encoded
from minialign.core.tokens import encode
from minialign.data.checks import BadRow, brief
from minialign.data.reading import Rows, read_public
from minialign.data.shapes import Demonstration, Messages, Pair, Prompt, T
from minialign.rewards.public_answers import is_letter, payable, require

ASK = r"Work step by step and put the final answer in \boxed{}."
ASK_LETTER = r"Work step by step and put the letter of the right choice in \boxed{}."
NAMED = 5  # rows of each reason whose numbers are printed


def demonstrations_of(
    dataset: str | Path, tokenizer: PreTrainedTokenizerBase, n: int, max_length: int = 512
) -> Rows[Encoded]:
    """Encoded demonstrations from the first `n` rows; prints what was left out."""
    rows = read_public(dataset, Demonstration, limit=n)
    return _converted_rows(rows, lambda d: encode(tokenizer, d.prompt, d.completion, max_length))


def comparisons_of(
    dataset: str | Path, tokenizer: PreTrainedTokenizerBase, n: int, max_length: int = 512
) -> Rows[tuple[Encoded, Encoded]]:
    """(chosen, rejected) rows of the first `n` comparisons; prints what was left out."""
    rows = read_public(dataset, Pair, limit=n)

    def encoded(pair: Pair) -> tuple[Encoded, Encoded]:
        texts = (pair.chosen, pair.rejected)
        chosen, rejected = (encode(tokenizer, pair.prompt, text, max_length) for text in texts)
        if chosen.ids == rejected.ids:
            rule = "the tokenizer writes both alike, which teaches nothing; drop it"
            raise BadRow("equal completions", f"chosen {brief(pair.chosen)} and rejected: {rule}")
        return chosen, rejected

    return _converted_rows(rows, encoded)


def problems_of(dataset: str | Path, n: int) -> Rows[dict[str, Any]]:
    r"""Problems whose answer the reward for public problems can pay; prints what was left out.

    That reward is `public_answer`, and a row is kept if every way to write its answer that a model
    is asked for earns 1. The prompt asks for \boxed{}, a form that a verifier finds.

    Raises:
        ImportError: if math-verify is not installed.
    """
    require()
    rows = read_public(dataset, Prompt, limit=n)

    def problem(row: Prompt) -> dict[str, Any]:
        if row.answer is None or not payable(row.answer):
            rule = "no reply would be paid for it; use a number, an expression, a word or a letter"
            raise BadRow("no answer", f"answer is {brief(row.answer)}; {rule}")
        ask = ASK_LETTER if is_letter(row.answer) else ASK
        return {"prompt": _with_task(row.prompt, ask), "answer": row.answer}

    return _converted_rows(rows, problem)


def _with_task(prompt: str | Messages, ask: str) -> str | Messages:
    """A prompt with a paragraph more at its end."""
    if isinstance(prompt, str):
        return f"{prompt}\n\n{ask}"
    last = {**prompt[-1], "content": f"{prompt[-1]['content']}\n\n{ask}"}
    return [*prompt[:-1], last]


def _converted_rows(rows: Rows, convert: Callable[..., T]) -> Rows[T]:
    """What can be converted; which rows cannot, and why the first of them, is printed."""
    result: Rows[T] = Rows()
    result.dropped = {reason: list(numbers) for reason, numbers in rows.dropped.items()}
    result.why = dict(rows.why)
    for number, row in zip(rows.numbers, rows, strict=True):
        try:
            result.keep(number, convert(row))
        except BadRow as bad:
            result.drop(number, bad)
        except TemplateError as error:
            rule = "drop the row, or use a model whose template takes it"
            bad = BadRow("refused by the chat template", f"{error}; {rule}")
            result.drop(number, bad)
        except ValueError as error:
            result.drop(number, BadRow("cannot be encoded", str(error)))
    print(result.report())
    for reason, numbers in result.dropped.items():
        numbers.sort()
        first = ", ".join(map(str, numbers[:NAMED])) + ", ..." * (len(numbers) > NAMED)
        print(f"  {reason}: rows {first}; {result.why[reason]}")
    if not result:
        first = f" ({next(iter(result.why.values()))})" if result.why else ""
        raise ValueError(f"no row is left{first}; use other data, or more rows")
    return result
