"""Idle threads sleep soon, unless the user has said something else; the doctor sees other work."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from slowness import slow_but

import minialign
from minialign.course import doctor
from minialign.system import hardware

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def settings_after(code: str, **given: str) -> list[str]:
    """What a fresh process has of NAMES after some code."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | given
    code += f"; import os; print([os.environ.get(name) for name in {NAMES}])"
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=True
    )
    return out.stdout.strip().splitlines()[-1]


def test_the_package_lets_idle_threads_sleep():
    assert settings_after("import minialign") == str([str(minialign.SPINS), None])


@pytest.mark.parametrize(
    ("name", "value"),
    [("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "PASSIVE"), ("OMP_WAIT_POLICY", "ACTIVE")],
)
def test_what_the_user_has_set_stays(name, value):
    found = settings_after("import minialign", **{name: value})
    assert found == str([value if name == one else None for one in NAMES])


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp is what reads the setting")
@pytest.mark.parametrize(
    "first",
    slow_but(
        [
            "minialign",
            "minialign.course.session",
            "minialign.variants.loops.policy_loop",
            "minialign.core.sampling",
        ],
        "minialign",
    ),
)
def test_torch_reads_it(first):
    """libgomp, asked what it was told, as torch loads it."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    environment["OMP_DISPLAY_ENV"] = "VERBOSE"
    code = f"import {first}, torch; torch.ones(2)"
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=True
    )
    assert f"GOMP_SPINCOUNT = '{minialign.SPINS}'" in out.stderr


def test_importing_the_package_loads_nothing():
    code = "import sys, minialign; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_doctor_says_that_other_work_is_there():
    quiet, busy = doctor.check_load(0.3, 2), doctor.check_load(2.1, 2)
    assert quiet.state == "ok" and busy.state == "note" and "close other programs" in busy.text
    assert not busy.bad and doctor.check_load(None, 2).state == "note"
    assert hardware.load() is None or hardware.load() >= 0
