"""The start of every notebook: seeds, device, number type, and one printed line that says so."""

from __future__ import annotations

import os
import random
import warnings
from dataclasses import dataclass

import numpy as np
import torch

import minialign
from minialign.course import profiles
from minialign.course.profiles import Profile
from minialign.system.colab import NO_GPU, in_colab, keep_on_drive

MAX_SEED = 2**32 - 1  # numpy takes no larger one


@dataclass(frozen=True)
class Session:
    """What the cells of a notebook share."""

    seed: int
    profile: Profile
    model: str  # name or folder, for load_policy
    device: torch.device
    dtype: torch.dtype  # of the weights
    generator: torch.Generator  # on the device, seeded; sampling draws from it

    def __str__(self) -> str:
        threads = torch.get_num_threads()
        return " | ".join(
            [
                f"minialign {minialign.__version__}",
                f"profile {self.profile.name}",
                f"model {self.model}",
                f"{_device_name(self.device)}, {str(self.dtype).removeprefix('torch.')}",
                f"{threads} thread{'s' * (threads != 1)}",
                f"torch {torch.__version__}",
                f"seed {self.seed}",
            ]
        )


def start(
    seed: int = 0,
    profile: str | Profile | None = None,
    model: str | None = None,
    quiet: bool = False,
) -> Session:
    """Seed everything, pick a device, and say what was picked in one line.

    Args:
        seed: of python's, numpy's and torch's random numbers and of the session's generator.
        profile: as `profiles.get` takes it; None is MINIALIGN_PROFILE, else tiny.
        model: any causal language model of the hub, or a folder; None is the profile's.
        quiet: print nothing.

    Returns:
        A `Session`. Weights are float32, except in the small profile on a CUDA device that computes
        in bfloat16 by itself. In Colab, runs are kept on Drive if MINIALIGN_DRIVE asks for it.

    Raises:
        ValueError: if the seed or the profile does not exist.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed is {seed!r}, but must be a whole number from 0 to {MAX_SEED}")
    chosen = profiles.get(profile)
    _hush_libraries()
    keep_on_drive()
    seed_everything(seed)
    device = pick_device()
    session = Session(
        seed=seed,
        profile=chosen,
        model=chosen.model if model is None else str(model),
        device=device,
        dtype=pick_dtype(device, chosen),
        generator=torch.Generator(device).manual_seed(seed),
    )
    if not quiet:
        print(session)
        if device.type == "cpu" and in_colab() and chosen.base == "small":
            print(NO_GPU)
    return session


def seed_everything(seed: int) -> None:
    """Seed the global random numbers of python, numpy and torch (every device)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def pick_device() -> torch.device:
    """CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_dtype(device: torch.device, profile: Profile) -> torch.dtype:
    """bfloat16 for the small profile where CUDA has it in hardware, else float32.

    A T4 only emulates bfloat16, slowly. tiny-base is so small that bfloat16 saves nothing.
    """
    if device.type != "cuda" or profile.base != "small":
        return torch.float32
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float32


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return device.type


def _hush_libraries() -> None:
    """Turn off progress bars of loading and advice; warnings and errors still come through.

    Bars of downloads stay: a download of minutes must not look like a halt.
    """
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns after every fork
    import datasets
    from transformers.utils import logging

    warnings.filterwarnings(  # transformers warns itself of this whenever it saves a model
        "ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning
    )
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
