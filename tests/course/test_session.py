"""Session and profiles: one seed gives one set of numbers, and the table of sizes holds."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import warnings
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
import torch

from minialign.course import profiles, session


def draws(generator: torch.Generator) -> list[float]:
    drawn = torch.rand(1, generator=generator, device=generator.device).item()
    return [random.random(), np.random.rand(), torch.rand(1).item(), drawn]


def test_one_seed_gives_one_set_of_numbers():
    one, two, other = (draws(session.start(s, quiet=True).generator) for s in (5, 5, 6))
    assert one == two
    assert all(a != b for a, b in zip(one, other, strict=True))


def test_start_prints_one_line_that_names_everything(capsys):
    started = session.start(7, "smoke")
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and out.strip() == str(started)
    for part in ("minialign 0", "profile smoke", "model tiny-base", "thread", "torch", "seed 7"):
        assert part in out
    assert started.device.type in out and "float32" in out


def test_quiet_prints_nothing(capsys):
    session.start(quiet=True)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_model_wins_over_the_profiles():
    assert session.start(profile="tiny", model="some/model", quiet=True).model == "some/model"
    assert session.start(profile="small", quiet=True).model == "HuggingFaceTB/SmolLM2-135M"


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "0", True, None])
def test_an_impossible_seed_is_refused(seed):
    with pytest.raises(ValueError, match="but must be a whole number from 0 to 4294967295"):
        session.start(seed, quiet=True)


@pytest.mark.parametrize(
    ("device", "profile", "native", "expected"),
    [
        ("cpu", "small", True, torch.float32),
        ("mps", "small", True, torch.float32),
        ("cuda", "small", True, torch.bfloat16),
        ("cuda", "small", False, torch.float32),
        ("cuda", "tiny", True, torch.float32),
    ],
)
def test_bfloat16_only_where_cuda_has_it_and_the_model_is_large(
    device, profile, native, expected, monkeypatch
):
    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation  # as on a T4, which emulates it

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert session.pick_dtype(torch.device(device), profiles.get(profile)) == expected


def test_the_device_is_the_best_there_is(monkeypatch):
    for cuda, mps, expected in [(1, 1, "cuda"), (0, 1, "mps"), (0, 0, "cpu")]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: bool(cuda))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: bool(mps))
        assert session.pick_device().type == expected


def test_warnings_still_come_through():
    from transformers.utils import logging as transformers_logging

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        session.start(quiet=True)
        warnings.warn("is real", FutureWarning, stacklevel=1)
        warnings.warn("`is_gradient_checkpointing` is deprecated", FutureWarning, stacklevel=1)
    assert [str(w.message) for w in caught] == ["is real"]
    assert transformers_logging.get_logger("transformers").isEnabledFor(logging.WARNING)
    assert not transformers_logging.is_progress_bar_enabled()


def test_the_table_has_the_sizes_that_are_promised():
    got = {
        name: (p.seeds, p.examples, p.steps, p.batch_size, p.eval_prompts, p.max_new_tokens)
        for name, p in profiles.PROFILES.items()
    }
    assert got == {
        "smoke": (1, 96, 6, 16, 24, 24),
        "tiny": (3, 12800, 800, 32, 288, 64),
        "small": (1, 4000, 500, 16, 288, 96),
        "two-cores": (2, 1920, 120, 16, 96, 64),
    }
    frame = profiles.table()
    assert list(frame.columns) == ["smoke", "tiny", "small", "two-cores", "meaning"]
    assert list(frame.index) == [f.name for f in fields(profiles.Profile)][1:]
    assert frame.loc["steps", "tiny"] == 800 and all(frame["meaning"])


def test_the_default_profile(monkeypatch):
    monkeypatch.delenv("MINIALIGN_PROFILE", raising=False)
    assert profiles.get().name == "tiny"
    monkeypatch.setenv("MINIALIGN_PROFILE", "smoke")
    assert profiles.get().name == "smoke" and profiles.get("small").name == "small"
    monkeypatch.setenv("MINIALIGN_PROFILE", "")
    assert profiles.get().name == "tiny"
    monkeypatch.setenv("MINIALIGN_PROFILE", "huge")
    with pytest.raises(ValueError, match=r"MINIALIGN_PROFILE is 'huge'.* smoke, tiny, small"):
        profiles.get()


def test_an_unknown_profile_names_the_known_ones():
    with pytest.raises(ValueError, match="profile is 'medium', but there is only smoke, tiny"):
        profiles.get("medium")


def test_a_profile_with_changes_by_name():
    changed = profiles.get(" small, batch_size=8,model=x/y ")
    assert changed.name == "small, batch_size=8, model=x/y"  # its results are not those of small
    small = profiles.get("small")
    assert changed == profiles.override(small, name=changed.name, batch_size=8, model="x/y")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("small, 8", "profile changes '8', but a change is FIELD=VALUE"),
        ("small,size=8", "changes 'size=8'"),
        ("small, name=x", "changes 'name=x'"),
        ("small, steps=4, steps=5", "each field once"),
        ("small, steps=0", "at least 1"),
        ("huge, steps=4", "there is only"),
    ],
)
def test_a_wrong_change_of_a_profile_is_refused(spec, said):
    with pytest.raises(ValueError, match=said):
        profiles.get(spec)


def test_override_keeps_what_is_none():
    tiny = profiles.get("tiny")
    changed = profiles.override(tiny, steps=7, seeds=None, model="x/y")
    assert (changed.steps, changed.seeds, changed.model, changed.name) == (7, 3, "x/y", "tiny")
    assert tiny.steps == 800 and profiles.override(tiny) == tiny
    assert profiles.get(changed) is changed
    with pytest.raises(FrozenInstanceError):
        changed.steps = 8


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", True])
def test_override_refuses_impossible_sizes(value):
    with pytest.raises(ValueError, match=r"steps is .* must be a whole number of at least 1"):
        profiles.override(profiles.get("tiny"), steps=value)


def test_override_refuses_unknown_names():
    with pytest.raises(ValueError, match="a profile has no 'step'; it has name, model, seeds"):
        profiles.override(profiles.get("tiny"), step=3)


def test_profiles_load_without_torch():
    code = "import sys, minialign.course.profiles; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
