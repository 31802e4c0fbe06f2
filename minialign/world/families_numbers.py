"""Instruction families about numbers below a hundred: add, subtract, compare, continue, sort."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from random import Random

from minialign.rewards.equations import equations, true_equation
from minialign.world import checking
from minialign.world.checking import digits, stated_numbers, without_echo
from minialign.world.families_kinds import say
from minialign.world.families_wording import PHRASINGS
from minialign.world.families_words import sequence_words, wrong_order
from minialign.world.family import Family, Slots
from minialign.world.text import join, sentences

_IN_WORDS = re.compile(
    r"(?<![\w.,+=-])([0-9]+) (\+|plus|and|-|minus|take away) ([0-9]+) "
    r"(?:=|is|are|equals|makes?|gives?|leaves?) ([0-9]+)\b",
    re.I,
)
_JOINING = r"\+|-|and|plus|minus|(?:away )?from|take away|to|with"
_SIGNS = {"plus": "+", "and": "+", "minus": "-", "take away": "-"}


def _numeral(clean: str) -> str:
    """The text with digits for number words and "a + b = c" for sums in words, signs spaced."""

    def sign(match: re.Match[str]) -> str:
        a, op, b, c = match.groups()
        return f"{a} {_SIGNS.get(op.lower(), op)} {b} = {c}"

    return _IN_WORDS.sub(sign, digits(clean))


def _without_contrast(text: str, answer: int) -> str:
    """The text without ", not 27" about a number that is not the answer."""
    aside = rf",?(?: and| but)? (?:not|rather than|instead of) (?!{answer}\b)[0-9]+\b"
    return re.sub(aside + r"(?![.,]?[0-9])", " _", text, flags=re.I)


# add and subtract: one checker


def _test_pair(a: int, b: int) -> bool:
    """Whether a pair of operands is kept for testing; the order of a sum makes no difference."""
    low, high = sorted((a, b))
    return (low * 7 + high) % 5 == 0


def _operands(rng: Random, split: str, *, difference: bool) -> tuple[int, int]:
    """Two numbers from 1 whose sum (or first number) is at most 40; small ones come often."""
    while True:
        limit = rng.choice((10, 20, 30))
        a, b = rng.randint(1, limit), rng.randint(1, limit)
        if difference:
            a, b = max(a, b), min(a, b)
            if a in (b, 2 * b):
                continue  # nothing left is worded otherwise, and "10 - 5" would name its answer
        if a + (0 if difference else b) <= 40 and _test_pair(a, b) == (split == "test"):
            return a, b


def _sum_slots(rng: Random, split: str, op: str) -> Slots:
    a, b = _operands(rng, split, difference=op == "-")
    return {"a": a, "b": b, "op": op, "answer": a + b if op == "+" else a - b}


def _wrong_result(rng: Random, slots: Slots) -> str:
    """A near miss: a carry forgotten, one off, or the other operation."""
    a, b, right = slots["a"], slots["b"], slots["answer"]
    near = (right + 1, right - 1, right + 2, right + 10, right - 10, abs(a - b), a + b)
    return str(rng.choice([n for n in near if 0 <= n <= 99 and n not in (right, a, b)]))


def _leads_on(sums: Sequence[tuple[int, str, int, int]], answer: int) -> bool:
    """Whether every equation is true and its result is the answer or is used further on."""
    for i, equation in enumerate(sums):
        used = {n for a, _, b, _ in sums[i + 1 :] for n in (a, b)}
        if not true_equation(equation) or equation[3] not in used | {answer}:
            return False
    return True


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


def _without_equations(text: str, answer: int) -> str:
    """The text with each equation replaced by its result if that is the answer, else by nothing."""
    for a, op, b, c in equations(text):
        stated = rf"(?<!\d){a} {{0,2}}{re.escape(op)} {{0,2}}{b} {{0,2}}= {{0,2}}{c}(?!\d)"
        text = re.sub(stated, str(c) if c == answer else "_", text)
    return text


def _sum_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None or checking.retracted(clean):
        return False
    a, b, answer = slots["a"], slots["b"], slots["answer"]
    clean = _without_contrast(_numeral(clean), answer)
    if None in stated_numbers(clean) or not _leads_on(equations(clean), answer):
        return False
    rest = _without_equations(clean, answer)
    for x, y in ((a, b), (b, a)):
        between = rf"(?<![\w.,]){x} ?(?:{_JOINING}) ?{y}\b"
        rest = re.sub(between + r"(?![.,]?[0-9])", "_", rest, flags=re.I)
    stated = stated_numbers(rest)
    if not stated or stated[-1] != answer or not _operands_paired(stated, slots):
        return False
    return checking.numbers_asserted(rest, answer)


def _sum_family(name: str, op: str) -> Family:
    return Family(
        name=name,
        phrasings=PHRASINGS[name],
        make=lambda rng, split: _sum_slots(rng, split, op),
        reply=lambda rng, s: say(rng, name, s),
        bare=lambda rng, s: f"{s['answer']}.",
        wrong=lambda rng, s: say(rng, name, {**s, "answer": _wrong_result(rng, s)}),
        check=_sum_check,
        length=(2, 14),
    )


ADD, SUBTRACT = _sum_family("add", "+"), _sum_family("subtract", "-")

# larger_number: "Which is larger, 34 or 27?"


def _number_list(rng: Random, size: int) -> list[int]:
    """Different numbers below a hundred, often close to each other."""
    low = rng.choice((0, rng.randint(0, 80)))
    return rng.sample(range(low, min(100, low + rng.choice((20, 40, 100)))), size)


def _larger_slots(rng: Random) -> Slots:
    items = _number_list(rng, rng.choice((2, 2, 3)))
    names = [str(n) for n in items]
    answer = max(items)
    rest = " and ".join(str(n) for n in items if n != answer)
    return {"items": items, "given": join(names, "or"), "given_and": join(names), "answer": answer,
            "largest": "larger" if len(items) == 2 else "largest", "rest": rest}  # fmt: skip


def _wrong_larger(rng: Random, slots: Slots) -> str:
    answer = rng.choice([n for n in slots["items"] if n != slots["answer"]])
    rest = " and ".join(str(n) for n in slots["items"] if n != answer)
    return say(rng, "larger_number", {**slots, "answer": answer, "rest": rest})


_COMPARED = re.compile(
    r"\b([0-9]+),? (?:(?:is|which is|are|comes?) )?(?:much |also )?"
    r"(larger|bigger|greater|more|higher|smaller|less|lower|fewer) than ((?:both )?[0-9]+"
    r"(?:(?:, | and |, and )[0-9]+\b(?! (?:is|are)))*)",
    re.I,
)
_SMALL = re.compile(r"\b(?:small|less|low|least|few|minimum)", re.I)


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

    rest = _COMPARED.sub(keep, clean)  # first: it decides whether all are true
    return true, rest


def _larger_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None or checking.retracted(clean):
        return False
    names, answer = [str(n) for n in slots["items"]], slots["answer"]
    clean = _without_contrast(digits(clean), answer)
    kept = _comparisons_hold(clean, slots["items"])
    rest = without_echo(kept[1], names, ordered=False)
    holding = [s for s in sentences(rest) if answer in stated_numbers(s)]
    if not kept[0] or any(_SMALL.search(s) for s in holding):
        return False
    return set(stated_numbers(rest)) == {answer} and checking.numbers_asserted(rest, answer)


LARGER = Family(
    name="larger_number",
    phrasings=PHRASINGS["larger_number"],
    make=lambda rng, split: checking.draw(
        rng, split, _larger_slots, lambda s: " ".join(map(str, sorted(s["items"])))
    ),
    reply=lambda rng, s: say(rng, "larger_number", s),
    bare=lambda rng, s: f"{s['answer']}.",
    wrong=_wrong_larger,
    check=_larger_check,
    length=(3, 12),
)

# next_number: "What comes next: 3, 5, 7?"


def _next_slots(rng: Random) -> Slots:
    step, size = rng.choice((1, 2, 2, 3, 4, 5, 10)), rng.randint(3, 4)
    start = rng.randint(0, 99 - step * size)
    items = [start + step * i for i in range(size)]
    return {"items": items, "given": ", ".join(map(str, items)), "step": step, "final": items[-1],
            "answer": items[-1] + step}  # fmt: skip


def _wrong_next(rng: Random, slots: Slots) -> str:
    """The step missed by one or two, or the row's last number again."""
    right, step = slots["answer"], slots["step"]
    near = {right + 1, right - 1, right + step, right + 2} - {right, *slots["items"]}
    return say(
        rng, "next_number", {**slots, "answer": rng.choice(sorted(n for n in near if n > 0))}
    )


