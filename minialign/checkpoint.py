"""Atomic save and resume of a training run: weights, optimizer moments, settings and position.

A checkpoint is a folder of safetensors and JSON, never pickle. It is written beside its place and
then renamed into it, so that a kill at any moment leaves either the old one or the new one, whole.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file


def save_checkpoint(
    path: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict[str, Any],
    state: dict[str, Any],
) -> None:
    """Write a checkpoint folder atomically; `settings` and `state` must be JSON-able."""
    fresh, old = path.with_name(path.name + ".new"), path.with_name(path.name + ".old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    weights = {name: p.detach().contiguous() for name, p in model.named_parameters()}
    save_file(weights, fresh / "weights.safetensors")
    moments = {}
    for i, parameter in enumerate(_parameters(optimizer)):
        for key, value in optimizer.state[parameter].items():
            moments[f"{i}.{key}"] = torch.as_tensor(value).detach().contiguous()
    save_file(moments, fresh / "optimizer.safetensors")
    (fresh / "state.json").write_text(json.dumps({"settings": settings, "state": state}))
    if path.exists():
        os.rename(path, old)
    os.rename(fresh, path)
    shutil.rmtree(old, ignore_errors=True)


def has_checkpoint(path: Path) -> bool:
    """Whether there is a checkpoint to continue from; finishes a save that was cut between
    renames."""
    fresh, old = path.with_name(path.name + ".new"), path.with_name(path.name + ".old")
    if not path.exists() and old.exists() and fresh.exists():
        os.rename(fresh, path)  # the old one was only moved away once the new one was whole
    return path.exists()


def load_checkpoint(
    path: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Load weights and moments in place and return the saved state.

    Raises ValueError if the checkpoint was made with other settings: delete it or restore them.
    """
    saved = json.loads((path / "state.json").read_text())
    if saved["settings"] != settings:
        changed = [k for k in settings if saved["settings"].get(k) != settings[k]]
        raise ValueError(
            f"the checkpoint {path.name} was made with other settings "
            f"({', '.join(changed)} differ); "
            "delete the folder to start anew, or restore the settings to continue"
        )
    weights = load_file(path / "weights.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    moments = load_file(path / "optimizer.safetensors")
    for i, parameter in enumerate(_parameters(optimizer)):
        keys = [k for k in moments if k.split(".", 1)[0] == str(i)]
        optimizer.state[parameter] = {k.split(".", 1)[1]: moments[k] for k in keys}
    return saved["state"]


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]
