"""Guesses: what a learner expected, recorded before the answer is opened and set beside it after.

They are kept in the runs folder, so that a guess outlives its kernel, and go nowhere else.
"""

from __future__ import annotations

import json

from minialign.system import folders

FILE = "guesses.json"


def guess(name: str, value: object = None) -> None:
    """Record what you expect of the question `name`; None records nothing and asks for a guess.

    Args:
        name: of the question.
        value: a number, a word or a list of them; a later one replaces it.

    Raises:
        TypeError: if it is something else, which no file could keep.
    """
    if value is None:
        print(f"{name}: no guess yet; write one in place of None, then run this cell")
        return
    try:
        kept = {**_kept(), name: json.loads(json.dumps(value))}
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise TypeError(f"guess is a {kind}; give a number, a word, or a list of them") from None
    path = folders.runs_folder() / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{name}: your guess, {value}, is recorded; now open the next output")


def reveal(name: str, answer: object) -> None:
    """Print an answer beside the guess that was recorded for the question `name`."""
    mine = _kept().get(name)
    print(f"{name}: {answer}; you guessed {'nothing yet' if mine is None else mine}")


def _kept() -> dict[str, object]:
    """The recorded guesses; a file that cannot be read counts as none."""
    try:
        kept = json.loads((folders.runs_folder() / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
