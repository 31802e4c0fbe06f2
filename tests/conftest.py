"""What tests of several files share. Traps are numbered as in `tests/TRAPS.md`."""

from __future__ import annotations

import warnings

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

from minialign.show import curves


@pytest.fixture
def figures_closed():
    """The course's style, warnings as errors, and no figure left open."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")
        curves.style()
        yield
        plt.close("all")


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """(exit status, what was printed, folder) of a course with a failing notebook."""
    from course_cases import run_course

    return run_course(tmp_path_factory.mktemp("a {course}"))  # papermill formats paths
