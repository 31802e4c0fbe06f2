"""Settings of the whole test run: notebooks run in the smoke profile and keep their runs apart."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("MINIALIGN_PROFILE", "smoke")  # nbval cannot inject parameters
if "MINIALIGN_RUNS" not in os.environ:
    os.environ["MINIALIGN_RUNS"] = tempfile.mkdtemp(prefix="minialign-test-")
    atexit.register(shutil.rmtree, os.environ["MINIALIGN_RUNS"], ignore_errors=True)
