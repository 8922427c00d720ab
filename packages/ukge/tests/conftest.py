"""Recorded reference numbers, real data, and small graphs for the tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings

from offprints.errors import DataError
from offprints.fuzzing import fuzz, pytest_addoption
from offprints.testing import cuda, one_thread, recorded_cases
from offprints.triples import Vocabulary

from ukge import UncertainGraph, load_graph
from ukge.synthetic import random_facts

__all__ = ["cuda", "fuzz", "one_thread", "pytest_addoption"]

settings.register_profile("offprints", deadline=None)  # a test states a fact, not a time
settings.load_profile("offprints")

parity = recorded_cases("ukge", ".npz")


_graphs: dict[str, UncertainGraph] = {}


@pytest.fixture
def benchmark_graph() -> Callable[[str], UncertainGraph]:
    """name -> a data set of the paper; skips where its files are not there."""

    def load(name: str) -> UncertainGraph:
        if name not in _graphs:
            try:
                _graphs[name] = load_graph(name)
            except DataError as missing:
                pytest.skip(str(missing))
        return _graphs[name]

    return load


@pytest.fixture
def graph() -> UncertainGraph:
    """Twenty entities, three relations, 120 facts."""
    facts = random_facts(120)
    names = Vocabulary("entity", tuple(f"e{i}" for i in range(20)))
    relations = Vocabulary("relation", ("likes", "knows", "meets"))
    return UncertainGraph("small", names, relations, facts[:90], facts[90:105], facts[105:])
