"""Checkpoints: whole or absent, refused when they are not one's own, and killed many times."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file, save_file
from same_weights import same, weights
from torch import nn

from minialign.core import checkpoint
from minialign.core.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint

SETTINGS = {"loop": "toy", "learning_rate": 0.1, "betas": (0.9, 0.95)}
FILES = [f"{name}.safetensors" for name in checkpoint.TENSOR_FILES]


class Toy:
    """A model with a frozen layer, two optimizers and two sources of random numbers."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2))
        self.model[1].requires_grad_(False)
        self.optimizers = [
            torch.optim.AdamW(self.model[0].parameters(), lr=0.1),
            torch.optim.SGD(self.model[2].parameters(), lr=0.1, momentum=0.9),
        ]
        self.generator = torch.Generator().manual_seed(seed)

    def step(self) -> None:
        inputs = torch.randn(5, 3, generator=self.generator) + torch.randn(5, 3)
        loss = self.model(inputs).square().sum()
        for one in self.optimizers:
            one.zero_grad()
        loss.backward()
        for one in self.optimizers:
            one.step()

    def steps(self, n: int) -> Toy:
        for _ in range(n):
            self.step()
        return self

    def save(self, path: Path, **state) -> None:
        save_checkpoint(path, self.model, self.optimizers, SETTINGS, state, [self.generator])

    def load(self, path: Path, settings: dict | None = None) -> dict:
        settings = settings or SETTINGS
        return load_checkpoint(path, self.model, self.optimizers, settings, [self.generator])

    def weights(self) -> list[torch.Tensor]:
        return weights(self.model)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A checkpoint after three steps."""
    path = tmp_path / "run"
    Toy().steps(3).save(path, step=3, history=[{"step": 0, "loss": float("nan")}])
    return path


# --- round trip


def test_a_loaded_run_goes_on_bit_equal(tmp_path):
    """Weights, moments of both optimizers, torch's random state and a generator's."""
    path, toy = tmp_path / "run", Toy().steps(3)
    toy.save(path, step=3)
    expected = toy.steps(4).weights()
    torch.manual_seed(123)
    fresh = Toy(seed=5)
    fresh.model[1].load_state_dict(toy.model[1].state_dict())  # frozen, so not in the checkpoint
    assert fresh.load(path) == {"step": 3}
    assert same(fresh.steps(4).weights(), expected)


def test_the_state_comes_back_as_it_was(saved):
    state = Toy().load(saved)
    assert state["step"] == 3 and str(state["history"]) == "[{'step': 0, 'loss': nan}]"


def test_a_checkpoint_before_the_first_step(tmp_path):
    toy = Toy()
    toy.save(tmp_path / "run", step=0)
    expected = toy.steps(2).weights()
    fresh = Toy()
    fresh.load(tmp_path / "run")
    assert same(fresh.steps(2).weights(), expected)


def test_only_trainable_parameters_are_saved_and_nothing_is_pickled(saved):
    names = sorted(load_file(saved / "weights.safetensors"))
    assert names == ["0.bias", "0.weight", "2.bias", "2.weight"]
    assert sorted(p.name for p in saved.iterdir()) == sorted([*FILES, "state.json"])


def test_saving_again_replaces_what_is_its_own(saved):
    (saved / "stray").write_text("from elsewhere")
    Toy().steps(5).save(saved, step=5)
    assert Toy().load(saved)["step"] == 5
    assert sorted(p.name for p in saved.parent.iterdir()) == ["run"]
    assert (saved / "stray").read_text() == "from elsewhere"


def test_tuples_among_the_settings_are_no_difference(saved):
    assert isinstance(SETTINGS["betas"], tuple)
    assert Toy().load(saved, {**SETTINGS, "betas": [0.9, 0.95]})["step"] == 3


# --- what is refused, and that nothing was changed by then


def refused(path: Path, message: str, toy: Toy | None = None, settings: dict | None = None):
    toy = toy or Toy(seed=8)
    before, random = toy.weights(), torch.get_rng_state()
    with pytest.raises(ValueError, match=message) as error:
        toy.load(path, settings)
    assert "delete the folder to start anew" in str(error.value)
    assert same(toy.weights(), before) and torch.equal(torch.get_rng_state(), random)
    assert not any(one.state for one in toy.optimizers)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.1, 0.5, 0.999])
def test_a_flipped_byte_is_found(saved, name, place):
    data = bytearray((saved / name).read_bytes())
    data[int(place * len(data))] ^= 1
    (saved / name).write_bytes(data)
    refused(saved, f"damaged .{name}")


@pytest.mark.parametrize("bit", [1, 4, 16])
def test_a_flipped_byte_of_the_state_is_found_wherever_it_is(saved, bit):
    """A digit of the step that turned into another one would lose steps on the quiet."""
    whole, toy = (saved / "state.json").read_bytes(), Toy()
    for i in range(0, len(whole), 3):
        data = bytearray(whole)
        data[i] ^= bit
        (saved / "state.json").write_bytes(data)
        with pytest.raises(ValueError, match="delete the folder"):
            toy.load(saved)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_short_file_is_found(saved, name):
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[: len(data) // 2])
    refused(saved, f"damaged .{name}")
    (saved / name).unlink()
    refused(saved, f"damaged .{name}")


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"null", b"[]", b"{}"])
def test_a_folder_without_its_state_is_no_checkpoint(saved, content):
    (saved / "state.json").unlink()
    if content is not None:
        (saved / "state.json").write_bytes(content)
    refused(saved, "no readable state.json|no checkpoint of this version")


def test_a_foreign_folder_is_no_checkpoint(tmp_path):
    (tmp_path / "model").mkdir()
    save_file({"x": torch.zeros(1)}, tmp_path / "model" / "weights.safetensors")
    refused(tmp_path / "model", "model has no readable state.json")
    (tmp_path / "model" / "state.json").write_text(json.dumps({"format": "another 2"}))
    refused(tmp_path / "model", "no checkpoint of this version")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({**SETTINGS, "learning_rate": 0.2}, "learning_rate"),
        ({**SETTINGS, "more": 1}, "more"),
        ({"loop": "toy"}, "betas, learning_rate"),
    ],
)
def test_other_settings_are_named(saved, settings, named):
    refused(saved, rf"other settings \({named} differ\).*restore the settings", settings=settings)


def test_another_model_is_refused(saved):
    wider, frozen = Toy(), Toy()
    wider.model[2] = nn.Linear(4, 3)
    frozen.model[0].requires_grad_(False)
    for toy in (wider, frozen):
        refused(saved, "weights of another model.*load the model", toy)


# --- a kill at any moment


class Killed(BaseException):
    """Stands for a kill: nothing that catches exceptions catches it."""


def operations(monkeypatch: pytest.MonkeyPatch, die_at: int) -> list[str]:
    """Count the operations on files of a save and die before the given one."""
    seen: list[str] = []

    def counted(name: str, real: Callable):
        def operation(*args, **kwargs):
            if len(seen) == die_at:
                raise Killed
            seen.append(name)
            return real(*args, **kwargs)

        return operation

    for owner, name in [
        (checkpoint.shutil, "rmtree"),
        (checkpoint.os, "rename"),
        (checkpoint, "save_file"),
        (checkpoint.Path, "mkdir"),
        (checkpoint.Path, "write_text"),
    ]:
        monkeypatch.setattr(owner, name, counted(name, getattr(owner, name)))
    return seen


@pytest.mark.parametrize("rounds", [1, 2])
def test_dying_before_any_operation_leaves_one_whole_checkpoint(tmp_path, monkeypatch, rounds):
    """Once or twice in a row, at each operation: the old one or the new one, and it can go on."""
    toys = [Toy().steps(n) for n in range(3)]
    with monkeypatch.context() as patch:
        seen = operations(patch, die_at=10**9)
        toys[0].save(tmp_path / "count", step=0)
        toys[1].save(tmp_path / "count", step=1)
        count = len(seen) // 2 + 1
    for die_at in range(count):
        path = tmp_path / f"run{die_at}"
        toys[0].save(path, step=0)
        least = 0
        for n in range(1, rounds + 1):
            with monkeypatch.context() as patch, pytest.raises(Killed):
                operations(patch, die_at)
                toys[n].save(path, step=n)
                raise Killed  # the save got through before its turn came
            assert has_checkpoint(path)
            step = Toy().load(path)["step"]
            assert least <= step <= n
            least = step
        toys[2].save(path, step=9)
        assert Toy().load(path)["step"] == 9
        assert sorted(p.name for p in tmp_path.glob(f"run{die_at}*")) == [path.name]


def test_a_first_save_that_died_is_no_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        operations(patch, die_at=4)
        Toy().save(path, step=1)
    assert list(tmp_path.iterdir()) and not has_checkpoint(path)
    Toy().save(path, step=2)
    assert Toy().load(path)["step"] == 2


TOTAL = 240
KILLS = 24


def life(path: Path, log, last: int = TOTAL) -> None:
    """One life of a run: go on where the checkpoint says, save every step, report each save."""
    torch.set_num_threads(1)
    toy, first = Toy(), 0
    if has_checkpoint(path):
        first = toy.load(path)["step"]
    log.send(("begins", first))
    for step in range(first, last):
        toy.step()
        toy.save(path, step=step + 1)
        log.send(("saved", step + 1))
    log.send(("ends", last))
    log.close()


def start_life(path: Path, last: int = TOTAL):
    """(process, reports): the fork server has imported everything, so a life begins at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "minialign.core.checkpoint", "torch._dynamo"])
    reports, log = context.Pipe(duplex=False)
    process = context.Process(target=life, args=(path, log, last), daemon=True)
    process.start()
    log.close()
    return process, reports


