"""Studies: sweeps over seeds and settings that are too long for a notebook.

`python -m minialign study NAME` runs every point of a study that data/runs/NAME.csv does not hold
yet for this version of the world, and writes a row per point: its settings, what was measured,
versions, hardware and minutes. A row of an older world stays until its point has been run again.
The file is rewritten after each point, so an interrupted study loses one point at most. Notebooks
plot the file, labelled as recorded, and run one point live.

A study is a function that measures one point, declared with `study`: a question, and what varies.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

import minialign
from minialign.course import profiles
from minialign.course.profiles import Profile
from minialign.system.folders import data_folder
from minialign.world import WORLD_VERSION

Point = dict[str, Any]  # settings of one run, seed included
Measure = Callable[..., dict[str, Any]]  # (profile, seed, **settings) -> columns of the point's row

MODULES = {
    "instruction_tuning": ("sft_seeds", "sft_data", "sft_variants"),
    "reward_modeling": (
        "reward_data", "reward_bias", "reward_kinds", "reward_best_of_n", "reward_selection",
    ),
    "reward_blindness": ("reward_blindness",),
    "policy_optimisation": (
        "ppo_frontier", "ppo_overoptimisation", "ppo_details", "ppo_faults",
    ),
    "preference_optimisation": ("dpo_frontier", "dpo_noise", "dpo_faults"),
    "preference_family": ("dpo_family", "dpo_length", "dpo_feedback"),
    "verifiable_rewards": (
        "rl_seeds", "rl_methods", "rl_kl", "rl_difficulty", "rl_hacking", "rl_faults",
    ),
    "trained_policies": ("rl_pass_at_k", "rl_policies"),
    "real_models": ("real_stages", "real_constraints"),
}  # fmt: skip
NAMES = {name: module for module, names in MODULES.items() for name in names}
NUMBER = "%.5g"  # how a file holds one
_STUDIES: dict[str, Study] = {}  # filled by the modules, as they are imported


@dataclass(frozen=True)
class Study:
    """A sweep: what varies besides the seed, and what one point measures."""

    question: str  # what the sweep answers
    settings: Callable[[Profile], list[Point]]  # of the runs of one seed
    run: Measure

    def points(self, profile: Profile, seeds: int) -> list[Point]:
        """All settings with each of the seeds 0, 1, ..."""
        return [{**one, "seed": seed} for seed in range(seeds) for one in self.settings(profile)]

    def measure(self, profile: Profile, point: Point) -> dict[str, Any]:
        """What one point measures, as columns of its row."""
        return self.run(profile, **point)


def study(
    name: str, question: str, settings: Callable[[Profile], list[Point]] | None = None,
    **values: Iterable[Any],
) -> Callable[[Measure], Measure]:  # fmt: skip
    """Declare a function that measures one point as the study `name`.

    Args:
        name: one of `NAMES`.
        question: what the study answers.
        settings: those of the runs in a profile, where they are no grid.
        **values: setting -> its values; the study runs all combinations.
    """
    grid = [dict(zip(values, combined, strict=True)) for combined in product(*values.values())]

    def declare(measure: Measure) -> Measure:
        _STUDIES[name] = Study(question, settings or (lambda profile: grid), measure)
        return measure

    return declare


def get(name: str) -> Study:
    """The study of this name; ValueError if there is none."""
    if name not in NAMES:
        raise ValueError(f"study {name!r} is unknown; use one of {', '.join(NAMES)}")
    import_module(f"{__name__}.{NAMES[name]}")
    return _STUDIES[name]


def run(
    name: str, *, seeds: int | None = None, profile: str | Profile | None = None,
    out: Path | None = None, jobs: int = 1,
) -> Path:  # fmt: skip
    """Run what is missing of a study and return its file.

    Args:
        name: one of `NAMES`.
        seeds: runs per setting; None is the profile's.
        profile: sizes of the runs; None is the default profile.
        out: folder of the file; None is data/runs.
        jobs: points at a time; above 1, each in a process of one thread.
    """
    this, sizes = get(name), profiles.get(profile)
    path = (data_folder() / "runs" if out is None else Path(out)) / f"{name}.csv"
    points = this.points(sizes, seeds or sizes.seeds)
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    done = [row for row in rows if str(row.get("world_version")) == WORLD_VERSION]
    missing = [point for point in points if not any(_is_of(row, point, sizes) for row in done)]
    print(f"{name}: {this.question} {len(missing)} of {len(points)} points to run")
    for row in tqdm(_rows(name, sizes, missing, jobs), name, total=len(missing)):
        point = next(point for point in missing if _is_of(row, point, sizes))
        rows = [old for old in rows if not _is_of(old, point, sizes)] + [row]
        places = [[_is_of(one, point, sizes) for point in points] + [True] for one in rows]
        order = sorted(range(len(rows)), key=lambda k: places[k].index(True))  # others come last
        _write([rows[k] for k in order], path)
    return path


def _rows(name: str, sizes: Profile, points: list[Point], jobs: int) -> Iterator[dict]:
    """A row per point, as they are done.

    Each process has a stretch of neighbouring points, which often share what is made first.
    """
    if jobs == 1:
        yield from (_row(name, sizes, point) for point in points)
        return
    with ExitStack() as stack:
        alone = partial(ProcessPoolExecutor, 1, get_context("spawn"), torch.set_num_threads, (1,))
        pools = [stack.enter_context(alone()) for _ in range(jobs)]
        waiting = [
            pools[i * jobs // len(points)].submit(_row, name, sizes, point)
            for i, point in enumerate(points)
        ]
        try:
            yield from (done.result() for done in as_completed(waiting))
        finally:  # a point that fails, or Ctrl-C, ends the study and not only its own process
            for point in waiting:
                point.cancel()


def _row(name: str, sizes: Profile, point: Point) -> dict[str, Any]:
    start = time.time()
    measured = get(name).measure(sizes, point)
    hardware = f"{platform.machine()}, {torch.get_num_threads()} threads"
    return {
        "profile": sizes.name,
        **point,
        **measured,
        "minutes": round((time.time() - start) / 60, 2),
        "world_version": WORLD_VERSION,
        "minialign": minialign.__version__,
        "torch": torch.__version__,
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else hardware,
    }


def _is_of(row: dict, point: Point, sizes: Profile) -> bool:
    """Whether a row is of this point in this profile; a file holds numbers as text."""
    wanted = {"profile": sizes.name, **point}
    return all(_text(row.get(key)) == _text(value) for key, value in wanted.items())


def _text(value: object) -> str:
    """A value as a file holds it: 0.0 is written, and read again, as 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return str(float(NUMBER % value) if isinstance(value, float) else float(value))


