"""What an exercise is: an answer is compared with the package's own, and a mistake is named.

An exercise lists typical mistakes as functions. An answer that equals one of them is told which;
one that equals none is told where it first differs. An unsolved stub says so and lets Run All go
on. `same_code` compares code: what a notebook shows with what the package has.
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

Function = Callable[..., object]
Tell = Callable[[Sequence[tuple], Sequence[Tensor], Sequence[Tensor]], str | None]
MOST = 6  # values that a verdict prints
MAX_LINES = 12  # of a difference that is printed


def drawn(seed: int) -> torch.Generator:
    """A generator for the arguments of one exercise."""
    return torch.Generator().manual_seed(seed)


DIMENSION = "; does it run along the right dimension? keepdim=True keeps a dimension"


@dataclass(frozen=True)
class Exercise:
    """What is asked, the right function, arguments to try, and the mistakes that are recognised.

    Functions return a tensor, a number or a truth value; where the right answer is a tensor of
    several numbers, so must be any other. An answer may differ by `atol + rtol * |right|`: raise
    them where a search ends near the right value only. With `trains`, the gradients with respect to
    all arguments of floats must be the right ones, too. `tell` says what is wrong with an answer
    that equals no mistake, from all cases, answers and right answers; None leaves it to the values
    that differ. `if_slopes` is what is likely wrong where the values are right and gradients not.
    With `keeps` the arguments must stay as they are: a loop goes on with them.
    """

    name: str
    reference: Function
    cases: Sequence[tuple]
    mistakes: dict[str, Function] = field(default_factory=dict)
    rtol: float = 1e-4
    atol: float = 1e-5
    tell: Tell | None = None
    trains: bool = False
    keeps: bool = False
    if_slopes: str = ""

    def __call__(self, yours: Function) -> bool:
        """Print what is right or wrong with an answer; whether it is right."""
        try:
            verdict = self._verdict(yours)
        except NotImplementedError:
            verdict = "not solved yet"
        print(f"{self.name}: {verdict}")
        return verdict == "right"

    def close(self, a: Tensor, b: Tensor) -> bool:
        """Whether two answers count as equal; nan equals nan, to recognise a mistake by it."""
        return a.shape == b.shape and bool(self._equal(a, b).all())

    def _equal(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.isclose(a, b, rtol=self.rtol, atol=self.atol, equal_nan=True)

    def _verdict(self, yours: Function) -> str:
        answers = []
        for i, case in enumerate(self.cases):
            try:
                answers.append(yours(*_copied(case)))
            except NotImplementedError:
                raise
            except Exception as error:  # a learner's code may raise anything
                hint = DIMENSION if "must match" in str(error) else ""
                return f"raises {type(error).__name__}: {error}{hint} ({_which(case, i)})"
        if all(answer is None for answer in answers):
            return "not solved yet"
        wanted = [self.reference(*case) for case in map(_copied, self.cases)]
        right, mine = [values(one) for one in wanted], []
        for i, answer in enumerate(answers):
            if answer is None:
                place = _which(self.cases[i], i)
                return f"returns None in {place}; return {_kind(wanted[i])} there too"
            try:
                if right[i].ndim and not isinstance(answer, Tensor):
                    raise TypeError  # what is called next asks tensors for their mean
                mine.append(values(answer))
                truths = isinstance(answer, Tensor) and answer.dtype == torch.bool
                if truths and wanted[i].is_floating_point():
                    return "holds True and False; return 1 and 0, as by .float()"
            except Exception:  # whatever it is, it holds no numbers
                return f"returns a {type(answer).__name__}; return {_kind(wanted[i])}"
            if not right[i].ndim and mine[i].numel() == 1:
                mine[i] = mine[i].reshape(())  # one number, in whatever shape
        other = [i for i in range(len(mine)) if mine[i].shape != right[i].shape]
        if other:
            return self._mistake(mine) or _other_shape(mine[other[0]], right[other[0]], other[0])
        if all(map(self.close, mine, right)):
            wrong = (self.trains and self._slopes(yours)) or (self.keeps and self._spoilt(yours))
            return wrong or "right"
        told = self._mistake(mine) or (self.tell and self.tell(self.cases, mine, right))
        return told or self._difference(mine, right)

    def _slopes(self, yours: Function) -> str | None:
        """What is wrong with the gradients of an answer whose values are right."""
        for i, case in enumerate(self.cases):
            right = gradients(self.reference, case)
            try:
                mine = gradients(yours, case)
            except Exception as error:  # such as a tensor that was changed in place
                return f"has the right values, and no gradient: {error} ({_which(case, i)})"
            if mine is None:
                return (
                    "has the right values, but no gradient: nothing could be trained with it; "
                    "compute with tensors alone (.item(), .detach() and torch.tensor([...]) cut "
                    f"the gradient; torch.stack keeps it) (case {i + 1})"
                )
            if mine.isnan().any() and not right.isnan().any():
                return (
                    "has the right values, and gradients that are nan, as softmax(x).log() has "
                    f"where a probability is 0: use log_softmax (case {i + 1})"
                )
            if not self.close(mine, right):
                likely = f": {self.if_slopes}" if self.if_slopes else ""
                return f"has the right values, and wrong gradients{likely} (case {i + 1})"
        return None

    def _spoilt(self, yours: Function) -> str | None:
        """Which case an answer changes in place."""
        for i, case in enumerate(self.cases):
            given = _copied(case)
            yours(*given)
            tensors = [pair for pair in zip(given, case, strict=True) if torch.is_tensor(pair[1])]
            if not all(self.close(values(after), values(before)) for after, before in tensors):
                return (
                    "has the right values, but changes its arguments in place, with which the "
                    f"notebook goes on: begin with .clone(), or make new tensors (case {i + 1})"
                )
        return None

    def _mistake(self, mine: list[Tensor]) -> str | None:
        """The name of the mistake that gives the same answers."""
        for mistake, wrong in self.mistakes.items():
            theirs = [values(wrong(*case)) for case in map(_copied, self.cases)]
            if all(map(self.close, mine, theirs)):
                return mistake
        return None

    def _difference(self, mine: list[Tensor], right: list[Tensor]) -> str:
        """Where answers first differ, and what stands there."""
        case = next(i for i in range(len(right)) if not self.close(mine[i], right[i]))
        a, b = mine[case], right[case]
        if not a.ndim:
            return f"gives {a:.4g} where {b:.4g} is right (case {case + 1})"
        places = (~self._equal(a, b)).nonzero()
        lines = [
            f"{a[tuple(place)]:.4g} at {place.tolist()} where {b[tuple(place)]:.4g} is right"
            for place in places[:MOST]
        ]
        more = f", and {len(places) - MOST} more" if len(places) > MOST else ""
        return f"gives {'; '.join(lines)}{more} (case {case + 1})"


def gradients(function: Function, case: tuple) -> Tensor | None:
    """The gradients of an answer's uneven sum with respect to all floats; None without one."""
    case, leaves = _copied(case), []
    for argument in case:
        each = argument if isinstance(argument, (list, tuple)) else [argument]
        leaves += [x for x in each if isinstance(x, Tensor) and x.is_floating_point()]
    for leaf in leaves:
        leaf.requires_grad_()
    answer = function(*case)
    if not isinstance(answer, Tensor) or not answer.requires_grad:
        return None
    weights = torch.linspace(1, 2, answer.numel(), dtype=answer.dtype).view_as(answer)
    found = torch.autograd.grad((answer * weights).sum(), leaves, allow_unused=True)
    slopes = [
        torch.zeros_like(leaf) if slope is None else slope
        for slope, leaf in zip(found, leaves, strict=True)
    ]
    return torch.cat([slope.double().flatten() for slope in slopes])


