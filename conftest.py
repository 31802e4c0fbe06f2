"""Settings of the whole test run: notebooks run in the smoke profile and keep their runs apart."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # one of two processes: a core each, before torch is loaded
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MINIALIGN_PROFILE", "smoke")  # nbval cannot inject parameters
if "MINIALIGN_RUNS" not in os.environ:
    os.environ["MINIALIGN_RUNS"] = tempfile.mkdtemp(prefix="minialign-test-")
    atexit.register(shutil.rmtree, os.environ["MINIALIGN_RUNS"], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow are all cells of a notebook, each of which needs those before it, and whole courses."""
    for item in items:
        if item.path.suffix == ".ipynb" or "executed" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
