"""Atomic save and resume of a training run: weights, optimizer, random state, settings, position.

A checkpoint is a folder of safetensors and JSON, never pickle. It is written beside its place and
then renamed into it, so that a kill at any moment leaves either the old one or the new one, whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

Optimizers = torch.optim.Optimizer | Sequence[torch.optim.Optimizer]
FORMAT = "minialign checkpoint 3"
TENSOR_FILES = ("weights", "optimizer", "random")
# What a difference in these settings means; others are fields of a config.
MEANINGS = {
    "data": "rows, labels or columns",
    "paid_by": "the rewards, those of steps, or what is watched",
    "reference": "the reference, or the policy that it was copied from: load it as it was",
    "frozen": "the frozen weights below the adapter",
    "functions": "the functions that the loop was given, or their settings",
}


def fingerprint(value: Any) -> str:
    """16 hex digits that stand for what rows hold: texts, numbers, labels, tensors, nested.

    >>> fingerprint([{"prompt": "?", "answer": 7}]) == fingerprint([{"prompt": "?", "answer": 8}])
    False
    """
    try:
        text = json.dumps(value, default=_plain, sort_keys=True)
    except TypeError:  # keys that are no texts, or of several kinds
        text = json.dumps(_keyed(value), default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def identity(function: Callable) -> str:
    """What a checkpoint knows a function by: its name, or what it says of itself.

    One that is made of others, or of weights, has an attribute `identity`, a function without
    arguments; of a partial its arguments count, of an object what it holds.
    """
    says = getattr(function, "identity", None)
    if callable(says):
        return says()
    if isinstance(function, partial):
        settings = fingerprint([function.args, function.keywords])
        return f"{identity(function.func)} {settings}"
    name = getattr(function, "__qualname__", type(function).__qualname__)
    settings = vars(function) if hasattr(function, "__dict__") else {}
    return f"{name} {fingerprint(settings)}" if settings else name


def run_settings(
    loop: str,
    config: Any,
    data: Any,
    model: torch.nn.Module | None = None,
    reference: torch.nn.Module | None = None,
    rewards: Mapping[str, Callable] | None = None,
    functions: Mapping[str, Callable] | None = None,
) -> dict[str, Any]:
    """What a checkpoint is known by: the loop, its settings, and digests of all that it reads.

    Of the model count the frozen weights (below an adapter) and the adapters' scales; of the
    reference all weights; of rewards what they say of themselves.
    """
    settings = {"loop": loop, **asdict(config), "data": fingerprint(data)}
    if model is not None:
        settings["frozen"] = weights_digest(model, frozen_only=True)
        configs = [vars(m).get("peft_config", {}) for m in model.modules()]
        settings["adapters"] = [
            [c.r, c.lora_alpha, c.use_rslora] for one in configs for c in one.values()
            if hasattr(c, "lora_alpha")
        ]  # fmt: skip
    if reference is not None:
        settings["reference"] = weights_digest(reference)
    if rewards is not None:
        settings["paid_by"] = {name: identity(reward) for name, reward in rewards.items()}
    if functions is not None:
        settings["functions"] = {name: identity(function) for name, function in functions.items()}
    return settings


def weights_digest(model: torch.nn.Module, *, frozen_only: bool = False) -> str:
    """16 hex digits that stand for a model's parameters and buffers, wherever they lie.

    With `frozen_only`, for those that no training changes.
    """
    digest, buffers = hashlib.sha256(), {name for name, _ in model.named_buffers()}
    saved = [(name, x) for name, x in model.state_dict().items() if name in buffers]
    for name, tensor in (*model.named_parameters(), *saved):
        if not (frozen_only and tensor.requires_grad):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            raw = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
            digest.update(raw.numpy().tobytes())
    return digest.hexdigest()[:16]


def _keyed(value: Any) -> Any:
    """Mappings, nested too, as lists of pairs whose keys are told apart by kind and value."""
    if isinstance(value, Mapping):
        return sorted(([repr(k), _keyed(v)] for k, v in value.items()), key=lambda pair: pair[0])
    return [_keyed(one) for one in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    """A value that JSON has no word for; an address in memory says nothing of it."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return _keyed(value)
    names = getattr(value, "__dict__", None) or getattr(type(value), "__slots__", ())
    attributes = {str(name): getattr(value, name) for name in names if hasattr(value, name)}
    if attributes:
        return {type(value).__name__: attributes}
    return re.sub(r" at 0x\w+", "", repr(value))


