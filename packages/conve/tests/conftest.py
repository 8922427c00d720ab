"""Recorded reference numbers, real data, and small graphs for the tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

from offprints.fuzzing import fuzz, pytest_addoption
from offprints.testing import cuda, one_thread, recorded_cases
from offprints.triples import KnowledgeGraph

__all__ = ["cuda", "fuzz", "one_thread", "pytest_addoption"]

settings.register_profile("offprints", deadline=None)  # a test states a fact, not a time
settings.load_profile("offprints")

parity = recorded_cases("conve")


@pytest.fixture
def family() -> KnowledgeGraph:
    """Thirty people in a row: next_to and its inverse behind, and everybody's house by parity."""
    train, valid, test = [], [], []
    for i in range(29):
        train.append((f"p{i}", "next_to", f"p{i + 1}"))
        (test if i % 7 == 3 else valid if i % 7 == 5 else train).append((f"p{i + 1}", "behind", f"p{i}"))
    train += [(f"p{i}", "lives_in", f"house{i % 2}") for i in range(30)]
    return KnowledgeGraph.from_splits("family", train, valid, test)
