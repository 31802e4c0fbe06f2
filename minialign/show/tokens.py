"""Small HTML for notebooks: tokens with masks or heat maps, and tables of model text.

Everything is escaped. Colours lie half-transparent over the page and letters keep the page's own
colour, so that both read well in light and dark themes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from numbers import Integral, Real

import numpy as np
import pandas as pd
from IPython.display import HTML, display

from minialign.show.axes import COLOURS

KINDS = COLOURS | {
    "completion": COLOURS["policy"],  # what the policy wrote
    "prompt": COLOURS["reference"],
    "special": COLOURS["kl"],
    "tool": COLOURS["value"],
    "padding": None,  # faint letters, no colour
}
PLAIN = "tex2jax_ignore mathjax_ignore"  # a $ in model text starts no formula
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
LINE = "1px solid rgba(127,127,127,.45)"


def token_spans(
    tokens: Sequence[str],
    values: Sequence[float] | None = None,
    kinds: Sequence[str | None] | None = None,
    *,
    title: str | None = None,
    limit: float | None = None,
    numbers: str | None = None,
    key: bool = True,
) -> str:
    """Tokens as coloured spans, with their values in the title that a pointer shows.

    Args:
        tokens: T pieces of text, decoded. Spaces, line breaks and other characters without a
            shape get a mark.
        values: (T,) numbers as a heat map; nan has no colour. Where some are negative, they are
            orange and the others green; otherwise all are blue.
        kinds: T names of KINDS ("prompt", "completion", "padding", "chosen", ...) or None:
            underlined in the colour of the kind, and filled with it where there are no values.
        title: a line above.
        limit: the size of value at full colour; None is the largest of them.
        numbers: a format such as "+.1f" writes each value below its token, and what rounds to 0
            without a sign; None does not.
        key: whether the meaning of the colours stands below; of several lines with one limit, one
            key is enough.

    Returns:
        HTML, for `IPython.display.HTML`.

    Raises:
        ValueError: if the lengths differ or a kind has no colour.
    """
    for what, entries in (("values", values), ("kinds", kinds)):
        if entries is not None and len(entries) != len(tokens):
            raise ValueError(f"{len(entries)} {what} for {len(tokens)} tokens; give one for each")
    names = list(kinds) if kinds is not None else [None] * len(tokens)
    if unknown := [kind for kind in names if kind and kind not in KINDS]:
        raise ValueError(f"kind {unknown[0]!r} has no colour; use one of {', '.join(KINDS)}")
    heat = None if values is None else Heat(values, limit, numbers)
    spans = [_span(i, token, names[i], heat) for i, token in enumerate(tokens)]
    head = _bold(title)
    style = f"font-family:{MONO};font-size:13px;line-height:2;max-width:60em;text-align:left"
    legend = _legend(heat, names) if key else ""
    return f'<div class="{PLAIN}">{head}<div style="{style}">{"".join(spans)}</div>{legend}</div>'


class Heat:
    """Numbers as colours: the largest size at full colour, positive and negative ones apart."""

    def __init__(self, values: Sequence[float], limit: float | None, form: str | None) -> None:
        self.values = np.array([float(x) for x in values])
        finite = self.values[np.isfinite(self.values)]
        self.top = limit or float(np.abs(finite).max(initial=0.0)) or 1.0
        self.signed = bool((finite < 0).any())
        self.form = form

    def fill(self, value: float) -> str | None:
        """The colour of a value, as CSS; none for nan."""
        if np.isnan(value):
            return None
        colour = "rejected" if value < 0 else "chosen" if self.signed else "policy"
        return _rgba(COLOURS[colour], 0.65 * min(1.0, abs(value) / self.top))


def _span(index: int, token: str, kind: str | None, heat: Heat | None) -> str:
    """One token; its number, kind and value are in the title that a pointer shows."""
    style = "display:inline-block;padding:0 1px;margin:0 1px 0 0;border-radius:3px;line-height:1.45"
    title = f"token {index}: {token!r}" + (f", {kind}" if kind else "")
    fill = _rgba(KINDS[kind], 0.3) if heat is None and KINDS.get(kind) else None
    if heat is not None:
        fill = heat.fill(heat.values[index])
        title += f", {heat.values[index]:.4g}"
    if fill:
        style += f";background:{fill}"
    if kind == "padding":
        style += ";opacity:.45"
    elif kind:
        style += f";border-bottom:2px solid {KINDS[kind]}"
    line_break, text = "<br>" if token.endswith("\n") else "", _visible(token)
    if heat is not None and heat.form is not None and not np.isnan(heat.values[index]):
        below = "display:block;font-size:10px;text-align:center;opacity:.75"
        number = f"{heat.values[index]:{heat.form}}"
        number = number if number.strip("+-0.%") else number.lstrip("+-")  # 0.0, not -0.0
        text += f'<span style="{below}">{number}</span>'
    return f'<span style="{style}" title="{escape(title)}">{text}</span>{line_break}'


def _visible(token: str) -> str:
    """The token escaped, with a faint mark for each character that has no shape of its own."""
    marks = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍", "\u00a0": "⍽", "\u200b": "⍽"}
    parts = []
    for char in token:
        mark = marks.get(char) or (chr(0x2400 + ord(char)) if ord(char) < 32 else None)
        if mark is None and not char.isprintable():
            mark = f"U+{ord(char):04X}"  # as those that turn the direction of writing
        parts.append(f'<span style="opacity:.5">{mark}</span>' if mark else escape(char))
    return "".join(parts) or '<span style="opacity:.5">∅</span>'


def _rgba(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:.2f})"


def _legend(heat: Heat | None, names: Sequence[str | None]) -> str:
    """What the colours mean: each kind once, and the ends of the heat map."""
    parts = []
    if heat is not None:
        if (heat.values < 0).any():
            parts.append((f"−{heat.top:.3g}", f"background:{_rgba(COLOURS['rejected'], 0.65)}"))
        parts.append(("0", f"border:{LINE}"))
        if not (heat.values < 0).any() or (heat.values > 0).any():
            parts.append((f"{heat.top:.3g}", f"background:{heat.fill(heat.top)}"))
    for kind in dict.fromkeys(name for name in names if name):
        fill = f"background:{_rgba(KINDS[kind], 0.3)};" if KINDS[kind] and heat is None else ""
        line = f"border-bottom:2px solid {KINDS[kind]}" if KINDS[kind] else "opacity:.45"
        parts.append((kind, fill + line))
    swatches = "".join(
        f'<span style="{style};display:inline-block;padding:0 6px;margin-right:8px;'
        f'border-radius:3px;box-sizing:border-box">{escape(text)}</span>'
        for text, style in parts
    )
    return f'<div style="font-size:12px;margin-top:4px">{swatches}</div>' if parts else ""


def _bold(title: str | None, style: str = "") -> str:
    return f'<div style="font-weight:600{style}">{escape(title)}</div>' if title else ""


def table(
    rows: pd.DataFrame | Iterable[Mapping[str, object]],
    *,
    title: str | None = None,
    max_chars: int = 1200,
) -> str:
    """A table of text and numbers as HTML: line breaks kept, long text cut, everything escaped.

    Args:
        rows: a data frame (its index is left out), or dicts whose keys are the columns.
        title: a line above.
        max_chars: of a cell; what is beyond is cut, and the cell says so.

    Returns:
        HTML, for `IPython.display.HTML`.
    """
    if not isinstance(rows, pd.DataFrame):
        rows = list(rows)
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[row.get(name) for name in names] for row in rows]
        # Names as objects: pandas' own texts are UTF-8, which half a surrogate pair is not.
        rows = pd.DataFrame(cells, columns=pd.Index(names, dtype=object), dtype=object)
    sides = [_side(rows.iloc[:, i]) for i in range(rows.shape[1])]
    style = "padding:6px 10px;vertical-align:top;border-bottom:" + LINE
    wrap = "white-space:pre-wrap;max-width:32em;overflow-wrap:break-word"
    head = "".join(
        f'<th style="{style};text-align:{side};font-weight:600">{escape(str(name))}</th>'
        for name, side in zip(rows.columns, sides, strict=True)
    )
    body = ""
    for row in rows.itertuples(index=False, name=None):
        cells = "".join(
            f'<td style="{style};text-align:{side};{wrap}">{_cell(x, max_chars)}</td>'
            for x, side in zip(row, sides, strict=True)
        )
        body += f"<tr>{cells}</tr>"
    return (
        f'<div class="{PLAIN}">{_bold(title, ";margin-bottom:4px")}'
        '<table style="border-collapse:collapse;font-size:13px;line-height:1.4">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def show(rows: pd.DataFrame | Iterable[Mapping[str, object]], title: str | None = None) -> None:
    """Display `table` in a notebook."""
    display(HTML(table(rows, title=title)))


def _side(column: pd.Series) -> str:
    known = [x for x in column if x is not None]
    numbers = all(isinstance(x, Real) and not isinstance(x, bool) for x in known)
    return "right" if numbers and known else "left"


def _cell(value: object, max_chars: int) -> str:
    """One value as escaped HTML."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{value:,}"
    if value is None or (isinstance(value, Real) and np.isnan(value)) or value is pd.NA:
        return "–"
    if isinstance(value, Real):
        return escape(f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}")
    text = str(value)
    if not text.strip():
        return f'<span style="opacity:.6">(empty, {len(text)} characters)</span>'
    cut = f'<span style="opacity:.6"> … ({len(text):,} characters)</span>'
    return escape(text) if len(text) <= max_chars else escape(text[:max_chars]) + cut
