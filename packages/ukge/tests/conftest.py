"""Recorded reference numbers, real data, and small graphs for the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from offprints.errors import DataError
from offprints.triples import Vocabulary

from ukge import UncertainGraph, load_graph
from ukge.synthetic import random_facts

settings.register_profile("offprints", deadline=None)  # a test states a fact, not a time
settings.load_profile("offprints")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def parity() -> Callable[[str], dict[str, np.ndarray]]:
    """name -> the arrays of a recorded case; skips, naming the file, where it is not there."""

    def arrays(name: str) -> dict[str, np.ndarray]:
        path = Path(os.environ.get("OFFPRINTS_PARITY", "$OFFPRINTS_PARITY")) / "ukge" / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"no recorded reference numbers at {path}")
        with np.load(path, allow_pickle=False) as found:
            return dict(found)

    return arrays


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
