"""The frequency baseline, held to a dense ranking of the same counts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offprints.errors import InputError, MissingFile
from offprints.ranking import rank_triples
from offprints.triples import KnowledgeGraph

from conve.datasets import load_dataset
from conve.frequency import FrequencyModel


@st.composite
def graphs(draw) -> KnowledgeGraph:
    entity = st.integers(0, 7).map("e{}".format)
    triple = st.tuples(entity, st.integers(0, 2).map("r{}".format), entity)
    return KnowledgeGraph.from_splits(
        "random",
        *(draw(st.lists(triple, min_size=least, max_size=most)) for least, most in ((0, 30), (0, 6), (1, 8))),
    )


def dense_counts(graph: KnowledgeGraph) -> np.ndarray:
    """(2 * relations, entities), by counting in Python."""
    counts = np.zeros((2 * graph.num_relations, graph.num_entities), np.int64)
    train = graph.train
    for h, r, t in set(zip(train.head.tolist(), train.relation.tolist(), train.tail.tolist(), strict=True)):
        counts[r, t] += 1
        counts[r + graph.num_relations, h] += 1
    return counts


@settings(max_examples=80, deadline=None)
@given(graphs())
def test_ranks_are_those_of_the_counts_laid_out_over_all_entities(graph):
    table = torch.from_numpy(dense_counts(graph)).double()
    dense = rank_triples(lambda _, relation: table[relation], graph.test, graph.known, graph.num_relations)
    ours = FrequencyModel.of(graph).rank()
    for name in ("better", "tied", "candidates"):
        assert getattr(ours, name).tolist() == getattr(dense, name).tolist()


def test_the_most_frequent_tail_wins_and_ties_count_half():
    train = [("a", "r", "x"), ("b", "r", "x"), ("c", "r", "y"), ("d", "r", "z")]
    graph = KnowledgeGraph.from_splits(
        "votes", train, [], [("c", "r", "x"), ("a", "r", "y"), ("a", "r", "c")]
    )
    ranks = FrequencyModel.of(graph).rank().ranks(side="tail")
    # (c, r, ?): x leads, y is filtered. (a, r, ?): x and c are filtered, y and z tie for 1 and 2.
    # (a, r, ?) for c: y and z are ahead or filtered, c ties with the three other entities that never were a tail.
    assert ranks.tolist() == [1.0, 1.5, 2 + 1.5]


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(1, 9))
def test_top_lists_the_largest_counts(graph, count):
    model = FrequencyModel.of(graph)
    for relation, row in enumerate(dense_counts(graph)):
        tails, counts = model.top(relation, count)
        expected = sorted((-c, e) for e, c in enumerate(row.tolist()) if c)[:count]
        assert list(zip((-counts).tolist(), tails.tolist(), strict=True)) == expected


def test_a_graph_where_tails_are_uniform_ranks_at_the_middle():
    train = [(f"h{i}", "r", f"t{i}") for i in range(9)]
    graph = KnowledgeGraph.from_splits("uniform", train, [], [("h0", "r", "t1"), ("h0", "r", "t2")])
    # t1 competes with the seven other tails t3..t8, all seen once: t0 and t2 are known
    assert FrequencyModel.of(graph).rank().ranks(side="tail").tolist() == [4.0, 4.0]


def test_an_empty_split_is_refused():
    with pytest.raises(InputError, match="test split is empty"):
        FrequencyModel.of(KnowledgeGraph.from_splits("train only", [("a", "r", "b")])).rank()


@pytest.mark.real_data
def test_counts_on_umls_are_those_of_its_lines():
    try:
        graph = load_dataset("umls")
    except MissingFile as missing:
        pytest.skip(str(missing))
    model = FrequencyModel.of(graph)
    relation = graph.relations.id("affects")
    tails, counts = model.top(relation, 3)
    expected = Counter(graph.train.tail[graph.train.relation == relation].tolist()).most_common(3)
    assert counts.tolist() == [count for _, count in expected]
    assert 0.6 < model.rank().metrics()["mrr"] < 0.7 < model.rank().metrics()["hits@3"]
    assert len(tails) == 3
