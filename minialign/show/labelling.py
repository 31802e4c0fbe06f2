"""Label comparisons by hand: a widget that saves each answer at once and can be left any time."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import ipywidgets

from minialign.show import tokens

Pair = Mapping[str, str]  # prompt, first, second
CHOICES = ("first", "second", "skip")


def read_labels(path: Path) -> list[dict[str, str]]:
    """The labelled pairs of a file, each with its choice; none where there is no file.

    Raises:
        ValueError: at a line that is no label, with its number.
    """
    path = Path(path)
    if not path.exists():
        return []
    labels = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            good = row["choice"] in CHOICES and all(
                isinstance(row[key], str) for key in ("prompt", "first", "second")
            )
        except (ValueError, KeyError, TypeError):
            good = False
        if not good:
            raise ValueError(
                f"line {number} of {path.name} is no label: it needs prompt, first, second and a "
                f"choice of {', '.join(CHOICES)}; mend or delete that line"
            )
        labels.append(row)
    return labels


def label_pairs(pairs: Sequence[Pair], path: Path) -> ipywidgets.VBox:
    """A widget that shows one pair at a time and appends each answer to a JSONL file.

    Args:
        pairs: what to label; text is escaped.
        path: the file; pairs that it holds already are not asked again. Only "back" takes something
            out of it: the latest label of one of these pairs, which is then asked again.

    Returns:
        A box of the panel with the pair, a row of four buttons, and a line that counts.
    """
    path = Path(path)
    done = {(row["prompt"], row["first"], row["second"]) for row in read_labels(path)}
    waiting = [p for p in pairs if (p["prompt"], p["first"], p["second"]) not in done]
    panel, count = ipywidgets.HTML(), ipywidgets.Label()
    buttons = [ipywidgets.Button(description=choice) for choice in CHOICES]
    back = ipywidgets.Button(description="back")

    def turn_to_next() -> None:
        count.value = f"{len(pairs) - len(waiting)} of {len(pairs)} labelled, in {path.name}"
        for button in buttons:
            button.disabled = not waiting
        back.disabled = len(waiting) == len(pairs)
        if waiting:
            pair = waiting[0]
            panel.value = tokens.table(
                [{"": k, " ": pair[k]} for k in ("prompt", "first", "second")]
            )
        else:
            panel.value = "All pairs are labelled."

    def answer(button: ipywidgets.Button) -> None:
        row = {**waiting.pop(0), "choice": button.description}
        path.parent.mkdir(parents=True, exist_ok=True)
        # Half of a surrogate pair, which UTF-8 has not, becomes an escape that JSON has.
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        turn_to_next()

    def take_back(_: ipywidgets.Button) -> None:
        if pair := _without_last(path, pairs):
            waiting.insert(0, pair)
        turn_to_next()

    for button in buttons:
        button.on_click(answer)
    back.on_click(take_back)
    turn_to_next()
    return ipywidgets.VBox([panel, ipywidgets.HBox([*buttons, back]), count])


def _without_last(path: Path, pairs: Sequence[Pair]) -> Pair | None:
    """Take the latest label of one of these pairs out of a file, and return its pair."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for i in reversed(range(len(lines))):
        row = json.loads(lines[i])
        for pair in pairs:
            if all(row[key] == pair[key] for key in ("prompt", "first", "second")):
                fresh = path.with_name(path.name + ".new")
                fresh.write_text(
                    "".join(f"{line}\n" for line in lines[:i] + lines[i + 1 :]), "utf-8"
                )
                os.replace(fresh, path)
                return pair
    return None
