"""Text for a terminal: strangers' text made harmless, times, and a status line in place."""

from __future__ import annotations

import re
import shutil
import sys
from html.parser import HTMLParser
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


class _Rows(HTMLParser):
    """The lines of some HTML; those of a table are rows of several cells."""

    BREAKS = ("tr", "table", "div", "p", "br", "li", "summary")
    UNSEEN = ("style", "script")

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = [[]]
        self.in_cell = self.unseen = False

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag in ("th", "td"):
            self.rows[-1].append("")
            self.in_cell = True
        self._break(tag, True)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td"):
            self.in_cell = False
        self._break(tag, False)

    def _break(self, tag: str, begins: bool) -> None:
        if tag in self.UNSEEN:
            self.unseen = begins
        if tag in self.BREAKS and self.in_cell:
            self.rows[-1][-1] += " "
        elif tag in self.BREAKS:
            self.rows.append([])

    def handle_data(self, data: str) -> None:
        if self.unseen or not (self.in_cell or self.rows[-1] or data.strip()):
            return
        if not self.rows[-1]:
            self.rows[-1].append("")
        self.rows[-1][-1] += data


def text_of(html: str, width: int = 100) -> str:
    """HTML as plain text: the cells of a table in columns, everything else line by line.

    Columns that are together wider than `width` characters are not aligned, but set apart by |.

    >>> print(text_of("<b>two</b> rows<table><tr><td>a</td><td>b c</td></tr>"
    ...               "<tr><td></td><td>1 &lt; 2</td></tr></table>"))
    two rows
    a  b c
       1 < 2
    """
    parser = _Rows()
    parser.feed(html)
    parser.close()
    rows = [[" ".join(cell.split()) for cell in row] for row in parser.rows if any(row)]
    widths: dict[int, int] = {}
    for row in rows:
        for i, cell in enumerate(row if len(row) > 1 else []):
            widths[i] = max(widths.get(i, 0), len(cell))
    if sum(widths.values()) > width:
        return "\n".join(" | ".join(row) for row in rows)
    lines = ("  ".join(cell.ljust(widths.get(i, 0)) for i, cell in enumerate(r)) for r in rows)
    return "\n".join(line.rstrip() for line in lines)


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
