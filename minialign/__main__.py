"""python -m minialign course | doctor | chat | study

Nothing but Python is imported before a command is known, so that the doctor can see what lacks.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import minialign

PROFILE = "smoke, tiny, small, two-cores, or changed: 'small, steps=40' (tiny)"
FIRST_STEP = (
    "first step: `python -m minialign doctor` checks this machine; then "
    "`jupyter lab notebooks/00_start_here.ipynb`, or `python -m minialign course` runs everything"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 2 if it is refused, and 130 if it is interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack a letter
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command is None:
        print(f"{parser.format_help()}\n{FIRST_STEP}")
        return 0
    try:
        return given.command(given)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def _course(given: argparse.Namespace) -> int:
    from minialign.course.execution.plan import plan

    with _refusing():
        ready = plan(
            given.numbers,
            profile=given.profile,
            settings=given.set,
            jobs=given.jobs,
            out=given.out,
        )
    from minialign.course.execution.run import execute

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as with Ctrl-C
    return execute(ready)


def _doctor(given: argparse.Namespace) -> int:
    from minialign.course import doctor

    return doctor.run()


def _chat(given: argparse.Namespace) -> int:
    from minialign.course import chat

    with _refusing():
        ready = chat.open_chat(given.model, seed=given.seed, temperature=given.temperature)
    chat.talk(ready)
    return 0


def _study(given: argparse.Namespace) -> int:
    from minialign.course import profiles, studies

    if given.list or given.name is None:
        for name in studies.NAMES:
            print(f"{name:<16} {studies.get(name).question}")
        return 0
    with _refusing():
        studies.get(given.name)
        profiles.get(given.profile)
    named = {key: getattr(given, key) for key in ("seeds", "profile", "out", "jobs")}
    print(studies.run(given.name, **named))
    return 0


@contextmanager
def _refusing() -> Iterator[None]:
    """An input that cannot be is one line on the screen, not a traceback."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m minialign", description=minialign.__doc__)
    parser.add_argument("--version", action="version", version=minialign.__version__)
    commands = parser.add_subparsers(metavar="COMMAND")
    parser.set_defaults(command=None)
    _add_course(commands)
    doctor = commands.add_parser("doctor", help="check that this machine is ready")
    doctor.set_defaults(command=_doctor)
    chat = commands.add_parser("chat", help="talk with a model")
    chat.add_argument(
        "--model", default="tiny-base", help="tiny-base, sft, ppo, dpo, grpo, or a folder"
    )
    chat.add_argument("--seed", type=int, default=0)
    chat.add_argument("--temperature", type=float, default=0.7, help="0 takes the likeliest token")
    chat.set_defaults(command=_chat)
    study = commands.add_parser("study", help="run a sweep that is too long for a notebook")
    study.add_argument("name", nargs="?", metavar="NAME")
    study.add_argument("--list", action="store_true", help="names and questions of all studies")
    study.add_argument("--seeds", type=_at_least_1, help="runs per setting (the profile's)")
    study.add_argument("--profile", metavar="NAME", help=PROFILE)
    study.add_argument("--out", type=Path, metavar="FOLDER", help="of the file (data/runs)")
    study.add_argument("--jobs", type=_at_least_1, default=1, help="points at a time (1)")
    study.set_defaults(command=_study)
    return parser


def _add_course(commands: argparse._SubParsersAction) -> None:
    runner = commands.add_parser(
        "course", help="execute the notebooks and write one page of what came out"
    )
    runner.add_argument("numbers", nargs="*", metavar="NUMBER", help="of notebooks (all of them)")
    runner.add_argument("--profile", metavar="NAME", help=PROFILE)
    runner.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter that each of these notebooks has; may be repeated",
    )
    runner.add_argument("--jobs", type=_at_least_1, default=1, help="notebooks at a time (1)")
    runner.add_argument(
        "--out", type=Path, default=Path("runs/course"), metavar="FOLDER", help="(runs/course)"
    )
    runner.set_defaults(command=_course)


def _at_least_1(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
