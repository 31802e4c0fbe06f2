"""The wording and dials of the village: the tables of data/world/*.toml, read once and checked.

A slip of the pen is a ValueError that names the file, the entry and the field, the rule that it
breaks, and what to write instead.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, fields
from functools import cache
from math import fsum, inf, isclose, isfinite
from string import Formatter
from typing import Any, TypeVar

from minialign.system.folders import data_folder

T = TypeVar("T")
_KINDS = {  # annotation of a dataclass's field -> type in TOML, and how an error calls it
    "str": (str, "a text"),
    "int": (int, "a whole number"),
    "bool": (bool, "true or false"),
}


@cache
def wording(name: str) -> dict[str, Any]:
    """What data/world/NAME.toml holds, such as "plots/making"; all share it, so none may change it.

    Raises FileNotFoundError if there is no such file, and ValueError if it is not TOML.
    """
    path = data_folder() / "world" / f"{name}.toml"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing, which holds wording of the village; restore it from the "
            "repository, or set MINIALIGN_DATA to the data folder of a whole clone"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}; mend that line") from error


class Table(dict[str, Any]):
    """A table of a file that knows its place there, so that its errors can say it.

    >>> Table("world/stories.toml", {"bets": 1})["beats"]
    Traceback (most recent call last):
    ValueError: world/stories.toml lacks the field 'beats'; add it
    """

    def __init__(self, where: str, table: Mapping[str, Any]) -> None:
        super().__init__(table)
        self.where = where

    def __missing__(self, field: str) -> Any:
        raise ValueError(f"{self.where} lacks the field {field!r}; add it")

    def slip(self, field: str, rule: str) -> ValueError:
        """The error of a field that breaks a rule; the rule ends with the repair."""
        return ValueError(f"{self.where}, {field}: {rule}")

    def only(self, needed: Iterable[str], optional: Iterable[str] = ()) -> Table:
        """This table, which must have all needed fields and none but those and the optional."""
        known = {**dict.fromkeys(needed), **{field: self[field] for field in needed}}
        known |= dict.fromkeys(optional)
        for field in self:
            if field not in known:
                raise ValueError(
                    f"{self.where} has the field {field!r}; only {', '.join(known)} are known"
                )
        return self

    def table(self, field: str) -> Table:
        """The table [field] in this one."""
        return Table(f"{self.where}, {field}", self[field])

    def tables(self, field: str) -> list[Table]:
        """The tables [[field]] in this one; their names, or else their numbers, tell the place."""
        return [
            Table(f"{self.where}, {field} {table.get('name', number)!r}", table)
            for number, table in enumerate(self[field], start=1)
        ]

    def some(self, field: str, of: type = object) -> list[Any]:
        """A list of at least one value of a type."""
        values = self[field]
        if not (isinstance(values, list) and values and all(isinstance(v, of) for v in values)):
            noun = "text" if of is str else "entry"
            raise self.slip(field, f"{values!r} will not do; write a list of at least one {noun}")
        return values

    def texts(self, field: str, slots: Collection[str] | None = None) -> tuple[str, ...]:
        """A list of at least one text; if slots are given, templates that have no others."""
        texts = self.some(field, str)
        for text in texts if slots is not None else ():
            self.template(field, text, slots)
        return tuple(texts)

    def template(self, field: str, text: str, slots: Collection[str]) -> str:
        """The text, each of whose `str.format` slots must be among `slots`.

        >>> Table("world/stories.toml", {}).template("opening", "{Hero} met {pall}.", ["Hero"])
        Traceback (most recent call last):
        ValueError: world/stories.toml, opening: nothing fills {pall} of '{Hero} met {pall}.'; use \
{Hero}
        """
        for _, slot, _, _ in Formatter().parse(text):
            if slot is not None and slot not in slots:
                known = ", ".join(f"{{{name}}}" for name in sorted(slots))
                raise self.slip(field, f"nothing fills {{{slot}}} of {text!r}; use {known}")
        return text

    def known(self, field: str, values: Iterable[str], allowed: Collection[str]) -> None:
        """That all values, which the field holds, are among those that are allowed."""
        for value in values:
            if value not in allowed:
                raise self.slip(field, f"{value!r} is unknown; use one of {', '.join(allowed)}")

    def number(
        self, field: str, low: float = 0, high: float = inf, *, whole: bool = False
    ) -> Any:  # an int or a float, as it is written
        """A finite number from `low` to `high`, a whole one if it must be."""
        value = self[field]
        right = type(value) is int if whole else type(value) in (int, float)
        if not (right and low <= value <= high and isfinite(value)):
            kind = "whole number" if whole else "number"
            span = f" of {low:g} or more" if high == inf else f" from {low:g} to {high:g}"
            span = "" if low == -inf else span
            raise self.slip(field, f"{value!r} will not do; write a {kind}{span}")
        return value

    def rates(self, names: Iterable[str]) -> dict[str, float]:
        """All fields, which have these names, each a number from 0 to 1."""
        return {field: self.number(field, high=1) for field in self.only(names)}

    def weights(self, names: Iterable[str], whole: bool = False) -> dict[str, float]:
        """All fields, which have these names, each a number of 0 or more, and not all of them 0."""
        found = {field: self.number(field, whole=whole) for field in self.only(names)}
        if not any(found.values()):
            raise ValueError(f"{self.where}: all fields are 0; give at least one of them more")
        return found

    def shares(self, names: Iterable[str]) -> dict[str, float]:
        """All fields, which have these names, each a number from 0 to 1, and together 1.

        >>> Table("world/dials.toml, answers", {"kind": 0.5, "rude": 0.6}).shares(["kind", "rude"])
        Traceback (most recent call last):
        ValueError: world/dials.toml, answers: the shares sum to 1.1; make them sum to 1
        """
        found = self.rates(names)
        if not isclose(total := fsum(found.values()), 1, abs_tol=1e-9):
            raise ValueError(f"{self.where}: the shares sum to {total:g}; make them sum to 1")
        return found

    def lists(self, slots: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """All fields, each a list of texts; `slots` names those of each field's templates."""
        self.only(slots)
        return {field: self.texts(field, names.split()) for field, names in slots.items()}


