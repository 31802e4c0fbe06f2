"""What an exercise is: an answer is compared with the package's own, and a mistake is named.

An exercise lists typical mistakes as functions. An answer that equals one of them is told which;
one that equals none is told where it first differs. An unsolved stub says so and lets Run All go
on.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Function = Callable[..., Tensor]


def drawn(seed: int) -> torch.Generator:
    """A generator for the arguments of one exercise."""
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Exercise:
    """What is asked, the right function, arguments to try, and the mistakes that are recognised."""

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
        answers = [yours(*case) for case in self.cases]
        if any(answer is None for answer in answers):
            return "not solved yet"
        wanted = [self.reference(*case) for case in self.cases]
        for answer, right in zip(answers, wanted, strict=True):
            if not isinstance(answer, Tensor):
                return f"returns a {type(answer).__name__}; return a tensor"
            if answer.shape != right.shape:
                return f"has shape {tuple(answer.shape)}; it should be {tuple(right.shape)}"
        if all(map(_close, answers, wanted)):
            return "right"
        for mistake, wrong in self.mistakes.items():
            if all(map(_close, answers, (wrong(*case) for case in self.cases))):
                return mistake
        i = next(i for i in range(len(wanted)) if not _close(answers[i], wanted[i]))
        return f"gives {_short(answers[i])} where {_short(wanted[i])} is right (case {i + 1})"


def same_code(above: Callable, ours: Callable) -> None:
    """Say that a function shown in a notebook is the package's own; docstrings are left out.

    Raises:
        AssertionError: if they differ.
    """
    if _syntax(above) != _syntax(ours):
        raise AssertionError(
            f"{above.__name__} above differs from {ours.__module__}.{ours.__name__}; "
            "undo the change, or leave this check out while you experiment"
        )
    print(f"checked: {above.__name__} above is the package's own code")


def _syntax(function: Callable) -> str:
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
        node.body = node.body[1:]
    return ast.dump(node)


def _close(a: Tensor, b: Tensor) -> bool:
    near = {"rtol": 1e-4, "atol": 1e-5, "equal_nan": True}  # nan, to recognise a mistake by it
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), **near)


def _short(values: Tensor) -> str:
    return str([round(v, 4) for v in values.double().flatten().tolist()[:6]])
