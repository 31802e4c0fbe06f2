"""What tests/golden.json holds of a run of golden_runs, and of the machine that recorded it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import transformers
from golden_rows import BASE, GPT2, flat
from golden_runs import CASES, IN_GENERAL
from torch import Tensor

FILE = Path(__file__).with_name("golden.json")
ENTRIES = 12  # weights of a model that are recorded one by one

# On tiny-base, which is larger, one case of each path; on GPT-2 all of them.
ON_BASE = (
    "sft", "sft_all_tokens", "neftune", "lora", "reward_all_options", "plackett_luce",
    "split_pairs", "ppo", "ppo_options", "ppo_whitened_rewards", "dpo_own_reference", "wpo", "ipo",
    "simpo", "orpo", "dpo_norm", "ld_dpo", "lipo_lambda", "sdpo", "iterative_dpo", "kto", "bco",
    "grpo", "grpo_one_epoch", "rloo", "dapo_options", "gspo", "cispo", "reinforce_kl_reward",
    "remax", "grpo_process", "sample", "sample_greedy",
)  # fmt: skip
# Where updates and samples are multiplied in bfloat16: one case of each loop, on GPT-2.
IN_BFLOAT16 = ("sft", "margin", "ppo_options", "wpo", "lipo_lambda", "kto", "grpo")


@dataclass(frozen=True)
class Run:
    """A case on a model in a precision."""

    case: str
    policy_name: str
    bfloat16: bool = False
    general: bool = False  # what an essay trains, by the general loop

    @property
    def key(self) -> str:
        """The entry of FILE: an essay and its general loop have one."""
        return f"{self.case}-{self.policy_name}{'-bfloat16' if self.bfloat16 else ''}"

    def __str__(self) -> str:
        return f"{self.key}{'-in-general' if self.general else ''}"


RUNS = [
    *(Run(case, BASE) for case in ON_BASE),
    *(Run(case, GPT2) for case in CASES),
    *(Run(case, GPT2, bfloat16=True) for case in IN_BFLOAT16),
]
RUNS_IN_GENERAL = [replace(run, general=True) for run in RUNS if run.case in IN_GENERAL]


@contextlib.contextmanager
def quiet_machine(bfloat16: bool = False) -> Iterator[None]:
    """One thread, and the precision that is wanted, whatever the CPU has; both are restored."""
    threads = torch.get_num_threads()
    capabilities = torch.cpu.get_capabilities() | {"avx512_bf16": bfloat16}
    torch.set_num_threads(1)
    try:
        with (
            torch.random.fork_rng(),
            mock.patch("torch.cpu.get_capabilities", lambda: capabilities),
        ):
            torch.manual_seed(0)
            yield
    finally:
        torch.set_num_threads(threads)


def movement(model: torch.nn.Module, before: Tensor, places: list[int] | None) -> dict[str, Any]:
    """A digest of the weights, the sum of squares of how far they went, and how far a few went.

    Args:
        model: after training.
        before: (N,) its weights at the start.
        places: numbers of the few weights; None chooses the one that went farthest in each of
            ENTRIES parts, since where a gradient is nearly 0, rounding decides Adam's sign.
    """
    after = flat(model)
    shift = (after - before).double()
    if places is None:
        size = -(-len(shift) // ENTRIES)
        parts = enumerate(shift.abs().split(size))
        places = [i * size + int(part.argmax()) for i, part in parts]
    return {
        "digest": hashlib.sha256(after.numpy().tobytes()).hexdigest()[:32],
        "squares": shift.square().sum().item(),
        "places": places,
        "shifts": shift[places].tolist(),
    }


def measure(run: Run, golden: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a run gives now: its rows, and the movement of its models.

    `golden` is what it gave, which says at which places weights are compared; None chooses them.
    """
    with quiet_machine(run.bfloat16):
        case = (IN_GENERAL if run.general else CASES)[run.case]
        rows, models, before = case(run.policy_name)
    places = {} if golden is None else {n: m["places"] for n, m in golden["models"].items()}
    return {
        "rows": rows,
        "models": {
            name: movement(model, before[name], places.get(name)) for name, model in models.items()
        },
    }


def probe() -> str:
    """A digest of the machine: equal where a run's last bits can be expected to be equal."""
    generator = torch.Generator().manual_seed(0)
    capability = torch.backends.cpu.get_cpu_capability()
    digest = hashlib.sha256(f"{torch.__version__} {transformers.__version__} {capability}".encode())
    with quiet_machine():
        for n, k in ((33, 32), (150, 192), (96, 512)):
            a = torch.randn(n, k, generator=generator)
            b = torch.randn(k, n, generator=generator, requires_grad=True)
            out = torch.softmax(a @ b, -1).exp().log_softmax(-1)
            out.square().mean().backward()
            half = (a.bfloat16() @ b.detach().bfloat16()).float()
            for tensor in (out.detach(), b.grad, half, a.square().mean(0).rsqrt()):
                digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _short(value: Any) -> Any:
    """The same JSON with nine digits of each float."""
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_short(one) for one in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def record(cases: Collection[str] = ()) -> None:
    """Write FILE, one run a line: all of it, or anew the cases that are named."""
    if strange := sorted(set(cases) - CASES.keys()):
        raise ValueError(f"there is no case {strange[0]!r}; use names of golden_runs.CASES")
    lines = [f'"probe": "{probe()}"']
    if cases:
        then = FILE.read_text().splitlines()
        if then[1].rstrip(",") != lines[0]:
            raise ValueError("another machine wrote the file; record all cases, without a name")
        kept = {line.split('"')[1]: line.rstrip(",") for line in then[2:-1]}
    for run in RUNS:
        if cases and run.case not in cases:
            lines.append(kept[run.key])
            continue
        compact = json.dumps(_short(measure(run)), separators=(",", ":"))
        lines.append(f'"{run.key}": {compact}')
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
