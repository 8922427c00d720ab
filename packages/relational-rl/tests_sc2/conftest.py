"""Tests that need pysc2: run by `nox -s "tests_with(relational-rl-sc2)"`, in an environment with the extra sc2."""

from __future__ import annotations

import pytest

from offprints.testing import one_thread

from relational_rl.sc2 import Interface, make_environment
from relational_rl.sc2.library import Modules, load_pysc2

__all__ = ["one_thread"]


@pytest.fixture(scope="session")
def pysc2() -> Modules:
    return load_pysc2()


@pytest.fixture(scope="session")
def interface() -> Interface:
    """pysc2's own specs at 32 x 32."""
    return make_environment("MoveToBeacon", "test").interface
