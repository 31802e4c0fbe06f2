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
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

FILE = Path(__file__).with_name("methods.toml")
# Arguments of a loop that are made of what a method needs: name -> the need.
MADE_OF = {"critic": "value_model", "extra_loss": "demonstrations"}


@dataclass(frozen=True)
class Method:
    """One method: the loop that runs it, what makes it what it is, and its paper."""

    name: str
    idea: str  # in a few words
    paper: str  # authors and year
    arxiv: str  # identifier, "" where there is none
    notebook: int  # where the course teaches it
    loop: str  # the essay or the general loop, below minialign
    config: dict[str, Any] = field(default_factory=dict)  # fields of the loop's config
    arguments: dict[str, Any] = field(default_factory=dict)  # plain arguments of the loop
    functions: dict[str, Any] = field(default_factory=dict)  # argument -> function of variants
    made_by: str = ""  # the function, below minialign, that makes what the loop is given
    needs: tuple[str, ...] = ()  # what else the loop must be given

    def settings(self, **changes: Any) -> Any:
        """The loop's config with this method's settings, and changes to them."""
        function = _named(self.loop)
        kind = inspect.signature(function).parameters["config"].annotation.split(" | ")[0]
        return getattr(inspect.getmodule(function), kind)(**{**self.config, **changes})

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
    """name -> method, in the order of the course."""
    own = set(Method.__dataclass_fields__) - {"name", "functions"}
    methods = {}
    for name, entry in tomllib.loads(FILE.read_text()).items():
        fields = {key: value for key, value in entry.items() if key in own}
        functions = {key: value for key, value in entry.items() if key not in own}
        fields["needs"] = tuple(fields.get("needs", ()))
        methods[name] = Method(name, functions=functions, **fields)
    return methods


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
