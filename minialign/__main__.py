"""python -m minialign course | doctor | chat | study

Nothing but Python is imported before a command is known, so that the doctor can see what lacks.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
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
    options = parser.parse_args(arguments)
    if options.command is None:
        print(f"{parser.format_help()}\n{FIRST_STEP}")
        return 0
    try:
        return options.command(options)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def _course(options: argparse.Namespace) -> int:
    from minialign.course.execution.plan import plan

    settings = {name: getattr(options, name) for name in ("profile", "settings", "jobs", "out")}
    with _refusing():
        ready = plan(options.numbers, **settings)
    from minialign.course.execution.run import execute

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as with Ctrl-C
    return execute(ready)


def _doctor(options: argparse.Namespace) -> int:
    from minialign.course import doctor

    return doctor.run()


def _chat(options: argparse.Namespace) -> int:
    from minialign.course import chat

    with _refusing():
        ready = chat.open_chat(options.model, seed=options.seed, temperature=options.temperature)
    chat.talk(ready)
    return 0


def _study(options: argparse.Namespace) -> int:
    from minialign.course import profiles, studies

    if options.list or options.name is None:
        for name in studies.NAMES:
            print(f"{name:<16} {studies.get(name).question}")
        return 0
    with _refusing():
        studies.get(options.name)
        profiles.get(options.profile)
    settings = {name: getattr(options, name) for name in ("seeds", "profile", "out", "jobs")}
    print(studies.run(options.name, **settings))
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
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> Callable:
        added = commands.add_parser(name, help=text)
        added.set_defaults(command=run)
        return added.add_argument

    add = command("course", _course, "execute the notebooks and write one page of what came out")
    each = "a parameter that each of these notebooks has; may be repeated"
    add("numbers", nargs="*", metavar="NUMBER", help="of notebooks (all of them)")
    add("--profile", metavar="NAME", help=PROFILE)
    add("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE", help=each)
    add("--jobs", type=_at_least_1, default=1, help="notebooks at a time (1)")
    folder = Path("runs/course")
    add("--out", type=Path, default=folder, metavar="FOLDER", help="(runs/course)")
    command("doctor", _doctor, "check that this machine is ready")
    add = command("chat", _chat, "talk with a model")
    add("--model", default="tiny-base", help="tiny-base, sft, ppo, dpo, grpo, or a folder")
    add("--seed", type=int, default=0)
    add("--temperature", type=float, default=0.7, help="0 takes the likeliest token")
    add = command("study", _study, "run a sweep that is too long for a notebook")
    add("name", nargs="?", metavar="NAME")
    add("--list", action="store_true", help="names and questions of all studies")
    add("--seeds", type=_at_least_1, help="runs per setting (the profile's)")
    add("--profile", metavar="NAME", help=PROFILE)
    add("--out", type=Path, metavar="FOLDER", help="of the file (data/runs)")
    add("--jobs", type=_at_least_1, default=1, help="points at a time (1)")
    return parser


def _at_least_1(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
