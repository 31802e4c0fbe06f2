"""Recorded runs on a real language model, shown beside what a notebook has just measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from minialign.drawing import spoken
from minialign.evaluate import Z95, Estimate, pass_rate, share, share_of
from minialign.history import History
from minialign.plots import compare, curves, show
from minialign.studies import recorded

SHOWN = {
    "sft": ("follows", "stops", "any"),
    "dpo": ("any", "rude", "too_long", "follows"),
    "ppo": ("any", "rude", "too_long", "follows"),
}  # shares of replies, the headline first
CURVES = {"sft": ("loss",), "dpo": ("accuracy", "margin"), "ppo": ("reward", "kl", "length")}


def runs(study: str, **where: str) -> pd.DataFrame:
    """The runs of a study on the real model; prints model, hardware, seeds and minutes."""
    rows = recorded(study)
    for column, value in {"profile": "small", **where}.items():
        rows = rows[rows[column] == value]
    first, minutes = rows.iloc[0], rows["train_minutes"].mean()
    print(
        f"recorded: {first['model']}, {first['hardware']}, {len(rows)} seeds, {minutes:.1f} "
        "minutes of training each"
    )
    return rows


def changes(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Before, after and change of each measure: means over seeds, 95% over prompts, each seed."""
    found = []
    for name in names:
        before, after = rows[f"{name}_before"], rows[f"{name}_after"]
        moved, half = after - before, Z95 * rows[f"{name}_error"].mean()
        low, high = moved.mean() - half, moved.mean() + half
        found.append(
            {
                "measure": spoken(name),
                "before": before.mean(),
                "after": after.mean(),
                "change": f"{moved.mean():+.2f} [{low:+.2f}, {high:+.2f}]",
                "by seed": " ".join(f"{x:+.2f}" for x in moved),
            }
        )
    return pd.DataFrame(found).round(2)


def samples(rows: pd.DataFrame) -> list[dict[str, str]]:
    """A few prompts of the first seed with replies before and after, as rows of a table."""
    kept = json.loads(rows["samples"].iloc[0])
    return [dict(zip(("prompt", "before", "after"), row, strict=True)) for row in kept]


def _shares(rows: pd.DataFrame, name: str) -> dict[str, Estimate]:
    """Before and after, with Wilson's interval for the prompts of one seed."""
    n = int(rows["n"].iloc[0])
    return {w: share_of(rows[f"{name}_{w}"].mean(), n) for w in ("before", "after")}


def _title(name: str, groups: Mapping[str, Sequence[Estimate]]) -> str:
    first = [f"{values[0].mean:.0%}" for values in groups.values()]
    return f"{spoken(name)}: {first[0]} to {first[1]}, and {first[2]} to {first[3]}"


def draw_curves(rows: pd.DataFrame, *names: str) -> None:
    """Recorded curves, a line for the mean over seeds: each point is a twelfth of the run."""
    histories = []
    for _, row in rows.iterrows():
        histories.append(History())
        parts = {name: row.filter(regex=rf"^{name}_\d+$").dropna().astype(float) for name in names}
        for k, values in enumerate(zip(*parts.values(), strict=True)):
            histories[-1].log(k, **dict(zip(names, values, strict=True)))
    curves(histories, *names, smooth=1, titles=[spoken(name) for name in names])


def show_stage(stage: str, before: pd.DataFrame, after: pd.DataFrame, model: str) -> None:
    """A stage's change of a real model beside the one that was judged here.

    Args:
        stage: "sft", "dpo" or "ppo".
        before: replies that `evaluate.judge` judged before training.
        after: and after.
        model: that wrote them.
    """
    names, rows = SHOWN[stage], runs("real_stages", stage=stage)
    groups = {f"{model}, before": before, f"{model}, after": after}
    groups = {who: [share(judged[name]) for name in names] for who, judged in groups.items()}
    real = [_shares(rows, name) for name in names]
    groups |= {f"{rows['model'].iloc[0]}, {w}": [x[w] for x in real] for w in ("before", "after")}
    compare([spoken(name) for name in names], groups, form="{:.0%}", title=_title(names[0], groups))
    draw_curves(rows, *CURVES[stage])
    show(changes(rows, [*names, "utility", "tokens"]), "the real model, change with 95% interval")
    show(samples(rows), "its replies, before and after")


def show_reward(accuracy: float, gold: float, model: str) -> None:
    """A real model's reward model beside the one that was trained here: held-out accuracies."""
    rows = runs("real_stages", stage="reward")
    names = {"accuracy": "of noisy labels", "gold_accuracy": "of gold utility"}
    groups = {model: [accuracy, gold], rows["model"].iloc[0]: [rows[n].mean() for n in names]}
    spread = [(rows[name].min(), rows[name].max()) for name in names]
    compare(list(names.values()), groups, {rows["model"].iloc[0]: spread}, form="{:.0%}",
            title="Accuracy on held-out comparisons; lines: lowest and highest seed")  # fmt: skip
    columns = ["accuracy", "ceiling", "gold_accuracy", "test_accuracy", "test_gold_accuracy"]
    show(rows[["seed", *columns]].round(3), "the real model; test: unseen contents")


def show_constraints(before: pd.DataFrame, after: pd.DataFrame, model: str) -> None:
    """GRPO on a real model with rules that a program checks, beside the problems solved here.

    Args:
        before: tries that `evaluate.solve` verified before training.
        after: and after.
        model: that wrote them.
    """
    rows = runs("real_constraints")
    kinds = ["kept", "lower case", "items", "mentions", "length"]
    real = [_shares(rows, kind) for kind in kinds]
    solved = {"before": pass_rate(before, 1), "after": pass_rate(after, 1)}
    groups = {w: [first, *(x[w] for x in real)] for w, first in solved.items()}
    labels = [f"problems solved: {model}", "all rules kept", *kinds[1:]]
    title = f"{rows['model'].iloc[0]} keeps {real[0]['before'].mean:.0%}, then "
    title += f"{real[0]['after'].mean:.0%} of held-out rules"
    compare(labels, groups, form="{:.0%}", title=title)
    draw_curves(rows, "reward", "entropy", "length")
    show(changes(rows, [*kinds, "tokens"]), "the real model, change with 95% interval")
    show(samples(rows), "its replies, before and after")
