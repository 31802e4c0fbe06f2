"""Public data: rows in the exact columns of each known data set become the course's shapes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset

from minialign.data import sources as public_data
from minialign.data.formats import FORMATS, told_by
from minialign.data.reading import read, read_public
from minialign.data.shapes import Demonstration, Feedback, Pair, Prompt
from minialign.system import hub


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def bot(text: str) -> dict:
    return {"role": "assistant", "content": text}


ASKED = [user("Name a tree.")]
LONGER = [{"role": "system", "content": "Be brief."}, user("Hi."), bot("Hello."), *ASKED]
OAK, ASH = "Oak.", "Ash."
PAIR = Pair(ASKED, OAK, ASH)
CHOICES = "Which is a tree?\nA. Rook\nB. Oak\nC. Perch"

# Name of the format, a row with all columns of a public data set, and what it becomes.
CASES: list[tuple[str, dict, object]] = [
    ("alpaca", {"instruction": "Name a tree.", "input": "", "output": OAK, "text": "Below is ..."},
     Demonstration("Name a tree.", OAK)),
    ("alpaca", {"instruction": "Name the tree.", "input": "It has acorns.", "output": OAK},
     Demonstration("Name the tree.\n\nIt has acorns.", OAK)),
    ("dolly", {"instruction": "Name the tree.", "context": "It has acorns.", "response": OAK,
               "category": "closed_qa"},
     Demonstration("Name the tree.\n\nIt has acorns.", OAK)),
    ("messages", {"prompt": "Name a tree.", "prompt_id": "7f", "category": "Open QA",
                  "messages": [*ASKED, bot(OAK)]},
     Demonstration(ASKED, OAK)),
    ("messages", {"messages": [*LONGER, bot(OAK)], "source": "everyday"},
     Demonstration(LONGER, OAK)),
    ("sharegpt", {"id": "a_0", "conversations": [{"from": "human", "value": "Name a tree."},
                                                {"from": "gpt", "value": OAK}]},
     Demonstration(ASKED, OAK)),
    ("demonstrations", {"prompt": "Name a tree.", "completion": OAK},
     Demonstration("Name a tree.", OAK)),
    ("demonstrations", {"prompt": ASKED, "completion": [bot(OAK)]}, Demonstration(ASKED, OAK)),
    ("transcripts", {"chosen": "\n\nHuman: Name a tree.\n\nAssistant: Oak.",
                     "rejected": "\n\nHuman: Name a tree.\n\nAssistant: Ash."}, PAIR),
    ("preferences", {"prompt": "Name a tree.", "prompt_id": "7f", "chosen": [*ASKED, bot(OAK)],
                     "rejected": [*ASKED, bot(ASH)], "messages": [*ASKED, bot(OAK)],
                     "score_chosen": 8.5, "score_rejected": 6.0}, PAIR),
    ("preferences", {"prompt": ASKED, "chosen": [bot(OAK)], "rejected": [bot(ASH)]}, PAIR),
    ("preferences", {"chosen": [*ASKED, bot(OAK)], "rejected": [*ASKED, bot(ASH)]}, PAIR),
    ("preferences", {"prompt": "Name a tree.", "chosen": OAK, "chosen_model": "m", "id": 4,
                     "rejected": ASH, "rejected_model": "n", "subset": "llmbar-natural"},
     Pair("Name a tree.", OAK, ASH)),
    ("feedback", {"prompt": ASKED, "completion": [bot(OAK)], "label": True},
     Feedback(ASKED, OAK, True)),
    ("feedback", {"prompt": "Name a tree.", "completion": ASH, "label": False},
     Feedback("Name a tree.", ASH, False)),
    ("worked", {"question": "How many?", "answer": "600 + 600 = 1200\n#### 1,200"},
     Prompt("How many?", "1200")),
    ("boxed", {"problem": "Solve.", "level": "Level 1", "type": "Algebra",
               "solution": r"Not \boxed{3}: it is $\boxed{\frac{1}{\sqrt{2}}}$."},
     Prompt("Solve.", r"\frac{1}{\sqrt{2}}")),
    ("multiple_choice", {"id": "q1", "question": "Which is a tree?", "answerKey": "2",
                         "choices": {"text": ["Rook", "Oak", "Perch"], "label": ["1", "2", "3"]}},
     Prompt(CHOICES, "B")),
    ("multiple_choice", {"question": "Which is a tree?", "subject": "botany", "answer": 1,
                         "choices": ["Rook", "Oak", "Perch"]}, Prompt(CHOICES, "B")),
    ("seed_tasks", {"id": "seed_task_0", "name": "tree", "instruction": "Name the tree.",
                    "instances": [{"input": "It has acorns.", "output": OAK}],
                    "is_classification": False},
     Demonstration("Name the tree.\n\nIt has acorns.", OAK)),
    ("answered", {"id": 60, "problem": "Two and two?", "answer": "4"}, Prompt("Two and two?", "4")),
    ("problems", {"prompt": "Two and two?", "answer": 4}, Prompt("Two and two?", "4")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "row", "expected"), CASES, ids=lambda case: str(case)[:20])
def test_a_row_becomes_an_example(name: str, row: dict, expected: object):
    assert told_by(row) == name
    known = FORMATS[name]
    assert read([row], known.shape, convert=known.convert) == [expected]


def test_every_format_has_a_case():
    assert {name for name, *_ in CASES} == set(FORMATS)


BAD: list[tuple[str, dict, str, str]] = [
    ("alpaca", {"instruction": "Name a tree.", "input": "", "output": ""}, "blank completion",
     "write a reply"),
    ("alpaca", {"instruction": 3, "output": OAK}, "wrong type", "'instruction' is a int"),
    ("alpaca", {"instruction": "Name a tree.", "output": None}, "missing column", "'completion'"),
    ("dolly", {"instruction": None, "response": OAK}, "missing column", "'instruction' is null"),
    ("messages", {"messages": ASKED}, "no reply", "does not end with a reply"),
    ("messages", {"messages": []}, "no reply", "does not end with a reply"),
    ("messages", {"messages": [bot(OAK), *ASKED]}, "turns out of order", "assistant, user"),
    ("messages", {"messages": "Name a tree."}, "wrong type", "is a str; use messages"),
    ("messages", {"messages": [{"role": "user"}, bot(OAK)]}, "missing column", "'content'"),
    ("sharegpt", {"conversations": [{"from": "tool", "value": "x"}]}, "unknown speaker", "'tool'"),
    ("sharegpt", {"conversations": [{"from": "gpt", "value": "x"}]}, "turns out of order", "roles"),
    ("transcripts", {"chosen": "Human: Hi.", "rejected": "Human: Hi."}, "no transcript",
     "does not start with a blank line"),
    ("transcripts", {"chosen": "\n\nHuman: Hi.\n\nAssistant: Yes.",
                     "rejected": "\n\nHuman: Ho.\n\nAssistant: No."}, "two prompts", "drop it"),
    ("transcripts", {"chosen": "\n\nHuman: Hi.\n\nAssistant: ",
                     "rejected": "\n\nHuman: Hi.\n\nAssistant: No."}, "blank completion", "chosen"),
    ("preferences", {"prompt": "p", "chosen": OAK, "rejected": OAK}, "equal completions", "equals"),
    ("preferences", {"prompt": "p", "chosen": OAK, "rejected": ASH, "score_chosen": 5.0,
                     "score_rejected": 5.0}, "scores disagree", "chosen 5.0, rejected 5.0"),
    ("feedback", {"prompt": "p", "completion": OAK, "label": 1}, "wrong type", "true or false"),
    ("worked", {"question": "How many?", "answer": "Twelve."}, "no answer", "#### with an answer"),
    ("boxed", {"problem": "Solve.", "solution": r"So \boxed{1"}, "no answer", "boxed"),
    ("multiple_choice", {"question": "q", "choices": ["a", "b"], "answer": 2}, "no answer",
     "use one of 'A', 'B'"),
    ("multiple_choice", {"question": "q", "choices": ["a"], "answer": 0}, "wrong choices",
     "1 choi"),
    ("multiple_choice", {"question": "q", "choices": ["a", "b"], "answer": "E"}, "no answer",
     "'E'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "row", "reason", "message"), BAD)
def test_a_bad_row_is_refused_or_counted(name: str, row: dict, reason: str, message: str):
    known = FORMATS[name]
    good = next(row for case, row, _ in CASES if case == name)
    rows = [good, row, good]
    found = read(rows, known.shape, convert=known.convert, on_bad="drop")
    assert len(found) == 2 and found.dropped == {reason: [2]}
    with pytest.raises(ValueError, match=rf"row 2: .*{message}"):
        read(rows, known.shape, convert=known.convert)


def test_unknown_columns_are_named():
    with pytest.raises(ValueError, match="no format has the columns 'text', 'id'; rename them"):
        told_by({"text": "x", "id": 1})


ROWS = [{"prompt": f"p{i}", "chosen": "a", "rejected": "b" if i != 2 else "a"} for i in range(5)]


def write_lines(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))


def write_gz(path: Path) -> None:
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in ROWS)


WRITERS: dict[str, Callable[[Path], object]] = {
    "rows.jsonl": write_lines,
    "rows.jsonl.gz": write_gz,
    "lines.json": write_lines,
    "rows.json": lambda path: path.write_text(json.dumps(ROWS)),
    "rows.json.gz": write_gz,
    "rows.parquet": lambda path: Dataset.from_list(ROWS).to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_files_of_every_kind_read_alike(name: str, tmp_path: Path):
    WRITERS[name](tmp_path / name)
    found = read_public(tmp_path / name)
    assert [pair.prompt for pair in found] == ["p0", "p1", "p3", "p4"]
    assert found.dropped == {"equal completions": [3]}
    assert len(read_public(str(tmp_path / name), Pair, limit=3)) == 2


def test_a_broken_first_line_is_counted(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": \n\n{"prompt": "p", "completion": "c"}\n')
    found = read_public(path)
    assert found == [Demonstration("p", "c")] and found.dropped == {"broken JSON": [1]}


def test_files_that_cannot_be_read_say_why(tmp_path: Path):
    (tmp_path / "rows.json").write_text('[{"prompt": 1},')
    with pytest.raises(ValueError, match=r"rows.json is no JSON .* write a list of objects"):
        read_public(tmp_path / "rows.json")
    (tmp_path / "rows.parquet").write_text("PAR1")
    with pytest.raises(ValueError, match=r"rows\.parquet is no parquet file"):
        read_public(tmp_path / "rows.parquet")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="there is no row of columns"):
        read_public(tmp_path / "empty.jsonl")


def test_another_shape_than_asked_names_data_sets_that_have_it(tmp_path: Path):
    write_lines(tmp_path / "rows.jsonl")
    with pytest.raises(ValueError, match=r"holds rows for Pair, and Prompt .* such as .*gsm8k"):
        read_public(tmp_path / "rows.jsonl", Prompt)


def test_a_data_set_of_the_hub_is_streamed(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def load_dataset(path, subset, **settings):
        asked.append((path, subset, settings))
        return iter([{"question": "How many?", "answer": "So #### 3"}] * 4)

    monkeypatch.setattr(public_data, "require_hub", lambda what: None)
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    found = read_public("openai/gsm8k:main", split="test", limit=2)
    assert found == [Prompt("How many?", "3")] * 2
    assert asked == [("openai/gsm8k", "main", {"split": "test", "streaming": True})]


def test_a_silent_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub, "answers", lambda: False)
    with pytest.raises(ConnectionError, match="does not answer from here; go on offline with"):
        read_public("owner/name")
