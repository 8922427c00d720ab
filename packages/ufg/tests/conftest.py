"""Recorded reference numbers, real data, and small graphs for the tests."""

from __future__ import annotations

from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import settings

from offprints.fuzzing import fuzz, pytest_addoption
from offprints.testing import one_thread, recorded_cases

from ufg import GraphOperator

__all__ = ["fuzz", "one_thread", "pytest_addoption"]

settings.register_profile("offprints", deadline=None)  # a test states a fact, not a time
settings.load_profile("offprints")

parity = recorded_cases("ufg", ".npz")


def random_graph(seed: int = 0, nodes: int = 30, edges: int = 45, weighted: bool = True) -> nx.Graph:
    """A graph with several components and nodes without edges."""
    graph = nx.gnm_random_graph(nodes, edges, seed=seed)
    graph.add_nodes_from(range(nodes, nodes + 3))
    draw = np.random.default_rng(seed)
    for u, v in graph.edges:
        graph[u][v]["weight"] = float(draw.uniform(0.1, 3)) if weighted else 1.0
    return graph


GRAPHS: dict[str, Callable[[], nx.Graph]] = {
    "weighted, disconnected": random_graph,
    "path": lambda: nx.path_graph(9),
    "star": lambda: nx.star_graph(8),
    "bipartite": lambda: nx.complete_bipartite_graph(4, 5),
    "complete": lambda: nx.complete_graph(7),
    "one node": lambda: nx.empty_graph(1),
    "no edges": lambda: nx.empty_graph(5),
    "one edge": lambda: nx.path_graph(2),
}


@pytest.fixture(params=GRAPHS)
def any_operator(request: pytest.FixtureRequest) -> GraphOperator:
    """Each kind of graph, in float64."""
    return GraphOperator.from_networkx(GRAPHS[request.param](), weight="weight", dtype=torch.float64)


@pytest.fixture
def op() -> GraphOperator:
    """33 nodes, weighted, with isolated nodes, in float64."""
    return GraphOperator.from_networkx(random_graph(), weight="weight", dtype=torch.float64)


@pytest.fixture
def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)
