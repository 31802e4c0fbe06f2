"""Tables of data/world/*.toml as checked objects: entries, such as [[danger]], and lists of texts.

Every error says which file, table and field, the rule that is broken, and what to write instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from minialign.world.wording import check_fields, check_slots, wording

T = TypeVar("T")
_KINDS = {"str": str, "int": int, "bool": bool, "tuple[str, ...]": list}  # annotation -> TOML
_SAID = {str: "a text", int: "a whole number", bool: "true or false", list: "a list of texts"}


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
    optional = [f.name for f in fields(kind) if f.default is not MISSING]
    types = {f.name: _KINDS[str(f.type)] for f in fields(kind)}
    found: dict[str, T] = {}
    check_fields(f"world/{name}.toml", wording(name), [key], wording(name))
    for number, table in enumerate(wording(name)[key], 1):
        where = f"world/{name}.toml, {key} {table.get('name', number)!r}"
        check_fields(where, table, needed, optional)
        if table["name"] in found:
            raise ValueError(f"{where}: the name occurs twice; give each {key} its own")
        values = {
            field: _checked(f"{where}, {field}", value, types[field], slots.get(field))
            for field, value in table.items()
        }
        found[table["name"]] = kind(**values)
    return found


def lists(name: str, key: str, slots: Mapping[str, str]) -> dict[str, Sequence[str]]:
    """The fields of the table [key] of data/world/NAME.toml, each a list of texts.

    Args:
        name: the file, without its ending.
        key: the name of the table, or "" for what stands before the first one.
        slots: the fields, and for each the slots of its templates, with spaces between them.

    Raises ValueError if a field is missing or no list of texts, or a template has another slot.
    """
    where, table = f"world/{name}.toml", wording(name)
    for part in key.split(".") if key else ():
        check_fields(where, table, [part], table)
        where, table = f"{where}, {part}", table[part]
    check_fields(where, table, slots, () if key else table)
    return {f: _checked(f"{where}, {f}", table[f], list, slots[f]) for f in slots}


def _checked(where: str, value: Any, kind: type, slots: str | None = None) -> Any:
    """The value of a field, if it is of its kind and its templates have no other slots."""
    if type(value) is not kind:
        raise ValueError(f"{where} is {value!r}; write {_SAID[kind]}")
    if kind is not list:
        texts = [value] if slots else []
    elif not value or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{where} is {value!r}; write a list of at least one text")
    else:
        value = texts = tuple(value)
    for text in texts if slots is not None else ():
        check_slots(where, text, slots.split())
    return value
