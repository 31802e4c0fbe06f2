"""What `benchmarks.vs_trl` measured, kept a line per repeat, and told as a table and a figure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report import middle, table
from benchmarks.trl_sides import Record
from benchmarks.trl_work import GROUP, METHODS, NEW_TOKENS, SAMPLED, SIZES, TARGETS, TITLES
from minialign.show.axes import COLOURS, STYLE

PRECISIONS = ("float32", "bfloat16")
SIDES = ("ours", "trl")
KEY = ["model", "precision", "order", "method"]


@dataclass(frozen=True)
class Repeat:
    """One run of both sides."""

    ours: Record
    theirs: Record
    memory: tuple[float, float] | None = None  # MiB of ours and of TRL

    def line(self) -> dict[str, float]:
        """Its numbers, as a row of the file."""
        found: dict[str, float] = {}
        for side, record in (("ours", self.ours), ("trl", self.theirs)):
            found[f"{side}_step_s"] = statistics.median(record.step_times)
            found[f"{side}_token_s"] = seconds_of_a_token(record)
            found[f"{side}_tokens"] = sum(record.tokens) / len(record.tokens)
            found[f"{side}_setup_s"] = record.setup
        found["ours_mib"], found["trl_mib"] = self.memory or (float("nan"), float("nan"))
        return found


def seconds_of_a_token(record: Record) -> float:
    """The median over steps; a step's rows differ in length from those of the next."""
    each = zip(record.step_times, record.tokens, strict=True)
    return statistics.median(seconds / tokens for seconds, tokens in each)


def ratios(lines: pd.DataFrame) -> list[float]:
    """TRL's seconds of a token by ours, one for each repeat."""
    return (lines["trl_token_s"] / lines["ours_token_s"]).tolist()


def keep(
    path: Path, key: dict[str, str], repeats: Sequence[Repeat], how: dict[str, object]
) -> pd.DataFrame:
    """Put the repeats of a method into the file in place of earlier ones; returns all of it.

    Args:
        path: the file, made if it is not there.
        key: model, precision, order and method.
        repeats: of that method.
        how: what else a line says, such as the machine.
    """
    lines = [key | {"repeat": i} | one.line() | how for i, one in enumerate(repeats)]
    new = pd.DataFrame(lines)
    if path.exists():
        old = pd.read_csv(path)
        same = (old[KEY] == pd.Series(key)[KEY]).all(axis=1)
        new = pd.concat([old[~same], new])
    new = new.sort_values([*KEY, "repeat"])
    new.to_csv(path, index=False, float_format="%.6g")
    return pd.read_csv(path)


def a_step(method: str, size: int) -> str:
    """What one step holds, in words."""
    unit = {"sft": "rows", "kto": "rows", "reward": "pairs", "dpo": "pairs"}.get(method)
    return f"{size} {unit}" if unit else f"{size} x {GROUP} completions"


HEADER = [
    "method", "a step", "TRL / ours", "target", "ours, s/step", "TRL, s/step", "ours, tokens/s",
    "TRL, tokens/s", "ours, peak MiB", "TRL, peak MiB", "ours, set-up s", "TRL, set-up s",
]  # fmt: skip


def _middle(values: list[float], digits: int) -> str:
    return middle(values, digits) if values else "not measured"


def results_table(model: str, lines: pd.DataFrame) -> str:
    """One line per method of one model, precision and order: medians with ranges."""
    rows = []
    for method in (m for m in METHODS if m in set(lines["method"])):
        part = lines[lines["method"] == method]
        both = [
            [_middle(values[f"{side}_{what}"].dropna().tolist(), digits) for side in SIDES]
            for what, digits in (("step_s", 2), ("rate", 0), ("mib", 0), ("setup_s", 2))
            for values in [part.assign(
                ours_rate=1 / part["ours_token_s"], trl_rate=1 / part["trl_token_s"]
            )]
        ]  # fmt: skip
        numbers = [number for pair in both for number in pair]
        target = f"{TARGETS[model][method]:g}"
        ratio = middle(ratios(part))
        rows.append([TITLES[method], a_step(method, part["size"].iloc[0]), ratio, target, *numbers])
    return table(HEADER, rows)


