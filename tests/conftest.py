"""What tests of several files share."""

from __future__ import annotations

import warnings

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

from minialign import plots


@pytest.fixture
def figures_closed():
    """The course's style, warnings as errors, and no figure left open."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.style()
        yield
        plt.close("all")
