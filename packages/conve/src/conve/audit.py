"""The leakage audit of a data set: how much of its test split the training split gives away, and by which relations.

A pair of entities leaks when train has it too, straight or reversed, under any relation. WN18 and FB15k were withdrawn
as benchmarks for that; `conve.robust` makes a data set without it.

Source: section 5 of the paper; Toutanova and Chen 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from offprints.triples import SPLITS, KnowledgeGraph

from conve.keys import contains, distinct, pair_keys, query_keys
from conve.overlap import PairOverlap, pair_overlap


@dataclass(frozen=True)
class LeakageReport:
    """What an audit found. Shares are fractions, NaN where there is nothing to take a share of.

    Attributes:
        name: of the graph.
        relations: one row a relation: relation; train, valid, test, its triples in each; symmetric, the share of its
            training pairs that it holds reversed as well; inverse and inverse_share, the other relation that holds most
            of its pairs reversed, and how many of them; duplicate and duplicate_share, the other relation that holds most
            of its pairs straight; test_reversed, test_same, test_leaked, the share of its test pairs that are in train
            reversed, straight, or either, under any relation.
        splits: one row a split: split; triples; distinct; duplicates, repeated lines; self_loops; unseen_entities, that
            train does not have; unseen_triples, that name one of them; reversed, same and leaked, as above.
        repeated_across: one row for each two splits: first, second, triples that stand in both.
    """

    name: str
    relations: pd.DataFrame
    splits: pd.DataFrame
    repeated_across: pd.DataFrame

    def metrics(self) -> dict[str, float]:
        """The test split's row of `splits` and the repeats, flat: "reversed", "leaked", "unseen_triples", ..."""
        row = self.splits.set_index("split").loc["test"]
        across = {
            f"in_{first}_and_{second}": float(count)
            for first, second, count in self.repeated_across.itertuples(index=False)
        }
        return {**{str(key): float(value) for key, value in row.items()}, **across}


def audit(graph: KnowledgeGraph) -> LeakageReport:
    """Look for leaks between the splits of a graph, and for flaws of the files; a second for 300,000 triples.

    Source: section 5 of the paper, and the integrity checks its published code lacks.
    """
    return LeakageReport(graph.name, _relations(graph), _splits(graph), _repeated_across(graph))


def leaked_pairs(graph: KnowledgeGraph, split: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which triples of a split have their pair in train reversed, and which straight; (n,) bool each.

    A training triple has its own pair straight in train; that is not counted.
    """
    train = distinct(pair_keys(graph.train, graph.num_entities))
    facts = graph.split(split)
    is_reversed = contains(train, pair_keys(facts.reversed(), graph.num_entities))
    if split == "train":
        return is_reversed, np.zeros(len(facts), bool)
    return is_reversed, contains(train, pair_keys(facts, graph.num_entities))


def _relations(graph: KnowledgeGraph) -> pd.DataFrame:
    straight, swapped = pair_overlap(graph, reverse=False), pair_overlap(graph, reverse=True)
    names = np.array([*graph.relations.names, ""], dtype=object)
    counts = {name: np.bincount(graph.split(name).relation, minlength=graph.num_relations) for name in SPLITS}
    inverse, inverse_share = _best_partner(swapped, graph.num_relations)
    duplicate, duplicate_share = _best_partner(straight, graph.num_relations)
    is_reversed, is_same = leaked_pairs(graph, "test")

    def of_test(leaks: NDArray[np.bool_]) -> NDArray[np.float64]:
        leaking = np.bincount(graph.test.relation, weights=leaks, minlength=graph.num_relations)
        return _ratio(leaking, counts["test"])

    itself = swapped.first == swapped.second
    symmetric = np.zeros(graph.num_relations)
    symmetric[swapped.first[itself]] = swapped.support[itself]
    return pd.DataFrame(
        {
            "relation": names[:-1],
            **counts,
            "symmetric": _ratio(symmetric, straight.sizes),
            "inverse": names[inverse],
            "inverse_share": inverse_share,
            "duplicate": names[duplicate],
            "duplicate_share": duplicate_share,
            "test_reversed": of_test(is_reversed),
            "test_same": of_test(is_same),
            "test_leaked": of_test(is_reversed | is_same),
        }
    )


def _best_partner(found: PairOverlap, num_relations: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each relation the other one that shares most of its pairs, -1 if none does, and the share."""
    other = found.first != found.second
    first, second, support = found.first[other], found.second[other], found.support[other]
    order = np.lexsort((-second, support))  # the strongest comes last and stays; of equals, the earliest
    partner = np.full(num_relations, -1, np.int64)
    shared = np.zeros(num_relations)
    partner[first[order]] = second[order]
    shared[first[order]] = support[order]
    return partner, _ratio(shared, found.sizes)


def _splits(graph: KnowledgeGraph) -> pd.DataFrame:
    seen = np.zeros(graph.num_entities, bool)
    seen[graph.train.head] = seen[graph.train.tail] = True
    rows = []
    for name in SPLITS:
        facts = graph.split(name)
        unseen = np.concatenate([facts.head[~seen[facts.head]], facts.tail[~seen[facts.tail]]])
        number = len(distinct(query_keys(facts, graph.num_entities, graph.num_relations)))
        is_reversed, is_same = leaked_pairs(graph, name)
        rows.append(
            {
                "split": name,
                "triples": len(facts),
                "distinct": number,
                "duplicates": len(facts) - number,
                "self_loops": int((facts.head == facts.tail).sum()),
                "unseen_entities": len(distinct(unseen)),
                "unseen_triples": int((~seen[facts.head] | ~seen[facts.tail]).sum()),
                "reversed": _mean(is_reversed),
                "same": _mean(is_same),
                "leaked": _mean(is_reversed | is_same),
            }
        )
    return pd.DataFrame(rows)


def _repeated_across(graph: KnowledgeGraph) -> pd.DataFrame:
    keys = {
        name: distinct(query_keys(graph.split(name), graph.num_entities, graph.num_relations))
        for name in SPLITS
    }
    rows = [(a, b, int(contains(keys[a], keys[b]).sum())) for a, b in combinations(SPLITS, 2)]
    return pd.DataFrame(rows, columns=["first", "second", "triples"])


def _ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=np.asarray(whole) > 0)
    return ratio


def _mean(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
