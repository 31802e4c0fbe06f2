"""Guesses: what a learner expected, recorded before the answer is opened and set beside it after.

They are kept in the runs folder, so that a guess outlives its kernel, and go nowhere else.
"""

from __future__ import annotations

import json

from minialign.system import folders

FILE = "guesses.json"


def guess(name: str, value: object = None, *, like: object = None) -> None:
    """Record what you expect of the question `name`; None records nothing and asks for a guess.

    Args:
        name: of the question.
        value: a number, a word or a list of them; a later one replaces it.
        like: what a guess looks like: a number, as many numbers as a list holds, or a word of a
            tuple of words.

    Raises:
        TypeError: if it is something that no file could keep.
        ValueError: if it does not look like `like`.
    """
    if value is None:
        print(f"{name}: no guess yet; write one in place of None, then run this cell")
        return
    try:
        kept = json.loads(json.dumps(value))
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise TypeError(f"guess is a {kind}; give a number, a word, or a list of them") from None
    if like is not None and not _looks(kept, like):
        example = " or ".join(map(repr, like)) if isinstance(like, tuple) else f"one like {like}"
        raise ValueError(f"guess is {value!r}; give {example}")
    path = folders.runs_folder() / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    every = {**_kept(), name: kept}
    path.write_text(json.dumps(every, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{name}: your guess, {value}, is recorded; now open the next output")


def reveal(name: str, answer: object) -> None:
    """Print an answer, the guess that was recorded for the question `name`, and how far it is off.

    Args:
        name: of the question.
        answer: a number, a word, a list of them, or an estimate with a mean.
    """
    mine, right = _kept().get(name), getattr(answer, "mean", answer)
    if mine is None:
        print(f"{name}: {answer}; you guessed nothing yet")
        return
    print(f"{name}: {answer}; you guessed {mine}{_judged(mine, right)}")


def _judged(mine: object, right: object) -> str:
    """ ", which is right", or how far off; nothing where the two cannot be compared."""
    if mine == right:
        return ", which is right"
    if _is_number(mine) and _is_number(right):
        return f", off by {abs(mine - right):.3g}"
    if _looks(mine, right) and isinstance(right, list) and all(map(_is_number, right)):
        off = [f"{abs(a - b):.3g}" for a, b in zip(mine, right, strict=True)]
        return f", off by {', '.join(off)}"
    return ", which is not so" if isinstance(right, str | list) else ""


def _looks(value: object, like: object) -> bool:
    """Whether a guess is of the kind of an example; a tuple holds the words to choose from."""
    if isinstance(like, tuple):
        return value in like
    if isinstance(like, list):
        pairs = zip(value, like, strict=False) if isinstance(value, list) else []
        return (
            isinstance(value, list)
            and len(value) == len(like)
            and all(_looks(one, other) for one, other in pairs)
        )
    return _is_number(value) if _is_number(like) else isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kept() -> dict[str, object]:
    """The recorded guesses; a file that cannot be read counts as none."""
    try:
        kept = json.loads((folders.runs_folder() / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
