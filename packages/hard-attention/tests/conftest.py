"""Recorded reference numbers and real data."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from offprints.fuzzing import fuzz, pytest_addoption
from offprints.testing import data_folder, one_thread, recorded_cases

__all__ = ["fuzz", "one_thread", "pytest_addoption"]

settings.register_profile("offprints", deadline=None, max_examples=25)  # a test states a fact, not a time
settings.load_profile("offprints")

parity = recorded_cases("hard-attention")


@pytest.fixture
def data_root() -> Path:
    """The folder of real data; skips where there is none."""
    return data_folder("formal-languages").parent
