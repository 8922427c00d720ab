"""Random graphs of a data set's size, so that the benchmark needs no files: the counts decide what a step costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offprints.triples import KnowledgeGraph, Triples, Vocabulary


class Size(NamedTuple):
    """The counts of a data set."""

    entities: int
    relations: int
    facts: int


FB15K_237 = Size(14_541, 237, 272_115)
WN18RR = Size(40_943, 11, 86_835)
YAGO3_10 = Size(123_182, 37, 1_079_040)


def graph_of(size: Size, tested: int = 1_000, seed: int = 0) -> KnowledgeGraph:
    """A few frequent and many rare entities and relations, as real graphs have them; `tested` facts to rank."""
    generator = np.random.default_rng(seed)
    count = size.facts + tested
    columns = (size.entities, size.relations, size.entities)
    facts = np.stack([skewed(generator, kinds, count) for kinds in columns], axis=1)
    train, test = Triples(*facts[tested:].T.copy()), Triples(*facts[:tested].T.copy())
    entities = Vocabulary("entity", tuple(f"e{i}" for i in range(size.entities)))
    relations = Vocabulary("relation", tuple(f"r{i}" for i in range(size.relations)))
    return KnowledgeGraph("random", entities, relations, train, test, test, {}, {})


def skewed(generator: np.random.Generator, kinds: int, count: int) -> NDArray[np.int32]:
    """`count` draws from 0..kinds-1, number k with a chance in proportion to 1 / (k + 10)."""
    chance = np.cumsum(1.0 / (np.arange(kinds) + 10.0))
    return np.searchsorted(chance, generator.random(count) * chance[-1]).astype(np.int32)
