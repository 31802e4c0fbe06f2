"""Models, checkpoints and data that try to run code when they are read.

Each file would make a canary if anything in it ran. What is read refuses it, or takes it as text.
"""

from __future__ import annotations

import gzip
import json
import pickle
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from benchmarks.survival.hostile import MARK
from benchmarks.survival.loops import LOOPS, tiny, tokenizer
from benchmarks.survival.outcome import Outcome
from minialign.core.models.heads import HEAD_FILE, RewardModel
from minialign.core.models.loading import add_lora, load_policy
from minialign.core.tokens import encode, prompt_ids
from minialign.data.reading import read_public

ESCAPES = (
    "{{ cycler.__init__.__globals__.os.system('touch %s') }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() | map(attribute='__init__') | list }}"
    "{{ self.__init__.__globals__.__builtins__.__import__('os').system('touch %s') }}",
    "{%% for x in ().__class__.__base__.__subclasses__() %%}{%% if 'warning' in x.__name__ %%}"
    "{{ x()._module.__builtins__['__import__']('os').system('touch %s') }}{%% endif %%}"
    "{%% endfor %%}",
    "{{ messages.__class__.__init__.__globals__['os'].system('touch %s') }}",
    "{{ raise_exception.__globals__['os'].system('touch %s') }}",
    "{{ lipsum.__globals__['os'].popen('touch %s').read() }}",
)
PAGED = "__import__('os').system('touch %s')"


class Bomb:
    """Whoever unpickles it makes the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return Path.touch, (self.canary,)


def pickled(canary: Path) -> bytes:
    return pickle.dumps(Bomb(canary))


def saved_model(place: Path) -> Path:
    """A folder with a tiny model and its tokenizer."""
    tiny().save_pretrained(place)
    tokenizer().save_pretrained(place)
    return place


def changed(file: Path, **fields: object) -> None:
    """Set fields of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def module(place: Path, canary: Path) -> None:
    """Code beside a model, that `auto_map` names."""
    lines = f"from pathlib import Path\nPath({str(canary)!r}).touch()\n"
    names = (
        "Config(PretrainedConfig)",
        "Model(LlamaForCausalLM)",
        "Words(PreTrainedTokenizerFast)",
    )
    kinds = "from transformers import *\n" + "".join(f"class {name}: pass\n" for name in names)
    (place / "code_of_model.py").write_text(lines + kinds)


# --- each of these makes a folder or file, and returns what reads it


def weights(name: str) -> Callable:
    """A pickle in place of the weights, under a name that some reader would unpickle."""

    def make(place: Path, canary: Path) -> Callable:
        saved_model(place)
        (place / "model.safetensors").unlink()
        (place / name).write_bytes(pickled(canary))
        return lambda: load_policy(place)

    return make


def zipped_weights(place: Path, canary: Path) -> Callable:
    """A file of torch.save whose pickle is a bomb."""
    saved_model(place)
    (place / "model.safetensors").unlink()
    torch.save({"weight": Bomb(canary)}, place / "pytorch_model.bin")
    return lambda: load_policy(place)


def head(place: Path, canary: Path) -> Callable:
    RewardModel.from_policy(tiny()).save_pretrained(place)
    (place / HEAD_FILE).write_bytes(pickled(canary))
    return lambda: RewardModel.from_pretrained(place)


def adapter(place: Path, canary: Path) -> Callable:
    """Adapters as a .bin, whose base is a folder."""
    base = saved_model(place / "base")
    policy = add_lora(load_policy(base)[0])
    policy.save_pretrained(place / "adapter")
    (place / "adapter" / "adapter_model.safetensors").unlink()
    (place / "adapter" / "adapter_model.bin").write_bytes(pickled(canary))
    changed(place / "adapter" / "adapter_config.json", base_model_name_or_path=str(base))
    return lambda: load_policy(place / "adapter")


def checkpoint(name: str) -> Callable:
    """A pickle in place of a file of a run's checkpoint."""

    def make(place: Path, canary: Path) -> Callable:
        LOOPS["sft"](place / "run")
        (place / "run" / name).write_bytes(pickled(canary))
        return lambda: LOOPS["sft"](place / "run")

    return make


def auto_map(file: str, **names: str) -> Callable:
    """A config that asks for code beside it, of a kind that transformers does not know."""

    def make(place: Path, canary: Path) -> Callable:
        saved_model(place)
        module(place, canary)
        fields: dict = {"auto_map": {kind: f"code_of_model.{name}" for kind, name in names.items()}}
        if file == "config.json":
            fields["model_type"] = "a_model_of_its_own"
        changed(place / file, **fields)
        return lambda: load_policy(place)

    return make