def _next_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None or checking.retracted(clean):
        return False
    items, answer, step = slots["items"], slots["answer"], slots["step"]
    clean = _numeral(clean)
    if not _leads_on(equations(clean), answer):
        return False
    rest = _without_equations(clean, answer)
    rest = re.sub(
        rf"\b(?:by|adds?|adding|plus|steps? of|is always|step is) {step}\b(?![.,]?[0-9])"
        rf"|\b{step} (?:more|is added|each time|every time)\b", "_", rest, flags=re.I,
    )  # fmt: skip
    rest = without_echo(rest, [str(n) for n in items])
    rest = re.sub(
        rf"\b(?:after|follows|from|than) {slots['final']}\b(?![.,]?[0-9])", "_", rest, flags=re.I
    )
    return set(stated_numbers(rest)) == {answer} and checking.numbers_asserted(rest, answer)


NEXT = Family(
    name="next_number",
    phrasings=PHRASINGS["next_number"],
    make=lambda rng, split: checking.draw(rng, split, _next_slots, lambda s: s["given"]),
    reply=lambda rng, s: say(rng, "next_number", s),
    bare=lambda rng, s: f"{s['answer']}.",
    wrong=_wrong_next,
    check=_next_check,
    length=(3, 12),
    held_out=True,
)

