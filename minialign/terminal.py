"""Text for a terminal: strangers' text made harmless, times, and a status line in place."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TextIO

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


def plain(text: str) -> str:
    """Text that moves no cursor and turns no direction: characters without a shape are escaped.

    Line breaks and tabs stay; whole colour sequences go. What a model or a notebook wrote passes
    through here on its way to a terminal.

    >>> plain("a\\x1b[31m b\\x07 \\u202ec")
    'a b\\\\x07 \\\\u202ec'
    """
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode()
        for c in _ANSI.sub("", text)
    )


def one_line(text: str, limit: int = 300) -> str:
    """`plain` text on one line, cut at `limit` characters.

    >>> one_line("a\\n  b", 3), one_line("abcdef", 3)
    ('a b', 'ab…')
    """
    joined = plain(" ".join(text.split()))
    return joined if len(joined) <= limit else joined[: limit - 1] + "…"


def clock(seconds: float) -> str:
    """A duration as minutes and seconds, with hours where there are any.

    >>> clock(83), clock(3723)
    ('1:23', '1:02:03')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class StatusLine:
    """Lines that stay, and on a terminal one line below them that is redrawn in place."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty()

    def show(self, text: str) -> None:
        """Put `text` in the line that is redrawn; nothing is written where there is none."""
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write("\r" + text[:width].ljust(width))
            self.stream.flush()

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self.show("")
        self.stream.write(("\r" if self.live else "") + text + "\n")
        self.stream.flush()
