"""Table and figure of `benchmarks.scaling`, from the rows of its CSV."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks.records import Places
from benchmarks.report import middle, table, write_section
from minialign.show import axes

COMMAND = "python -m benchmarks.scaling"
# Axis of the CSV -> (column with its values, what it is called).
AXES = {
    "sequences": ("sequences", "sequences of a step"),
    "length": ("length", "tokens of a sequence"),
    "group_size": ("group_size", "completions of a group"),
    "size": ("parameters", "parameters"),
}
# Loop -> (entry of COLOURS, marker).
SHOWN = {
    "sft": ("chosen", "o"), "reward model": ("reward", "s"), "dpo": ("rejected", "^"),
    "grpo": ("policy", "D"), "ppo": ("value", "v"),
}  # fmt: skip
PROPORTIONAL = {"color": axes.FAINT, "linestyle": "--", "linewidth": 1, "label": "in proportion"}


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of log seconds over log sizes, by least squares.

    >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def with_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with their length, what varies on their axis, tokens per second, and share."""
    rows = rows.assign(length=rows["prompt_length"] + rows["completion_length"])
    limit = rows[["limit_before", "limit_after"]].max(axis=1)
    value = [row[AXES[row["axis"]][0]] for _, row in rows.iterrows()]
    return rows.assign(
        value=value,
        rate=rows["tokens"] / rows["seconds"],
        share=rows["needed"] / rows["seconds"] / limit,
    )


def exponents(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per loop and one column per axis; nan where a loop has no such axis."""
    medians = rows.groupby(["loop", "axis", "value"], sort=False)["seconds"].median().reset_index()
    found = {
        key: exponent(part["value"], part["seconds"])
        for key, part in medians.groupby(["loop", "axis"], sort=False)
    }
    return pd.Series(found).unstack().reindex(index=rows["loop"].unique(), columns=list(AXES))


def write(measured: pd.DataFrame, places: Places) -> None:
    """The section and the figure."""
    rows = with_rates(measured)
    slopes = exponents(rows)
    draw(rows, slopes, places)
    one = rows.iloc[0]
    at = rows[rows["base"]].iloc[0]
    before, after = (one[f"limit_{when}"] / 1e9 for when in ("before", "after"))
    text = [
        f"Seconds are those of a whole step: the median of {rows['step'].nunique()}, with the "
        "lowest and the highest. Needed are the FLOPs of `benchmarks/flops.py`; the share is "
        "what is needed in a second, over the limit, which is the faster of two large products "
        f"of matrices: {before:.0f} GFLOP/s before and {after:.0f} after, in {one['precision']}. "
        f"The base point: {at['sequences']} sequences of {at['length']} tokens, "
        f"{at['parameters'] / 1e6:.1f} M parameters. A comparison of the reward model "
        "and of DPO is two sequences; a step of PPO is two passes over a rollout, in four "
        "minibatches.",
        f"Seconds of the {one['clock']} clock. {one['machine']}",
        places.image("Seconds of a step of each loop, as one thing at a time grows"),
        "At the base point:",
        _base_table(rows),
        "Exponents: twice as much costs 2 to this power times as many seconds.",
        _exponent_table(slopes),
        "Every point:",
        _every_table(rows),
    ]
    write_section(COMMAND, "\n\n".join(text), places.results)


def _percent(shares: pd.Series) -> str:
    return f"{100 * shares.median():.1f}%"


def _base_table(rows: pd.DataFrame) -> str:
    base = rows[rows["base"]].drop_duplicates(["loop", "step"])
    lines = [
        [
            loop, middle(part["seconds"], 3), f"{part['rate'].median():.0f}",
            f"{part['needed'].iloc[0] / 1e9:.1f}",
            f"{part['done'].iloc[0] / part['needed'].iloc[0]:.2f}", _percent(part["share"]),
        ]
        for loop, part in base.groupby("loop", sort=False)
    ]  # fmt: skip
    header = ("loop", "s of a step", "tokens/s", "GFLOP needed", "done / needed", "share of limit")
    return table(header, lines)


def _exponent_table(slopes: pd.DataFrame) -> str:
    lines = [
        [loop, *("" if np.isnan(slope) else f"{slope:.2f}" for slope in line)]
        for loop, line in zip(slopes.index, slopes.to_numpy(), strict=True)
    ]
    return table(("loop", *(label for _, label in AXES.values())), lines)


def _every_table(rows: pd.DataFrame) -> str:
    lines = [
        [
            loop, f"{_counted(value)} {AXES[axis][1]}", middle(part["seconds"], 3),
            f"{part['rate'].median():.0f}", _percent(part["share"]),
        ]
        for (loop, axis, value), part in rows.groupby(["loop", "axis", "value"], sort=False)
    ]  # fmt: skip
    return table(("loop", "point", "s of a step", "tokens/s", "share of limit"), lines)


def _counted(value: float) -> str:
    """A number of parameters in millions, anything else as it is."""
    return f"{value / 1e6:.1f} M" if value > 1e5 else f"{value:.0f}"


def draw(rows: pd.DataFrame, slopes: pd.DataFrame, places: Places) -> None:
    """One panel per axis, one line per loop; both axes in logarithms."""
    with plt.style.context(axes.STYLE):
        shown = list(rows["axis"].unique())
        figure, panels = axes.new_panels(len(shown))
        for ax, axis in zip(panels, shown, strict=True):
            part = rows[rows["axis"] == axis]
            for loop in part["loop"].unique():
                _line(ax, part[part["loop"] == loop], loop)
            values = np.sort(part["value"].unique())
            ax.plot(values, 0.8 * part["seconds"].min() * values / values[0], **PROPORTIONAL)
            ax.set(xscale="log", yscale="log", xlabel=AXES[axis][1], ylabel="s of a step")
            ax.set_xticks(values, [_counted(value) for value in values])
            ax.set_xticks([], minor=True)
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_locator(NullLocator())
            low, high = (f"{x:.2f}" for x in (slopes[axis].min(), slopes[axis].max()))
            axes.set_title(ax, f"Exponent {low}" + (f" to {high}" if high != low else ""))
        roomy = shown.index("group_size") if "group_size" in shown else 0
        panels[roomy].legend(*panels[0].get_legend_handles_labels(), fontsize=8, loc="upper left")
        note = "median of the steps; bars: range; dashed: in proportion"
        axes.frame(figure, "What a step costs as one thing grows", note)
        places.draw(figure)


def _line(ax: Axes, rows: pd.DataFrame, loop: str) -> None:
    """A loop's medians with their ranges."""
    steps = rows.groupby("value")["seconds"].agg(["median", "min", "max"])
    colour, marker = SHOWN[loop]
    off = [steps["median"] - steps["min"], steps["max"] - steps["median"]]
    ax.errorbar(
        steps.index, steps["median"], yerr=off, label=loop, marker=marker, markersize=5,
        capsize=2, linewidth=1.5, color=axes.COLOURS[colour],
    )  # fmt: skip