# sort_numbers: "Sort these numbers, smallest first: 40, 7, 23."


def _sort_slots(rng: Random) -> Slots:
    items = rng.sample(range(1, 41), 3)
    while items == sorted(items):
        rng.shuffle(items)
    names = [str(n) for n in items]
    return {"items": items, "given": ", ".join(names), "given_and": join(names),
            "answer": sorted(items)}  # fmt: skip


def _sort_say(rng: Random, slots: Slots, numbers: Sequence[str]) -> str:
    return say(rng, "sort_numbers", {**slots, **sequence_words(list(numbers))})


def _sort_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None or checking.retracted(clean):
        return False
    clean = re.sub(r"(?<=[0-9]),(?=[0-9]{1,2}(?![0-9]))", ", ", digits(clean))  # "7,23,40"
    clean = checking.without_recall(clean)
    if stated_numbers(clean) != slots["answer"]:
        return False
    return all(checking.numbers_asserted(clean, n) for n in slots["answer"])


SORT = Family(
    name="sort_numbers",
    phrasings=PHRASINGS["sort_numbers"],
    make=lambda rng, split: checking.draw(
        rng, split, _sort_slots, lambda s: " ".join(map(str, s["answer"]))
    ),
    reply=lambda rng, s: _sort_say(rng, s, [str(n) for n in s["answer"]]),
    bare=lambda rng, s: ", ".join(map(str, s["answer"])) + ".",
    wrong=lambda rng, s: _sort_say(rng, s, wrong_order(rng, [str(n) for n in s["answer"]])),
    check=_sort_check,
    length=(4, 14),
)

FAMILIES: tuple[Family, ...] = (ADD, SUBTRACT, LARGER, NEXT, SORT)