def read_until(reports, wanted: int) -> list[tuple[str, int]]:
    """Reports until `wanted` of them came, or until there are no more."""
    found = []
    try:
        while len(found) < wanted:
            found.append(reports.recv())
    except EOFError:
        pass
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork server on Windows")
@pytest.mark.slow
def test_a_run_that_is_killed_many_times_ends_bit_equal(tmp_path):
    """SIGKILL at random moments; each life begins at the last save or, if it was cut, the next."""
    rng, path, known = Random(0), tmp_path / "run", 0
    for _ in range(KILLS):
        process, reports = start_life(path, min(TOTAL, known + 8))
        before = read_until(reports, rng.randint(1, 5))
        time.sleep(rng.uniform(0, 0.003))  # a step with its save takes about as long
        process.kill()
        process.join()
        told = before + read_until(reports, 10**9)
        assert told[0][0] == "begins" and known <= told[0][1] <= known + 1
        known = max(step for _, step in told)
    assert known < TOTAL
    process, reports = start_life(path)
    assert read_until(reports, 10**9)[-1] == ("ends", TOTAL)
    process.join()
    straight = tmp_path / "straight"
    process, reports = start_life(straight)
    assert read_until(reports, 10**9)[0] == ("begins", 0)
    process.join()
    for name in [*FILES, "state.json"]:
        one, two = ((folder / name).read_bytes() for folder in (path, straight))
        assert hashlib.sha256(one).digest() == hashlib.sha256(two).digest(), name


def test_leftovers_of_a_killed_save_do_no_harm(saved):
    for name in (".new", ".old"):
        shutil.copytree(saved, saved.with_name(saved.name + name))
        os.unlink(saved.with_name(saved.name + name) / FILES[0])
    assert has_checkpoint(saved) and Toy().load(saved)["step"] == 3
    Toy().save(saved, step=4)
    assert [p.name for p in saved.parent.iterdir()] == ["run"]
