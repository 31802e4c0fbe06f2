"""Entries: tables of one kind in a file of wording, such as [[danger]], as checked objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from minialign.world.wording import check_fields, check_slots, wording

T = TypeVar("T")
_KINDS = {"str": str, "int": int, "bool": bool, "tuple[str, ...]": list}  # annotation -> TOML


def entries(kind: type[T], name: str, key: str) -> dict[str, T]:
    """The tables [[key]] of data/world/NAME.toml by their names, in the file's order.

    Args:
        kind: a dataclass whose fields, "name" among them, are those of a table. Fields are texts,
            whole numbers, booleans or lists of texts.
        name: the file, without its ending.
        key: the name of the tables.

    Raises ValueError if a name occurs twice, or a field is missing, unknown or of another type; the
    message says which file, entry and field, the rule, and what to do.
    """
    needed = [f.name for f in fields(kind) if f.default is MISSING]
    optional = [f.name for f in fields(kind) if f.default is not MISSING]
    found: dict[str, T] = {}
    for number, table in enumerate(wording(name)[key], 1):
        where = place(name, key, table.get("name", f"number {number}"))
        check_fields(where, table, needed, optional)
        if table["name"] in found:
            raise ValueError(f"{where}: the name occurs twice; give each {key} its own")
        values = {}
        for field in fields(kind):
            if field.name in table:
                values[field.name] = _value(where, field.name, table[field.name], str(field.type))
        found[table["name"]] = kind(**values)
    return found


def place(name: str, key: str, entry: str) -> str:
    """Where an entry stands, as errors say it.

    >>> place("dangers", "danger", "ice")
    "world/dangers.toml, danger 'ice'"
    """
    return f"world/{name}.toml, {key} {entry!r}"


def check_templates(where: str, field: str, templates: Iterable[str], slots: str) -> None:
    """That each template of a field has no slots but these, named with spaces between them.

    Raises ValueError with the entry, the field, the template and the slots that there are.
    """
    for template in templates:
        check_slots(f"{where}, {field}", template, slots.split())


def _value(where: str, field: str, value: Any, annotation: str) -> Any:
    kind = _KINDS[annotation]
    if type(value) is not kind:
        raise ValueError(f"{where}, {field} is {value!r}; write a {kind.__name__}")
    if kind is not list:
        return value
    if not value or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{where}, {field} is {value!r}; write a list of at least one text")
    return tuple(value)