ORDERS = {
    "same": "Both see the same batches in the same order, those of our loops: rows of like length.",
    "own": "Each library draws its own batches of the same rows: ours of like length, TRL's as its "
    "defaults have it.",
}


def notes(lines: pd.DataFrame) -> str:
    """How the lines of one model, precision and order were measured, in sentences."""

    def all_of(column: str) -> str:
        return " or ".join(map(str, dict.fromkeys(lines[column])))

    repeats = " or ".join(map(str, dict.fromkeys(lines["method"].value_counts())))
    return " ".join([
        f"Medians of {repeats} repeats of {all_of('steps')} steps, with minimum and maximum;",
        f"{all_of('clock')}; the two sides took turns in one process, after a first step of each",
        f"that is not counted. Multiplications in {all_of('precision')}, TRL's attention",
        f"{all_of('attention')}, gradient checkpointing off. {ORDERS[all_of('order')]}",
        "The ratio is of seconds per token: every token of the rows, and where completions (up to",
        f"{NEW_TOKENS} tokens) are drawn, the sampled ones. It was asserted that both saw the same",
        "rows and that loss and gradient norm agree, in GRPO and RLOO on the same completions. Our",
        "DPO and KTO read the reference once, before the first update, and each step is charged",
        "its rows' share; TRL reads it in every step, its default. Peak memory: resident MiB above",
        "the loaded model, of each side in a process of its own. Set-up: from the first call (text",
        "rows in hand, model loaded) to the first step, tokenization and TRL's loading of a",
        "reference included. Our RLOO runs with TRL's objective, the clipped ratio of a whole",
        "completion.",
        *(
            f"In {TITLES[method]} TRL sampled {like_lengths(lines, method):.2f} tokens to our one."
            for method in SAMPLED
            if method in set(lines["method"])
        ),
    ])  # fmt: skip


def like_lengths(lines: pd.DataFrame, method: str) -> float:
    """TRL's sampled tokens per one of ours, all repeats together."""
    part = lines[lines["method"] == method]
    return part["trl_tokens"].sum() / part["ours_tokens"].sum()


def draw_ratios(lines: pd.DataFrame) -> Figure:
    """Bars of TRL / ours with minimum and maximum: a panel per model, a bar per precision."""
    lines = lines[lines["order"] == "same"]
    models = [model for model in SIZES if model in set(lines["model"])]
    size = 6.4, 2.6 * len(models) + 0.4
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(len(models), 1, figsize=size, squeeze=False)
        for ax, model in zip(axes[:, 0], models, strict=True):
            _panel(ax, model, lines[lines["model"] == model])
        axes[-1, 0].set_xlabel("gray line: equal; dashes: target", fontsize=9)
    return figure


def _panel(ax: Axes, model: str, lines: pd.DataFrame) -> None:
    shown = [p for p in PRECISIONS if p in set(lines["precision"])]
    width = 0.76 / len(shown)
    for j, precision in enumerate(shown):
        part = lines[lines["precision"] == precision]
        for i, method in enumerate(METHODS):
            found = ratios(part[part["method"] == method])
            if not found:
                continue
            place = i + (j - (len(shown) - 1) / 2) * width
            height = statistics.median(found)
            spread = [[height - min(found)], [max(found) - height]]
            colour = COLOURS["policy"] if precision == "float32" else "#6BAED6"
            label = precision if method == part["method"].iloc[0] else None
            ax.bar(place, height, width * 0.92, color=colour, label=label)
            ax.errorbar(place, height, spread, color="#222222", capsize=2, linewidth=1)
    for i, method in enumerate(METHODS):
        target = TARGETS[model][method]
        ax.plot(
            [i - 0.42, i + 0.42], [target, target], "--", color=COLOURS["chosen"], linewidth=1.5
        )
    ax.set_ylim(0, 1.25 * ax.get_ylim()[1])  # room for the legend
    ax.axhline(1, color=COLOURS["reference"], linewidth=1)
    ax.set_xticks(range(len(METHODS)), [TITLES[m].replace(" ", "\n") for m in METHODS])
    ax.set_ylabel("TRL's time / ours")
    ax.set_title(f"Time per token against TRL: {model}")
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left", ncols=2)
