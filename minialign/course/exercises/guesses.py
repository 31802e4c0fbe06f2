"""Guesses: what a learner expected, recorded before the answer is opened and set beside it after.

They are kept in the runs folder, so that a guess outlives its kernel, and go nowhere else.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Sequence

from minialign.system import folders

FILE = "guesses.json"


UNITS = {"share": (0, 1), "percent": (0, 100)}  # of numbers -> their range


def guess(name: str, value: object = None, *, like: object = None, unit: str | None = None) -> None:
    """Record what you expect of the question `name`; None asks for it, or says what you guessed.

    Args:
        name: of the question.
        value: a number, a word or a list of them; a later one replaces it.
        like: what a guess looks like: a number, as many numbers as a list holds, the words of a
            list in another order (letters also as one word), or a word of a tuple of words; words
            in small letters or capitals.
        unit: "share", of 0 to 1, or "percent", of 0 to 100 and not all of them fractions.

    Raises:
        TypeError: if it is something that no file could keep.
        ValueError: if it does not look like `like`.
    """
    if value is None:
        earlier = _kept().get(name)
        print(
            f"{name}: no guess yet; write one in place of None, then run this cell"
            if earlier is None
            else f"{name}: your earlier guess, {earlier}, stands"
        )
        return
    try:
        kept = json.loads(json.dumps(value))
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise TypeError(f"guess is a {kind}; give a number, a word, or a list of them") from None
    if _are_words(like) and isinstance(kept, str) and all(len(word) == 1 for word in like):
        kept = list(kept)  # "DCAB" for ["D", "C", "A", "B"]
    if like is not None and not _looks(kept, like):
        raise ValueError(f"guess is {value!r}; give {_wanted(like)}")
    if isinstance(like, tuple):
        kept = _spelt(kept, like)
    elif _are_words(like):
        kept = [_spelt(word, like) for word in kept]
    if unit and not _within(kept, unit):
        low, high = UNITS[unit]
        hint = ", such as 60 and not 0.6" if unit == "percent" else ""
        raise ValueError(f"guess is {value!r}; give a {unit}, from {low} to {high}{hint}")
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
        if mine * right < 0 and abs(mine + right) < 0.05 * abs(right):
            return ", right but for the sign"
        return f", off by {abs(mine - right):.3g}"
    if _looks(mine, right) and isinstance(right, list) and all(map(_is_number, right)):
        off = [f"{abs(a - b):.3g}" for a, b in zip(mine, right, strict=True)]
        return f", off by {', '.join(off)}"
    if _are_words(right) and isinstance(mine, list) and len(mine) == len(right):
        return f", of which {sum(map(operator.eq, mine, right))} of {len(right)} are right"
    return ", which is not so" if isinstance(right, str | list) else ""


def _are_words(like: object) -> bool:
    """Whether an example is a list of words, whose order is guessed."""
    return isinstance(like, list) and all(isinstance(word, str) for word in like)


def _spelt(guessed: object, words: Sequence[str]) -> str:
    """The word that is guessed, in its own small letters and capitals."""
    return next(word for word in words if word.lower() == str(guessed).lower())


def _wanted(like: object) -> str:
    """What to give in place of a guess that does not look like the example."""
    if _are_words(like):
        return f"each of {', '.join(map(repr, like))} once, in a list"
    return " or ".join(map(repr, like)) if isinstance(like, tuple) else f"one like {like}"


def _looks(value: object, like: object) -> bool:
    """Whether a guess is of the kind of an example; a tuple holds the words to choose from."""
    if isinstance(like, tuple):
        return str(value).lower() in map(str.lower, like)
    if _are_words(like) and isinstance(value, list):
        return sorted(str(word).lower() for word in value) == sorted(map(str.lower, like))
    if isinstance(like, list):
        pairs = zip(value, like, strict=False) if isinstance(value, list) else []
        return (
            isinstance(value, list)
            and len(value) == len(like)
            and all(_looks(one, other) for one, other in pairs)
        )
    return _is_number(value) if _is_number(like) else isinstance(value, str)


def _within(value: object, unit: str) -> bool:
    """Whether all numbers of a guess are of the unit: no shares in the place of percent."""
    low, high = UNITS[unit]
    numbers = value if isinstance(value, list) else [value]
    fractions = unit == "percent" and any(0 < abs(x) < 1 for x in numbers)
    return all(low <= x <= high for x in numbers) and not (fractions and max(numbers) <= 1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kept() -> dict[str, object]:
    """The recorded guesses; a file that cannot be read counts as none."""
    try:
        kept = json.loads((folders.runs_folder() / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
