"""Hostile completions through every verifier and every display, each with a bound of time."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import ipywidgets

from benchmarks.survival.hostile import MARK, completions
from benchmarks.survival.outcome import Outcome
from minialign.rewards import answer_process
from minialign.rewards.constraints import CONSTRAINTS, constraint_kept
from minialign.rewards.contract import call_reward
from minialign.rewards.equations import equations
from minialign.rewards.public_answers import public_answer
from minialign.rewards.verifiers import (
    careless_answer,
    item_count,
    lower_case,
    mentions,
    right_answer,
    right_format,
    sound_steps,
)
from minialign.show import labelling, tokens, transcripts
from minialign.system.terminal import one_line, plain, text_of

BOUND = 1.0  # seconds of processor time for one completion in all verifiers, or in all displays
PATIENCE = answer_process.PATIENCE  # seconds for one in math-verify, which has a process of its own
SHARE = 50  # one completion of so many goes to math-verify as well
ANSWERS = ("7", "1/2", "B", "Evelyn", "x^2")
TAGS = {"div", "span", "br", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"}
UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

VERIFIERS: dict[str, Callable] = {
    "right_answer": lambda p, c: call_reward(right_answer, p, c, answer=[7] * len(c)),
    "right_format": lambda p, c: call_reward(right_format, p, c),
    "sound_steps": lambda p, c: call_reward(sound_steps, p, c, numbers=[(3, 4)] * len(c)),
    "careless_answer": lambda p, c: call_reward(careless_answer, p, c, answer=[7] * len(c)),
    "lower_case": lambda p, c: call_reward(lower_case, p, c),
    "item_count": lambda p, c: call_reward(item_count, p, c, items=[3] * len(c)),
    "mentions": lambda p, c: call_reward(mentions, p, c, word=["a.b"] * len(c)),
    "equations": lambda p, c: [equations(text) for text in c],
}
VALUES = {"lower case": "", "items": "3", "mentions": "river", "length": "8"}


def verified(text: str) -> None:
    """A completion through all verifiers and constraints."""
    for verify in VERIFIERS.values():
        verify(["?"], [text])
    for kind in CONSTRAINTS:
        call_reward(constraint_kept, ["?"], [text], kind=[kind], value=[VALUES[kind]])


class Markup(HTMLParser):
    """What tags and attributes a page has; raises ValueError at one that no display writes."""

    def handle_starttag(self, tag: str, attrs: list) -> None:
        names = {name for name, _ in attrs}
        if tag not in TAGS or names - {"class", "style", "title"}:
            raise ValueError(f"the display lets through <{tag} {sorted(names)}>")

    def handle_comment(self, data: str) -> None:
        raise ValueError("the display lets through a comment")

    handle_decl = handle_pi = unknown_decl = handle_comment


def displayed(text: str, folder: Path) -> None:
    """A completion in all displays, whose markup must be theirs alone."""
    item = {"prompt": text, "reply": text, text[:40]: text, "reward": 0.5}
    pair = {"prompt": text, "first": text, "second": "b"}
    pages = [
        transcripts.transcript([item] * 2, title=text, rows=1),
        tokens.token_spans([text[:200], text[200:210]], [0.5, -1.0], title=text),
        tokens.table([item], title=text),
        transcripts.browser([item]).children[1].value,
        labelling.label_pairs([pair], folder / "labels.jsonl").children[0].value,
    ]
    ipywidgets.Widget.close_all()  # else all of them are kept
    for page in pages:
        reader = Markup()
        reader.feed(page)
        reader.close()
        if "mathjax_ignore" not in page:
            raise ValueError("a $ in the display would start a formula")
    for shown in (plain(text), one_line(text), plain(text_of(pages[0]))):
        if UNSAFE.search(shown):
            raise ValueError(f"a terminal would be sent {UNSAFE.search(shown)[0]!r}")
        shown.encode()


def timed(
    check: Callable[[str], object], texts: Iterator[str], bound: float, clock: Callable[[], float]
) -> dict:
    """How many texts there were, what failed, and the slowest."""
    found = {"tries": 0, "failed": [], "worst": 0.0, "over": 0}
    for text in texts:
        began = clock()
        try:
            check(text)
        except Exception as error:
            found["failed"].append(f"{type(error).__name__}: {str(error)[:150]!r} at {text[:60]!r}")
        took = clock() - began
        found["tries"] += 1
        found["over"] += took > bound
        found["worst"] = max(found["worst"], took)
    return found


def compared(text: str) -> None:
    """Through math-verify, against an answer of one kind or another."""
    (paid,) = public_answer(["?"], [text], [ANSWERS[len(text) % len(ANSWERS)]])
    if paid not in (0.0, 1.0, None):
        raise ValueError(f"public_answer paid {paid!r}")


def measure(count: int, seed: int = 0) -> list[Outcome]:
    """`count` completions in verifiers and displays, and one of SHARE in math-verify."""
    found, before = [], os.getcwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            few, functions = max(1, count // SHARE), len(VERIFIERS) + len(CONSTRAINTS)
            shown = partial(displayed, folder=Path(place))
            cpu, wall = time.process_time, time.perf_counter
            parts = {
                f"verifiers ({functions} functions)": (verified, count, BOUND, cpu),
                "displays (5 pages, 3 terminal texts)": (shown, count, BOUND, cpu),
                "public_answer (math-verify)": (compared, few, PATIENCE, wall),
            }
            for name, (check, many, bound, clock) in parts.items():
                met = timed(check, completions(many, seed), bound, clock)
                ran = list(Path(place).rglob(f"*{MARK}*"))
                found.append(_outcome(name, met, bound, len(ran)))
                for line in met["failed"][:5]:
                    print(line)
        finally:
            os.chdir(before)
    return found


def _outcome(name: str, met: dict, bound: float, ran: int) -> Outcome:
    failed = len(met["failed"])
    return Outcome(
        f"hostile completions in {name}",
        met["tries"],
        f"{failed} raised or were let through; {met['over']} took more than {bound:g} s; "
        f"{ran} canary files were made",
        f"{met['worst']:.3f} s for one",
        failed + met["over"] + ran,
    )
