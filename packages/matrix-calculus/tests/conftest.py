"""How many random expressions the tests try."""

from __future__ import annotations

import pytest
from hypothesis import settings

from offprints.testing import one_thread

__all__ = ["one_thread"]

settings.register_profile("offprints", deadline=None)  # a test states a fact, not a time
settings.load_profile("offprints")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--expressions",
        type=int,
        default=200,
        help="random expressions whose Jacobian is tried; a tenth of it Hessians",
    )


@pytest.fixture
def expressions(request: pytest.FixtureRequest) -> int:
    """How many random expressions to try."""
    return int(request.config.getoption("--expressions", default=200))