def _write(rows: list[dict], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    pd.DataFrame(rows).to_csv(fresh, index=False, float_format=NUMBER, lineterminator="\n")
    os.replace(fresh, path)


def recorded(name: str) -> pd.DataFrame:
    """The rows of a recorded study; FileNotFoundError if it is not recorded."""
    path = data_folder() / "runs" / f"{name}.csv"
    if name not in NAMES or not path.exists():
        raise FileNotFoundError(
            f"study {name!r} is not recorded; run `python -m minialign study {name}` first"
        )
    return pd.read_csv(path)


def of_this_world(rows: pd.DataFrame) -> pd.DataFrame:
    """The recorded rows of this version of the world, which a live run can be compared with."""
    return rows[rows["world_version"].astype(str) == WORLD_VERSION]


def over_seeds(rows: pd.DataFrame, by: str | Sequence[str], value: str) -> pd.DataFrame:
    """Mean, lowest, highest and number of a value over the seeds of each setting."""
    return rows.groupby(by, sort=False)[value].agg(["mean", "min", "max", "count"])


def by_seed(
    rows: pd.DataFrame, by: str | Sequence[str], value: str, columns: Sequence[str] = ()
) -> pd.DataFrame:
    """A value's mean over seeds and its value for each seed, and means of other columns.

    Settings keep their order; numbers are rounded to two digits for showing.
    """
    groups = rows.groupby(by, sort=False)
    table = groups[[value, *columns]].mean().round(2)
    table.insert(1, "by seed", groups[value].agg(lambda u: " ".join(f"{x:.2f}" for x in u)))
    return table.reset_index()
