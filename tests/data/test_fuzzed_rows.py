"""Whatever a row holds, a reader keeps it or counts it: nothing else is raised, no row is lost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from public_rows import COLUMNS, VALID, mutations
from slowness import slow_but
from tiny_models import small_tokenizer

from minialign.data.formats import FORMATS, told_by
from minialign.data.reading import Rows, read_public
from minialign.data.training_rows import comparisons_of, demonstrations_of, problems_of
from minialign.rewards.public_answers import public_answer, renderings

FEW, MANY = 500, 20_000  # mutated rows of each format
TOKENIZER = small_tokenizer()


def assert_all_accounted(found: Rows, given: int):
    """Kept and dropped rows are those given, each once, and every message can be printed."""
    numbers = found.numbers + [n for dropped in found.dropped.values() for n in dropped]
    assert sorted(numbers) == list(range(1, given + 1))
    assert len(found.numbers) == len(found)
    assert found.why.keys() == found.dropped.keys()
    for message in found.why.values():
        message.encode()
        assert len(message) < 800


def texts(example: object) -> list[str]:
    """Every text of an example."""
    found = []
    for value in vars(example).values():
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list):
            assert all(set(message) == {"role", "content"} for message in value)
            found += [message["content"] for message in value]
    return found


def test_every_format_has_a_valid_row():
    assert VALID.keys() == FORMATS.keys()
    for name, row in VALID.items():
        assert told_by(row) == name
        assert len(read_public([row], FORMATS[name].shape, on_bad="refuse")) == 1


@pytest.mark.parametrize("many", slow_but([FEW, MANY], FEW))
@pytest.mark.parametrize("name", FORMATS)
def test_mutated_rows_are_kept_or_counted(name: str, many: int):
    shape = FORMATS[name].shape
    rows = [VALID[name], *mutations(VALID[name], many, name)]
    found = read_public(rows, shape)
    assert_all_accounted(found, many + 1)
    assert many / 50 < len(found) < many * 0.95  # mutations that all fail, or never, test nothing
    for example in found:
        assert isinstance(example, shape)
        for text in texts(example):
            text.encode()


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_lines_of_a_file_are_kept_or_counted(name: str, tmp_path: Path):
    random, lines = Random(name), [json.dumps(VALID[name]).encode()]
    for _ in range(400):
        line = bytearray(lines[0])
        for _ in range(random.choice((1, 1, 3))):
            line[random.randrange(len(line))] = random.choice(b'\x00\x80\xff{}[]":,1e\\u ')
        lines.append(bytes(line))
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines))
    assert_all_accounted(read_public(tmp_path / "rows.jsonl", FORMATS[name].shape), len(lines))


def test_damaged_files_are_read_or_refused_in_a_sentence(tmp_path: Path):
    random = Random(0)
    plain = json.dumps([VALID["alpaca"]] * 20).encode()
    kinds = {"a.json": plain, "a.json.gz": gzip.compress(plain), "a.jsonl": plain[1:-1]}
    for i in range(600):
        name, whole = random.choice(list(kinds.items()))
        data = bytearray(whole[: random.randint(0, len(whole))] if i % 2 else whole)
        for _ in range(random.choice((0, 1, 2))):
            if data:
                data[random.randrange(len(data))] = random.randrange(256)
        (tmp_path / name).write_bytes(data)
        try:
            found = read_public(tmp_path / name)
        except ValueError as error:
            assert len(str(error)) < 2000
        else:
            assert len(found) + sum(map(len, found.dropped.values())) >= 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(COLUMNS), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(st.sampled_from(sorted(FORMATS)), st.dictionaries(st.sampled_from(COLUMNS), JSON))
def test_any_columns_beside_valid_ones_are_kept_or_counted(name: str, columns: dict):
    rows = [VALID[name], {**VALID[name], **columns}, columns]
    found = read_public([VALID[name], *rows], FORMATS[name].shape)
    assert_all_accounted(found, 4)
    assert found.numbers[:2] == [1, 2]


@pytest.mark.parametrize("name", ["alpaca", "messages", "demonstrations", "preferences"])
def test_what_the_loops_get_accounts_for_every_row_too(name: str, capsys):
    rows = [VALID[name], *mutations(VALID[name], 600, f"{name} encoded")]
    of = comparisons_of if name == "preferences" else demonstrations_of
    for n in (1, 350, 9999):
        found = of(rows, TOKENIZER, n, max_length=64)
        assert_all_accounted(found, min(n, len(rows)))


@pytest.mark.parametrize("name", ["worked", "boxed", "problems", "multiple_choice"])
def test_every_problem_that_is_kept_can_be_paid(name: str, capsys):
    rows = [VALID[name], *mutations(VALID[name], 150, f"{name} paid")]
    found = problems_of(rows, 140)
    assert_all_accounted(found, 140)
    for row in found:
        said = renderings(row["answer"])
        assert set(public_answer(said, said, answer=[row["answer"]] * len(said))) == {1.0}
