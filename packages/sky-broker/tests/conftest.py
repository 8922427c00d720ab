"""Settings of the tests, and recorded reference numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("offprints", deadline=None)  # a test states a fact, not a time
settings.load_profile("offprints")


@pytest.fixture
def recorded_json() -> Callable[[str], Any]:
    """Name -> what a JSON file of recorded cases holds; skips, naming the file, where it is not there."""

    def load(name: str) -> Any:
        path = Path(os.environ.get("OFFPRINTS_PARITY", "$OFFPRINTS_PARITY")) / "sky-broker" / name
        if not path.is_file():
            pytest.skip(f"no recorded reference numbers at {path}")
        return json.loads(path.read_text(encoding="utf-8"))

    return load


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many random problems are held to all of their plans: 5,000 with `nox -s "full(sky-broker)"`."""
    parser.addoption(
        "--instances", type=int, default=150, help="random placement problems to solve by brute force"
    )
