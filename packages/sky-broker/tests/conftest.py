"""Settings of the tests, and recorded reference numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

from offprints import fuzzing
from offprints.fuzzing import fuzz
from offprints.testing import recorded_file

__all__ = ["fuzz"]

settings.register_profile("offprints", deadline=None)  # a test states a fact, not a time
settings.load_profile("offprints")


@pytest.fixture
def recorded_json() -> Callable[[str], Any]:
    """Name -> what a JSON file of recorded cases holds."""
    return lambda name: json.loads(recorded_file("sky-broker", name).read_text(encoding="utf-8"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many random problems are held to all of their plans: 5,000 with `nox -s "full(sky-broker)"`."""
    fuzzing.pytest_addoption(parser)
    parser.addoption(
        "--instances", type=int, default=150, help="random placement problems to solve by brute force"
    )
