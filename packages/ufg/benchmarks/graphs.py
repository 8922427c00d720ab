"""Graphs of the sizes that the benchmark runs on."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from offprints.errors import DataError

from ufg.graph_data import TU, GraphData
from ufg.node_data import NodeData
from ufg.planetoid import PLANETOID


def power_law(nodes: int, edges: int, seed: int = 0) -> np.ndarray:
    """(E, 2) random edges whose degrees follow a power law, as those of citation graphs do."""
    draw = np.random.default_rng(seed)
    weight = draw.pareto(1.6, nodes) + 1
    weight = np.minimum(weight, weight.sum() / 200)
    found = np.zeros((0, 2), np.int64)
    while len(found) < edges:
        ends = draw.choice(nodes, (2 * edges, 2), p=weight / weight.sum())
        ends = np.sort(ends[ends[:, 0] != ends[:, 1]], 1)
        found = np.unique(np.concatenate([found, ends]), axis=0)
    return found[draw.permutation(len(found))[:edges]]


def cora() -> NodeData:
    """Cora, or a random graph with as many nodes, edges and words where its files are not there."""
    try:
        return PLANETOID["cora"].load()
    except DataError:
        draw = np.random.default_rng(0)
        words = csr_array((draw.random((2708, 1433)) < 49216 / 2708 / 1433).astype(float))
        order = draw.permutation(2708)
        labels = np.arange(2708) % 7
        return NodeData(
            "random", power_law(2708, 5278), words, labels, order[:140], order[140:640], order[640:1640]
        )


def proteins() -> GraphData:
    """PROTEINS, or 1,113 random trees of its sizes where its files are not there."""
    try:
        return TU["proteins"].load()
    except DataError:
        draw = np.random.default_rng(0)
        sizes = draw.integers(8, 70, 1113)
        first = np.repeat(np.cumsum(sizes) - sizes, sizes)
        node = np.arange(sizes.sum())
        parent = first + (draw.random(len(node)) * (node - first)).astype(int)
        kept = node > first
        features = np.eye(3, dtype=np.float32)[draw.integers(0, 3, len(node))]
        return GraphData(
            "random", sizes, np.stack([parent, node], 1)[kept], features, draw.integers(0, 2, 1113)
        )
