"""Tables of data/world as objects: a slip is named with file, entry, field, rule and repair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from minialign.world import tables as module
from minialign.world.problems import Template, checked
from minialign.world.tables import entries, read, wording


@dataclass(frozen=True)
class Shop:
    name: str
    goods: tuple[str, ...]
    rooms: int
    sign: str = "Shop"
    open: bool = True


GOOD = 'name = "inn"\ngoods = ["jam"]\nrooms = 2\n'


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a stand-in for a file of data/world, which is forgotten afterwards."""
    (tmp_path / "world").mkdir()
    monkeypatch.setattr(module, "data_folder", lambda: tmp_path)
    wording.cache_clear()
    yield (tmp_path / "world" / "shops.toml").write_text
    wording.cache_clear()


def test_entries_are_objects_by_their_names(write) -> None:
    write(f'[[shop]]\n{GOOD}[[shop]]\nname = "mill"\ngoods = ["rye"]\nrooms = 1\nopen = false\n')
    found = entries(Shop, "shops", "shop", {"goods": ""})
    assert found == {"inn": Shop("inn", ("jam",), 2), "mill": Shop("mill", ("rye",), 1, open=False)}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('goods = ["jam"]\nrooms = 2', "shop 1 lacks the field 'name'; add it"),
        (GOOD + "doors = 1", "shop 'inn' has the field 'doors'; only name, goods, rooms, sign"),
        (GOOD.replace("2", "true"), "shop 'inn', rooms: True will not do; write a whole number"),
        (GOOD.replace("2", "2.5"), r"shop 'inn', rooms: 2\.5 will not do; write a whole"),
        (GOOD.replace('["jam"]', '"jam"'), "shop 'inn', goods: 'jam' will not do; write a list"),
        (
            GOOD.replace('["jam"]', "[]"),
            r"goods: \[\] will not do; write a list of at least one text",
        ),
        (
            GOOD.replace('["jam"]', "[1]"),
            r"goods: \[1\] will not do; write a list of at least one text",
        ),
        (GOOD.replace('"jam"', '"{jam}"'), r"goods: nothing fills \{jam\} of '\{jam\}'; use \{x\}"),
        (GOOD + 'sign = "{y}"', r"shop 'inn', sign: nothing fills \{y\} of '\{y\}'; use \{x\}"),
        (f"{GOOD}[[shop]]\n{GOOD}", "shop 'inn', name: it occurs twice; give each shop its own"),
    ],
)
def test_a_slip_in_an_entry_is_named(write, table: str, message: str) -> None:
    write(f"[[shop]]\n{table}\n")
    with pytest.raises(ValueError, match=message) as error:
        entries(Shop, "shops", "shop", {"goods": "x", "sign": "x"})
    assert str(error.value).startswith("world/shops.toml, shop ")


def test_a_file_without_the_tables_is_named(write) -> None:
    write("")
    with pytest.raises(ValueError, match=r"world/shops\.toml lacks the field 'shop'"):
        entries(Shop, "shops", "shop", {})
    with pytest.raises(ValueError, match=r"world/shops\.toml lacks the field 'words'"):
        read("shops").table("words")


def test_lists_are_checked(write) -> None:
    write('greetings = ["Hello {who}."]\n[words.kind]\na = ["good"]\n')
    kind = read("shops").table("words").table("kind")
    assert read("shops").texts("greetings", ["who"]) == ("Hello {who}.",)
    assert kind.lists({"a": ""}) == {"a": ("good",)}
    with pytest.raises(ValueError, match=r"shops\.toml, words, kind lacks the field 'b'"):
        kind.lists({"a": "", "b": ""})
    with pytest.raises(ValueError, match=r"shops\.toml, words, kind has the field 'a'"):
        kind.lists({})
    with pytest.raises(ValueError, match=r"shops\.toml, greetings: nothing fills \{who\}"):
        read("shops").texts("greetings", ["name"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": 6}, "level: 6 will not do; use a level of 1-5"),
        ({"notes": ()}, "notes: 0 notes for 1 steps will not do; write one note for each step"),
        (
            {"steps": ("a + p",)},
            r"steps: 'a \+ p' will not do; write two of a, b or digits with one of",
        ),
        ({"steps": ("a / b",)}, r"steps: 'a / b' will not do; .* a, b or digits with one of \+ -"),
        ({"steps": ("a b",)}, "steps: 'a b' will not do; write two"),
        (
            {"prompts": ("{a} and {b}?", "{a}?")},
            r"prompts: '\{a\}\?' will not do; state the numbers of the first prompt, \{a\}, \{b\}",
        ),
        ({"held_out_prompts": ("{a}, {b}, {c}?",)}, "held_out_prompts: .* state the numbers"),
        ({"held_out_prompts": ("{a} and {b}?",)}, "held_out_prompts: .* occurs twice; leave one"),
        (
            {"held_out_prompts": ("{b} and {a}?",), "held_out": True},
            "held_out_prompts: no prompt of a held-out template .*; move them to prompts",
        ),
    ],
)
def test_a_problem_that_cannot_be_worked_is_named(change: dict, message: str) -> None:
    good = {"name": "find", "level": 1, "prompts": ("{a} and {b}?",), "steps": ("a + b",)}
    assert checked(Template(**good, notes=("{eq}",))).plan == [("a", "+", "b")]
    with pytest.raises(ValueError, match=rf"world/problems\.toml, template 'find', {message}"):
        checked(Template(**{**good, "notes": ("{eq}",), **change}))
