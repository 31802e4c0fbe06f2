"""What of the course is run, and how: notebooks, their parameters, and where copies go."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minialign.course import profiles
from minialign.course.execution import notebooks as files

_PACKAGE = Path(__file__).resolve().parents[2]
Value = int | float | bool | str | None


@dataclass(frozen=True)
class Plan:
    """What is to be run; made by `plan`, which refuses what cannot be run."""

    notebooks: tuple[Path, ...]
    parameters: dict[Path, dict[str, Value]]  # what papermill puts into each notebook
    profile: str | None  # None is each notebook's own
    jobs: int  # notebooks at a time
    out: Path  # folder of the page and the executed copies


def notebook_folder() -> Path:
    """The notebooks of the course, found from a clone, an editable install or a folder in one.

    Looked for in this order: the environment variable MINIALIGN_NOTEBOOKS (which must be right if
    it is set), beside the package, in `notebooks` of the current directory and its parents, and in
    `minialign/notebooks` of the current directory.

    Raises FileNotFoundError if there is none, or if MINIALIGN_NOTEBOOKS names another folder.
    """
    if named := os.environ.get("MINIALIGN_NOTEBOOKS"):
        folder = Path(named).expanduser().resolve()
        if not numbered(folder):
            raise FileNotFoundError(
                f"MINIALIGN_NOTEBOOKS is {named!r}, which holds no 00_....ipynb; set it to the "
                "notebooks of a clone of minialign, or unset it"
            )
        return folder
    here = Path.cwd()
    around = [folder / "notebooks" for folder in (here, *here.parents)]
    for folder in (_PACKAGE.parent / "notebooks", *around, here / "minialign" / "notebooks"):
        if numbered(folder):
            return folder
    raise FileNotFoundError(
        f"no folder of notebooks (00_....ipynb) beside {_PACKAGE}, nor in or above {here}; "
        "work in a clone of minialign"
    )


def numbered(folder: Path) -> list[Path]:
    """The course's notebooks in a folder, or executed copies of them, in their order."""
    return sorted(path for path in folder.glob("[0-9]*_*.ipynb") if path.is_file())


def plan(
    numbers: Sequence[str] = (),
    *,
    profile: str | None = None,
    settings: Sequence[str] = (),
    jobs: int = 1,
    out: Path = Path("runs/course"),
    folder: Path | None = None,
) -> Plan:
    """What to run.

    Args:
        numbers: of the notebooks, such as "3" or "03"; none is all of them.
        profile: as `profiles.get` takes it, for every notebook; None is their own default.
        settings: "NAME=VALUE", of parameters that every one of these notebooks has.
        jobs: notebooks that run at the same time and share the processor's cores.
        out: folder that is written to.
        folder: of the notebooks; None looks for them.

    Raises:
        ValueError: if a notebook, a profile or a parameter does not exist, a notebook cannot be
            read, jobs is below 1, the folder cannot be made, or the copies would be written over
            the notebooks.
        FileNotFoundError: if there are no notebooks.
    """
    if jobs < 1:
        raise ValueError(f"--jobs is {jobs}, but at least 1 notebook must run at a time; use 1")
    notebooks = _chosen(numbered(folder or notebook_folder()), numbers)
    out = out.expanduser().resolve()
    if out in {path.resolve().parent for path in notebooks}:
        raise ValueError(f"--out is {out}, the notebooks' own folder; name another for the copies")
    values = dict(map(_setting, settings))
    if profile is not None:
        profiles.get(profile)
        if "PROFILE" in values:
            raise ValueError("PROFILE is given by --profile and by --set; give it once")
    parameters = {path: _parameters(path, values, profile) for path in notebooks}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ValueError(
            f"--out is {out}, which cannot be made ({why}); name another folder"
        ) from None
    return Plan(notebooks, parameters, profile, jobs, out)


def _chosen(notebooks: list[Path], numbers: Sequence[str]) -> tuple[Path, ...]:
    by_number = {int(re.match(r"\d+", path.name)[0]): path for path in notebooks}
    known = ", ".join(map(str, by_number))
    for number in numbers:
        if not (number.isascii() and number.isdigit() and int(number) in by_number):
            raise ValueError(f"there is no notebook {number!r}; the numbers are {known}")
    wanted = {int(number) for number in numbers} or set(by_number)
    return tuple(path for number, path in by_number.items() if number in wanted)


def _setting(text: str) -> tuple[str, Value]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"--set {text!r} is no NAME=VALUE; write --set SEED=1")
    return name, parse_value(value)


def parse_value(text: str) -> Value:
    """A parameter's value as papermill reads it: True, False, None, int, float, else a string.

    >>> parse_value("3"), parse_value("1e-3"), parse_value("None"), parse_value("tiny")
    (3, 0.001, None, 'tiny')
    """
    named = {"True": True, "False": False, "None": None}
    if text in named:
        return named[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass  # try the next kind
    return text


def known_parameters(notebook: Path) -> list[str]:
    """Names that the notebook's cell tagged `parameters` assigns, in its order.

    Raises ValueError if the file is no notebook or the cell no Python; nothing is executed.
    """
    try:
        cells = files.tagged(files.read(notebook), "parameters")[:1]
        statements = [s for cell in cells for s in ast.parse(cell.source).body]
    except (SyntaxError, *files.UNREADABLE) as error:
        raise ValueError(f"the parameters of {notebook.name} cannot be read: {error}") from error
    targets = [getattr(s, "targets", None) or [getattr(s, "target", None)] for s in statements]
    return [target.id for each in targets for target in each if isinstance(target, ast.Name)]


def _parameters(notebook: Path, values: dict[str, Value], profile: str | None) -> dict[str, Value]:
    """What papermill puts into a notebook; one without PROFILE has the profile's environment."""
    known = known_parameters(notebook)
    for name in values:
        if name not in known:
            raise ValueError(
                f"{notebook.stem} has no parameter {name!r}; it has {', '.join(known) or 'none'}. "
                "Set one of them, or name the notebooks that have it by their numbers"
            )
    return {"PROFILE": profile, **values} if profile and "PROFILE" in known else values


def environment_for(plan: Plan, cores: int) -> dict[str, str]:
    """The environment of the processes that run a plan's notebooks and share the cores."""
    environment = dict(os.environ)
    environment.setdefault("TQDM_MININTERVAL", "1")  # s; a bar's messages go through the kernel
    environment.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # else each kernel warns
    if plan.profile is not None:
        environment[profiles.ENVIRONMENT] = plan.profile
    if plan.jobs > 1:
        environment["OMP_NUM_THREADS"] = str(max(1, cores // plan.jobs))
    if (_PACKAGE.parent / "pyproject.toml").is_file():  # a clone, which need not be installed
        paths = [str(_PACKAGE.parent), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return environment
