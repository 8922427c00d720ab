"""Recorded reference numbers, and how hypothesis looks for counterexamples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings

from offprints.testing import cuda, one_thread, recorded

__all__ = ["cuda", "one_thread"]

settings.register_profile("offprints", deadline=None, max_examples=25)  # a test states a fact, not a time
settings.load_profile("offprints")


@pytest.fixture
def parity() -> Callable[[str], dict[str, np.ndarray]]:
    """name -> the arrays of a recorded case; skips, naming the file, where it is not there."""
    return lambda name: recorded("supcon-simplex", name)
