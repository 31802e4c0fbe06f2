"""The stack language and the pages of sums: known outputs, well-formed writers, hostile input."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minialign.rewards.equations import MAX_CHARS, equations, true_equation
from tools.world_builder.lessons.stack import MAX_STEPS, StackError, program, program_document, run
from tools.world_builder.lessons.sums import sum_document

PROPERTY = settings(max_examples=700, deadline=None, derandomize=True)
STEPS = st.sampled_from(
    ["push 3", "push 99", "add", "sub", "mul", "dup", "swap", "drop", "print", "push", "", "push ٣",
     "push -1", "push 1000", "push 03", "ADD", "print 3", "push 3\x00", "⓷"]
)  # fmt: skip
SUMS = st.lists(
    st.sampled_from(
        ["1", "12", "0", "٣", "１２", "²", "½", "999999", "1234567", "-", "+", "x", "=", " ", "  ",
         "\n", ".", ",", "The answer is ", "5 + 7 = 12", "9 - 3 = 6", "3 x 4 = 12", "\u200b",
         "\x00", "a"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("push 3; push 4; add; print", [7]),
        ("push 9; push 4; sub; print", [5]),
        ("push 4; push 9; sub; print", [-5]),
        ("push 4; push 9; swap; sub; print", [5]),
        ("push 6; dup; mul; print", [36]),
        ("push 1; push 2; drop; print", [1]),
        ("push 1; print; push 2; print", [1, 2]),
        ("push 2; push 3; push 4; mul; add; print", [14]),
        (" push 7 ;\nprint ", [7]),
        ("", []),
    ],
)
def test_known_programs(code: str, output: list[int]) -> None:
    assert run(code) == output


@pytest.mark.parametrize(
    ("code", "step"),
    [
        ("push 3; add", 2),
        ("print", 1),
        ("push 3; jump; print", 2),
        ("push 3;; print", 2),
        ("push 3; print;", 3),
        ("push 03", 1),
        ("push ٣", 1),
        ("push -3", 1),
        ("push 999; dup; mul", 3),
        ("; ".join(["push 1"] * (MAX_STEPS + 1)), MAX_STEPS),
        ("x" * 100_000, MAX_STEPS),
    ],
)
def test_errors_name_the_step(code: str, step: int) -> None:
    with pytest.raises(StackError, match=rf"step {step}: .+; \w+") as caught:
        run(code)
    assert caught.value.step == step and caught.value.rule and caught.value.repair


def test_numbers_cannot_grow_without_end() -> None:
    with pytest.raises(StackError, match="beyond"):
        run("push 9; " + "; ".join(["dup; mul"] * 20))


@pytest.mark.parametrize("size", range(1, 9))
def test_written_programs_run_within_two_digits(size: int) -> None:
    for seed in range(150):
        code = program(Random(seed), size)
        output = run(code)
        assert code.count("push") == size and code.endswith("print")
        assert output and all(0 <= n <= 99 for n in output)
    assert program(Random(1), size) == program(Random(1), size)


def test_program_size_is_checked() -> None:
    with pytest.raises(ValueError, match="1 to 8"):
        program(Random(0), 9)


def test_program_documents_tell_the_truth() -> None:
    pages = [program_document(Random(seed)) for seed in range(500)]
    for page in pages:
        code = re.search(r"push [0-9]+(?:; (?:push [0-9]+|[a-z]+))*", page)
        assert code is not None and page.isascii() and "<" not in page
        shown = re.search(r"(?:Output:\s|It prints |[a-z] prints )([0-9 ]+)", page)
        assert shown is not None and [int(n) for n in shown[1].split()] == run(code[0])
    assert len(set(pages)) > 450


def test_sums_are_true_and_small() -> None:
    pages = [sum_document(Random(seed)) for seed in range(2000)]
    found = 0
    for page in pages:
        assert page.isascii() and "  " not in page and page.endswith(".")
        assert all(int(n) <= 99 for n in re.findall(r"[0-9]+", page))
        # written anew here: every "=" of the page belongs to a statement that the reader finds
        assert len(equations(page)) == page.count("=")
        for a, op, b, c in equations(page):
            found += 1
            assert {"+": a + b, "-": a - b, "x": a * b}[op] == c
        for a, b, c in re.findall(r"([0-9]+) (?:and|plus) ([0-9]+) (?:make|is) ([0-9]+)", page):
            assert int(a) + int(b) == int(c)
        for b, a, c in re.findall(r"Take ([0-9]+) from ([0-9]+) and ([0-9]+)", page):
            assert int(a) - int(b) == int(c)
        assert not re.search(r"\b1 are left", page)
    assert found > 3000 and len(set(pages)) > 1900


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5 + 7 = 12", [(5, "+", 7, 12)]),
        ("5+7=12, 3x4=12", [(5, "+", 7, 12), (3, "x", 4, 12)]),
        ("3 - 5 = -2.", [(3, "-", 5, -2)]),
        ("Step 1: 5 + 7 = 13 pears.", [(5, "+", 7, 13)]),
        ("- 5 + 7 = 12\n- 12 - 3 = 9", [(5, "+", 7, 12), (12, "-", 3, 9)]),
        ("38 + 25: 38 + 20 = 58. 58 + 5 = 63.", [(38, "+", 20, 58), (58, "+", 5, 63)]),
        ("12 + 8 = 20, so 20 - 8 = 12.", [(12, "+", 8, 20), (20, "-", 8, 12)]),
        ("1 + 2 + 3 = 6", []),
        ("1 +     2 + 3 = 5", []),
        ("5 + 7 = 12 - 3 = 9", []),
        ("1,000 + 1 = 1,001", []),
        ("0.5 + 1 = 2", []),
        ("5 + 7 = 12.5", []),
        ("-5 + 7 = 2", []),
        ("05 + 7 = 12", []),
        ("٥ + 7 = 12", []),
        ("5 + 7 = １２", []),
        ("5 + 7 = 12²", []),
        ("5 + 7 = 12%", []),
        ("1234567 + 1 = 1234568", []),
        ("5 +\n7 = 12", []),
        ("", []),
    ],
)
def test_equations_by_hand(text: str, expected: list[tuple[int, str, int, int]]) -> None:
    assert equations(text) == expected


def test_true_equation_by_hand() -> None:
    assert true_equation((5, "+", 7, 12)) and true_equation((3, "-", 5, -2))
    assert true_equation((0, "x", 7, 0)) and not true_equation((5, "-", 7, 2))
    assert not true_equation((6, "/", 2, 3))


def test_equations_ignore_what_lies_beyond_the_cap() -> None:
    assert equations("a" * (MAX_CHARS - 9) + " 5 + 7 = 12") == []  # the cut would read 5 + 7 = 1
    assert equations(" " * MAX_CHARS + "5 + 7 = 12") == []
    for hostile in ("1 + 1 = ", "1" * 10, " ", "1 - ", "9 x 9 = 81 "):
        assert isinstance(equations(hostile * 100_000), list)


@PROPERTY
@given(st.one_of(SUMS, st.text(max_size=60)))
def test_equations_survive_anything(text: str) -> None:
    for equation in equations(text):
        a, op, b, c = equation
        assert all(type(n) is int for n in (a, b, c)) and op in "+-x" and min(a, b) >= 0
        assert f"{a}" in text and f"{b}" in text and true_equation(equation) in (True, False)


@PROPERTY
@given(st.one_of(st.lists(STEPS, max_size=12).map("; ".join), st.text(max_size=40)))
def test_run_prints_numbers_or_says_what_is_wrong(code: str) -> None:
    try:
        output = run(code)
    except StackError as error:
        assert error.step >= 1 and ";" in str(error)
    else:
        assert all(type(n) is int for n in output)


@PROPERTY
@given(st.integers(0, 999), st.integers(0, 999), st.sampled_from("+-x"))
def test_every_equation_is_read_back(a: int, b: int, op: str) -> None:
    c = {"+": a + b, "-": a - b, "x": a * b}[op]
    assert equations(f"It is {a} {op} {b} = {c} now.") == [(a, op, b, c)]
    assert true_equation((a, op, b, c)) and not true_equation((a, op, b, c + 1))
