"""Recorded reference numbers, and how hypothesis looks for counterexamples."""

from __future__ import annotations

from hypothesis import settings

from offprints.fuzzing import fuzz, pytest_addoption
from offprints.testing import cuda, data_root, one_thread, recorded_cases

__all__ = ["cuda", "data_root", "fuzz", "one_thread", "pytest_addoption"]

settings.register_profile("offprints", deadline=None, max_examples=25)  # a test states a fact, not a time
settings.load_profile("offprints")

parity = recorded_cases("supcon-simplex")
