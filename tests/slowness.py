"""Which of many like cases run under `pytest -m "not slow"`."""

from __future__ import annotations

from collections.abc import Iterable

import pytest


def slow_but(cases: Iterable, *quick: object) -> list:
    """Parameters of a test: all cases, of which all but the quick ones are marked slow."""
    cases = list(cases)
    assert all(one in cases for one in quick), f"{quick} are not all among {cases}"
    return [pytest.param(x, marks=() if x in quick else pytest.mark.slow) for x in cases]
