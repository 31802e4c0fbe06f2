"""Table and figure of `benchmarks.sampling`, from all rows that its CSV holds."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import pandas as pd

from benchmarks.records import Places
from benchmarks.report import middle, table, write_section
from minialign.show import axes

COMMAND = "python -m benchmarks.sampling"
AIM = 2.0  # forward passes
KEY = ["model", "precision"]
HEADER = (
    "model", "workload", "tokens of a completion", "sample, tokens/s", "generate, tokens/s",
    "forward pass, tokens/s", "sample / generate", "sample in forward passes",
    "generate in forward passes",
)  # fmt: skip
SHOWN = {"sample": ("policy", "o"), "generate": ("reference", "s")}  # colour and marker


def turns(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per turn, with the tokens per second of each tool and what follows from them.

    `faster` is the rate of `sample` over that of `generate`; `sample_passes` and `generate_passes`
    say how many times as long as a forward pass a sampled token takes.
    """
    rates = rows.assign(rate=rows["tokens"] / rows["seconds"])
    wide = rates.pivot(index=[*KEY, "workload", "repeat"], columns="tool", values="rate")
    wide["faster"] = wide["sample"] / wide["generate"]
    for tool in SHOWN:
        wide[f"{tool}_passes"] = wide["forward"] / wide[tool]
    return wide.reset_index()


def write(rows: pd.DataFrame, places: Places) -> None:
    """The section and the figure of all models in the rows."""
    measured = turns(rows)
    draw(measured, places)
    lengths = rows[rows["tool"] == "sample"].groupby([*KEY, "workload"])
    length = lengths["tokens"].mean() / lengths["completions"].first()
    lines = []
    for (model, precision, workload), part in measured.groupby([*KEY, "workload"], sort=False):
        rates = [middle(part[tool], 0) for tool in ("sample", "generate", "forward")]
        ratios = [middle(part[name]) for name in ("faster", "sample_passes", "generate_passes")]
        tokens = f"{length[model, precision, workload]:.0f}"
        lines.append([f"{model}, {precision}", workload, tokens, *rates, *ratios])
    text = [
        "Medians of the repeats, with the lowest and the highest. Tokens are sampled tokens, ends "
        "included. A forward pass reads the same tokens once, without gradients, and is the floor "
        f"of any sampler; the aim is {AIM:.0f} of them.",
        places.image("Sampling in forward passes over the same tokens, by model and workload"),
        table(HEADER, lines),
        *(_conditions(part) for _, part in rows.groupby(KEY, sort=False)),
    ]
    write_section(COMMAND, "\n\n".join(text), places.results)


def _conditions(rows: pd.DataFrame) -> str:
    """Under what one model was measured."""
    one = rows.iloc[0]
    tuned = f"after {one['sft_steps']} steps of fine-tuning" if one["sft_steps"] else "as it is"
    return (
        f"{one['model']}, {one['precision']}: {tuned}, at most {one['max_new_tokens']} new tokens, "
        f"{rows['repeat'].nunique()} repeats, seconds of the {one['clock']} clock. {one['machine']}"
    )


def draw(measured: pd.DataFrame, places: Places) -> None:
    """One panel per model: for each workload a dot for each sampler, with its range."""
    with plt.style.context(axes.STYLE):
        models = list(measured.groupby(KEY, sort=False))
        figure, panels = axes.new_panels(len(models))
        for ax, ((model, precision), part) in zip(panels, models, strict=True):
            names = list(part["workload"].unique())[::-1]
            for tool, (colour, marker) in SHOWN.items():
                passes = part.groupby("workload")[f"{tool}_passes"].agg(["median", "min", "max"])
                passes = passes.loc[names]
                off = [passes["median"] - passes["min"], passes["max"] - passes["median"]]
                ax.errorbar(
                    passes["median"], range(len(names)), xerr=off, label=tool,
                    fmt=marker, color=axes.COLOURS[colour], markersize=7, capsize=3,
                )  # fmt: skip
            ax.set_yticks(range(len(names)), [name.replace(", ", "\n") for name in names])
            ax.set_ylim(-0.6, len(names) - 0.4)
            most = part[[f"{tool}_passes" for tool in SHOWN]].to_numpy().max()
            ticks = [2**i for i in range(1 + math.ceil(math.log2(max(2, most))))]
            ax.set_xscale("log", base=2)
            ax.set_xlim(0.9, 1.1 * max(most, *ticks))
            ax.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.dashed_line(ax, AIM, upright=True)
            ax.annotate(" aim", (AIM, len(names) - 0.4), va="top", fontsize=8, color=axes.FAINT)
            ax.set_xlabel("forward passes over the same tokens")
            axes.set_title(ax, f"{model}, {precision}")
        panels[0].legend(loc="upper right", fontsize=9)
        axes.frame(figure, "What sampling costs, in forward passes", "dot: median; bar: range")
        places.draw(figure)
