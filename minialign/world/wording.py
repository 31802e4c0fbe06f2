"""The wording of the village: the tables of data/world/*.toml, read when first needed, and checks
that name the file, the place in it and the rule that a slip of the pen breaks."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from string import Formatter
from typing import Any

from minialign.system.folders import data_folder


@cache
def wording(name: str) -> dict[str, Any]:
    """The tables of data/world/NAME.toml ("stories", "plots/making"), read once a process.

    All callers share one dictionary, so none may change it.

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


def check_fields(
    where: str, table: Mapping[str, Any], needed: Collection[str], optional: Collection[str] = ()
) -> None:
    """That a table has every needed field and none but those and the optional ones.

    Raises ValueError with `where` (the file and the place in it), the field and the rule.

    >>> check_fields("world/stories.toml", {"bets": 1}, ["beats"])
    Traceback (most recent call last):
    ValueError: world/stories.toml lacks the field 'beats', which it needs
    """
    for field in needed:
        if field not in table:
            raise ValueError(f"{where} lacks the field {field!r}, which it needs")
    known = (*needed, *optional)
    for field in table:
        if field not in known:
            raise ValueError(f"{where} has the field {field!r}; only {', '.join(known)} are known")


def check_slots(where: str, template: str, slots: Collection[str]) -> None:
    """That every slot of a `str.format` template is filled by somebody.

    Raises ValueError with `where` (file, place and field), the template and the rule.

    >>> check_slots("world/stories.toml, opening", "{Hero} met {pall}.", ["Hero", "pal"])
    Traceback (most recent call last):
    ValueError: world/stories.toml, opening: nothing fills {pall} of '{Hero} met {pall}.'; use \
{Hero}, {pal}
    """
    for _, slot, _, _ in Formatter().parse(template):
        if slot is not None and slot not in slots:
            known = ", ".join(f"{{{known}}}" for known in sorted(slots))
            raise ValueError(f"{where}: nothing fills {{{slot}}} of {template!r}; use {known}")
