"""The record of a training run: one row per step, one column per metric."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from itertools import count
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


class History:
    """Metrics by step. Loops log into it, `plots.curves` draws it, checkpoints carry its rows.

    >>> history = History()
    >>> history.log(0, loss=2.5, kl=0.0)
    >>> history.log(10, loss=1.5)
    >>> history["loss"]
    array([2.5, 1.5])
    >>> history
    History: 2 steps, 0 to 10
      loss  1.5
      kl    0  (step 0)
    """

    def __init__(self) -> None:
        self._rows: dict[int, dict[str, float]] = {}

    def log(self, step: int, **floats: float) -> None:
        """Add metrics to a step; metrics of one step may come in several calls.

        Args:
            step: the same as last time or a later one.
            **floats: numbers or tensors of one element, each in its own unit. nan and inf are
                kept, so that a run that diverges shows it.

        Raises:
            TypeError: if the step is no whole number or a metric no number.
            ValueError: if the step goes backwards, or a metric has a value at this step already.
        """
        if not isinstance(step, Integral) or isinstance(step, bool):
            raise TypeError(f"step is {step!r}, but must be a whole number; log(step, loss=...)")
        last = next(reversed(self._rows), step)
        if step < last:
            raise ValueError(
                f"step {step} comes after step {last}, but steps never go backwards; log to a new "
                "History, or continue from the rows of a checkpoint with History.from_rows"
            )
        row = self._rows.get(int(step), {})
        if twice := [name for name in floats if name in row]:
            raise ValueError(
                f"{twice[0]!r} has a value at step {step} already; log its mean once per step"
            )
        self._rows[int(step)] = row | {name: _number(name, x) for name, x in floats.items()}

    @property
    def names(self) -> list[str]:
        """The metrics, in the order in which they first came."""
        return list(dict.fromkeys(name for row in self._rows.values() for name in row))

    def __getitem__(self, name: str) -> np.ndarray:
        """(n,) float64: every value of a metric, where it was logged."""
        return np.array([row[name] for row in self._holding(name).values()])

    def steps(self, name: str) -> np.ndarray:
        """(n,) int64: the steps at which a metric was logged; the x of `history[name]`."""
        return np.array(list(self._holding(name)), dtype=np.int64)

    def last(self, name: str) -> float:
        """The latest value of a metric."""
        return float(self[name][-1])

    def _holding(self, name: str) -> dict[int, dict[str, float]]:
        rows = {step: row for step, row in self._rows.items() if name in row}
        if not rows:
            known = ", ".join(self.names) or "nothing"
            raise KeyError(f"no metric {name!r} was logged; there is {known}")
        return rows

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __len__(self) -> int:
        """The number of steps that were logged."""
        return len(self._rows)

    def __bool__(self) -> bool:
        return True  # else `history or History()` would replace one that is still empty

    def __repr__(self) -> str:
        if not self._rows:
            return "History: nothing logged yet"
        first, last = next(iter(self._rows)), next(reversed(self._rows))
        span = f"{len(self)} steps, {first} to {last}" if len(self) > 1 else f"step {first}"
        width = max(map(len, self.names), default=0)
        lines = [f"History: {span}"]
        for name in self.names:
            step = self.steps(name)[-1]
            seen = "" if step == last else f"  (step {step})"
            lines.append(f"  {name:<{width}}  {self.last(name):.4g}{seen}")
        return "\n".join(lines)

    def to_rows(self) -> list[dict[str, float]]:
        """One dict per step, "step" first, for the JSON of a checkpoint."""
        return [{"step": step, **row} for step, row in self._rows.items()]

    @classmethod
    def from_rows(cls, rows: list[dict[str, float]]) -> History:
        """The history that `to_rows` wrote.

        >>> History.from_rows([{"step": 3, "loss": 0.5}]).last("loss")
        0.5
        """
        history = cls()
        for row in rows:
            if "step" not in row:
                raise ValueError(f"the row {row} has no 'step'; give the rows that to_rows() wrote")
            history.log(**row)
        return history

    def to_pandas(self) -> pd.DataFrame:
        """One row per step (the index), one column per metric; NaN where it was not logged."""
        index = pd.Index(list(self._rows), name="step", dtype="int64")
        return pd.DataFrame(list(self._rows.values()), index=index, columns=self.names, dtype=float)

    def to_csv(self, path: str | Path) -> None:
        """Write columns step and the metrics, every digit kept; no value is an empty cell."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["step", *self.names], lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.to_rows())

    @classmethod
    def from_csv(cls, path: str | Path) -> History:
        """The history that `to_csv` wrote; nan and inf come back as they were.

        Raises:
            ValueError: if there is no column "step" or a cell is no number.
        """
        history = cls()
        with open(path, newline="", encoding="utf-8") as file:
            for line, row in enumerate(csv.DictReader(file), start=2):
                cells = {name: x for name, x in row.items() if name and x}
                try:
                    step = int(cells.pop("step"))
                    values = {name: float(x) for name, x in cells.items()}
                except (KeyError, ValueError) as error:
                    raise ValueError(
                        f"{path}, line {line}: {error}; it needs a whole number under 'step' and "
                        "numbers or nothing elsewhere, as to_csv writes them"
                    ) from None
                history.log(step, **values)
        return history


def _number(name: str, value: object) -> float:
    """The value as a float, whatever its type of number."""
    shape = tuple(getattr(value, "shape", ()))
    if math.prod(shape) != 1:
        raise TypeError(f"{name!r} has shape {shape}, but a metric is one number; log its mean")
    number = value.item() if hasattr(value, "item") else value
    if not isinstance(number, Real):
        raise TypeError(f"{name!r} is {value!r}, but a metric is a number; leave it out if unknown")
    return float(number)


def log_scalars(writer: Any, first: int = 0) -> Callable[[Mapping[str, float]], None]:
    """A callback for a loop's `on_step` that writes every metric of every step.

    Args:
        writer: with add_scalar(name, value, step), such as TensorBoard's SummaryWriter.
        first: number of the first step; that of a resumed run is where it goes on.
    """
    steps = count(first)

    def log(metrics: Mapping[str, float]) -> None:
        step = next(steps)
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)

    return log
