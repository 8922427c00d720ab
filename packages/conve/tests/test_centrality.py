"""PageRank, in-degree, and what is derived from them."""

from __future__ import annotations

import functools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offprints.errors import InputError, MissingFile
from offprints.triples import KnowledgeGraph

from conve.centrality import (
    error_reduction,
    high_in_degree,
    hits_error_reduction,
    in_degree,
    in_degree_buckets,
    low_in_degree,
    mean_over_test,
    pagerank,
    relation_categories,
)
from conve.datasets import load_dataset


@functools.cache
def real(name: str) -> KnowledgeGraph:
    try:
        return load_dataset(name)
    except MissingFile as missing:
        pytest.skip(str(missing))


@st.composite
def graphs(draw) -> KnowledgeGraph:
    """Small graphs with repeats, self loops and entities that train lacks."""
    entity = st.integers(0, 6).map("e{}".format)
    triple = st.tuples(entity, st.integers(0, 2).map("r{}".format), entity)
    return KnowledgeGraph.from_splits(
        "random", *(draw(st.lists(triple, min_size=1, max_size=most)) for most in (25, 6, 8))
    )


def rows(graph: KnowledgeGraph, split: str) -> list[tuple[int, int, int]]:
    facts = graph.split(split)
    return list(zip(facts.head.tolist(), facts.relation.tolist(), facts.tail.tolist(), strict=True))


@settings(max_examples=40, deadline=None)
@given(graphs(), st.sampled_from([0.0, 0.5, 0.85]))
def test_pagerank_solves_its_linear_system(graph, damping):
    number = graph.num_entities
    adjacency = np.zeros((number, number))
    for head, _, tail in rows(graph, "train"):
        adjacency[head, tail] = adjacency[tail, head] = 1
    degree = adjacency.sum(1, keepdims=True)
    walk = np.where(degree > 0, adjacency / np.maximum(degree, 1), 1 / number)
    exact = np.linalg.solve(np.eye(number) - damping * walk.T, np.full(number, (1 - damping) / number))
    found = pagerank(graph, damping=damping)
    assert found == pytest.approx(exact, abs=1e-10)
    assert found.sum() == pytest.approx(1)


def test_the_hub_of_a_star_has_the_pagerank_of_the_closed_form():
    # leaf = (1 - d)/5 + d hub/4 and hub = (1 - d)/5 + 4 d leaf
    graph = KnowledgeGraph.from_splits("star", [(f"leaf{i}", "r", "hub") for i in range(4)])
    hub = (0.15 / 5 + 0.85 * 4 * 0.15 / 5) / (1 - 0.85**2)
    assert pagerank(graph)[graph.entities.id("hub")] == pytest.approx(hub)


def test_repeated_edges_and_their_direction_do_not_count():
    once = KnowledgeGraph.from_splits("once", [("a", "r", "b"), ("b", "r", "c")])
    often = KnowledgeGraph.from_splits(
        "often", [("a", "r", "b"), ("b", "q", "a"), ("a", "r", "b"), ("b", "r", "c")]
    )
    assert pagerank(often).tolist() == pytest.approx(pagerank(once).tolist())


def test_all_splits_add_edges_that_train_lacks():
    graph = KnowledgeGraph.from_splits("two", [("a", "r", "b")], [("b", "r", "c")], [("c", "r", "d")])
    assert pagerank(graph, "train")[3] == pytest.approx(pagerank(graph, "train")[2])
    assert pagerank(graph, "all")[2] > pagerank(graph, "all")[3]
    assert in_degree(graph, "train").tolist() == [0, 1, 0, 0]
    assert in_degree(graph, "all").tolist() == [0, 1, 1, 1]
    with pytest.raises(InputError, match="unknown facts 'test'"):
        pagerank(graph, "test")


def test_pagerank_says_when_it_cannot():
    graph = KnowledgeGraph.from_splits("pair", [("a", "r", "b"), ("c", "r", "b")])
    for damping in (1.0, -0.1, float("nan")):
        with pytest.raises(InputError, match="damping"):
            pagerank(graph, damping=damping)
    with pytest.raises(InputError, match="not converged"):
        pagerank(graph, max_iterations=3)


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_in_degree_counts_distinct_facts(graph):
    expected = Counter(tail for _, _, tail in set(rows(graph, "train")))
    assert in_degree(graph).tolist() == [expected[e] for e in range(graph.num_entities)]


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_mean_over_test_counts_both_ends_of_every_triple(graph):
    values = np.arange(graph.num_entities) ** 2
    ends = [end for head, _, tail in rows(graph, "test") for end in (head, tail)]
    assert mean_over_test(graph, values) == pytest.approx(np.mean(values[ends]))


