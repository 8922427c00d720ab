"""What the splits of an uncertain graph give away of each other; for any graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ukge.facts import Facts, contained
from ukge.graph import UncertainGraph

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Audit:
    """Leaks and defects of a graph.

    Attributes:
        statistics: entities, relations, facts of all splits, and mean and standard deviation of their confidence (Table 1).
        measures: name -> value, for results.json; shares are of the test facts, NaN where there are none; counts say so by
            their name.
        relations: one row a relation: its name, facts in each split, mean confidence in train, and the share of its test facts
            whose pair is seen in train.
    """

    statistics: dict[str, float]
    measures: dict[str, float]
    relations: pd.DataFrame


def audit(graph: UncertainGraph) -> Audit:
    """Measure what of the test set can be read off the training facts.

    The false negatives are "negatives" of the published test file that are facts of the graph. A model that knew every fact
    exactly would be charged for them; `penalty_mse` is that charge on the mixed test set. `negatives_questions_in_train` is the share of
    negatives whose (r, t) some training fact has, and the mean of log(1 + degree) over their heads, over the ends of the training facts
    and over the entities says how they were drawn.
    """
    entities, train, test = graph.num_entities, graph.train, graph.test
    known = graph.known("train")
    seen = contained(test.keys(entities), known)
    reverse = contained(test.reversed().keys(entities), known)
    pair = contained(test.pair_keys(entities), np.unique(train.pair_keys(entities)))
    everything = graph.all_facts
    measures = {
        "in_train": _share(seen),
        "in_train_same_confidence": _same_confidence(test, train, entities),
        "reversed_in_train": _share(reverse),
        "reversed_in_train_same_confidence": _same_confidence(test.reversed(), train, entities),
        "pair_in_train": _share(pair),
        "strong": _share(test.confidence > graph.strong),
        "train_rows": float(len(train)),
        "train_distinct": float(len(known)),
        "self_loops": float((everything.head == everything.tail).sum()),
        "relations_untrained": float(len(np.setdiff1d(everything.relation, train.relation))),
        "entities_untrained": float(
            len(np.setdiff1d([everything.head, everything.tail], [train.head, train.tail]))
        ),
    }
    if graph.negatives is not None:
        keys = graph.negatives.keys(entities)
        fitting = contained(keys, graph.known("train", "valid"))
        testing = contained(keys, graph.known("test"))
        mixed = len(test) + len(graph.negatives)
        measures |= {
            "false_negatives_train_valid": float(fitting.sum()),
            "false_negatives_test": float(testing.sum()),
            "penalty_mse": float(np.square(_stored(graph, keys[fitting | testing])).sum() / mixed),
            "negatives_questions_in_train": _questions_in(graph.negatives, train, entities),
            **_degrees(graph),
            "all_weak_accuracy": float((mixed - (test.confidence > graph.strong).sum()) / mixed),
        }
    statistics = {
        "entities": float(entities),
        "relations": float(graph.num_relations),
        "facts": float(len(everything)),
        "mean_confidence": float(everything.confidence.mean()),
        "deviation_of_confidence": float(everything.confidence.std()),
    }
    return Audit(statistics, measures, _by_relation(graph, pair))


def clean_test(graph: UncertainGraph, reverse: bool = True) -> tuple[Facts, Facts | None]:
    """The test set without what train gives away: a second column beside the published one, never instead of it.

    Args:
        graph: the graph.
        reverse: leave out test facts whose reverse (t, r, h) is in train, too.

    Returns:
        The test facts that are not in train, and the published negatives that are no facts of the graph.
    """
    entities, known = graph.num_entities, graph.known("train")
    leaked = contained(graph.test.keys(entities), known)
    if reverse:
        leaked |= contained(graph.test.reversed().keys(entities), known)
    negatives = graph.negatives
    if negatives is not None:
        negatives = negatives[~contained(negatives.keys(entities), graph.known("train", "valid", "test"))]
    return graph.test[~leaked], negatives


def _share(which: Mask) -> float:
    return float(which.mean()) if len(which) else float("nan")


def _same_confidence(facts: Facts, train: Facts, entities: int) -> float:
    """Share of the facts that stand in train with the same confidence, to three digits as the data are published."""

    def exact(part: Facts) -> NDArray[np.int64]:
        return part.keys(entities) * 1001 + np.round(part.confidence * 1000).astype(np.int64)

    return _share(contained(exact(facts), np.unique(exact(train))))


def _stored(graph: UncertainGraph, keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean confidence that the graph holds for each of some of its facts."""
    everything = graph.all_facts
    distinct, inverse, counts = np.unique(
        everything.keys(graph.num_entities), return_inverse=True, return_counts=True
    )
    mean = np.bincount(inverse, everything.confidence) / counts
    found: NDArray[np.float64] = mean[np.searchsorted(distinct, keys)]
    return found


def _questions_in(facts: Facts, train: Facts, entities: int) -> float:
    """Share of facts whose relation and tail stand together in train."""

    def question(part: Facts) -> NDArray[np.int64]:
        return part.relation.astype(np.int64) * entities + part.tail

    return float(contained(question(facts), np.unique(question(train))).mean())


def _degrees(graph: UncertainGraph) -> dict[str, float]:
    """Mean log(1 + degree in train) of the negatives' heads, of the ends of training facts, of all entities."""
    assert graph.negatives is not None
    ends = np.concatenate([graph.train.head, graph.train.tail])
    degree = np.log1p(np.bincount(ends, minlength=graph.num_entities))
    return {
        "negatives_log_degree": float(degree[graph.negatives.head].mean()),
        "ends_log_degree": float(degree[ends].mean()),
        "entities_log_degree": float(degree.mean()),
    }


def _by_relation(graph: UncertainGraph, pair: Mask) -> pd.DataFrame:
    size = graph.num_relations
    counts = {
        split: np.bincount(graph.split(split).relation, minlength=size)
        for split in ("train", "valid", "test")
    }
    with np.errstate(invalid="ignore"):
        mean = np.bincount(graph.train.relation, graph.train.confidence, size) / counts["train"]
        leaked = np.bincount(graph.test.relation, pair, size) / counts["test"]
    return pd.DataFrame(
        {
            "relation": [graph.label(name) for name in graph.relations.names],
            **counts,
            "mean_confidence": mean,
            "test_pair_in_train": leaked,
        }
    )
