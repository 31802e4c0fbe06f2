"""What an exercise is: an answer is compared with the package's own, and a mistake is named.

An exercise lists typical mistakes as functions. An answer that equals one of them is told which;
one that equals none is told where it first differs. An unsolved stub says so and lets Run All go
on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Function = Callable[..., object]
MOST = 6  # values that a verdict prints


def drawn(seed: int) -> torch.Generator:
    """A generator for the arguments of one exercise."""
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Exercise:
    """What is asked, the right function, arguments to try, and the mistakes that are recognised.

    Functions return a tensor, a number, a truth value or a list of any of these.
    """

    name: str
    reference: Function
    cases: Sequence[tuple]
    mistakes: dict[str, Function] = field(default_factory=dict)

    def __call__(self, yours: Function) -> bool:
        """Print what is right or wrong with an answer; whether it is right."""
        try:
            verdict = self._verdict(yours)
        except NotImplementedError:
            verdict = "not solved yet"
        except Exception as error:  # a learner's code may raise anything
            verdict = f"raises {type(error).__name__}: {error}"
        print(f"{self.name}: {verdict}")
        return verdict == "right"

    def _verdict(self, yours: Function) -> str:
        answers = [yours(*case) for case in map(_copied, self.cases)]
        if any(answer is None for answer in answers):
            return "not solved yet"
        right = [values(self.reference(*case)) for case in self.cases]
        mine = []
        for i, (answer, wanted) in enumerate(zip(answers, right, strict=True)):
            try:
                mine.append(values(answer))
            except (TypeError, ValueError, RuntimeError):
                return f"returns a {type(answer).__name__}; return {_kind(wanted)}"
            if mine[-1].shape != wanted.shape:
                shapes = tuple(mine[-1].shape), tuple(wanted.shape)
                return f"has shape {shapes[0]}; it should be {shapes[1]} (case {i + 1})"
        if all(map(_close, mine, right)):
            return "right"
        for mistake, wrong in self.mistakes.items():
            theirs = [values(wrong(*case)) for case in map(_copied, self.cases)]
            if all(map(_close, mine, theirs)):
                return mistake
        i = next(i for i in range(len(right)) if not _close(mine[i], right[i]))
        return _difference(mine[i], right[i], i + 1)


def values(answer: object) -> Tensor:
    """An answer as a float tensor; TypeError, ValueError or RuntimeError if it is none."""
    if isinstance(answer, (list, tuple)) and any(isinstance(x, Tensor) for x in answer):
        answer = torch.stack([torch.as_tensor(x) for x in answer])
    return torch.as_tensor(answer).detach().double()


def _copied(case: tuple) -> tuple:
    """Arguments that an answer may change in place."""
    return tuple(x.clone() if isinstance(x, Tensor) else x for x in case)


def _kind(wanted: Tensor) -> str:
    return f"a tensor of shape {tuple(wanted.shape)}" if wanted.ndim else "one number"


def _close(a: Tensor, b: Tensor) -> bool:
    near = {"rtol": 1e-4, "atol": 1e-5, "equal_nan": True}  # nan, to recognise a mistake by it
    return a.shape == b.shape and torch.allclose(a, b, **near)


def _difference(mine: Tensor, right: Tensor, case: int) -> str:
    """Where two answers of one shape first differ, and what stands there."""
    equal = torch.isclose(mine, right, rtol=1e-4, atol=1e-5, equal_nan=True)
    if not mine.ndim:
        return f"gives {mine:.4g} where {right:.4g} is right (case {case})"
    places = (~equal).nonzero()
    lines = [
        f"{mine[tuple(place)]:.4g} at {place.tolist()} where {right[tuple(place)]:.4g} is right"
        for place in places[:MOST]
    ]
    more = f", and {len(places) - MOST} more" if len(places) > MOST else ""
    return f"gives {'; '.join(lines)}{more} (case {case})"