def test_error_reduction_is_the_ratio_of_the_errors():
    assert error_reduction(0.419, 0.501) == pytest.approx(1.164, abs=5e-4)  # DistMult and ConvE on FB15k-237
    assert error_reduction(0.5, 0.25) == pytest.approx(2 / 3)
    assert error_reduction(0.5, 1.0) == float("inf")
    assert np.isnan(error_reduction(1.0, 1.0))
    assert hits_error_reduction(np.array([1, 11, 12, 13]), np.array([10, 10, 11, 3])) == 3.0
    assert hits_error_reduction(np.array([1, 11, 12, 13]), np.array([10, 10, 11, 3]), k=3) == pytest.approx(
        1.0
    )
    with pytest.raises(InputError, match="4 and 3"):
        hits_error_reduction(np.ones(4), np.ones(3))


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(1, 12))
def test_buckets_hold_the_in_degrees_between_their_edges(graph, buckets):
    group, edges = in_degree_buckets(graph, buckets)
    degree = in_degree(graph)
    asked = np.array([[degree[t], degree[h]] for h, _, t in rows(graph, "test")]).T
    assert group.shape == asked.shape
    assert 1 <= len(edges) - 1 <= buckets
    for value, number in zip(asked.ravel(), group.ravel(), strict=True):
        last = number == len(edges) - 2
        assert edges[number] <= value
        assert value < edges[number + 1] or (last and value == edges[-1])


def test_buckets_of_distinct_in_degrees_are_equally_full():
    train = [(f"x{i}", "r", f"e{j}") for j in range(20) for i in range(j + 1)]
    graph = KnowledgeGraph.from_splits("stairs", train, [], [(f"e{j}", "r", f"e{19 - j}") for j in range(20)])
    group, _ = in_degree_buckets(graph, 5)
    assert np.bincount(group.ravel()).tolist() == pytest.approx([8, 8, 8, 8, 8], abs=2)
    with pytest.raises(InputError, match="buckets"):
        in_degree_buckets(graph, 0)


def test_categories_of_relations():
    fan = range(4)
    train = [
        *((f"a{i}", "one to one", f"b{i}") for i in fan),
        *(("a0", "one to many", f"b{i}") for i in fan),
        *((f"a{i}", "many to one", "b0") for i in fan),
        *((f"a{i}", "many to many", f"b{j}") for i in fan for j in fan),
        ("a0", "many to one", "b0"),
    ]
    graph = KnowledgeGraph.from_splits("kinds", train, [], [("a0", "untrained", "b0")])
    assert relation_categories(graph) == {
        "one to one": "1-1", "one to many": "1-N", "many to one": "N-1", "many to many": "N-N"
    }  # fmt: skip
    assert relation_categories(graph, threshold=4.1) == dict.fromkeys(graph.relations.names[:4], "1-1")
    assert relation_categories(graph, "all")["untrained"] == "1-1"


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(1, 3))
def test_low_in_degree_keeps_no_more_facts_of_a_relation_and_tail_than_asked(graph, most):
    low = low_in_degree(graph, most, seed=3)
    before, after = (Counter((r, t) for _, r, t in rows(g, "train")) for g in (graph, low))
    assert after == {key: min(count, most) for key, count in before.items()}
    lines = iter(rows(graph, "train"))
    assert all(row in lines for row in rows(low, "train"))  # a subsequence: the order of the file stays
    assert low.test is graph.test
    assert rows(low, "train") == rows(low_in_degree(graph, most, seed=3), "train")


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(1, 3))
def test_high_in_degree_keeps_exactly_the_facts_of_frequent_tails(graph, least):
    size = Counter((r, t) for _, r, t in set(rows(graph, "train")))
    kept = {
        split: [x for x in rows(graph, split) if size[x[1:]] >= least] for split in ("train", "valid", "test")
    }
    if not kept["train"]:
        with pytest.raises(InputError, match="no relation has"):
            high_in_degree(graph, least)
        return
    high = high_in_degree(graph, least)
    assert {split: rows(high, split) for split in kept} == kept
    with pytest.raises(InputError, match="at least one"):
        low_in_degree(graph, 0)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "facts", "thousandths"),
    [
        ("wn18rr", "train", 0.108), ("wn18", "train", 0.127), ("fb15k-237", "train", 0.731),
        ("wn18rr", "all", 0.113), ("wn18", "all", 0.128), ("fb15k-237", "all", 0.747),
        ("countries_s1", "all", 17.1), ("countries_s2", "all", 18.0), ("countries_s3", "all", 14.2),
    ],
)  # fmt: skip
def test_mean_pagerank_of_the_test_entities(name, facts, thousandths):
    graph = real(name)
    unit = 10.0 ** -len(str(thousandths).partition(".")[2])
    assert 1000 * mean_over_test(graph, pagerank(graph, facts)) == pytest.approx(thousandths, abs=0.51 * unit)
