"""A tiny stack language: programs that a small model can write, run without evaluating anything.

A program is a list of steps with "; " between them. `push 3` puts a number on the stack; `add`,
`sub` and `mul` replace the two top numbers by one; `dup`, `swap` and `drop` move them about;
`print` takes the top number off and shows it.
"""

from __future__ import annotations

import re
from random import Random

from minialign.rewards.equations import OPERATIONS
from minialign.world.problems import MAX_NUMBER
from tools.world_builder.documents.wording import Decision

MAX_STEPS = 64
MAX_STEP_CHARS = 16  # "push 999" has eight
MAX_VALUE = 9999  # a larger result is an error, so that no program can grow numbers without end

BINARY = {"add": "+", "sub": "-", "mul": "x"}
NEEDS = {"add": 2, "sub": 2, "mul": 2, "swap": 2, "dup": 1, "drop": 1, "print": 1}
_PUSH = re.compile(r"push (0|[1-9][0-9]{0,2})")


class StackError(ValueError):
    """A program that cannot run: which step, which rule it breaks, and how to repair it."""

    def __init__(self, step: int, rule: str, repair: str) -> None:
        super().__init__(f"step {step}: {rule}; {repair}")
        self.step, self.rule, self.repair = step, rule, repair


def parse(program: str) -> list[str]:
    """The steps of a program.

    Raises:
        StackError: when there are more than `MAX_STEPS` steps, or one is not in the language.

    >>> parse("push 3; dup; add; print")
    ['push 3', 'dup', 'add', 'print']
    """
    limit = MAX_STEPS * MAX_STEP_CHARS
    if len(program) > limit or program.count(";") >= MAX_STEPS:
        raise StackError(MAX_STEPS, "the program is too long", f"use at most {MAX_STEPS} steps")
    if not program.strip(" \n"):
        return []
    steps = [step.strip(" \n") for step in program.split(";")]
    for number, step in enumerate(steps, 1):
        if step not in NEEDS and not _PUSH.fullmatch(step):
            known = ", ".join(["push and a number from 0 to 999", *NEEDS])
            rule = f"{step[:MAX_STEP_CHARS]!r} is no step"
            raise StackError(number, rule, f"use one of: {known}")
    return steps


def _apply(step: str, stack: list[int], output: list[int]) -> None:
    """Run one step that is known and has enough numbers, changing the stack and the output."""
    if step.startswith("push "):
        stack.append(int(step[5:]))
    elif step in BINARY:
        b, a = stack.pop(), stack.pop()
        stack.append(OPERATIONS[BINARY[step]](a, b))
    elif step == "dup":
        stack.append(stack[-1])
    elif step == "swap":
        stack[-2:] = [stack[-1], stack[-2]]
    else:
        top = stack.pop()
        if step == "print":
            output.append(top)


def trace(program: str) -> list[tuple[str, list[int], list[int]]]:
    """Each step with the stack (top last) and the output after it.

    Raises:
        StackError: as `run`.
    """
    stack: list[int] = []
    output: list[int] = []
    states = []
    for number, step in enumerate(parse(program), 1):
        needs = NEEDS.get(step, 0)
        if len(stack) < needs:
            rule = f"{step} needs {needs} on the stack and finds {len(stack)}"
            raise StackError(number, rule, "push more numbers before it")
        _apply(step, stack, output)
        if stack and abs(stack[-1]) > MAX_VALUE:
            rule = f"{step} makes {stack[-1]}, beyond {MAX_VALUE}"
            raise StackError(number, rule, "use smaller numbers")
        states.append((step, list(stack), list(output)))
    return states


def run(program: str) -> list[int]:
    """What a program prints. What is left on the stack at the end does not matter.

    Raises:
        StackError: when a step is unknown, finds too few numbers or makes too large a one.

    >>> run("push 3; push 4; add; print")
    [7]
    >>> run("push 5; dup; mul; print; push 2; print")
    [25, 2]
    """
    states = trace(program)
    return states[-1][2] if states else []


def _choices(stack: list[int], steps: list[str], pushes_left: int) -> list[str]:
    """The steps that may come next in a written program, the likely ones several times."""
    found = ["push"] * 3 if pushes_left and len(stack) < 4 else []
    if len(stack) >= 2:
        a, b = stack[-2:]
        fits = (name for name, op in BINARY.items() if 0 <= OPERATIONS[op](a, b) <= MAX_NUMBER)
        found += [name for name in fits for _ in range(3)]
        if a < b:  # then `sub` fits after it, so there is always a way on
            found += ["swap"] * 3
        if steps[-1].startswith("push"):
            found.append("drop")
    if stack and "dup" not in steps and len(stack) < 4:
        found.append("dup")
    if stack and pushes_left and steps[-1] in BINARY:
        found.append("print")
    return found


def program(rng: Random, size: int) -> str:
    """A program with `size` pushes (1 to 8) that prints, leaves nothing and stays within 0..99.

    Raises:
        ValueError: when size is out of range.
    """
    if not 1 <= size <= 8:
        raise ValueError(f"size is {size}, but programs have 1 to 8 pushes; choose one of them")
    stack: list[int] = []
    steps: list[str] = []
    left = size
    while left or len(stack) > 1:
        step = rng.choice(_choices(stack, steps, left))
        if step == "push":
            step, left = f"push {rng.randint(0, rng.choice((5, 9, 9, 30)))}", left - 1
        _apply(step, stack, [])
        steps.append(step)
    return "; ".join([*steps, "print"])


def _numbers(values: list[int]) -> str:
    return " ".join(map(str, values)) if values else "empty"


def _traced(code: str) -> str:
    """The program step by step with the stack after each, as a child would note it."""
    lines = []
    for step, stack, output in trace(code):
        shown = f" shows {output[-1]}" if step == "print" else f": {_numbers(stack)}"
        lines.append(f"{step}{shown}.")
    return " ".join(lines)


_LAYOUTS = {  # decision -> what stands before and after it
    "output": (
        ("Program: {code}. Output:", " {output}."), ("Program:\n{code}\nOutput:", "\n{output}"),
        ("The program {code} prints", " {output}."),
        ("What does this program print? {code}. It prints", " {output}."),
    ),
    "trace": (
        ("Program: {code}. Stack:", " {trace} Output: {output}."),
        ("Run {code} step by step:", " {trace} Output: {output}."),
    ),
    "write": (
        ("A program that prints {output}:", " {code}."),
        ("Write a program that prints {output}. Program:", " {code}."),
    ),
}  # fmt: skip
_DECISIONS = ("output", "output", "trace", "trace", "write")


def program_decision(rng: Random, style: Random, about: str = "", size: int = 0) -> Decision:
    """A program before its output or its trace, or an output before a program that prints it."""
    about = about or style.choice(_DECISIONS)
    before, after = style.choice(_LAYOUTS[about])
    code = program(rng, size or rng.choice((1, 2, 2, 2, 3, 3, 4)))
    while about == "write" and len(run(code)) > 1:
        code = program(rng, size or rng.choice((1, 2, 2, 3)))
    slots = {"code": code, "output": _numbers(run(code)), "trace": _traced(code)}
    return Decision(before.format(**slots), after.format(**slots), about=about)


def program_document(rng: Random) -> str:
    """One to three programs with what they print, sometimes with the stack after each step."""
    style, n = rng.getrandbits(32), rng.choice((1, 1, 2, 3))
    return "\n".join(program_decision(rng, Random(style)).text for _ in range(n))
