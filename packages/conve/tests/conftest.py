"""Recorded reference numbers, real data, and small graphs for the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from offprints.triples import KnowledgeGraph

settings.register_profile("offprints", deadline=None)  # a test states a fact, not a time
settings.load_profile("offprints")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def parity() -> Callable[[str], dict[str, np.ndarray]]:
    """name -> the arrays of a recorded case; skips, naming the file, where it is not there."""

    def arrays(name: str) -> dict[str, np.ndarray]:
        path = Path(os.environ.get("OFFPRINTS_PARITY", "$OFFPRINTS_PARITY")) / "conve" / name
        if not path.is_file():
            pytest.skip(f"no recorded reference numbers at {path}")
        with np.load(path, allow_pickle=False) as found:
            return dict(found)

    return arrays


@pytest.fixture
def family() -> KnowledgeGraph:
    """Thirty people in a row: next_to and its inverse behind, and everybody's house by parity."""
    train, valid, test = [], [], []
    for i in range(29):
        train.append((f"p{i}", "next_to", f"p{i + 1}"))
        (test if i % 7 == 3 else valid if i % 7 == 5 else train).append((f"p{i + 1}", "behind", f"p{i}"))
    train += [(f"p{i}", "lives_in", f"house{i % 2}") for i in range(30)]
    return KnowledgeGraph.from_splits("family", train, valid, test)
