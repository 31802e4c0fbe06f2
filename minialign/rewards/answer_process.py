"""math-verify in a process of its own, so that no answer can hang the course or fill its memory.

SymPy, on which math-verify stands, evaluates what it reads, and 9^9^9^9 has no end. Its own limit
is a signal, which works in the main thread only and not within a multiplication. A process can be
ended at any point. This file is its program too: questions and verdicts are lines of JSON.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import subprocess
import sys
import time
from contextlib import suppress
from functools import lru_cache
from threading import Lock, Timer
from typing import Any

try:
    import resource
except ImportError:  # Windows: the clock alone bounds an answer
    resource = None

SECONDS = 1  # of processor time for an answer, at least; the kernel ends what takes one more
PATIENCE = 20  # seconds for an answer, however busy the machine
START = 120  # seconds until the process is ready
MEMORY = 2 << 30  # bytes of addresses
SLOW = 0.7  # seconds of processor time: what took them may lie in SymPy's caches, large
WORN = 5_000  # answers after which a fresh process goes on, as it does after a slow one


class AnswerProcess:
    """Answers questions one at a time, from any thread; started when it is first asked."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen | None = None

    def same(self, answer: str, text: str) -> bool | None:
        """Whether the final answer in a text has an answer's value; None if the answer has none.

        False, too, where the comparison takes too long or needs too much memory.
        """
        with self._lock:
            try:
                reply = self._asked(json.dumps([answer, text]) + "\n")
            except BaseException:  # an interrupt: the reply must not meet the next question
                self._end()
                raise
            if reply is None or reply[1]:
                self._end()
        return False if reply is None else reply[0]

    def _asked(self, line: str) -> Any:
        """The reply to a question, asked anew if the process had ended before it took it."""
        for _ in range(2):
            self._start()
            try:
                return self._exchange(line, PATIENCE)
            except OSError:  # nothing was compared, so it is no verdict
                self._end()
        raise RuntimeError(
            "the process that compares answers was ended twice before it took a question; see "
            "what ends processes here, for instance a limit of memory"
        )

    def _start(self) -> None:
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="ascii",
            start_new_session=True,  # Ctrl-C is for the course, not for it
        )
        if self._exchange("", START) is None:
            raise RuntimeError(
                "the process that compares answers does not start; see why: "
                'python -c "import math_verify"'
            )

    def _exchange(self, line: str, seconds: float) -> Any:
        """What the process replies; None if it ends, of itself or because time is up.

        Raises:
            OSError: if it ended before the line was written.
        """
        timer = Timer(seconds, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            reply = self._process.stdout.readline()
        finally:
            timer.cancel()
        return json.loads(reply) if reply.endswith("\n") else None

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            with suppress(OSError):  # what it did not read any more
                self._process.stdin.close()
            self._process = None


ANSWERS = AnswerProcess()
atexit.register(ANSWERS._end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ANSWERS.__init__)  # two must not share one process


def main() -> None:
    """Answer questions until the input ends."""
    from math_verify import parse, verify

    logging.disable()  # math-verify says that it has no time limit: there is one outside

    @lru_cache(maxsize=4096)
    def right(answer: str) -> list:
        return parse(f"\\boxed{{{answer}}}", parsing_timeout=None)

    say([True, False])
    for number, line in enumerate(sys.stdin, 1):
        answer, text = json.loads(line)
        start = time.process_time()
        if resource:
            lower("RLIMIT_CPU", int(start) + SECONDS + 1)
        try:
            said = parse(text, parsing_timeout=None)
            same = verify(right(answer), said, timeout_seconds=None) if right(answer) else None
        except Exception:  # what math-verify fails on is not equal; its memory may be full
            say([False, True])
            continue
        say([same, number >= WORN or time.process_time() - start > SLOW])


def say(reply: list) -> None:
    """One line of JSON."""
    print(json.dumps(reply), flush=True)


def lower(name: str, value: int) -> None:
    """Set a limit of this process, as far as the system lets it."""
    kind = getattr(resource, name)
    _, hard = resource.getrlimit(kind)
    with suppress(ValueError, OSError):  # macOS knows RLIMIT_AS and refuses it
        resource.setrlimit(kind, (value if hard < 0 else min(value, hard), hard))


if __name__ == "__main__":
    if resource:
        lower("RLIMIT_CORE", 0)
        lower("RLIMIT_AS", MEMORY)
    main()
