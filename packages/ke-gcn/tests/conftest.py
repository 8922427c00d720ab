"""Recorded reference numbers, real data, and small graphs for the tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings

from offprints.fuzzing import fuzz, pytest_addoption
from offprints.testing import cuda, data_root, one_thread, recorded_cases

from ke_gcn import Graph

__all__ = ["cuda", "data_root", "fuzz", "one_thread", "pytest_addoption"]

settings.register_profile("offprints", deadline=None, max_examples=25)  # a test states a fact, not a time
settings.load_profile("offprints")

parity = recorded_cases("ke-gcn")


@pytest.fixture
def dgl() -> ModuleType:
    """DGL, of the test extra; it has no build for Python 3.12 and later, and the extra none of it there."""
    if sys.version_info >= (3, 12):
        pytest.skip("DGL 1.1.3 has no build for Python 3.12 and later")
    import dgl

    return dgl


@pytest.fixture
def torch_geometric() -> ModuleType:
    """PyTorch Geometric, of the test extra."""
    import torch_geometric

    return torch_geometric


@pytest.fixture(scope="session")
def awkward() -> Callable[..., Graph]:
    """A random graph with a self-loop, a double triple, an entity without edges and a relation without triples."""

    def graph(seed: int = 0, backend: str = "auto", entities: int = 9, edges: int = 24) -> Graph:
        rng = np.random.default_rng(seed)
        triples = np.stack([rng.integers(0, n, edges) for n in (entities - 1, 3, entities - 1)], axis=1)
        triples[0, 2] = triples[0, 0]
        triples[1] = triples[2]
        return Graph(triples, entities, 4, backend=backend)

    return graph
