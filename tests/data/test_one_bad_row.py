"""One row never decides for the others: whatever it is, it is counted with its number."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_models import small_tokenizer

from minialign.data.formats import told_by_most
from minialign.data.reading import read, read_public
from minialign.data.shapes import Demonstration, Pair, Prompt, Ranking
from minialign.data.training_rows import comparisons_of, demonstrations_of, problems_of

TOKENIZER = small_tokenizer()
PAIR = {"prompt": "A tree?", "chosen": "Oak.", "rejected": "Ash."}
TASK = {"instruction": "Name a tree.", "input": "", "output": "Oak."}


def written(path: Path, rows: Sequence[dict | list | bytes]) -> Path:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join(lines))
    return path


# --- The format is told by most rows ---

FIRST = {
    "a null": {**TASK, "instruction": None},
    "all null": dict.fromkeys(TASK),
    "a header": {"version": 1, "rows": 3},
    "a row of another format": {"prompt": "p", "completion": "c"},
    "no columns": {},
    "a list": ["instruction", "output"],
    "a number": 3,
    "a null row": None,
    "a byte order mark alone": b"\xef\xbb\xbf",
    "a byte order mark, and a number": b"\xef\xbb\xbf1",
    "a comment": b"# made by hand",
    "half a line": b'{"instruction": "Na',
    "another encoding": b'{"instruction": "caf\xe9", "output": "x"}',
}


@pytest.mark.parametrize("name", FIRST)
def test_a_bad_first_row_is_counted(name: str, tmp_path: Path):
    path = written(tmp_path / "rows.jsonl", [FIRST[name], TASK, TASK])
    for found in (read_public(path), read_public(path, Demonstration)):
        assert found == [Demonstration("Name a tree.", "Oak.")] * 2
        assert found.numbers == [2, 3]
        assert list(found.dropped.values()) == ([] if "mark alone" in name else [[1]])


@pytest.mark.parametrize("name", ["a null", "a header", "a row of another format", "a null row"])
def test_a_bad_first_row_of_a_list_in_a_file_is_counted(name: str, tmp_path: Path):
    (tmp_path / "rows.json").write_text(json.dumps([FIRST[name], TASK, TASK]))
    found = read_public(tmp_path / "rows.json")
    assert len(found) == 2 and list(found.dropped.values()) == [[1]]


def test_most_rows_tell_the_format_and_the_shape_that_is_asked_for_comes_first():
    both = {
        "problem": "Solve.",
        "solution": r"\boxed{4}",
        "source": "olympiad",
        "messages": [
            {"role": "user", "content": "Solve."},
            {"role": "assistant", "content": r"\boxed{4}"},
        ],
    }
    assert told_by_most([both]) == "messages" and told_by_most([both], Prompt) == "boxed"
    assert told_by_most([PAIR, TASK, TASK]) == "alpaca"
    assert told_by_most([TASK, PAIR], Pair) == "preferences"
    found = read_public([both], Prompt)
    assert found == [Prompt("Solve.", "4")]
    with pytest.raises(ValueError, match="the source holds rows for Pair, and Prompt is asked for"):
        read_public([PAIR], Prompt)


def test_rows_that_can_be_read_once_are_all_read():
    found = read_public(iter([TASK] * 5), limit=4)
    assert found.numbers == [1, 2, 3, 4]
    assert len(read_public(row for row in [TASK] * 300)) == 300


def test_nothing_but_bad_rows_says_why(tmp_path: Path):
    path = written(tmp_path / "rows.jsonl", [b"not JSON", b"neither"])
    with pytest.raises(ValueError, match=r"no row of columns to tell .* \(not JSON"):
        read_public(path)


# --- Scores ---

GOOD_SCORES = [
    ("10.0", "9.0"), (10, 9), ("10", 9.5), (1e3, "999"), ("-1", "-2"), (None, 3), (3, None),
    (None, None), (" 7 ", "6"), (10**30, 10**29),
]  # fmt: skip
BAD_SCORES = [
    ("9.0", "10.0", "scores disagree"), (5, 5, "scores disagree"),
    ("1e3", "2e3", "scores disagree"),
    ("good", "bad", "no score"), (True, False, "no score"), (math.nan, 1.0, "no score"),
    (1.0, math.nan, "no score"), ("nan", "1", "no score"), (math.inf, 1, "no score"),
    ([10], [9], "no score"), ({"a": 1}, 0, "no score"), ("", "1", "no score"),
    ("x", None, "no score"), (10**400, 1, "no score"), (b"10", b"9", "no score"),
]  # fmt: skip
COLUMNS = [
    ("score_chosen", "score_rejected"), ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"), ("chosen-rating", "rejected-rating"),
]  # fmt: skip


@pytest.mark.parametrize("names", COLUMNS)
def test_scores_are_compared_as_numbers_and_others_are_counted(names: tuple[str, str]):
    good = [{**PAIR, names[0]: a, names[1]: b} for a, b in GOOD_SCORES]
    bad = [{**PAIR, names[0]: a, names[1]: b} for a, b, _ in BAD_SCORES]
    found = read_public([*good, *bad])
    assert found.numbers == list(range(1, len(good) + 1))
    for number, (_, _, reason) in enumerate(BAD_SCORES, len(good) + 1):
        assert number in found.dropped[reason], found.why


# --- Rankings and choices ---


@pytest.mark.parametrize("replies", [("a", "b", "a"), ("a", "a", "b"), ("b", "a", "a"), ("a",) * 3,
                                     ("a",), ()])  # fmt: skip
def test_a_ranking_with_a_reply_twice_is_counted(replies: tuple[str, ...]):
    good = {"prompt": "p", "completions": ["a", "b", "c"]}
    found = read([good, {**good, "completions": list(replies)}, good], Ranking, on_bad="drop")
    assert found.numbers == [1, 3] and found.dropped == {"equal completions": [2]}


ASKED = {"question": "Which is a tree?", "choices": ["Rook", "Oak", "Perch"], "answer": 1}
LABELLED = {"text": ["Rook", "Oak"], "label": [1, 2]}
BAD_CHOICES = [
    {"choices": []}, {"choices": "ABC"}, {"choices": ["Oak"]},
    {"choices": {"text": [], "label": []}},
    {"choices": ["", "Oak"]}, {"choices": [None, "Oak"]}, {"choices": ["Oak", "Oak"]},
    {"choices": {"text": "Oak", "label": "A"}}, {"choices": 3}, {"choices": [["a"], ["b"]]},
    {"choices": {"text": ["a", "b"], "label": ["A", "A"]}, "answer": "A"},
    {"choices": {"text": ["a", "b"], "label": ["A"]}, "answer": "A"}, {"answer": True},
    {"answer": -1}, {"answer": 3}, {"answer": "Oak"}, {"answer": None}, {"answer": 1.0},
    {"choices": LABELLED, "answer": 0}, {"choices": LABELLED, "answer": True},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD_CHOICES, ids=str)
def test_choices_of_which_none_is_right_are_counted(change: dict):
    found = read_public([ASKED, {**ASKED, **change}, ASKED])
    assert found.numbers == [1, 3] and list(found.dropped.values()) == [[2]]


def test_a_label_that_is_a_number_is_no_position():
    (one,) = read_public([{**ASKED, "choices": LABELLED, "answer": 1}])
    assert one.answer == "A"
    (one,) = read_public([{**ASKED, "choices": LABELLED, "answerKey": 2}])
    assert one.answer == "B"
    (one,) = read_public([{**ASKED, "answerKey": None}])
    assert one.answer == "B"


ANSWERS = [(4, "4"), (-5, "-5"), (0.5, "0.5"), (1e22, "1" + "0" * 22), ("1,200", "1200"),
           ("1,2", "1,2"), (" 7 ", "7"), (1e-7, "0.0000001")]  # fmt: skip
NO_ANSWERS = [math.nan, math.inf, True, [], ["4"], {"value": 4}, "", " ", 10**5000, b"4"]


def test_answers_are_texts_or_finite_numbers():
    rows = [{"prompt": "p", "answer": a} for a in [*(a for a, _ in ANSWERS), *NO_ANSWERS]]
    found = read_public(rows)
    assert [one.answer for one in found] == [text for _, text in ANSWERS]
    first = len(ANSWERS) + 1
    assert found.dropped == {"no answer": list(range(first, first + len(NO_ANSWERS)))}


# --- What the loops get ---


class StrictTokenizer:
    """A tokenizer whose chat template refuses some conversations."""

    def __init__(self) -> None:
        self._inner = small_tokenizer()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def __len__(self) -> int:
        return len(self._inner)

    def __call__(self, *args, **settings) -> object:
        return self._inner(*args, **settings)

    def apply_chat_template(self, messages: list[dict], **settings) -> object:
        template = (
            "{% for m in messages %}{% if m['role'] != ['user', 'assistant'][loop.index0 % 2] or "
            "'forbidden' in m['content'] %}{{ raise_exception('not this') }}{% endif %}"
            "{{ m['content'] }}{% endfor %}"
        )
        return self._inner.apply_chat_template(messages, chat_template=template, **settings)


def test_a_template_that_refuses_a_row_counts_it(tmp_path: Path, capsys):
    rows = [TASK, {**TASK, "instruction": "forbidden"}, {**TASK, "output": ""}, TASK,
            {**TASK, "output": "Oak. " * 99}]  # fmt: skip
    found = demonstrations_of(written(tmp_path / "a.jsonl", rows), StrictTokenizer(), 9, 64)
    assert found.numbers == [1, 4]
    assert found.dropped == {
        "blank completion": [3], "refused by the chat template": [2], "cannot be encoded": [5],
    }  # fmt: skip
    said = capsys.readouterr().out
    assert "kept 2, dropped 1 (blank completion), 1 (refused by the chat template), 1 (can" in said
    assert "refused by the chat template: rows 2; row 2: not this; drop the row, or use" in said


def test_a_template_that_refuses_all_rows_is_named(tmp_path: Path):
    rows = [{**TASK, "instruction": "forbidden"}] * 3
    with pytest.raises(ValueError, match=r"no row is left \(row 1: not this"):
        demonstrations_of(written(tmp_path / "a.jsonl", rows), StrictTokenizer(), 9)


class DeafTokenizer(StrictTokenizer):
    """A tokenizer that hears no capitals and no blanks around a text."""

    def __call__(self, text: str, **settings) -> object:
        return self._inner(text.lower().strip(), **settings)


def test_pairs_that_are_alike_as_tokens_are_counted(tmp_path: Path, capsys):
    rows = [PAIR, {**PAIR, "rejected": "oak."}, {**PAIR, "rejected": " Oak."}, PAIR,
            {**PAIR, "rejected": "Oak."}]  # fmt: skip
    found = comparisons_of(written(tmp_path / "a.jsonl", rows), DeafTokenizer(), 9)
    assert found.numbers == [1, 4] and found.dropped == {"equal completions": [2, 3, 5]}
    assert "equal completions: rows 2, 3, 5; row 5: chosen equals" in capsys.readouterr().out


def test_the_limit_counts_bad_rows_and_numbers_are_those_of_lines(tmp_path: Path, capsys):
    lines = [TASK, b"", b"broken", TASK, {**TASK, "output": " "}, TASK, TASK]
    found = demonstrations_of(written(tmp_path / "a.jsonl", lines), TOKENIZER, 5)
    assert found.numbers == [1, 4, 6]
    assert found.dropped == {"broken JSON": [3], "blank completion": [5]}
    assert "broken JSON: rows 3; row 3: not JSON" in capsys.readouterr().out


def test_many_dropped_rows_are_named_in_part(tmp_path: Path, capsys):
    rows = [TASK, *[{**TASK, "output": ""}] * 40]
    demonstrations_of(written(tmp_path / "a.jsonl", rows), TOKENIZER, 99)
    said = capsys.readouterr().out
    assert "dropped 40 (blank completion)" in said and "rows 2, 3, 4, 5, 6, ...; row 2: " in said


def test_problems_without_a_usable_answer_are_counted(tmp_path: Path, capsys):
    rows = [{"question": "q", "answer": a} for a in ("#### 4", "four", "#### ?", "####", "#### -1")]
    found = problems_of(written(tmp_path / "a.jsonl", rows), 9)
    assert [row["answer"] for row in found] == ["4", "-1"]
    assert found.dropped == {"no answer": [2, 3, 4]}