def save_checkpoint(
    path: Path,
    model: torch.nn.Module,
    optimizer: Optimizers,
    settings: dict[str, Any],
    state: dict[str, Any],
    generators: Sequence[torch.Generator] = (),
) -> None:
    """Write a checkpoint folder atomically.

    Args:
        path: the folder, replaced as a whole.
        model: its trainable parameters are saved.
        optimizer: one or several; their moments are saved.
        settings: JSON-able; a run with others will be refused.
        state: JSON-able; whatever the loop needs to go on, such as its step.
        generators: random generators to restore besides torch's own.

    Raises:
        OSError: if it cannot be written, as on a full disk; the last checkpoint is still there.
    """
    path = Path(path)
    fresh, old = _beside(path)
    try:
        if path.exists() and old.exists():
            _keep_foreign_files(old, path)
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
        _write(fresh, model, optimizer, settings, state, generators)
        if path.exists():
            os.rename(path, old)
        os.rename(fresh, path)
        if old.exists():
            _keep_foreign_files(old, path)
    except (OSError, SafetensorError) as error:  # safetensors has one of its own for a full disk
        if path.exists():  # else the new one is whole, and the old one only moved away
            shutil.rmtree(fresh, ignore_errors=True)
        raise OSError(
            f"the checkpoint {path.name} could not be saved in {path.parent.resolve()} ({error}); "
            "free some disk there, or make the folder writable, and start again: the run goes on "
            "from what was saved before",
        ) from error
    shutil.rmtree(old, ignore_errors=True)


def _write(
    fresh: Path, model: torch.nn.Module, optimizer: Optimizers, settings: dict[str, Any],
    state: dict[str, Any], generators: Sequence[torch.Generator],
) -> None:  # fmt: skip
    """The files of a checkpoint, into an empty folder."""
    moments = {
        f"{i}.{key}": torch.as_tensor(value).detach().contiguous()
        for i, (one, parameter) in enumerate(_parameters(optimizer))
        for key, value in one.state[parameter].items()
    }
    weights = {n: p.detach().contiguous() for n, p in _trainable(model).items()}
    random = {str(i): g.get_state() for i, g in enumerate(generators)}
    random["torch"] = torch.get_rng_state()
    digests = {}
    for name, tensors in zip(TENSOR_FILES, (weights, moments, random), strict=True):
        save_file(tensors, fresh / f"{name}.safetensors")
        digests[name] = _digest(fresh / f"{name}.safetensors")
    devices = [g.device.type for g in generators]
    digests["state"] = _content_digest(settings, state, devices)
    header = {
        "format": FORMAT, "settings": settings, "state": state, "devices": devices,
        "digests": digests,
    }  # fmt: skip
    (fresh / "state.json").write_text(json.dumps(header))


def _keep_foreign_files(old: Path, path: Path) -> None:
    """Take along what else lies in the folder, such as a model that a callback saved there."""
    for entry in old.iterdir():
        if not (path / entry.name).exists():
            os.rename(entry, path / entry.name)


