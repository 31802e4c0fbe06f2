"""Instruction families about numbers below a hundred: add, subtract, compare, continue, sort."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from random import Random

from minialign.rewards.equations import equations, true_equation
from minialign.world.families.checking import (
    PATTERNS,
    says,
    without_echo,
    without_idioms,
    without_recall,
)
from minialign.world.families.counting import (
    digits,
    numbers_asserted,
    stated_numbers,
    states_only,
    sums_told,
    without_equations,
)
from minialign.world.families.family import NAMES, Closed, Slots
from minialign.world.families.words import Sort
from minialign.world.text import join, occurrences, sentences

_JOINING = r"\+|-|and|plus|minus|(?:away )?from|take away|to|with"


def _without_contrast(text: str, answer: int) -> str:
    """The text without ", not 27" about a number that is not the answer."""
    aside = rf",?(?: and| but)? (?:not|rather than|instead of) (?!{answer}\b)[0-9]+\b"
    return re.sub(aside + r"(?![.,]?[0-9])", " _", text, flags=re.I)


def _leads_on(sums: Sequence[tuple[int, str, int, int]], answer: int) -> bool:
    """Whether every equation is true and its result is the answer or is used further on."""
    for i, equation in enumerate(sums):
        used = {n for a, _, b, _ in sums[i + 1 :] for n in (a, b)}
        if not true_equation(equation) or equation[3] not in used | {answer}:
            return False
    return True


def _asked_for(sums: Sequence[tuple[int, str, int, int]], numbers: set[int]) -> bool:
    """Whether sums work with the numbers of the question: a single one with no others, several with
    one of them at least."""
    used = {n for a, _, b, _ in sums for n in (a, b)}
    return not sums or (used <= numbers if len(sums) == 1 else not used.isdisjoint(numbers))


def _tells_of_things(text: str) -> bool:
    """Whether a text names two people or things: "There are 2: saw and axe." adds nothing."""
    return len(set(occurrences(without_idioms(text), NAMES))) > 1


def _operands_paired(numbers: Sequence[int | None], slots: Slots) -> bool:
    """Whether numbers are only the answer and the operands, one operand as often as the other."""
    pair, answer = Counter((slots["a"], slots["b"])), slots["answer"]
    left = Counter(numbers)
    for _ in range(4):
        if set(left) <= {answer}:
            return True
        if not pair <= left:
            return False
        left -= pair
    return False


class Add(Closed):
    """What is 7 + 12?"""

    name = "add"
    final = True
    op = "+"

    def make(self, rng: Random, split: str) -> Slots:
        """Two numbers from 1 whose sum (or first number) is at most 40; small ones come often."""
        while True:
            limit = rng.choice((10, 20, 30))
            a, b = rng.randint(1, limit), rng.randint(1, limit)
            if self.op == "-":
                a, b = max(a, b), min(a, b)
                if a in (b, 2 * b):
                    continue  # nothing left is worded otherwise, and "10 - 5" would name its answer
            answer = a + b if self.op == "+" else a - b
            if max(a, answer) <= 40 and _test_pair(a, b) == (split == "test"):
                return {"a": a, "b": b, "op": self.op, "answer": answer}

    def mistake(self, rng: Random, slots: Slots) -> int:
        """A near miss: a carry forgotten, one off, or the other operation."""
        a, b, right = slots["a"], slots["b"], slots["answer"]
        near = (right + 1, right - 1, right + 2, right + 10, right - 10, abs(a - b), a + b)
        return rng.choice([n for n in near if 0 <= n <= 99 and n not in (right, a, b)])

    def judge(self, slots: Slots, clean: str) -> bool:
        a, b, answer = slots["a"], slots["b"], slots["answer"]
        if _tells_of_things(clean):
            return False
        clean = _without_contrast(sums_told(clean), answer)
        sums = equations(clean)
        if None in stated_numbers(clean) or not _leads_on(sums, answer):
            return False
        if not _asked_for(sums, {a, b}):
            return False
        rest = without_equations(clean, answer)
        for x, y in ((a, b), (b, a)):
            between = rf"(?<![\w.,]){x} ?(?:{_JOINING}) ?{y}\b"
            rest = re.sub(between + r"(?![.,]?[0-9])", "_", rest, flags=re.I)
        stated = stated_numbers(rest)
        if not stated or stated[-1] != answer or not _operands_paired(stated, slots):
            return False
        return numbers_asserted(rest, answer)


class Subtract(Add):
    """What is 12 - 5?"""

    name = "subtract"
    op = "-"


def _test_pair(a: int, b: int) -> bool:
    """Whether a pair of operands is kept for testing; the order of a sum makes no difference."""
    low, high = sorted((a, b))
    return (low * 7 + high) % 5 == 0


def _comparisons_hold(clean: str, items: Sequence[int]) -> tuple[bool, str]:
    """Whether every "x is larger than y" is true of the items, and the text with x only."""
    true = True

    def keep(match: re.Match[str]) -> str:
        nonlocal true
        left, others = int(match[1][:9]), [int(n[:9]) for n in re.findall(r"[0-9]+", match[3])]
        up = match[2].lower() in ("larger", "bigger", "greater", "more", "higher")
        right = all((left > n) if up else (left < n) for n in others)
        true = true and right and {left, *others} <= set(items)
        return match[1] if up else "_"

    # First: it decides whether all are true.
    rest = PATTERNS["numbers.comparison"].sub(keep, clean)
    return true, rest


def _without(items: list[int], answer: int) -> str:
    return " and ".join(str(n) for n in items if n != answer)


class Larger(Closed):
    """Which is larger, 34 or 27?"""

    name = "larger_number"
    final = True

    def candidate(self, rng: Random) -> Slots:
        size = rng.choice((2, 2, 3))
        low = rng.choice((0, rng.randint(0, 80)))  # below a hundred, often close to each other
        items = rng.sample(range(low, min(100, low + rng.choice((20, 40, 100)))), size)
        names = [str(n) for n in items]
        answer = max(items)
        return {"items": items, "given": join(names, "or"), "given_and": join(names),
                "answer": answer, "largest": "larger" if len(items) == 2 else "largest",
                "rest": _without(items, answer)}  # fmt: skip

    def key(self, slots: Slots) -> str:
        return " ".join(map(str, sorted(slots["items"])))

    def words(self, rng: Random, slots: Slots, answer: int) -> Slots:
        return {"answer": answer, "rest": _without(slots["items"], answer)}

    def judge(self, slots: Slots, clean: str) -> bool:
        names, answer = [str(n) for n in slots["items"]], slots["answer"]
        clean = _without_contrast(digits(clean), answer)
        all_true, rest = _comparisons_hold(clean, slots["items"])
        rest = without_echo(rest, names, ordered=False)
        holding = [s for s in sentences(rest) if answer in stated_numbers(s)]
        if not all_true or any(says("numbers.small", s) for s in holding):
            return False
        if _tells_of_things(clean):
            return False
        return states_only(rest, answer)


class Next(Closed):
    """What comes next: 3, 5, 7?"""

    name = "next_number"
    final = True

    def candidate(self, rng: Random) -> Slots:
        step, size = rng.choice((1, 2, 2, 3, 4, 5, 10)), rng.randint(3, 4)
        start = rng.randint(0, 99 - step * size)
        items = [start + step * i for i in range(size)]
        return {"items": items, "given": ", ".join(map(str, items)), "step": step,
                "final": items[-1], "answer": items[-1] + step}  # fmt: skip

    def mistake(self, rng: Random, slots: Slots) -> int:
        """The step missed by one or two, or the row's last number again."""
        right, step = slots["answer"], slots["step"]
        near = {right + 1, right - 1, right + step, right + 2} - {right, *slots["items"]}
        return rng.choice(sorted(n for n in near if n > 0))

    def judge(self, slots: Slots, clean: str) -> bool:
        items, answer, step = slots["items"], slots["answer"], slots["step"]
        clean = sums_told(clean)
        if not _leads_on(equations(clean), answer) or _tells_of_things(clean):
            return False
        if not _asked_for(equations(clean), {*items, step}):
            return False
        rest = without_equations(clean, answer)
        steps = (
            rf"\b(?:by|adds?|adding|plus|steps? of|is always|step is) {step}\b(?![.,]?[0-9])"
            rf"|\b{step} (?:more|is added|each time|every time)\b"
        )
        rest = re.sub(steps, "_", rest, flags=re.I)
        rest = without_echo(rest, [str(n) for n in items])
        final = rf"\b(?:after|follows|from|than) {slots['final']}\b(?![.,]?[0-9])"
        rest = re.sub(final, "_", rest, flags=re.I)
        return states_only(rest, answer)


class SortNumbers(Sort):
    """Sort these numbers, smallest first: 40, 7, 23."""

    name = "sort_numbers"

    def items(self, rng: Random) -> list[int]:
        return rng.sample(range(1, 41), 3)

    def judge(self, slots: Slots, clean: str) -> bool:
        clean = re.sub(r"(?<=[0-9]),(?=[0-9]{1,2}(?![0-9]))", ", ", digits(clean))  # "7,23,40"
        clean = without_recall(clean)
        if stated_numbers(clean) != slots["answer"]:
            return False
        return all(numbers_asserted(clean, n) for n in slots["answer"])


FAMILIES = tuple(kind() for kind in (Add, Subtract, Larger, Next, SortNumbers))