def read(name: str) -> Table:
    """The file data/world/NAME.toml as a table."""
    return Table(f"world/{name}.toml", wording(name))


def dial_values(section: str) -> Table:
    """The values of a section of data/world/dials.toml, in the section's tables, without the rest.

    Raises ValueError if a dial lacks its value or its meaning, or has what no dial has.
    """
    return _values(read("dials").table(section))


def _values(table: Table) -> Table:
    found = {}
    for name in table:
        if name == "unit":  # of all dials of the table
            continue
        if not isinstance(table[name], dict):
            rule = 'write a dial, such as { value = 0.5, meaning = "Half of them." }'
            raise table.slip(name, f"{table[name]!r} will not do; {rule}")
        inner = table.table(name)
        if is_dial(inner):
            found[name] = inner.only(("value", "meaning"), ("unit",))["value"]
            if not (isinstance(inner["meaning"], str) and inner["meaning"]):
                raise inner.slip("meaning", f"{inner['meaning']!r} will not do; write a sentence")
        else:
            found[name] = _values(inner)
    return Table(table.where, found)


def is_dial(table: Table) -> bool:
    """Whether a table of data/world/dials.toml is a dial; the others hold nothing but tables."""
    return not all(isinstance(field, dict) for name, field in table.items() if name != "unit")


def entries(kind: type[T], name: str, key: str, slots: Mapping[str, str]) -> dict[str, T]:
    """The tables [[key]] of data/world/NAME.toml by their names, in the file's order.

    Args:
        kind: a dataclass whose fields, "name" among them, are those of a table. Fields are texts,
            whole numbers, booleans or lists of texts.
        name: the file, without its ending.
        key: the name of the tables.
        slots: the slots of each field that holds templates, with spaces between them.

    Raises ValueError if a name occurs twice, a field is missing, unknown or of another type, or a
    template has another slot.
    """
    needed = [f.name for f in fields(kind) if f.default is MISSING]
    found: dict[str, T] = {}
    for table in read(name).tables(key):
        table.only(needed, [f.name for f in fields(kind)])
        if table["name"] in found:
            raise table.slip("name", f"it occurs twice; give each {key} its own")
        for field in fields(kind):
            if field.name in table:
                table[field.name] = _checked(table, field.name, str(field.type), slots)
        found[table["name"]] = kind(**table)
    return found


def _checked(table: Table, field: str, annotation: str, slots: Mapping[str, str]) -> Any:
    """The value of a field, which must be of its kind and whose templates have no other slots."""
    names = slots[field].split() if field in slots else None
    if annotation == "tuple[str, ...]":
        return table.texts(field, names)
    kind, article = _KINDS[annotation]
    if type(table[field]) is not kind:
        raise table.slip(field, f"{table[field]!r} will not do; write {article}")
    return table.template(field, table[field], names) if names else table[field]


def of_split(found: Iterable[T], split: str) -> tuple[T, ...]:
    """Those that are `held_out` for the split "test", all others for "train"."""
    return tuple(one for one in found if one.held_out == (split == "test"))  # type: ignore[attr-defined]
