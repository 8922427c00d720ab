"""Settings of every test of shared."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

from offprints.fuzzing import fuzz, pytest_addoption

__all__ = ["fuzz", "pytest_addoption"]

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside the tests

settings.register_profile("offprints", deadline=None)  # a test states a fact, not a time
settings.load_profile("offprints")
