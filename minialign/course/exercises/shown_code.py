"""Whether the code that a notebook shows is the package's own, word for word or changed."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from difflib import unified_diff

MAX_LINES = 12  # of a difference that is printed


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
