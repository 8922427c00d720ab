"""Layers make no array of edges times width: what they take grows with entities and relations."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ke_gcn import KEGCN, Graph, score_named

EDGES, ENTITIES, RELATIONS, DIM = 60_000, 40, 3, 64


class Largest(TorchDispatchMode):
    """Remembers the most numbers that an operation of torch gave in one tensor."""

    found = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.found = max(self.found, tensor.numel())
        return out


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("mode", ["None", "TransE", "TransH", "TransD", "DistMult", "RotatE", "QuatE"])
def test_forward_and_backward_take_the_memory_of_the_embeddings(mode: str, backend: str) -> None:
    rng = np.random.default_rng(0)
    triples = rng.integers(0, [ENTITIES, RELATIONS, ENTITIES], (EDGES, 3))
    graph = Graph(triples, ENTITIES, RELATIONS, backend=backend)
    model = KEGCN(ENTITIES, RELATIONS, score_named(mode), DIM, 1)

    def step() -> None:
        e, r = model(graph)
        (e.square().sum() + r.square().sum()).backward()

    with Largest():  # what is made once stays: arrays of a graph, of the size of its edges; modules that torch loads for watching
        step()
    tracemalloc.start()  # numpy tells it of its arrays
    try:
        with Largest() as torch_made:
            step()
        _, compiled_made = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    edge_array = 2 * EDGES * DIM
    # torch walks chunks of 2^21 numbers; of an edge there may be a few scalars.
    assert torch_made.found <= max(1 << 21, 6 * EDGES) < edge_array / 2
    assert compiled_made < 4 * edge_array / 8
