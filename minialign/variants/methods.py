"""The registry: every method of the course by name, read from methods.toml.

A variant is a pure function and a table there. The notebooks print it: read down a column, and the
differences between papers are a word each. Where a row departs from its paper, it says so behind
the citation.

    rloo = method("rloo")
    rloo.trainer()(policy, tokenizer, rows, reward, rloo.settings(steps=20))
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

FILE = Path(__file__).with_name("methods.toml")
# Arguments of a loop that are made of what a method needs: name -> the need.
MADE_OF = {"critic": "value_model", "extra_loss": "demonstrations"}
REQUIRED = ("idea", "paper", "arxiv", "notebook", "loop")


@dataclass(frozen=True)
class Method:
    """One method: the loop that runs it, what makes it what it is, and its paper."""

    name: str
    idea: str  # in a few words
    paper: str  # authors and year
    arxiv: str  # identifier, "" where there is none, and why_no_arxiv says why
    notebook: int  # where the course teaches it
    loop: str  # the essay or the general loop, below minialign
    config: dict[str, Any] = field(default_factory=dict)  # fields of the loop's config
    arguments: dict[str, Any] = field(default_factory=dict)  # plain arguments of the loop
    functions: dict[str, Any] = field(default_factory=dict)  # argument -> function of variants
    made_by: str = ""  # the function, below minialign, that makes what the loop is given
    needs: tuple[str, ...] = ()  # what else the loop must be given
    why_no_arxiv: str = ""

    def settings(self, **changes: Any) -> Any:
        """The loop's config with this method's settings, and changes to them."""
        return _config_of(_named(self.loop))(**{**self.config, **changes})

    def trainer(self, **needs: Any) -> Callable:
        """The loop with this method's functions in their places.

        Args:
            needs: what `needs` names: value_model, demonstrations or step_rewards.

        Raises:
            ValueError: if something that it needs is missing, or something else is given.
        """
        if set(needs) != set(self.needs):
            raise ValueError(
                f"{self.name} needs {', '.join(self.needs) or 'nothing'}, but got "
                f"{', '.join(needs) or 'nothing'}; give exactly that"
            )
        given = dict(self.arguments)
        for argument, entry in self.functions.items():
            made_of = MADE_OF.get(argument)
            function = _function(entry)
            given[argument] = function if made_of is None else function(needs.pop(made_of))
        return partial(_named(self.loop), **given, **needs)


def _named(path: str) -> Callable:
    """A function by its name below minialign."""
    module, name = path.rsplit(".", 1)
    return getattr(import_module(f"minialign.{module}"), name)


def _function(entry: str | dict[str, Any]) -> Callable:
    """A function of variants, by name, or with settings."""
    if isinstance(entry, str):
        return _named(f"variants.{entry}")
    settings = {key: value for key, value in entry.items() if key != "function"}
    return partial(_named(f"variants.{entry['function']}"), **settings)


@cache
def registry() -> dict[str, Method]:
    """name -> method, in the order of the course.

    Raises:
        ValueError: if a row of the file is not what the loops take, by row and key.
    """
    return read(FILE.read_text())


def read(text: str) -> dict[str, Method]:
    """name -> method of a text in TOML, each key checked against what its loop takes."""
    own = set(Method.__dataclass_fields__) - {"name", "functions"}
    methods = {}
    for name, entry in tomllib.loads(text).items():
        fields = {key: value for key, value in entry.items() if key in own}
        functions = {key: value for key, value in entry.items() if key not in own}
        if missing := [key for key in REQUIRED if key not in fields]:
            raise ValueError(f"row {name} has no {missing[0]}; add it")
        fields["needs"] = tuple(fields.get("needs", ()))
        methods[name] = Method(name, functions=functions, **fields)
        _check(methods[name])
    return methods


def _check(row: Method) -> None:
    """Raise ValueError for the first key of a row that names nothing."""
    loop = _looked_up(row.name, "loop", row.loop)
    takes = set(inspect.signature(loop).parameters)
    for kind, keys in (("arguments", row.arguments), ("functions", row.functions)):
        _subset(row.name, f"{row.loop} for its {kind}", keys, takes)
    made_of = {MADE_OF[key] for key in row.functions if key in MADE_OF}
    _subset(row.name, f"{row.loop} for its needs", row.needs, takes | made_of)
    if missing := sorted(made_of - set(row.needs)):
        raise ValueError(f"row {row.name} is made of {missing[0]}; add it to needs")
    config = _config_of(loop)
    _subset(row.name, config.__name__, row.config, config.__dataclass_fields__)
    if row.made_by:
        _looked_up(row.name, "made_by", row.made_by)
    for key, entry in row.functions.items():
        if not isinstance(entry, str | dict):
            raise ValueError(
                f"row {row.name}: {key} is {entry!r}; name a function of variants, or give a table "
                "of one and its settings"
            )
        path = entry if isinstance(entry, str) else entry.get("function", "")
        function = _looked_up(row.name, key, f"variants.{path}")
        settings = {} if isinstance(entry, str) else set(entry) - {"function"}
        _subset(row.name, path, settings, inspect.signature(function).parameters)
    if not row.arxiv and not row.why_no_arxiv:
        raise ValueError(f"row {row.name} has no arxiv; give the identifier, or why_no_arxiv")
    try:
        row.settings()
    except (TypeError, ValueError) as error:
        raise ValueError(f"row {row.name}, config: {error}") from error


def _looked_up(row: str, key: str, path: str) -> Callable:
    """`_named`, or an error that says which row names what is not there."""
    try:
        return _named(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"row {row}, {key}: there is no minialign.{path}; name a function that there is"
        ) from error


def _subset(row: str, what: str, keys: Iterable[str], known: Iterable[str]) -> None:
    """Raise ValueError for the first key that is not known."""
    if strange := [key for key in keys if key not in known]:
        raise ValueError(
            f"row {row}: {what} takes no {strange[0]!r}; use one of {', '.join(sorted(known))}"
        )


def _config_of(loop: Callable) -> type:
    """The dataclass of a loop's settings."""
    name = inspect.signature(loop).parameters["config"].annotation.split(" | ")[0]
    return getattr(inspect.getmodule(loop), name)


def method(name: str) -> Method:
    """A row by its name; an unknown name lists those that there are."""
    if name not in registry():
        raise ValueError(f"method {name!r} is unknown; use one of {', '.join(registry())}")
    return registry()[name]


def table(*loops: str) -> pd.DataFrame:
    """The registry as a table: of the loops whose functions are named, such as "train_policy".

    Columns: idea, paper, arxiv, loop, one for each function that a row names, and settings.
    """
    rows = []
    for one in registry().values():
        loop = one.loop.rsplit(".", 1)[1]
        if loops and loop not in loops:
            continue
        functions = {key: _short(entry) for key, entry in one.functions.items()}
        settings = {**one.config, **one.arguments}
        row = {"name": one.name, "idea": one.idea, "paper": one.paper, "arxiv": one.arxiv}
        row |= {"loop": loop, **functions}
        row["settings"] = ", ".join(f"{key}={value!r}" for key, value in settings.items())
        if one.made_by:
            row["made_by"] = one.made_by.rsplit(".", 1)[1]
        rows.append(row)
    return pd.DataFrame(rows).set_index("name").fillna("")


def _short(entry: str | dict[str, Any]) -> str:
    """A function and its settings in a cell of the table."""
    if isinstance(entry, str):
        return entry.rsplit(".", 1)[1]
    settings = ", ".join(f"{key}={value}" for key, value in entry.items() if key != "function")
    return f"{entry['function'].rsplit('.', 1)[1]}({settings})"
