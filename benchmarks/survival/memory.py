"""Memory that runs out in a loop: on the CPU for real, on a card by a stand-in for its error.

Each loop begins with more rows than fit beside what its process holds, below a limit of addresses
(RLIMIT_AS). What its error names is set, and it is tried again, until it fits.
"""

from __future__ import annotations

import os
import re
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch

from benchmarks.survival.kills import ended, kill
from benchmarks.survival.loops import LOOPS, SAMPLED, asked, letters, pairs, tiny, tokenizer
from benchmarks.survival.outcome import Outcome
from minialign.algorithms.dpo import DpoConfig, train_dpo
from minialign.algorithms.grpo import GrpoConfig, train_grpo
from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.models import memory, references
from minialign.core.models.heads import RewardModel, ValueModel

ROOM = 560 << 20  # bytes of addresses that a loop may take: autograd's thread alone wants 140 MB
PAIRS = 768
CACHE = 16
MOST, LONG = 12, 120.0  # tries of a loop; seconds for one
FIELD = re.compile(r"(?:\w+\(|models\.\w+\.)(\w+) ?= ?(\d+)")
ONE = {"steps": 1}
FAILS = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")


def many() -> list:
    """Pairs after prompts that all differ, or they would be read once."""
    return pairs(PAIRS)


def sft(**field) -> None:
    config = SftConfig(**{**ONE, "batch_size": PAIRS} | field)
    train_sft(tiny(), tokenizer(), [chosen for chosen, _ in many()], config)


def reward_model(**field) -> None:
    config = RewardConfig(**{**ONE, "batch_size": PAIRS} | field)
    train_reward(RewardModel.from_policy(tiny()), tokenizer(), many(), config)


def dpo(**field) -> None:
    config = DpoConfig(**{**ONE, "batch_size": PAIRS} | field)
    train_dpo(tiny(), tokenizer(), many(), config)


def ppo(**field) -> None:
    config = PpoConfig(**{**SAMPLED, **ONE, "prompts": 1536, "minibatches": 1} | field)
    value = ValueModel.from_policy(tiny(1))
    train_ppo(tiny(), tokenizer(), asked() * 96, letters, config, value_model=value)


def grpo(**field) -> None:
    wide = {**SAMPLED, **ONE, "prompts": 512, "group_size": 16, "max_new_tokens": 64}
    train_grpo(tiny(), tokenizer(), asked() * 32, letters, GrpoConfig(**wide | field))


CASES: dict[str, Callable] = {one.__name__: one for one in (sft, reward_model, dpo, ppo, grpo)}


def attempt(loop: Callable, field: dict[str, int], out: Path) -> str:
    """What a child says that runs a loop below the limit: "fits", or the notes of its error."""
    child = os.fork()
    if not child:
        try:
            _limited(loop, field, out)
        finally:
            os._exit(0)
    if ended(child, LONG) is None:
        kill(child)
    return out.read_text() if out.exists() else "died"


def _limited(loop: Callable, field: dict[str, int], out: Path) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    field = dict(field)
    memory.PART_BYTES = field.pop("PART_BYTES", memory.PART_BYTES)
    references.SIZE = field.pop("SIZE", references.SIZE)
    try:
        loop(**field)
    except (RuntimeError, MemoryError) as error:
        said = "\n".join(getattr(error, "__notes__", [])) or f"no note: {error!r}"[:80]
    else:
        said = "fits"
    out.write_text(said)


def measure() -> list[Outcome]:
    """Each case until it fits, and the stand-in in every loop.

    oneDNN keeps a kernel for every shape that it has met, up to CACHE of them: hundreds of MB that
    no setting of a loop halves, so a few are kept here.
    """
    torch.set_num_threads(1)
    os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = str(CACHE)  # read when the first is made
    tries, fit, seconds, named = 0, 0, 0.0, []
    with tempfile.TemporaryDirectory() as place:
        for name, loop in CASES.items():
            field: dict[str, int] = {}
            for i in range(MOST):
                began = time.perf_counter()
                said = attempt(loop, field, Path(place) / f"{name} {i}")
                seconds = max(seconds, time.perf_counter() - began)
                found = FIELD.search(said)
                if said == "fits" or not found:
                    break
                tries += 1
                field[found[1]] = int(found[2])
            fit += said == "fits" and bool(field)
            named.append(f"{name}: {_listed(field)}" + ("" if said == "fits" else f" ({said})"))
    real = Outcome(
        "memory of the CPU runs out in a loop",
        tries,
        f"each time the error named what to lower; what it named was set until the loop fitted, "
        f"in {fit} of {len(CASES)} loops ({'; '.join(named)})",
        f"{seconds:.1f} s for a try",
        len(CASES) - fit,
    )
    return [real, stand_in()]


def _listed(field: dict[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in field.items())


def stand_in() -> Outcome:
    """Every loop meets a card's error in its backward pass."""
    named, worst = 0, 0.0
    for loop in LOOPS.values():
        began = time.perf_counter()
        with mock.patch.object(torch.Tensor, "backward", side_effect=FAILS):
            try:
                loop(None)
            except torch.OutOfMemoryError as error:
                named += any("halves what" in note for note in error.__notes__)
                del error.__notes__
        worst = max(worst, time.perf_counter() - began)
    return Outcome(
        "torch.OutOfMemoryError in the backward pass (raised by a stand-in, not by a card)",
        len(LOOPS),
        f"{named} times the error named the field that halves what the update needs",
        f"{worst:.1f} s to the error",
        len(LOOPS) - named,
    )
