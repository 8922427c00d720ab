"""Recorded reference numbers and real data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from offprints.testing import data_folder, one_thread, recorded

__all__ = ["one_thread"]

settings.register_profile("offprints", deadline=None, max_examples=25)  # a test states a fact, not a time
settings.load_profile("offprints")


@pytest.fixture
def parity() -> Callable[[str], dict[str, np.ndarray]]:
    """name -> the arrays of a recorded case; skips, naming the file, where it is not there."""
    return lambda name: recorded("hard-attention", name)


@pytest.fixture
def data_root() -> Path:
    """The folder of real data; skips where there is none."""
    return data_folder("formal-languages").parent
