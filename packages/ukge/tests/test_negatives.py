"""False facts for the evaluation: what they may be, how often an entity comes, and that the published files are like that."""

from __future__ import annotations

import numpy as np
import pytest

from ukge import Facts, UncertainGraph
from ukge.facts import contained
from ukge.negatives import false_facts
from ukge.synthetic import random_facts

N = 30


def test_negatives_are_no_facts_of_what_may_be_known() -> None:
    facts = random_facts(500, N, 2)
    known = np.unique(facts.keys(N))
    negatives = false_facts(facts[:200], facts, known, N, 0)
    assert not contained(negatives.keys(N), known).any()
    assert not negatives.confidence.any() and len(negatives) == 200
    assert (negatives.relation == facts.relation[:200]).all() and (negatives.tail == facts.tail[:200]).all()
    assert (facts.head[:200] == random_facts(500, N, 2).head[:200]).all()  # what was corrupted is as it was


def test_a_fact_that_cannot_be_made_false_is_left_out() -> None:
    everything = Facts.of(np.arange(N), np.zeros(N), np.zeros(N), np.ones(N))
    other = Facts.of([0], [1], [1], [1.0])
    known = np.unique(everything.keys(N))
    assert len(false_facts(everything, everything, known, N, 0)) == 0
    assert len(false_facts(other, everything, known, N, 0)) == 1


def test_a_head_comes_as_often_as_it_stands_in_the_training_facts() -> None:
    train = Facts.of([0, 0, 0, 1], np.zeros(4), [2, 2, 3, 4], np.ones(4))
    asked = Facts.of(np.zeros(40_000), np.ones(40_000), np.zeros(40_000), np.ones(40_000))
    drawn = false_facts(asked, train, np.empty(0, np.int64), 6, 0).head
    share = np.bincount(drawn, minlength=6) / len(drawn)
    expected = np.array([3, 1, 2, 1, 1, 0]) / 8
    assert (np.abs(share - expected) <= 4 * np.sqrt(expected * (1 - expected) / len(drawn))).all()


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["cn15k", "nl27k", "ppi5k"])
def test_the_published_false_facts_are_drawn_like_ours(benchmark_graph, name: str) -> None:
    graph: UncertainGraph = benchmark_graph(name)
    train, known = graph.train, graph.known("train", "valid", "test")
    ours = false_facts(graph.test, train, known, graph.num_entities, 0)
    degree = np.log1p(np.bincount(np.concatenate([train.head, train.tail]), minlength=graph.num_entities))
    published = degree[graph.negatives.head].mean()
    assert degree[ours.head].mean() == pytest.approx(published, abs=0.08)
    assert published > degree.mean() + 1  # far from a uniform draw

    def asked(facts: Facts) -> np.ndarray:
        return facts.relation.astype(np.int64) * graph.num_entities + facts.tail

    assert np.isin(asked(graph.negatives), asked(train)).mean() > 0.94
