"""Two processes that train into one folder at the same time."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from random import Random

import torch

from benchmarks.survival.kills import ended, kill
from benchmarks.survival.loops import LOOPS
from benchmarks.survival.outcome import Outcome

REFUSAL = "another run is writing into run; wait until it has ended"
LONG = 120.0


def process(name: str, folder: Path, out: Path) -> int:
    """Fork a run of a loop; it writes its history, or why it was refused."""
    child = os.fork()
    if child:
        return child
    try:
        try:
            said = json.dumps(LOOPS[name](folder)[0])
        except RuntimeError as error:
            said = str(error)
        out.write_text(said)
        os._exit(0)
    finally:
        os._exit(1)


def measure(pairs: int, seed: int = 0) -> list[Outcome]:
    """Pairs of one loop, the second a random moment after the first."""
    torch.set_num_threads(1)
    rng, names = Random(seed), [name for name in LOOPS if name != "rounds"]
    good, refused, seconds = 0, 0, 0.0
    with tempfile.TemporaryDirectory() as place:
        for i in range(pairs):
            name = names[i % len(names)]
            base = Path(place) / str(i)
            base.mkdir()
            expected = json.dumps(LOOPS[name](None)[0])
            began = time.perf_counter()
            children = []
            for out in ("first", "second"):
                children.append(process(name, base / "run", base / out))
                time.sleep(rng.uniform(0, 0.3))
            for child in children:
                if ended(child, LONG) is None:
                    kill(child)
            seconds = max(seconds, time.perf_counter() - began)
            said = [(base / out).read_text() for out in ("first", "second")]
            no = sum(one.startswith(REFUSAL) for one in said)
            refused += no
            good += said.count(expected) == 2 - no and no < 2 and expected == again(name, base)
    return [
        Outcome(
            "two runs on one folder at the same time",
            pairs,
            f"{refused} times one of them was refused in a sentence, else the second came after "
            f"the first and found it finished; {good} times who ran had the right history, and "
            "the checkpoint was whole",
            f"{seconds:.1f} s for both",
            pairs - good,
        )
    ]


def again(name: str, base: Path) -> str:
    """What the folder's checkpoint says once both are gone."""
    return json.dumps(LOOPS[name](base / "run")[0])