def has_checkpoint(path: Path) -> bool:
    """Whether there is a checkpoint to go on from; finishes a save that was cut between renames.

    An empty folder holds none.
    """
    path = Path(path)
    fresh, old = _beside(path)
    if not path.exists() and old.exists() and fresh.exists():
        os.rename(fresh, path)  # the old one was only moved away once the new one was whole
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def load_checkpoint(
    path: Path,
    model: torch.nn.Module,
    optimizer: Optimizers,
    settings: dict[str, Any],
    generators: Sequence[torch.Generator] = (),
) -> dict[str, Any]:
    """Load weights, moments and random state in place and return the saved state.

    A run may go on on another kind of device, whose random numbers are others: its generators are
    then seeded anew, from what was saved, and a warning says so.

    Raises:
        ValueError: if the folder is damaged, is no checkpoint, or was made by other settings; the
            message says what to do.
    """
    path = Path(path)
    header = _header(path)
    saved, settings = header["settings"], json.loads(json.dumps(settings))  # tuples as lists
    if saved != settings:
        changed = sorted(k for k in {*saved, *settings} if saved.get(k) != settings.get(k))
        names = [f"{k} ({MEANINGS[k]})" if k in MEANINGS else k for k in changed]
        raise ValueError(
            f"the checkpoint {path.name} was made with other settings "
            f"({', '.join(names)} differ); "
            "delete the folder to start anew, or restore the settings to continue"
        )
    weights, moments, random = (load_file(path / f"{name}.safetensors") for name in TENSOR_FILES)
    trainable = _trainable(model)
    kinds = ({n: (x.shape, x.dtype) for n, x in part.items()} for part in (trainable, weights))
    if next(kinds) != next(kinds):
        raise ValueError(
            f"the checkpoint {path.name} holds the weights of another model, or of another number "
            "type; delete the folder to start anew, or load the model that it was made with"
        )
    with torch.no_grad():
        for name, parameter in trainable.items():
            parameter.copy_(weights[name])
    for i, (one, parameter) in enumerate(_parameters(optimizer)):
        keys = [k for k in moments if k.split(".", 1)[0] == str(i)]
        one.state[parameter] = {  # copies: a mapped file holds its disk after it is replaced
            k.split(".", 1)[1]: moments[k].to(parameter.device, copy=True) for k in keys
        }
    torch.set_rng_state(random["torch"])
    for i, (generator, device) in enumerate(zip(generators, header["devices"], strict=True)):
        _restore(generator, random[str(i)], device)
    return header["state"]


def _restore(generator: torch.Generator, state: Tensor, device: str) -> None:
    if generator.device.type == device:
        generator.set_state(state)
        return
    warnings.warn(
        f"this run began on {device} and goes on on {generator.device.type}, whose random numbers "
        "are others: sampling is seeded anew",
        stacklevel=3,
    )
    seed = hashlib.sha256(state.numpy().tobytes()).digest()
    generator.manual_seed(int.from_bytes(seed[:4], "little"))


def _header(path: Path) -> dict[str, Any]:
    """state.json, once the files are known to be those that it was written with."""
    repair = "delete the folder to start anew"
    if path.is_dir() and not (path / "state.json").exists():
        repair += ", or give another one, if these files are not of a run"
    try:
        header = json.loads((path / "state.json").read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} has no readable state.json; {repair}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"{path.name} is no checkpoint of this version ({FORMAT!r}); {repair}")
    digests = header.get("digests", {})
    content = (header.get(name) for name in ("settings", "state", "devices"))
    if digests.get("state") != _content_digest(*content):
        raise ValueError(f"the checkpoint {path.name} is damaged (state.json); {repair}")
    for name in TENSOR_FILES:
        file = path / f"{name}.safetensors"
        if not file.exists() or _digest(file) != digests.get(name):
            raise ValueError(f"the checkpoint {path.name} is damaged ({file.name}); {repair}")
    return header


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + ".new"), path.with_name(path.name + ".old")


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _content_digest(*content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _trainable(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {n: p for n, p in model.named_parameters() if p.requires_grad}


def _parameters(
    optimizers: Optimizers,
) -> list[tuple[torch.optim.Optimizer, torch.nn.Parameter]]:
    """Every parameter with the optimizer that moves it, in a fixed order."""
    several = [optimizers] if isinstance(optimizers, torch.optim.Optimizer) else optimizers
    return [(one, p) for one in several for group in one.param_groups for p in group["params"]]
