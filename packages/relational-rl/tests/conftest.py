"""Recorded reference numbers, fixed levels, and the worked example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from offprints.fuzzing import fuzz, pytest_addoption
from offprints.testing import data_folder, one_thread, recorded_cases

from relational_rl import Levels
from relational_rl.sc2 import Argument, Function, Interface, Layer

__all__ = ["fuzz", "one_thread", "pytest_addoption"]

settings.register_profile("offprints", deadline=None, max_examples=20)  # a test states a fact, not a time
settings.load_profile("offprints")

parity = recorded_cases("relational-rl")


@pytest.fixture
def fixed_levels() -> Path:
    """The folder of fixed evaluation levels; skips where it is not there."""
    return data_folder("boxworld")


@pytest.fixture
def example() -> Levels:
    """Loose key of colour 3 at (4, 5), a box with the gem at (8, 3) and lock 3 at (8, 4), agent at (4, 4)."""
    objects = np.zeros((1, 14, 14), np.uint8)
    objects[:, [0, -1]] = objects[:, :, [0, -1]] = 1
    objects[0, 4, 5], objects[0, 8, 3], objects[0, 8, 4] = 3 + 3, 2, 23 + 3
    return Levels(objects, np.array([4 * 14 + 4], np.int32), np.array([1], np.uint8), np.zeros(1, np.uint8))


@pytest.fixture
def needs_fixed_levels(fixed_levels: Path) -> Path:
    """The same, for tests that find the levels by themselves."""
    return fixed_levels


@pytest.fixture(scope="session")
def sc2_interface() -> Interface:
    """Specs as StarCraft II's, but few and small, with ids that are no places."""
    return Interface(
        screen=(
            Layer("height_map", 256, False),
            Layer("player_relative", 5, True),
            Layer("unit_hit_points", 1600, False),
            Layer("unit_type", 20, True),
        ),
        minimap=(Layer("height_map", 256, False), Layer("camera", 2, True)),
        screen_size=(16, 16),
        minimap_size=(8, 8),
        player=11,
        functions=(
            Function(0, "no_op", ()),
            Function(1, "move_camera", (1,)),
            Function(2, "select_point", (4, 0)),
            Function(3, "select_rect", (5, 0, 2)),
            Function(7, "select_army", (5,)),
            Function(331, "Move_screen", (3, 0)),
        ),
        arguments=(
            Argument("screen", (16, 16)),
            Argument("minimap", (8, 8)),
            Argument("screen2", (16, 16)),
            Argument("queued", (2,)),
            Argument("select_point_act", (4,)),
            Argument("select_add", (2,)),
        ),
    )
