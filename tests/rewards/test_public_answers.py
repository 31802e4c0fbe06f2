"""Answers of public problems: what real models write is paid, what is wrong or hostile is not."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from slowness import slow_but
from tiny_models import small_tokenizer, tiny_llama

from minialign.data.training_rows import ASK, ASK_LETTER, problems_of
from minialign.rewards import answer_process, public_answers
from minialign.rewards.public_answers import payable, plain_answer, public_answer, renderings
from minialign.rewards.verifiers import right_answer
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy


def paid(answer: object, said: object) -> float | None:
    return public_answer(["?"], [said], answer=[answer])[0]


RIGHT: list[tuple[object, list[str]]] = [
    ("18", [
        "18", "18.00", "$18", r"\$18", "**18**", "#### 18", r"\boxed{18}", r"$\boxed{18}$",
        r"\[\boxed{18}\]", r"\boxed{\$18}", r"\boxed{18.00}", r"\boxed{18.}", r"\boxed{**18**}",
        r"\boxed{\text{18}}", r"\boxed{18 \text{ dollars}}", r"\boxed{x = 18}", "The answer is 18.",
        "Answer: 18", "The final answer is **18** dollars.", "So 9 * 2 = 18", r"\boxed{+18}",
        "<answer>18</answer>", "I first got 17. In the end it is 18.",
        "<think>17?</think> It is $18$.", "x" * 30_000 + r" \boxed{18}",
    ]),
    (18, ["18", "**18.0**"]),
    (0.5, ["1/2", r"\boxed{\frac{1}{2}}"]),
    ("1,000", ["$1,000", "1000", "**1,000**", r"\boxed{1,000}", "It costs $1,000.00."]),
    ("-5", ["-5", "**-5**", r"\boxed{-5}", "\N{MINUS SIGN}5", "#### -5", "The answer is -5."]),
    ("0.5", [r"\boxed{1/2}", r"$\frac{1}{2}$", "0.50", "**0.5**", "1/2"]),
    ("1/2", [r"\boxed{1/2}", r"\boxed{\frac12}", "0.5"]),
    (r"\frac{1}{\sqrt{2}}", [r"\boxed{\frac{\sqrt{2}}{2}}", r"So $\frac{1}{\sqrt 2}$."]),
    ("x^2+1", [r"\boxed{1 + x^2}"]),
    ("(1,2)", [r"\boxed{(1, 2)}"]),
    ("1234567", ["1,234,567", r"\boxed{1234567}"]),
    ("B", [
        "B", "(B)", "B.", "**B**", "B) Oak", "B. Oak", "#### B", "Answer: B", "The answer is (B).",
        "The correct answer is **B**.", r"\boxed{B}", r"\boxed{\text{B}}", r"\boxed{(B)}",
        r"\boxed{B. Oak}", r"$\boxed{\textbf{B}}$", "The answer is B because A is a bird.",
        "**B. Oak**", "Answer: (B) Oak", "**Answer:** B", "Birds are not trees.\nB",
        "Birds are not trees.\n\n**B**", "Oak it is.\n(B)\n", "<answer>B</answer>",
        "A. Bird\nB. Oak\nThe answer is B.", "A) A bird. B) A tree. Answer: B", "A. Bird\n#### B",
        "A. Bird\nB. Oak\n#### B. Oak", r"A. Bird, B. Oak: \boxed{B}", "\\boxed{B.\nOak}",
    ]),
    ("A", ["(A)", "**A**", "A", "The answer is A.", "The answer is A because it flies.",
           "The answer is (A) since it flies.", "Answer: A\nIt flies.", "It flies.\nA"]),
    ("I", ["Answer: I", "The answer is **I**."]),
    (r"\text{(C)}", [r"\boxed{C}", "The answer is C."]),
    ("Evelyn", [r"\boxed{Evelyn}", r"\boxed{\text{Evelyn}}", r"\boxed{evelyn}"]),
    ("5 dollars", [r"\boxed{5}", r"\boxed{5 dollars}", r"\boxed{5 \text{ dollars}}",
                   r"\boxed{5.00}", r"\boxed{\$5}"]),
    ("1,200 miles", [r"\boxed{1200}", r"\boxed{1,200}"]),
    ("No", [r"\boxed{No}", r"\boxed{no}", r"\boxed{\text{No}}", r"\boxed{No.}"]),
    ("yes", [r"\boxed{Yes}"]), ("True", [r"\boxed{true}"]),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "said"), [(a, s) for a, several in RIGHT for s in several])
def test_what_a_model_writes_is_paid(answer: object, said: str):
    assert paid(answer, said) == 1.0


WRONG: list[tuple[str, list[str]]] = [
    ("18", [
        "", " ", "19", "1 8", "18 19", "-18", "1.8", r"\boxed{}", r"\boxed{19}", "18? No: 19.",
        r"\boxed{17} and \boxed{18}", r"\boxed{17}, no: \boxed{18}", r"18, so \boxed{19}",
        "eighteen", "\\boxed{",
        "__import__('os').getcwd()", "\ud800", "\0", r"\boxed{\ud800}",
    ]),
    ("-5", ["5", "0-6", r"\boxed{5}"]),
    ("1/2", ["1", "2", r"\boxed{2}"]),
    ("1,2", [r"\boxed{12}"]),
    ("B", [
        "A", "b", "The answer is A.", "The answer is B or C.", "A, B", r"\boxed{A}", "Boxes",
        r"\boxed{B, C}", "The answer is C. The answer is B.", r"\boxed{C} B", "",
    ]),
    ("A", [
        "A tree is a plant.", "The answer is A lot harder.", "The answer is A tree.",
        "A. Paris\nB. London\nC. Rome", "A. is wrong, it is no city.\nSo the best is B.",
        "A) 5 is too small. B) 7 fits. I choose B.", "A. is wrong\nSo B it is", "A: no\nB: yes",
        "(A) or (B)", "A. or B, or C", "A. B. C.", "**A** **B**", r"\boxed{A. Paris B. London}",
        "\\boxed{A. Paris\nB. London}", "#### A. Paris\nB. London", "The answer is B. #### A",
    ]),
    ("C", ["A\nB\nC", "A.\nB.\nC.", "(A)\n(B)\n(C)", "A. Paris\nB. London\nC"]),
    ("I", ["The answer is I think B", "The answer is I do not know."]),
    ("Paris", [r"\boxed{pairs}", "Paris", r"\boxed{}", r"\boxed{Rome}"]),
    ("5 dollars", [r"\boxed{6}", r"\boxed{5 cents}", r"\boxed{-5}", r"\boxed{dollars}"]),
    ("No", [r"\boxed{oN}", r"\boxed{o \cdot N}", r"\boxed{Yes}"]),
    ("yes", [r"\boxed{no}"]), ("True", [r"\boxed{False}"]),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "said"), [(a, s) for a, several in WRONG for s in several])
def test_what_is_wrong_or_unclear_is_not(answer: str, said: str):
    assert paid(answer, said) == 0.0


@pytest.mark.parametrize("answer", [None, "", " ", "?", "{", "\\", r"\frac{", "x" * 2000, "}{"])
def test_an_answer_that_says_nothing_judges_nothing(answer: str | None):
    assert paid(answer, r"\boxed{18}") is None
    if answer is not None:
        assert not payable(answer)


@pytest.mark.parametrize("answer", [float("nan"), None], ids=str)
def test_an_answer_that_is_missing_in_a_table_judges_nothing(answer: float | None):
    assert paid(answer, r"\boxed{nan}") is None and paid(answer, r"\boxed{18}") is None
    rows = [{"prompt": "p", "answer": 4}, {"prompt": "p", "answer": answer}]
    assert problems_of(rows, 9).numbers == [1]


def test_it_has_trls_signature():
    said = [[{"role": "assistant", "content": r"\boxed{B}"}], r"\boxed{4}", []]
    given = {"prompts": ["?"] * 3, "completions": said, "answer": ["B", "4", "4"]}
    found = public_answer(**given, completion_ids=[[1]] * 3, trainer_state=None, level=[1] * 3)
    assert found == [1.0, 1.0, 0.0] and all(isinstance(one, float) for one in found)
    with pytest.raises(ValueError, match="longer"):
        public_answer(["?"], ["4", "5"], answer=["4"])
    turns = [{"role": "assistant", "content": said} for said in (r"\boxed{4}", " So it is.")]
    assert public_answer(["?"], [turns], answer=["4"]) == [1.0]  # the texts of all messages
    with pytest.raises(TypeError):
        public_answer(["?"], [4], answer=["4"])


HOSTILE = {
    "power": "9^9^9^9",
    "boxed power": r"\boxed{9^{9^{9^9}}}",
    "factorial": r"\boxed{(10^9)!}",
    "no signal comes through": r"\boxed{9^{100000000}}",
    "nested": r"\boxed{" + "(" * 3000 + "1" + ")" * 3000 + "}",
    "long": "x" * 100_000,
    "digits": "1" * 100_000,
    "boxes": r"\boxed{" * 15_000,
    "fractions": r"\boxed{" + r"\frac{1}{" * 300 + "1" + "}" * 300 + "}",
    "claims": "The answer is " * 7_000,
    "python": r"\boxed{__import__('pathlib').Path('here').touch()}",
}


@pytest.mark.parametrize(
    "name", slow_but(HOSTILE, "power", "long", "digits", "boxes", "claims", "python")
)
def test_hostile_text_is_soon_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    paid("18", "18")  # the process runs
    start = time.perf_counter()
    assert paid("18", HOSTILE[name]) == 0.0
    assert time.perf_counter() - start < answer_process.PATIENCE
    assert paid("18", "18") == 1.0  # and goes on
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_it_works_in_several_threads_at_once():
    found: dict[int, list] = {}

    def ask(i: int) -> None:
        said = [rf"\boxed{{{n}}}" for n in range(20)]
        found[i] = public_answer(["?"] * 20, said, answer=[str(i)] * 20)
        found[-i] = [paid(str(i), "9^9^9^9")] if i == 3 else [0.0]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(1, 6):
        assert found[i] == [float(n == i) for n in range(20)] and found[-i] == [0.0]


def test_an_interrupt_does_not_shift_the_verdicts(monkeypatch: pytest.MonkeyPatch):
    """A reply that nobody waited for must not meet the next question."""
    paid("18", "18")
    process = answer_process.ANSWERS._process

    class Interrupted:
        def readline(self) -> str:
            raise KeyboardInterrupt

        def close(self) -> None:
            pass

    monkeypatch.setattr(process, "stdout", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        paid("18", "18")
    assert [paid("18", "17"), paid("18", "18")] == [0.0, 1.0]


def test_a_process_ended_from_outside_costs_no_verdict():
    paid("18", "18")
    process = answer_process.ANSWERS._process
    process.kill()
    process.wait()
    assert [paid("18", "18"), paid("18", "17")] == [1.0, 0.0]


def test_a_process_that_cannot_be_asked_is_an_error(monkeypatch: pytest.MonkeyPatch):
    answers = answer_process.AnswerProcess()

    def ended(line: str, seconds: float) -> list:
        if line:
            raise BrokenPipeError
        return [True, False]

    monkeypatch.setattr(answers, "_exchange", ended)
    with pytest.raises(RuntimeError, match="was ended twice before it took a question"):
        answers.same("18", "18")
    assert answers._process is None


def test_what_math_verify_fails_on_is_a_verdict(monkeypatch: pytest.MonkeyPatch, capsys):
    def failing(text: str, **_: object) -> list[str]:
        if text == "bad":
            raise RecursionError
        return [text]

    monkeypatch.setattr("math_verify.parse", failing)
    monkeypatch.setattr("math_verify.verify", lambda right, said, **_: right == said)
    monkeypatch.setattr(answer_process, "resource", None)
    monkeypatch.setattr(answer_process.logging, "disable", lambda: None)
    asked = [["18", "bad"], ["18", r"\boxed{18}"]]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(json.dumps(a) + "\n" for a in asked)))
    answer_process.main()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said == [[True, False], [False, True], [True, False]]


@pytest.mark.slow
def test_the_process_ends_with_the_course():
    code = (
        "from minialign.rewards.answer_process import ANSWERS as a; a.same('1', '1');"
        "print(a._process.pid)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not Path(f"/proc/{int(done.stdout)}").exists() and not done.stderr


def test_without_math_verify_one_sentence_comes_before_any_work(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(public_answers, "find_spec", lambda name: None)
    for call in (lambda: problems_of("nowhere.jsonl", 3), lambda: paid("1", "1")):
        with pytest.raises(ImportError, match="not installed; run pip install math-verify"):
            call()
    assert right_answer(["?"], ["The answer is 7."], answer=[7]) == [1.0]  # the village's own


def test_the_loop_takes_problems_and_reward_as_they_are(capsys):
    rows = [{"prompt": "2 + 2?", "answer": 4}, {"question": "?", "system": "Be brief.",
            "prompt": [{"role": "user", "content": "1/2?"}], "answer": "0.5"}]  # fmt: skip
    config = PolicyConfig(steps=1, prompts=2, group_size=2, max_new_tokens=4)
    history = train_policy(
        tiny_llama(), small_tokenizer(), problems_of(rows, 9), public_answer, config
    )
    assert history["reward"].tolist() == [0.0]


# --- What the reader keeps is what the reward pays ---

KEPT = ["-5", "1234567", "0.5", "1/2", "1,000", "18.00", "$18", "x/2", "(1, 2)", "Evelyn", "+7",
        r"\frac{1}{2}", "7%", "3.0", "0", "12345678901234567890", r"\sqrt{2}", "B"]  # fmt: skip
DROPPED = ["?", "...", "{", "x" * 1500, r"\frac{"]


def written(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_kept_answer_is_paid_however_it_is_written(tmp_path: Path, capsys):
    rows = [{"prompt": f"{i}?", "answer": a} for i, a in enumerate([*KEPT, *DROPPED])]
    found = problems_of(written(tmp_path / "rows.jsonl", rows), 99)
    assert found.numbers == list(range(1, len(KEPT) + 1))
    assert found.dropped == {"no answer": list(range(len(KEPT) + 1, len(rows) + 1))}
    for row in found:
        said = renderings(row["answer"])
        assert public_answer(said, said, answer=[row["answer"]] * len(said)) == [1.0] * len(said)
    assert f"no answer: rows {len(KEPT) + 1}, " in capsys.readouterr().out


def test_forty_rows_with_negative_or_long_answers_are_all_payable(tmp_path: Path):
    rows = [{"question": "?", "answer": f"#### {a}"} for i in range(1, 21) for a in (-i, 10**7 + i)]
    found = problems_of(written(tmp_path / "rows.jsonl", rows), 99)
    assert len(found) == 40
    said = [rf"So it is \boxed{{{row['answer']}}}." for row in found]
    assert set(public_answer(said, said, answer=[row["answer"] for row in found])) == {1.0}


def test_the_prompt_asks_for_a_form_that_is_paid(tmp_path: Path, capsys):
    rows = [{"prompt": "How many?", "answer": 4}, {"prompt": "Which?", "answer": "B"},
            {"prompt": [{"role": "user", "content": "How many?"}], "answer": "4"}]  # fmt: skip
    number, letter, talk = problems_of(written(tmp_path / "rows.jsonl", rows), 9)
    assert number["prompt"] == f"How many?\n\n{ASK}"
    assert letter["prompt"] == f"Which?\n\n{ASK_LETTER}"
    assert talk["prompt"] == [{"role": "user", "content": f"How many?\n\n{ASK}"}]
    for row in (number, letter):
        said = ASK.replace("{}", f"{{{row['answer']}}}")
        assert paid(row["answer"], said) == 1.0


def test_an_answer_is_read_the_same_way_on_both_sides():
    for answer in KEPT:
        assert plain_answer(plain_answer(answer)) == plain_answer(answer)
        assert plain_answer(rf"\boxed{{{answer}}}") == plain_answer(answer)
