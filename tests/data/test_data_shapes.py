"""What `load` gives, and that `read` refuses or counts every kind of bad row."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from minialign.data.reading import read
from minialign.data.shapes import SHAPES, Demonstration, Feedback, Pair, Prompt, Ranking, Steps
from minialign.data.shipped import load
from tools.world_builder import build

# --- The course's own files ---


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with small files, written by the code that writes the real ones."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "models").mkdir()
    (folder / "README.md").write_text("cards")
    with pytest.MonkeyPatch.context() as patch:
        sizes = {stem: (30, 12, 12)[: len(full)] for stem, full in build.SIZES.items()}
        patch.setattr(build, "SIZES", sizes)
        for stem in build.WRITERS:
            (folder / f"{stem}.jsonl").write_text("".join(build.lines(stem)))
    return folder


@pytest.fixture
def at_course(course: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINIALIGN_DATA", str(course))
    return course


def test_load_gives_every_split_whole(at_course: Path, capfd: pytest.CaptureFixture):
    before = sorted(at_course.rglob("*"))
    for name in build.WRITERS:
        lines = (at_course / f"{name}.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        for split in {row["split"] for row in rows}:
            expected = [
                {k: v for k, v in row.items() if k != "split"}
                for row in rows
                if row["split"] == split
            ]
            loaded = load(name, split)
            assert isinstance(loaded, Dataset)
            assert loaded.to_list() == expected
            assert not loaded.cache_files
    assert sorted(at_course.rglob("*")) == before
    assert capfd.readouterr() == ("", "")  # no progress bar either


def test_loaded_rows_have_their_shape(at_course: Path):
    assert len(read(load("instructions", "families"), Demonstration)) == 3
    assert len(read(load("preferences", "test"), Pair)) == 12
    assert len(read(load("problems"), Prompt)) == 30
    assert read(load("problems"), Prompt)[0].answer is not None


def test_unknown_names_and_splits_list_the_known_ones(at_course: Path):
    with pytest.raises(ValueError, match=r"'problem'.*instructions, preferences, problems"):
        load("problem")
    with pytest.raises(ValueError, match="unknown; use one of"):
        load("../data/problems")
    with pytest.raises(
        ValueError, match="'families', which preferences lack; use one of train, test"
    ):
        load("preferences", "families")


def test_an_empty_data_folder_says_how_to_fill_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "README.md").write_text("cards")
    monkeypatch.setenv("MINIALIGN_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"python -m tools\.world_builder\.build"):
        load("problems")


# --- Shapes ---

TALK = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Say hi."}]
GOOD = {
    Demonstration: {"prompt": "Say hi.", "completion": "Hi!"},
    Pair: {"prompt": "Say hi.", "chosen": "Hi!", "rejected": "No."},
    Feedback: {"prompt": "Say hi.", "completion": "No.", "label": False},
    Prompt: {"prompt": "2 + 2?", "answer": "4"},
    Ranking: {"prompt": "Say hi.", "completions": ["Hi there!", "Hi!", "No."]},
    Steps: {
        "prompt": "2 + 2 + 2?",
        "completions": ["2 + 2 = 4.", "4 + 2 = 7."],
        "labels": [True, False],
    },
}


def write(path: Path, rows: list) -> Path:
    """Rows as a .jsonl file; bytes are written as they are."""
    path.write_bytes(
        b"\n".join(r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows)
    )
    return path


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_datasets_and_files_read_alike(shape: type, tmp_path: Path):
    rows = [GOOD[shape], {**GOOD[shape], "prompt": TALK}]
    expected = [
        shape(**{k: tuple(v) if isinstance(v, list) else v for k, v in GOOD[shape].items()})
    ]
    plain, talk = read(rows, shape)
    assert [plain] == expected
    assert talk.prompt == TALK
    assert talk.prompt is not TALK
    assert read(write(tmp_path / "rows.jsonl", rows), shape) == [plain, talk]
    assert read(str(tmp_path / "rows.jsonl"), shape) == [plain, talk]
    assert read(Dataset.from_list(rows[:1]), shape) == [plain]
    assert read(Dataset.from_list(rows[1:]), shape) == [talk]
    assert read(Dataset.from_list([asdict(plain)]), shape) == [plain]
    with pytest.raises(FrozenInstanceError):
        plain.prompt = "other"


def test_what_is_not_bad():
    assert read([{"prompt": "Hello.", "source": "web", "completion": None}], Prompt) == [
        Prompt("Hello.")
    ]
    assert read([{"prompt": "Hello.", "answer": None}], Prompt) == [Prompt("Hello.")]
    assert read([], Pair) == []
    several = [{"role": "user", "content": "Hi.", "name": "Mia", "tool_calls": None}]
    assert read([{"prompt": several}], Prompt)[0].prompt == [{"role": "user", "content": "Hi."}]
    repeated = {"prompt": "p", "completions": ["Add 1.", "Add 1."], "labels": [True, True]}
    assert len(read([repeated], Steps)) == 1


def test_lines_of_a_file(tmp_path: Path):
    """A byte order mark, CRLF, blank lines and U+2028 are no errors, and numbers count lines."""
    first, bad = b'\xef\xbb\xbf{"prompt": "a\xe2\x80\xa8b"}\r', b'{"prompt": 3}'
    path = write(tmp_path / "odd.jsonl", [first, b"", b"  ", bad, b'{"prompt": "c"}', b""])
    found = read(path, Prompt, on_bad="drop")
    assert found.rows == [Prompt("a\u2028b"), Prompt("c")]
    assert found.dropped == {"wrong type": [4]}
    with pytest.raises(ValueError, match=r"^odd\.jsonl line 4: column 'prompt' is 3 \(int\)"):
        read(path, Prompt)


# --- Bad rows ---

MISSING, TYPE, BLANK, EQUAL = (
    "missing column",
    "wrong type",
    "blank completion",
    "equal completions",
)
BAD = [
    (MISSING, Demonstration, {"completion": None}, "column 'completion' is null; fill or rename"),
    (TYPE, Demonstration, {"completion": 3}, r"'completion' is 3 \(int\); use a string"),
    (TYPE, Demonstration, {"completion": TALK}, "use the 'content' of its message"),
    (TYPE, Pair, {"chosen": {"content": "Hi!"}}, "'chosen' is .* use a string"),
    (TYPE, Pair, {"prompt": 3}, "'prompt' is 3"),
    (TYPE, Pair, {"prompt": []}, "use a string or one or more messages"),
    (TYPE, Pair, {"prompt": ["Say hi."]}, "use a string or one or more messages"),
    (TYPE, Pair, {"prompt": [{"role": "user"}]}, "use a string or one or more messages"),
    (TYPE, Pair, {"prompt": [{"role": "user", "content": None}]}, "'prompt.content' is None"),
    (TYPE, Feedback, {"label": 1}, r"'label' is 1 \(int\); use true or false"),
    (TYPE, Feedback, {"label": "false"}, "use true or false"),
    (TYPE, Prompt, {"answer": 4}, r"'answer' is 4 \(int\); use a string"),
    (TYPE, Ranking, {"completions": "Hi!"}, "'completions' is 'Hi!' .*; use a list"),
    (TYPE, Steps, {"labels": [True, 0]}, r"'labels\[1\]' is 0"),
    (BLANK, Demonstration, {"completion": " \n"}, "'completion' is blank; write a reply"),
    (BLANK, Pair, {"rejected": ""}, "'rejected' is blank"),
    (BLANK, Feedback, {"completion": "\t"}, "'completion' is blank"),
    (BLANK, Ranking, {"completions": ["Hi!", ""]}, r"'completions\[1\]' is blank"),
    (BLANK, Steps, {"completions": ["", "b"]}, r"'completions\[0\]' is blank"),
    (EQUAL, Pair, {"rejected": "Hi!"}, "chosen equals rejected"),
    (
        EQUAL,
        Ranking,
        {"completions": ["a", "b", "a"]},
        "3 completions, 2 of them different; a rank",
    ),
    (EQUAL, Ranking, {"completions": ["a"]}, "2 or more"),
    ("steps without labels", Steps, {"labels": [True]}, "2 steps and 1 labels; use"),
    ("steps without labels", Steps, {"completions": [], "labels": []}, "use 1 or more steps"),
    ("long prompt", Prompt, {"prompt": "x" * 8001}, "8001 characters, .*max_prompt_chars=8000; sh"),
    (
        "long prompt",
        Prompt,
        {"prompt": [*TALK, {"role": "user", "content": "x" * 8000}]},
        "8015 ch",
    ),
    (
        "not UTF-8",
        Demonstration,
        {"completion": "a\ud800"},
        "surrogate pair at character 2; remove",
    ),
]


def assert_bad(source: object, shape: type, reason: str, message: str, number: int, kept: int):
    """Refused with its number, and dropped and counted."""
    with pytest.raises(ValueError, match=rf"^(row|\w+\.jsonl line) {number}: .*{message}.*on_bad"):
        read(source, shape)
    found = read(source, shape, on_bad="drop")
    assert found.dropped == {reason: [number]}
    assert len(found) == len(found.rows) == kept
    assert found.report() == f"kept {kept}, dropped 1 ({reason})"


@pytest.mark.parametrize(("reason", "shape", "change", "message"), BAD)
def test_bad_rows_are_refused_or_dropped(reason, shape, change, message, tmp_path: Path):
    good = GOOD[shape]
    rows = [good, {**good, **change}, good]
    assert_bad(rows, shape, reason, message, 2, 2)
    assert_bad(write(tmp_path / "rows.jsonl", rows), shape, reason, message, 2, 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_column_but_the_answer_must_be_there(shape: type):
    for column in GOOD[shape]:
        row = {k: v for k, v in GOOD[shape].items() if k != column}
        if column == "answer":
            assert read([row], shape) == [Prompt("2 + 2?")]
        else:
            assert_bad([row], shape, MISSING, f"column '{column}' is missing among '", 1, 0)
    assert_bad([{}], shape, MISSING, "is missing among no columns", 1, 0)


def test_a_dataset_with_bad_rows():
    rows = [GOOD[Pair], {**GOOD[Pair], "chosen": None}]
    assert_bad(Dataset.from_list(rows), Pair, MISSING, "column 'chosen' is null", 2, 1)


@pytest.mark.parametrize(
    ("reason", "line", "message"),
    [
        ("broken JSON", b'{"prompt": "cut', "not JSON .*write one object per line"),
        ("broken JSON", b'{"prompt": "a"} {"prompt": "b"}', "not JSON"),
        ("broken JSON", b"__import__('os').getcwd()", "not JSON"),
        ("broken JSON", b"[" * 200_000, "not JSON"),
        ("broken JSON", b'{"prompt": ' + b"1" * 5000 + b"}", "not JSON"),
        (
            "not UTF-8",
            '{"prompt": "caf\u00e9"}'.encode("latin-1"),
            "byte 16 is not UTF-8; save the f",
        ),
        (TYPE, b'["prompt", "a"]', r"the row is \['prompt', 'a'\] \(list\); use a dict of columns"),
        (TYPE, b"null", "the row is None"),
    ],
)
def test_bad_lines_are_refused_or_dropped(reason: str, line: bytes, message: str, tmp_path: Path):
    path = write(tmp_path / "lines.jsonl", [GOOD[Prompt], GOOD[Prompt], line, GOOD[Prompt]])
    assert_bad(path, Prompt, reason, message, 3, 3)


def test_the_report_counts_by_reason():
    good = GOOD[Pair]
    equal, blank = {**good, "rejected": "Hi!"}, {**good, "chosen": ""}
    found = read([equal, good, blank, equal], Pair, on_bad="drop")
    assert found == [Pair(**good)]
    assert found.dropped == {EQUAL: [1, 4], BLANK: [3]}
    assert found.report() == f"kept 1, dropped 2 ({EQUAL}), 1 ({BLANK})"
    assert read([good], Pair, on_bad="drop").report() == "kept 1, dropped 0"


def test_the_length_limit_is_a_setting():
    assert len(read([{"prompt": "x" * 9000}], Prompt, max_prompt_chars=None)) == 1
    assert len(read([{"prompt": "four"}], Prompt, max_prompt_chars=4)) == 1
    with pytest.raises(ValueError, match="4 characters, more than max_prompt_chars=3"):
        read([{"prompt": "four"}], Prompt, max_prompt_chars=3)


def test_errors_of_a_long_row_are_short():
    with pytest.raises(ValueError) as caught:
        read([{"prompt": "p", "completion": list(range(100_000))}], Demonstration)
    assert len(str(caught.value)) < 200


def test_wrong_calls_are_refused(tmp_path: Path):
    for source, message in (
        (DatasetDict(train=Dataset.from_list([GOOD[Pair]])), "DatasetDict of train; use one split"),
        (GOOD[Pair], "a dict of prompt, chosen, rejected; use .* a list of rows"),
        ("pairs.pkl", "'pairs.pkl'; use a file that ends in .jsonl"),
    ):
        with pytest.raises(ValueError, match=message):
            read(source, Pair)
    with pytest.raises(FileNotFoundError, match=r"no file .*pairs\.jsonl"):
        read(tmp_path / "pairs.jsonl", Pair)
    with pytest.raises(ValueError, match="on_bad is 'ignore'; use 'refuse' or 'drop'"):
        read([], Pair, on_bad="ignore")
    with pytest.raises(ValueError, match=r"shape is .*; use one of Demonstration, Pair"):
        read([], dict)
