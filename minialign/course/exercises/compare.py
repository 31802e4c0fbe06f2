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
from difflib import unified_diff

import torch
from torch import Tensor

Function = Callable[..., Tensor]
MAX_LINES = 12  # of a difference that is printed


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


def same_code(above: Callable, ours: Callable) -> bool:
    """Whether a function of a notebook is the package's own; prints so, or what differs.

    Nothing stops: what the cells call is what they define, so it is your version that trains.

    Args:
        above: the notebook's function.
        ours: the package's; docstrings, annotations, comments and layout are not compared.
    """
    place = f"{ours.__module__}.{ours.__name__}"
    try:
        yours = plain_code(inspect.getsource(above))
    except (OSError, TypeError, SyntaxError):
        print(f"{place}: yours has no source to compare with it; what you wrote is what runs")
        return False
    wanted = plain_code(inspect.getsource(ours))
    if yours == wanted:
        print(f"checked: {above.__name__} above is the package's own code")
        return True
    print(f"{above.__name__} above is your version, and what trains; {place} has - for your +:")
    changes = list(unified_diff(wanted.splitlines(), yours.splitlines(), n=0, lineterm=""))[2:]
    lines = [line for line in changes if not line.startswith("@@")]
    print("\n".join(lines[:MAX_LINES] + ["..."] * (len(lines) > MAX_LINES)))
    return False


def plain_code(source: str) -> str:
    """The code of a function without docstrings, annotations, comments and layout."""
    return ast.unparse(Plain().visit(ast.parse(textwrap.dedent(source))))


class Plain(ast.NodeTransformer):
    """Takes out of a syntax tree what does not run."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """A function without what it says of itself and returns."""
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """An argument without its type."""
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """A declaration as the assignment that it is, if it is one."""
        if node.value is None:
            return None
        return ast.Assign([node.target], self.visit(node.value), lineno=node.lineno)


def _close(a: Tensor, b: Tensor) -> bool:
    near = {"rtol": 1e-4, "atol": 1e-5, "equal_nan": True}  # nan, to recognise a mistake by it
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), **near)


def _short(values: Tensor) -> str:
    return str([round(v, 4) for v in values.double().flatten().tolist()[:6]])
