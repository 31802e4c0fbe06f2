"""Recorded runs on a real language model, shown beside what a notebook has just measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from minialign.core.history import History
from minialign.course.studies import recorded
from minialign.evaluate.problems import pass_rate
from minialign.evaluate.statistics import Estimate, half_width, share, wilson
from minialign.show.axes import spoken
from minialign.show.curves import compare, curves, show

MEASURES = {
    "sft": ("follows", "stops", "any", "too_long"),
    "dpo": ("any", "rude", "too_long", "follows"),
    "ppo": ("any", "rude", "too_long", "follows"),
}  # shares of replies
HEADLINE = {"sft": "stops", "dpo": "any", "ppo": "any"}  # of the measures: the title
CURVES = {"sft": ("loss",), "dpo": ("accuracy", "margin"), "ppo": ("reward", "kl", "length")}

LABELS = {"any": "any flaw", "utility": "gold utility", "kept": "its rule kept"}
INTERVAL = "the real model: change, with 95% over prompts"


def runs(study: str, **where: str) -> pd.DataFrame:
    """The runs of a study on the real model; prints model, hardware, seeds and minutes."""
    rows = recorded(study)
    for column, value in {"profile": "two-cores", **where}.items():
        rows = rows[rows[column] == value]
    first, minutes = rows.iloc[0], rows["train_minutes"].mean()
    print(
        f"recorded: {first['model']}, {first['hardware']}, {len(rows)} seeds, {minutes:.1f} "
        "minutes of training each"
    )
    return rows


def changes(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Before, after and change of each measure; the interval is over prompts, not over seeds."""
    table = []
    for name in names:
        before, after = rows[f"{name}_before"], rows[f"{name}_after"]
        moved, half = after - before, half_width(rows[f"{name}_error"].mean(), _prompts(rows, name))
        low, high = moved.mean() - half, moved.mean() + half
        change = f"{moved.mean():+.2f} [{low:+.2f}, {high:+.2f}]"
        by_seed = " ".join(f"{x:+.2f}" for x in moved)
        table.append([_label(name), before.mean(), after.mean(), change, by_seed])
    columns = ["measure", "before", "after", "change", "by seed"]
    return pd.DataFrame(table, columns=columns).round(2)


def samples(rows: pd.DataFrame) -> list[dict[str, str]]:
    """A few prompts of the first seed with replies before and after, as rows of a table."""
    replies = json.loads(rows["samples"].iloc[0])
    return [dict(zip(("prompt", "before", "after"), row, strict=True)) for row in replies]


def _label(name: str) -> str:
    return LABELS.get(name, spoken(name))


def _prompts(rows: pd.DataFrame, name: str) -> int:
    """How many prompts of one seed a measure is over."""
    return int(rows[f"{name}_n" if f"{name}_n" in rows else "n"].iloc[0])


def _shares(rows: pd.DataFrame, name: str) -> dict[str, Estimate]:
    """Before and after, with Wilson's interval for the prompts of one seed."""
    n = _prompts(rows, name)
    return {w: wilson(rows[f"{name}_{w}"].mean(), n) for w in ("before", "after")}


def draw_curves(rows: pd.DataFrame, *names: str) -> None:
    """Recorded curves, the mean over seeds with a band: each point is a twelfth of the run."""
    histories = []
    for _, row in rows.iterrows():
        histories.append(History())
        parts = [row.filter(regex=rf"^{name}_\d+$").dropna().astype(float) for name in names]
        steps = json.loads(row["settings"])["steps"]
        for k, values in enumerate(zip(*parts, strict=True)):
            place = int((k + 0.5) * steps / len(parts[0]))
            histories[-1].log(place, **dict(zip(names, values, strict=True)))
    curves(histories, *names, smooth=1, titles=[spoken(name) for name in names])


def _show_change(rows: pd.DataFrame, measures: Sequence[str], *curve_names: str) -> None:
    """The curves of recorded runs, what they changed, and some replies."""
    draw_curves(rows, *curve_names)
    show(changes(rows, measures), INTERVAL)
    show(samples(rows), "its replies, before and after")


def show_stage(
    stage: str, before: pd.DataFrame, after: pd.DataFrame, model: str, *, title: str | None = None
) -> None:
    """A stage's change of a real model beside the one that was judged here.

    Args:
        stage: "sft", "dpo" or "ppo".
        before: replies that `evaluate.judge` judged before training.
        after: and after.
        model: that wrote them.
        title: of the figure; None says the first measure before and after.
    """
    names, rows = MEASURES[stage], runs("real_stages", stage=stage)
    judged = {f"here: {model}, before": before, f"here: {model}, after": after}
    groups = {who: [share(replies[name]) for name in names] for who, replies in judged.items()}
    for when in ("before", "after"):
        shares = [_shares(rows, name)[when] for name in names]
        groups[f"recorded: {rows['model'].iloc[0]}, {when}"] = shares
    was, is_now = (rows[f"{HEADLINE[stage]}_{when}"].mean() for when in ("before", "after"))
    change = f"Real model, {_label(HEADLINE[stage])}: {was:.2f} before, {is_now:.2f} after"
    compare([_label(name) for name in names], groups, form="{:.0%}", title=title or change)
    _show_change(rows, [*names, "utility", "tokens"], *CURVES[stage])


def show_reward(here: Mapping[str, float], model: str) -> None:
    """A real model's reward models, a row per seed, below the one that was trained here.

    Args:
        here: accuracy on noisy labels, their ceiling, and gold accuracy.
        model: the name of the model that was trained here.
    """
    rows = runs("real_stages", stage="reward")
    columns = ["model", "seed", "accuracy", "ceiling", "normalised", "gold accuracy"]
    rows = rows.rename(columns={"gold_accuracy": "gold accuracy"}).reindex(columns=columns)
    table = pd.concat([pd.DataFrame([{"model": model, "seed": "here", **here}]), rows])
    table["normalised"] = (table["accuracy"] - 0.5) / (table["ceiling"] - 0.5)
    show(table[columns].round(2), "held-out comparisons; normalised: a coin is 0, the ceiling 1")


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
    groups = {when: [own, *(each[when] for each in real)] for when, own in solved.items()}
    labels = [f"here: {model}, problems solved", "recorded: its rule kept", *kinds[1:]]
    title = f"{rows['model'].iloc[0]} keeps its rule in {real[0]['before'].mean:.0%}, then "
    title += f"{real[0]['after'].mean:.0%} of replies"
    compare(labels, groups, form="{:.0%}", title=title)
    _show_change(rows, [*kinds, "tokens"], "reward", "entropy", "length")