def known_auto_map(place: Path, canary: Path) -> Callable:
    """As before, of a kind that transformers knows: its own code is used."""
    saved_model(place)
    module(place, canary)
    kinds = {"AutoConfig": "Config", "AutoModelForCausalLM": "Model"}
    maps = {kind: f"code_of_model.{name}" for kind, name in kinds.items()}
    changed(place / "config.json", auto_map=maps, trust_remote_code=True)
    return lambda: load_policy(place)


def template(text: str) -> Callable:
    def make(place: Path, canary: Path) -> Callable:
        saved_model(place)
        (place / "chat_template.jinja").write_text(text % canary)

        def read() -> None:
            words = load_policy(place)[1]
            prompt_ids(words, "Say hi.")
            encode(words, "Say hi.", "Hi.")

        return read

    return make


def rows(suffix: str) -> Callable:
    """Rows of text that look like code, in a file of data."""

    def make(place: Path, canary: Path) -> Callable:
        code = [PAGED % canary, f"!!python/object/apply:os.system ['touch {canary}']"]
        code += [f"{{{{ {PAGED % canary} }}}}", f"=cmd|' /C touch {canary}'!A0"]
        table = [{"prompt": text, "completion": text} for text in code]
        lines = "".join(json.dumps(row) + "\n" for row in table)
        file = place / f"rows{suffix}"
        if suffix == ".parquet":
            pd.DataFrame(table).to_parquet(file)
        elif suffix.endswith(".gz"):
            file.write_bytes(gzip.compress(lines.encode()))
        else:
            file.write_text(lines if suffix == ".jsonl" else json.dumps(table))

        def read() -> None:
            found = read_public(file)
            if [row.prompt for row in found] != code:
                raise ValueError("the rows were not taken as text")

        return read

    return make


def pickled_rows(name: str) -> Callable:
    """A pickle under the name of a file of data."""

    def make(place: Path, canary: Path) -> Callable:
        data = pickled(canary)
        (place / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return lambda: read_public(place / name)

    return make


CASES: dict[str, dict[str, Callable]] = {
    "pickles in place of weights": {
        "model.safetensors": weights("model.safetensors"),
        "pytorch_model.bin": weights("pytorch_model.bin"),
        "pytorch_model.bin of torch.save": zipped_weights,
        "score head": head,
        "adapter_model.bin": adapter,
    },
    "pickles in place of a run's checkpoint": {
        name: checkpoint(name)
        for name in (
            "weights.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"
        )
    },
    "configs that ask for code of their own (auto_map)": {
        "model": auto_map("config.json", AutoConfig="Config", AutoModelForCausalLM="Model"),
        "known model": known_auto_map,
        "tokenizer": auto_map("tokenizer_config.json", AutoTokenizer="Words"),
    },
    "chat templates that leave Jinja's sandbox": {
        str(i): template(text) for i, text in enumerate(ESCAPES)
    },
    "data whose rows are code": {
        suffix: rows(suffix) for suffix in (".json", ".jsonl", ".jsonl.gz", ".parquet")
    },
    "pickles and YAML under the names of data": {
        name: pickled_rows(name)
        for name in (
            "rows.pkl", "rows.pt", "rows.json", "rows.jsonl", "rows.jsonl.gz", "rows.parquet",
            "rows.yaml", "rows.npy",
        )
    },
}  # fmt: skip


def measure() -> list[Outcome]:
    """Each case once."""
    return [_outcome(threat, cases) for threat, cases in CASES.items()]


def _outcome(threat: str, cases: dict[str, Callable]) -> Outcome:
    refused, ran, worst = [], [], 0.0
    for name, make in cases.items():
        with tempfile.TemporaryDirectory() as place:
            canary = Path(place) / MARK
            folder = Path(place) / "files"
            folder.mkdir()
            read = make(folder, canary)
            if canary.exists():
                raise RuntimeError(f"{name} ran while it was made")
            began = time.perf_counter()
            try:
                read()
            except Exception as error:
                words = re.sub(r"/\S+", "...", " ".join(str(error).split()))
                refused.append(f"{name}: {type(error).__name__}: {words}"[:150])
            worst = max(worst, time.perf_counter() - began)
            if canary.exists():
                ran.append(name)
    for line in refused:
        print(line)
    text = len(cases) - len(refused)
    return Outcome(
        threat,
        len(cases),
        f"{len(ran)} ran; {len(refused)} were refused with an error, {text} read without any",
        f"{worst:.1f} s",
        len(ran),
    )
