"""Settings of the tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("offprints", deadline=None)  # a test states a fact, not a time
settings.load_profile("offprints")
