"""Studies: sweeps over seeds and settings that are too long for a notebook.

`python -m minialign study NAME` runs every point of a study that data/runs/NAME.csv does not hold
yet and writes a row per point: its settings, what was measured, versions, hardware and minutes. The
file is rewritten after each point, so an interrupted study loses one point at most. Notebooks plot
the file, labelled as recorded, and run one point live.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pandas as pd
import torch
from tqdm.auto import tqdm

import minialign
from minialign.course import profiles
from minialign.course.profiles import Profile
from minialign.system.folders import data_folder
from minialign.world import WORLD_VERSION

Point = dict[str, Any]  # settings of one run, seed included

# Name -> module of this package that holds it as STUDIES[name].
NAMES = {
    **dict.fromkeys(("sft_seeds", "sft_data", "sft_variants"), "instruction_tuning"),
    **dict.fromkeys(
        ("reward_data", "reward_bias", "reward_kinds", "reward_best_of_n"), "reward_modeling"
    ),
    **dict.fromkeys(("ppo_frontier", "ppo_details", "ppo_faults"), "policy_optimisation"),
    **dict.fromkeys(("dpo_frontier", "dpo_noise", "dpo_faults"), "preference_optimisation"),
    **dict.fromkeys(("dpo_family", "dpo_feedback"), "preference_family"),
    **dict.fromkeys(
        ("rl_seeds", "rl_methods", "rl_kl", "rl_difficulty", "rl_hacking", "rl_faults"),
        "verifiable_rewards",
    ),
    **dict.fromkeys(("real_stages", "real_constraints"), "real_models"),
}


@dataclass(frozen=True)
class Study:
    """A sweep: the points it is made of, and what one point measures."""

    question: str  # what the sweep answers
    points: Callable[[Profile, int], list[Point]]  # (profile, seeds) -> points
    measure: Callable[[Profile, Point], dict[str, float]]


def get(name: str) -> Study:
    """A study by its name."""
    if name not in NAMES:
        raise ValueError(f"study {name!r} is unknown; use one of {', '.join(NAMES)}")
    return import_module(f"{__name__}.{NAMES[name]}").STUDIES[name]


def run(
    name: str,
    *,
    seeds: int | None = None,
    profile: str | Profile | None = None,
    out: Path | None = None,
    jobs: int = 1,
) -> Path:
    """Run what is missing of a study and return its file.

    Args:
        name: one of `NAMES`.
        seeds: runs per setting; None is the profile's.
        profile: sizes of the runs; None is the default profile.
        out: folder of the file; None is data/runs.
        jobs: points at a time; above 1, each in a process of one thread.
    """
    study = get(name)
    sizes = profile if isinstance(profile, Profile) else profiles.get(profile)
    path = (data_folder() / "runs" if out is None else Path(out)) / f"{name}.csv"
    points = [
        {"profile": sizes.name, **point} for point in study.points(sizes, seeds or sizes.seeds)
    ]
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    missing = [point for point in points if not any(_same(point, row) for row in rows)]
    print(f"{name}: {study.question} {len(missing)} of {len(points)} points to run")
    for row in tqdm(_measured(study, sizes, missing, jobs), name, total=len(missing)):
        rows.append(row)
        _write(_in_order(rows, points), path)
    return path


def _measured(study: Study, sizes: Profile, points: list[Point], jobs: int) -> Iterator[dict]:
    """A row per point, as they are done.

    Each process has a stretch of neighbouring points, which often share what is made first.
    """
    if jobs == 1:
        yield from (_row(study.measure, sizes, point) for point in points)
        return
    with ExitStack() as stack:
        pools = [
            stack.enter_context(
                ProcessPoolExecutor(1, get_context("spawn"), torch.set_num_threads, (1,))
            )
            for _ in range(jobs)
        ]
        waiting = [
            pools[i * jobs // len(points)].submit(_row, study.measure, sizes, point)
            for i, point in enumerate(points)
        ]
        try:
            yield from (done.result() for done in as_completed(waiting))
        finally:  # a point that fails, or Ctrl-C, ends the study and not only its own process
            for point in waiting:
                point.cancel()


def _row(measure: Callable, sizes: Profile, point: Point) -> dict:
    start = time.time()
    found = measure(sizes, point)
    minutes = (time.time() - start) / 60
    return {**point, **found, "minutes": round(minutes, 2), **_circumstances()}


def recorded(name: str) -> pd.DataFrame:
    """The rows of a recorded study."""
    path = data_folder() / "runs" / f"{name}.csv"
    if name not in NAMES or not path.exists():
        raise FileNotFoundError(
            f"study {name!r} is not recorded; run `python -m minialign study {name}` first"
        )
    return pd.read_csv(path)


@contextmanager
def patched(module: ModuleType, names: Mapping[str, Any]) -> Iterator[None]:
    """Names of a module replaced for a while: how a study plants a fault in a loop."""
    with ExitStack() as stack:
        for name, broken in names.items():
            stack.enter_context(mock.patch.object(module, name, broken))
        yield


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


def _in_order(rows: list[dict], points: list[Point]) -> list[dict]:
    """Rows as the study lists their points, whichever was done first; others come after them."""
    place = [next((i for i, p in enumerate(points) if _same(p, row)), len(points)) for row in rows]
    return [rows[k] for k in sorted(range(len(rows)), key=place.__getitem__)]


def _same(point: Point, row: dict) -> bool:
    return all(str(row.get(key)) == str(value) for key, value in point.items())


def _circumstances() -> dict[str, str]:
    return {
        "world_version": WORLD_VERSION,
        "minialign": minialign.__version__,
        "torch": torch.__version__,
        "hardware": f"{platform.machine()}, {torch.get_num_threads()} threads"
        if not torch.cuda.is_available()
        else torch.cuda.get_device_name(),
    }


def _write(rows: list[dict], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    pd.DataFrame(rows).to_csv(fresh, index=False, float_format="%.5g", lineterminator="\n")
    os.replace(fresh, path)
