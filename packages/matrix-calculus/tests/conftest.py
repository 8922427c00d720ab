"""How many random expressions the tests try, and a server that runs."""

from __future__ import annotations

from threading import Thread

import pytest
from hypothesis import settings

from offprints import fuzzing
from offprints.fuzzing import fuzz
from offprints.testing import one_thread

from matrix_calculus.web import server

__all__ = ["fuzz", "one_thread"]

settings.register_profile("offprints", deadline=None)  # a test states a fact, not a time
settings.load_profile("offprints")


def pytest_addoption(parser: pytest.Parser) -> None:
    fuzzing.pytest_addoption(parser)
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


@pytest.fixture(scope="module")
def address():
    """Of a server on a free port."""
    with server(port=0) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
