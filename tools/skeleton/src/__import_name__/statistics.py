"""Counts of a knowledge graph; the paper's method takes the place of this file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offprints.triples import Triples


@dataclass(frozen=True)
class GraphStatistics:
    """How large and how dense a graph is.

    Attributes:
        entities: those that are in a triple.
        triples: all of them.
        mean_degree: triples that an entity is in, on average over the entities.
        largest_degree: of the entity that is in most.
    """

    entities: int
    triples: int
    mean_degree: float
    largest_degree: int


def graph_statistics(triples: Triples) -> GraphStatistics:
    """Count entities, triples and degrees.

    Args:
        triples: columns head, relation and tail, each (triples,) int32.

    Raises:
        ValueError: there are no triples.
    """
    if len(triples) == 0:
        raise ValueError("a graph without triples has no degrees")
    degree = degrees(triples)
    return GraphStatistics(len(degree), len(triples), float(degree.mean()), int(degree.max()))


def degrees(triples: Triples) -> NDArray[np.int64]:
    """How many triples each entity is in, of those that are in any: (entities,)."""
    return np.unique(np.concatenate([triples.head, triples.tail]), return_counts=True)[1]