def values(answer: object) -> Tensor:
    """An answer as a float tensor; TypeError, ValueError or RuntimeError if it is none."""
    if isinstance(answer, (list, tuple)) and any(isinstance(x, Tensor) for x in answer):
        answer = torch.stack([torch.as_tensor(x) for x in answer])
    return torch.as_tensor(answer).detach().double()


def _copied(argument: object) -> object:
    """Arguments that an answer may change in place."""
    if isinstance(argument, (list, tuple)):
        return type(argument)(map(_copied, argument))
    return argument.clone() if isinstance(argument, Tensor) else argument


def _other_shape(mine: Tensor, right: Tensor, i: int) -> str:
    """What is wrong with the shape of an answer."""
    shapes = tuple(mine.shape), tuple(right.shape)
    told = f"has shape {shapes[0]}; it should be {shapes[1]} (case {i + 1})"
    if not mine.ndim:
        return f"{told}: it is one number, return one per row"
    if mine.ndim == 2 and shapes[0] == shapes[1][::-1]:
        return f"{told}: rows and columns are exchanged, return its transpose"
    return told


def _which(case: tuple, i: int) -> str:
    """A case by its number, or by the text that it begins with."""
    text = case[0]
    if not isinstance(text, str):
        return f"case {i + 1}"
    return f"case {text if len(text) <= 60 else text[:57] + '...'!r}"


def _kind(wanted: object) -> str:
    if isinstance(wanted, bool):
        return "True or False"
    shape = tuple(values(wanted).shape)
    return f"a tensor of shape {shape}" if shape else "one number"


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
    print(f"{above.__name__} above is your version, and what trains: + your lines, - {place}'s")
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
