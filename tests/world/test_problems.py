"""Word problems: every template adds up, every verifier is strict and survives any text."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minialign.rewards.equations import MAX_CHARS
from minialign.rewards.solutions import final_answer, has_format, verify_outcome, verify_steps
from minialign.world.lexicon import GOODS, STRANGERS, VILLAGERS
from minialign.world.problems import (
    LEVELS,
    SPLITS,
    Problem,
    problem,
    solution,
    templates,
    wrong_solution,
)
from minialign.world.replies.demonstrations import demonstrations
from tools.world_builder.corpus import corpus
from tools.world_builder.lessons.sums import chain_problem, problem_document

PROPERTY = settings(max_examples=700, deadline=None, derandomize=True)
HOSTILE = st.lists(
    st.sampled_from(
        ["The answer is ", "the answer: ", "Answer: ", "ANSWER IS", "answer", " is", ":", "19",
         "19.", "1 2", "1,000", "2.5", "-3", "٣", "１９", "²", "½", "Ⅷ", "一", "0", "007",
         "9999999", "5 + 7 = 12. ", "=", "+", "x", '"', "'", "<think>", "</think>", "<|im_end|>",
         "\n", " ", "\u200b", "\u0663", "\x00", "not "]
    ),
    max_size=25,
)  # fmt: skip
TEXTS = st.one_of(
    HOSTILE.map("".join),
    st.text(max_size=60),
    st.tuples(HOSTILE, st.sampled_from([1, 1, 50, 5000])).map(
        lambda t: ("".join(t[0]) * t[1])[:100_000]
    ),
)
RESERVED = {
    "silly", "stupid", "foolish", "lazy", "nonsense", "boring", "dull", "clumsy", "hopeless",
    "useless", "annoying", "pest", "fool", "ridiculous", "genius", "brilliant", "cleverest",
    "wisest", "magnificent", "marvellous", "adore", "dazzling",
}  # fmt: skip


def draws(count: int = 1800) -> list[Problem]:
    rng = Random(0)
    return [problem(rng, 1 + i % 5, SPLITS[i // 5 % 3]) for i in range(count)]


PROBLEMS = draws()


def interpret(steps: tuple[str, ...], given_numbers: tuple[int, ...]) -> int:
    """Works the steps out again, from what the prompt states and what was worked out before."""
    known, result = set(given_numbers), -1
    for step in steps:
        left, op, right, equals, stated = step.split(" ")
        a, b = int(left), int(right)
        assert equals == "=" and a in known and b in known
        result = a + b if op == "+" else a - b if op == "-" else a * b
        assert op in "+-x" and result == int(stated) and 0 <= result <= 99
        known.add(result)
    return result


def test_every_template_is_drawn() -> None:
    drawn = {p.template for p in PROBLEMS}
    assert drawn == {f"{level}-{t.name}" for level in LEVELS for t in LEVELS[level]}


@pytest.mark.parametrize("level", LEVELS)
def test_splits_are_disjoint(level: int) -> None:
    train, test = templates(level, "train"), templates(level, "test")
    assert len(train) == 9 and len(test) == 3 and {*train} | {*test} == {*LEVELS[level]}
    assert not {t.name for t in train} & {t.name for t in test}
    prompts = [prompt for t in LEVELS[level] for prompt in t.every_prompt]
    assert len({*prompts}) == len(prompts)
    told_anew = templates(level, "wordings")
    assert len(told_anew) >= 6 and {*told_anew} <= {*train}
    for split, names in (("train", train), ("wordings", told_anew), ("test", test)):
        allowed = {f"{level}-{t.name}" for t in names}
        seen = {p.template for p in PROBLEMS if p.level == level and p.split == split}
        assert seen == allowed


def words_of(prompts: Iterable[str]) -> set[str]:
    """The words of templates, their slots aside."""
    return set(re.findall(r"[a-z]+", re.sub(r"{\w+}", "", " ".join(prompts)).lower()))


@pytest.mark.parametrize("level", LEVELS)
def test_training_varies_its_prompts(level: int) -> None:
    """What is always told in the same words is learnt by heart and not read."""
    for t in templates(level, "train"):
        assert len(t.prompts) >= (3 if level < 5 else 2), t.name
        assert len({*t.prompts}) == len(t.prompts)


def test_held_out_prompts_hold_no_word_that_training_lacks() -> None:
    known = words_of(p for level in LEVELS for t in templates(level, "train") for p in t.prompts)
    for level in LEVELS:
        for t in templates(level, "wordings"):
            assert words_of(t.held_out_prompts) <= known, t.name


def pattern(prompt: str) -> str:
    """What matches a prompt with anything in its slots."""
    return re.sub(r"\\{(\w+)\\}", r"[\\w' ]+", re.escape(prompt))


def test_no_held_out_prompt_is_read_before_testing() -> None:
    """Neither by the base model nor in demonstrations."""
    told = [t for level in LEVELS for t in templates(level, "wordings")]
    held_out = re.compile("|".join(pattern(p) for t in told for p in t.held_out_prompts), re.I)
    rng = Random(8)
    assert held_out.search(f"A puzzle. {problem(rng, 3, 'wordings').prompt} Let us see.")
    texts = [problem_document(rng) for _ in range(1500)]
    texts += [page.text for page in corpus(1000)]
    texts += [one.instruction.prompt for one in demonstrations(400, "train")]
    texts += [problem(rng).prompt for _ in range(500)]
    assert not [text for text in texts if held_out.search(text)]


def test_steps_work_out_to_the_answer() -> None:
    for p in PROBLEMS:
        assert interpret(p.steps, p.numbers) == p.answer
        assert len(p.steps) == len(p.notes) == {1: 1, 2: 2, 3: 3, 4: 3, 5: 4}[p.level]
        assert all(2 <= int(n) <= 99 for n in re.findall(r"[0-9]+", p.prompt + solution(p)))
        stated = [int(n) for n in re.findall(r"[0-9]+", p.prompt)]
        extra = list((Counter(p.numbers) - Counter(stated)).elements())
        assert not Counter(stated) - Counter(p.numbers) and set(extra) <= {2}
        assert bool(extra) == ("twice" in p.prompt)
        if p.level == 4:
            assert any(" x " in step for step in p.steps)


def test_only_level_five_has_a_number_that_does_not_matter() -> None:
    for p in PROBLEMS:
        used = {int(n) for step in p.steps for n in re.findall(r"[0-9]+", step)}
        assert len([n for n in p.numbers if n not in used]) == (1 if p.level == 5 else 0)


def test_reference_solutions_verify() -> None:
    rng = Random(1)
    for p in PROBLEMS:
        for reply in (solution(p), solution(p, rng), solution(p, rng)):
            assert reply.endswith(f"The answer is {p.answer}.") and "{" not in reply
            assert verify_outcome(p.answer, reply) and has_format(reply)
            assert verify_steps(p.numbers, reply) == [True] * len(p.steps)
    manners = {re.sub(r"[0-9]+", "0", solution(PROBLEMS[3], rng)) for _ in range(60)}
    assert len(manners) >= 5


def test_wrong_solutions_are_refused() -> None:
    rng, unsound = Random(2), 0
    for p in PROBLEMS:
        reply = wrong_solution(p, rng)
        assert final_answer(reply) is not None and not verify_outcome(p.answer, reply)
        assert has_format(reply) and reply.isascii() and "  " not in reply
        assert all(2 <= int(n) <= 99 for n in re.findall(r"[0-9]+", reply))
        unsound += not all(verify_steps(p.numbers, reply))
    assert 0.2 < unsound / len(PROBLEMS) < 0.8  # slips and sound steps to a wrong end, both


def test_near_misses_are_refused() -> None:
    for p in PROBLEMS[:100]:
        good, n = solution(p), p.answer
        for wrong in (n + 1, n - 1, n + 10, f"{n}0", f"{n}.5", f"-{n}", f"{n} or {n + 1}",
                      f"not {n}", f"about {n}", f"1{n}", f"{n},000", f"{n} {n}",
                      f"{n}?", f"0{n}"):  # fmt: skip
            near = good.replace(f"The answer is {n}.", f"The answer is {wrong}.")
            assert not verify_outcome(n, near), near
        for wrong in (good[: good.index(" The answer")], good[: -len(f"{n}.")],
                      f"{good} No, {n + 1}.", f"The answer is {n + 1}. {good}",
                      good.replace("answer", "result"), f"{n}",
                      f"I doubt that the answer is {n}.", good.replace(f"{n}.", f"{n}²."),
                      good + " " * MAX_CHARS + f"The answer is {n + 1}."):  # fmt: skip
            assert not verify_outcome(n, wrong), wrong


def test_language() -> None:
    names = [*VILLAGERS, *STRANGERS]
    limits = {1: 25, 2: 30, 3: 42, 4: 42, 5: 55}
    for p in PROBLEMS:
        text = f"{p.prompt} {solution(p)}"
        tokens = re.findall(r"[a-z']+", text.lower())
        assert 12 <= len(p.prompt.split()) <= limits[p.level] and p.prompt.endswith("?")
        assert text.isascii() and not re.search(r"  |[{}]|\ba [aeiou]|[.?!] [a-z]", text)
        assert not set(tokens) & RESERVED and not any(name in text for name in names)
        assert text[0].isupper() and not re.search(r"\b1 [a-z]", text)
        # "12 pears", never "12 pear"
        assert not re.search(rf"[0-9] (?:{'|'.join(GOODS)})\b", text)
        assert not re.search(r"\bthe (\w+) the \1\b", text.lower())


@pytest.mark.slow
def test_prompts_are_distinct() -> None:
    rng = Random(3)
    assert len({problem(rng).prompt for _ in range(20_000)}) >= 19_000


def test_deterministic_and_storable() -> None:
    for seed in range(30):
        first, again = problem(Random(seed)), problem(Random(seed))
        assert first == again
        row = json.loads(json.dumps(asdict(first)))
        loaded = Problem(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})
        assert loaded == first
        assert wrong_solution(loaded, Random(1)) == wrong_solution(first, Random(1))


def test_unknown_level_or_split() -> None:
    with pytest.raises(ValueError, match="1-5"):
        problem(Random(0), 6)
    with pytest.raises(ValueError, match="train, wordings or test"):
        problem(Random(0), 1, "dev")


def test_documents_hold_a_solved_training_problem() -> None:
    rng = Random(4)
    pages = [problem_document(rng) for _ in range(1500)]
    for page in pages:
        assert final_answer(page) is not None and page.isascii() and "<" not in page
        assert "  " not in page and page.rstrip('"').endswith(".")
    assert len(set(pages)) > 1480
    assert not any("shelf" in page or "feast" in page for page in pages)  # held-out templates


LESS = re.compile(
    r"gives \d|hands \d|drops|loses|sells|asks for|takes|buys \d+ of|gets \d+ as|fall|are gone"
)
MORE = re.compile(
    r"finds|picks up|gets \d+ from|buys \d+ more|another|more\b|new ones|(?:he|she|it) gets"
)


def test_chains_mean_what_their_steps_compute() -> None:
    """Each sentence is read by its verb alone, and the answer worked out from that."""
    rng, shapes = Random(5), set()
    for _ in range(1500):
        p = chain_problem(rng)
        start, *told, question = re.split(r"(?<=[.?]) ", p.prompt)
        answer = int(re.search(r"\d+", start)[0])
        hero = re.match(r"There are \d+ \w+ in (.+)'s|(.+?) (?:has|\w+s) ", start)
        hero = (hero[1] or hero[2]).lower()
        for sentence in told:
            own = re.search(rf"(?:\b(?:he|she|it)|{hero}) gets \d+ as a gift", sentence, re.I)
            less = not own and LESS.search(sentence) and not re.search(r"another|more", sentence)
            assert own or less or MORE.search(sentence), sentence
            number = int(re.search(r"\d+", sentence)[0])
            answer += -number if less else number
        assert answer == p.answer == interpret(p.steps, p.numbers), p.prompt
        assert len(told) == len(p.steps) == p.level and question.startswith("How many")
        assert p.prompt.isascii() and not re.search(r"  |[{}]|\ba [aeiou]|[.?!] [a-z]", p.prompt)
        assert verify_outcome(p.answer, solution(p, rng))
        shapes.add(re.sub(r"\d+", "0", p.prompt))
    assert len(shapes) > 1450


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Tom has 5 + 7 = 12 pears. Then 12 - 3 = 9 are left. The answer is 9.", 9),
        ("THE ANSWER IS 9", 9),
        ("Answer: 9", 9),
        ("the answer: 9 pears.", 9),
        ("So the answer is: 0!", 0),
        ('"The answer is 9."', 9),
        ("The answer is 9. The answer is 9.", 9),
        ("The answer is\n9", 9),
        ("<think>The answer is 8.</think> The answer is 9.", None),
        ("<think>5 + 4 = 9</think> The answer is 9.", 9),
        ('He says "the answer is 8". The answer is 9.', None),
        ("The answer is <b>9</b>.", None),
        ("The answer is 9<|im_end|>", 9),
        ("The answer is nine.", None),
        ("The answer is 9.5.", None),
        ("The answer is 9.5. The answer is 9.", None),
        ("The answer is 1 2.", None),
        ("The answer is 1,000.", None),
        ("The answer is 9/2.", None),
        ("The answer is 9½.", None),
        ("The answer is 9th.", None),
        ("The answer is 9%.", None),
        ("The answer is 09.", None),
        ("The answer is -9.", None),
        ("The answer is +9.", None),
        ("The answer is ٩.", None),
        ("The answer is ９.", None),
        ("The answer is 9².", None),
        ("The answer is 9\u200b9.", None),
        ("The answer is 9\u0301.", None),
        ("The answer is 1234567.", None),
        ("The answer is 9?", None),
        ("The answer is not 9.", None),
        ("The answer is not 8. The answer is 9.", None),
        ("The answer isn't 9.", None),
        ("It is not true that the answer is 9.", None),
        ("Maybe the answer is 9.", None),
        ("The answer is 9. Or is it 8?", None),
        ("The answer is 9. Or is it ٨?", None),
        ("The an\u017fwer is 9.", None),
        ("The answers are 9.", None),
        ("The answer 9.", None),
        ("The answer is", None),
        ("9", None),
        ("", None),
    ],
)
def test_final_answer_by_hand(text: str, answer: int | None) -> None:
    assert final_answer(text) == answer


def test_verify_steps_by_hand() -> None:
    assert verify_steps([5, 7, 3], "5 + 7 = 12. 12 - 3 = 9.") == [True, True]
    assert verify_steps([5, 7, 3], "5 + 7 = 13. 13 - 3 = 10.") == [False, False]
    assert verify_steps([5, 7, 3], "12 - 3 = 9. 5 + 7 = 12.") == [False, True]  # used too early
    assert verify_steps([5, 7, 3], "5 + 6 = 11.") == [False]  # 6 was not given
    assert verify_steps([5, 7, 3], "5 - 3 = 2. 7 x 2 = 14.") == [True, True]
    assert verify_steps([5, 7, 3], "The answer is 9.") == [] == verify_steps([], "")
    assert verify_steps((n for n in (1, 2)), "1 + 2 = 3. 1 + 3 = 4.") == [True, True]


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("5 + 7 = 12. The answer is 12.", True),
        ("5 + 7 = 13. The answer is 13!", True),
        ('"5 + 7 = 12. The answer is 12."', True),
        ("5 + 7 = 12. The answer is 12", False),
        ("5 + 7 = 12. The answer is 12. Good night.", False),
        ("5 + 7 = 12. The answer is 12. The answer is 12.", False),
        ("The answer is 12. 5 + 7 = 12.", False),
        ("The answer is 12.", False),
        ("5 + 7 = 12.", False),
        ("5 + 7 = 12. The answer is twelve.", False),
        ("", False),
    ],
)
def test_has_format_by_hand(text: str, good: bool) -> None:
    assert has_format(text) is good


def test_long_hostile_texts_are_read_quickly() -> None:
    for piece in (
        "The answer is 9. ",
        "answer is not ",
        "answer:",
        "1",
        "1 + ",
        "=",
        " ",
        "٣",
        "9 x 9 = 81. ",
    ):
        for size in (MAX_CHARS, 100_000):
            text = (piece * size)[:size]
            assert final_answer(text) in (None, 9) and isinstance(has_format(text), bool)
            assert isinstance(verify_steps([1, 9], text), list)


@PROPERTY
@given(TEXTS)
@pytest.mark.slow
def test_final_answer_survives_anything(text: str) -> None:
    answer = final_answer(text)
    assert answer is None or (
        type(answer) is int and 0 <= answer <= 999_999 and str(answer) in text
    )
    assert verify_outcome(19, text) is (answer == 19)


@PROPERTY
@given(TEXTS)
@pytest.mark.slow
def test_has_format_survives_anything(text: str) -> None:
    good = has_format(text)
    assert type(good) is bool and (not good or final_answer(text) is not None)


@PROPERTY
@given(st.lists(st.integers(-5, 120), max_size=6), TEXTS)
def test_verify_steps_survives_anything(given_numbers: list[int], text: str) -> None:
    verdicts = verify_steps(given_numbers, text)
    assert all(type(verdict) is bool for verdict in verdicts)


@PROPERTY
@given(st.integers(0, 999_999), st.text(max_size=30))
def test_a_plain_answer_is_read_and_a_later_one_contradicts(n: int, before: str) -> None:
    clear = re.sub(r"(?i)answer", "", before)
    if not re.search(
        r"(?i)n't|not|never|wrong|false|doubt|if|whether|maybe|perhaps|cannot|nobody", clear
    ):
        assert final_answer(f"{clear} The answer is {n}.") == n
    assert final_answer(f"{before} The answer is {n}. The answer is {n + 1}.") is None
    assert final_answer(f"{before} The answer is {n}. {n}") is None


@PROPERTY
@given(st.integers(0, 10**9), st.sampled_from(sorted(LEVELS)), st.sampled_from(SPLITS))
def test_any_seed_gives_a_sound_problem(seed: int, level: int, split: str) -> None:
    rng = Random(seed)
    p = problem(rng, level, split)
    assert interpret(p.steps, p.numbers) == p.answer
    assert verify_outcome(p.answer, solution(p, rng))
    assert not verify_outcome(p.answer, wrong_solution(p, rng))
