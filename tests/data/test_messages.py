"""A file, a name or a profile that cannot be used says what it is and what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset
from datasets.exceptions import DatasetNotFoundError

from minialign.course import profiles
from minialign.data import sources as public_data
from minialign.data.reading import read, read_public
from minialign.data.shapes import Demonstration
from minialign.data.training_rows import demonstrations_of
from minialign.system import hub

ROWS = [{"prompt": f"p{i}", "completion": "c"} for i in range(50)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def zipped(data: bytes) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("rows.jsonl", data)
        return file.getvalue()


# --- Files that are not what their names say ---

FOREIGN: dict[str, tuple[str, bytes, str]] = {
    "UTF-16 with a mark": ("a.jsonl", LINES.decode().encode("utf-16"), "UTF-16; save it as UTF-8"),
    "UTF-16, big end first": ("a.jsonl", b"\xfe\xff" + LINES.decode().encode("utf-16-be"),
                              "UTF-16; save it as UTF-8"),
    "UTF-16 without a mark": ("a.jsonl", LINES.decode().encode("utf-16-le"), "UTF-16 or no text"),
    "UTF-32": ("a.json", LINES.decode().encode("utf-32"), "UTF-16"),
    "a pointer": ("a.jsonl", POINTER, "a Git LFS pointer, not the data; run git lfs pull"),
    "a pointer of parquet": ("a.parquet", POINTER, "a Git LFS pointer, not the data; run git lfs"),
    "a pointer of gz": ("a.jsonl.gz", POINTER, "a Git LFS pointer, not the data; run git lfs pull"),
    "cut gz": ("a.jsonl.gz", gzip.compress(LINES)[:-20], "is cut short .*download or pack"),
    "gz of a few bytes": ("a.jsonl.gz", gzip.compress(LINES)[:12], "is cut short at its start"),
    "damaged gz": ("a.jsonl.gz", gzip.compress(LINES)[:60] + b"x" * 90, "is damaged .* again"),
    "cut gz of a list": ("a.json.gz", gzip.compress(json.dumps(ROWS).encode())[:-9],
                         "is cut short"),
    "a zip archive": ("a.jsonl", zipped(LINES), "a zip archive; unpack it"),
    "zip in gz": ("a.jsonl.gz", gzip.compress(zipped(LINES)), "a zip archive; unpack it"),
    "bzip2": ("a.jsonl", bz2.compress(LINES), "compressed by bzip2; unpack it"),
    "xz": ("a.jsonl", lzma.compress(LINES), "compressed by xz; unpack it"),
    "zstd": ("a.jsonl", b"\x28\xb5\x2f\xfd" + LINES, "compressed by zstd; unpack it"),
    "parquet's bytes": ("a.jsonl", b"PAR1" + LINES, "a parquet file; let its name end in .parquet"),
    "a page": ("a.jsonl", b"\n<!DOCTYPE html><p>404", "HTML or XML, perhaps the page of an error"),
    "nothing": ("a.jsonl", b"", "a.jsonl is empty; write one JSON object per line"),
    "nothing in gz": ("a.jsonl.gz", gzip.compress(b""), "is empty"),
    "a mark and nothing": ("a.jsonl", b"\xef\xbb\xbf", "no row of columns"),
    "blank lines": ("a.json", b"\n \n", "no row of columns"),
    "no parquet": ("a.parquet", LINES, "is no parquet file"),
    "nothing in parquet": ("a.parquet", b"", "is no parquet file"),
    "an object of lists": ("a.json", json.dumps({"version": 1, "data": ROWS}, indent=1).encode(),
                           "one JSON object over several lines; write the list 'data' alone"),
    "an object": ("a.jsonl", json.dumps(ROWS[0], indent=1).encode(), "write one object per line"),
    "half a list": ("a.json", json.dumps(ROWS)[:99].encode(), "is no JSON .*a list of objects"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOREIGN)
def test_what_a_file_is_is_said(case: str, tmp_path: Path):
    name, data, message = FOREIGN[case]
    (tmp_path / name).write_bytes(data)
    for call in (lambda: read_public(tmp_path / name), lambda: read_public(str(tmp_path / name))):
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


READABLE: dict[str, tuple[str, bytes]] = {
    "a list in .jsonl": ("a.jsonl", json.dumps(ROWS).encode()),
    "a list on many lines in .jsonl": ("a.jsonl", json.dumps(ROWS, indent=1).encode()),
    "a list after a mark": ("a.json", b"\xef\xbb\xbf" + json.dumps(ROWS).encode()),
    "lines in .json": ("a.json", LINES),
    "plain text in .gz": ("a.jsonl.gz", LINES),
    "gz without .gz": ("a.jsonl", gzip.compress(LINES)),
    "a list in gz without .gz": ("a.json", gzip.compress(json.dumps(ROWS).encode())),
    "CRLF and a mark": ("a.jsonl", b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n")),
}


@pytest.mark.parametrize("case", READABLE)
def test_what_can_be_read_all_the_same_is_read(case: str, tmp_path: Path):
    name, data = READABLE[case]
    (tmp_path / name).write_bytes(data)
    assert read_public(tmp_path / name, on_bad="refuse") == [Demonstration(**row) for row in ROWS]


def test_a_file_that_is_cut_after_a_while_says_where(tmp_path: Path):
    many = b"".join(json.dumps({"prompt": str(i), "completion": "c" * (i % 97)}).encode() + b"\n"
                    for i in range(1, 20_000))  # fmt: skip
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(many)[:-200])
    with pytest.raises(ValueError, match=r"^a\.jsonl\.gz is cut short after line 1\d{4}; download"):
        read(tmp_path / "a.jsonl.gz", Demonstration, on_bad="drop")


def test_a_text_in_parquet_that_is_not_utf8_is_counted(tmp_path: Path):
    import pyarrow as pa
    from pyarrow import parquet

    texts = pa.array([b"p", b"\xff", b"r"]).view(pa.string())
    parquet.write_table(
        pa.table({"prompt": texts, "completion": ["c"] * 3}), tmp_path / "a.parquet"
    )
    found = read_public(tmp_path / "a.parquet")
    assert found.numbers == [1, 3] and found.dropped == {"wrong type": [2]}


# --- Names that are those of no file ---


def in_folder(folder: Path, name: str) -> str:
    return str(folder / name)


OTHER_KINDS = {
    "rows.csv": r"pandas\.read_csv\(path\)\.to_json", "rows.tsv": "read_csv.*sep=",
    "rows.xlsx": "read_excel", "rows.arrow": "from_file", "rows.txt": "one JSON object per line",
    "rows.zip": "unpack it", "rows.pkl": "may run code", "rows.csv.gz": "must say what is within",
    "rows.yaml": "rename it",
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_KINDS)
@pytest.mark.parametrize("there", [True, False])
def test_a_file_of_another_kind(name: str, there: bool, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "answers", lambda: pytest.fail("the hub was asked"))
    if there:
        (tmp_path / name).write_bytes(LINES)
    elif name.endswith(".yaml"):
        return  # could be a name of the hub
    for source in (name, f"./{name}", Path(name)):
        with pytest.raises(ValueError, match=rf"ends in \.jsonl.*{OTHER_KINDS[name]}"):
            read_public(source)


MISSPELT = ["./nowhere.jsonl", "../nowhere", "/nowhere/rows.jsonl", "~/nowhere.json", "rows.jsonl",
            "data/rows.parquet", "./no/where/at/all", ".\\rows.jsonl"]  # fmt: skip


@pytest.mark.parametrize("name", MISSPELT)
def test_a_path_to_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "answers", lambda: pytest.fail("the hub was asked"))
    with pytest.raises(FileNotFoundError, match=r"there is no file .*; (its|there is no) folder"):
        read_public(name)


def test_a_path_that_is_nearly_right(tmp_path: Path):
    (tmp_path / "alpaca_rows.jsonl").write_bytes(LINES)
    with pytest.raises(FileNotFoundError, match=r"did you mean .*/alpaca_rows\.jsonl\?"):
        read_public(in_folder(tmp_path, "alpaca_row.jsonl"))


def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "rows").mkdir(parents=True)
    (tmp_path / "owner" / "rows.jsonl").mkdir()
    for source in ("owner/rows", Path("owner/rows"), "owner/rows.jsonl"):
        with pytest.raises(ValueError, match=r"is a folder; it holds no file that ends in \.jsonl"):
            read_public(source)
    (tmp_path / "owner" / "rows" / "a.jsonl").write_bytes(LINES)
    with pytest.raises(ValueError, match=r"is a folder; name one of its files, .*rows/a\.jsonl"):
        read_public("owner/rows")
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    with pytest.raises(ValueError, match=r"is a folder; write its rows .*load_from_disk"):
        read_public("saved")


NO_NAMES = ["my data", "a/b/c", "owner/", "/", "owner//name", "https://example.org/rows", "", "-",
            "owner/na me:main", "what?", "a" * 200, ":", "a..b/c"]  # fmt: skip


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_is_none(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub, "answers", lambda: pytest.fail("the hub was asked"))
    with pytest.raises(ValueError, match=r"neither a file here nor a name of the hub|is a folder"):
        read_public(name)


@pytest.mark.parametrize("source", [5, None, 2.5, b"rows.jsonl", {"train": ROWS}])
def test_what_is_no_name_at_all(source: object):
    with pytest.raises(ValueError, match=r"source is .*use"):
        read_public(source)
    with pytest.raises(ValueError, match=r"source is .*use"):
        read(source, Demonstration)


def failing(error: Exception) -> Callable:
    def load_dataset(*args, **settings):
        raise error

    return load_dataset


def test_what_the_hub_refuses_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(public_data, "require_hub", lambda what: None)
    monkeypatch.setattr("datasets.load_dataset", failing(DatasetNotFoundError("x\ny")))
    with pytest.raises(FileNotFoundError, match="the hub has no data set owner/name that may be r"):
        read_public("owner/name")
    monkeypatch.setattr("datasets.load_dataset", failing(ValueError("Config name is missing.")))
    with pytest.raises(ValueError, match=r"\(Config name is missing.*\); name a subset as owner/n"):
        read_public("owner/name")


def test_a_silent_hub_says_that_there_is_no_such_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub, "answers", lambda: False)
    with pytest.raises(ConnectionError, match="no file data/rows here, and the data set data/rows"):
        demonstrations_of("data/rows", None, 9)


# --- Profiles ---


@pytest.mark.parametrize("name", [5, 0, 2.5, True, False, ["smoke"], b"smoke", {"steps": 4}])
def test_a_profile_that_is_no_name(name: object):
    with pytest.raises(ValueError, match=r"^profile is .* but must be a name: use one of smoke"):
        profiles.get(name)


@pytest.mark.parametrize("name", ["", "5", "smok", "smoke, steps", "smoke, steps=" + "9" * 5000])
def test_a_profile_that_is_unknown(name: str):
    with pytest.raises(ValueError, match="but "):
        profiles.get(name)


def test_on_bad_is_one_of_two():
    with pytest.raises(ValueError, match="on_bad is 'ignore'; use 'refuse' or 'drop'"):
        read_public(ROWS, on_bad="ignore")
