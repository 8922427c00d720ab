"""Recorded reference numbers, real data, and small made-up scans for the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from offprints.fuzzing import fuzz, pytest_addoption
from offprints.testing import data_folder, one_thread, recorded_cases

from m3dm.preprocess import preprocess
from m3dm.render import Camera
from m3dm.scan import Scan
from m3dm.synthetic import Plan, synthetic_view

__all__ = ["fuzz", "one_thread", "pytest_addoption"]

settings.register_profile("offprints", deadline=None, max_examples=25)  # a test states a fact, not a time
settings.load_profile("offprints")

parity = recorded_cases("m3dm")


@pytest.fixture
def tire() -> Path:
    """The real images of tires of MVTec 3D-AD; skips where they are not there."""
    return data_folder("mvtec3d_tire_rgb")


@pytest.fixture(scope="session")
def raw_scan() -> Callable[..., Scan]:
    """A made-up scan on its plane: category, kind of defect, number, grade."""

    def scan(
        category: str = "potato", kind: str = "good", number: int = 0, grade: int = 3, side: int = 200
    ) -> Scan:
        plan = Plan(2 if kind != "good" else 0, kind, number, 0 if kind == "good" else grade)
        return synthetic_view(category, plan, Camera(side=side)).scan(f"{category}/{kind}/{number}", kind)

    return scan


@pytest.fixture(scope="session")
def good_scans(raw_scan: Callable[..., Scan]) -> list[Scan]:
    """Six prepared scans of good parts."""
    return [preprocess(raw_scan(number=number)) for number in range(6)]


@pytest.fixture(scope="session")
def test_scans(raw_scan: Callable[..., Scan]) -> list[Scan]:
    """Prepared scans that no detector has learnt from: two good ones, two dents, two stains."""
    asked = [("good", 7), ("good", 8), ("dent", 0), ("dent", 1), ("stain", 0), ("stain", 1)]
    return [preprocess(raw_scan(kind=kind, number=number)) for kind, number in asked]
