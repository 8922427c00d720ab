"""The Countries benchmark's area under precision and recall."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offprints.data import data_root
from offprints.errors import InputError, MissingFile
from offprints.triples import KnowledgeGraph, UnknownName

from conve.countries import REGIONS, auc_pr, countries_auc_pr
from conve.datasets import DATASETS, load_dataset

WORLD = KnowledgeGraph.from_splits(
    "world", [(region, "locatedin", "world") for region in REGIONS], [], [("fiji", "locatedin", "oceania"), ("peru", "locatedin", "americas")]
)  # fmt: skip


def real(name: str) -> KnowledgeGraph:
    try:
        return load_dataset(name)
    except MissingFile as missing:
        pytest.skip(str(missing))


def oracle(graph: KnowledgeGraph, wrong: float = 0.0):
    """Scores the true tail of each test triple 1, and all other entities `wrong`."""
    truth = {
        (int(h), int(r)): int(t)
        for h, r, t in zip(graph.test.head, graph.test.relation, graph.test.tail, strict=True)
    }

    def score(head: torch.Tensor, relation: torch.Tensor) -> torch.Tensor:
        scores = torch.full((len(head), graph.num_entities), wrong)
        for row, query in enumerate(zip(head.tolist(), relation.tolist(), strict=True)):
            scores[row, truth[query]] = 1.0
        return scores

    return score


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30).filter(
        lambda x: any(p for _, p in x)
    )
)
def test_area_is_the_sum_over_thresholds_of_precision_times_gained_recall(cells):
    scores, positive = map(np.array, zip(*cells, strict=True))
    area = recall = 0.0
    for level in sorted(set(scores.tolist()), reverse=True):
        chosen = scores >= level
        gained = positive[chosen].sum() / positive.sum() - recall
        area += gained * positive[chosen].mean()
        recall += gained
    assert auc_pr(scores, positive) == pytest.approx(area)


def test_the_true_regions_first_give_one_and_last_give_the_worst():
    assert countries_auc_pr(oracle(WORLD), WORLD) == 1.0
    worst = countries_auc_pr(oracle(WORLD, wrong=2.0), WORLD)
    assert worst == pytest.approx((1 / 9 + 2 / 10) / 2) or worst == pytest.approx(2 / 10)


def test_only_the_five_regions_compete():
    perfect = oracle(WORLD)

    def world_first(head: torch.Tensor, relation: torch.Tensor) -> torch.Tensor:
        scores = perfect(head, relation)
        scores[:, WORLD.entities.id("world")] = 9.0
        return scores

    assert countries_auc_pr(world_first, WORLD) == 1.0


def test_scores_of_all_questions_form_one_list():
    # each question alone is answered rightly, but the first question's wrong regions score above the second's true one
    shift = torch.tensor([[5.0], [0.0]])
    perfect = oracle(WORLD)
    area = countries_auc_pr(lambda h, r: perfect(h, r) + shift, WORLD)
    assert area == pytest.approx((1 / 1 + 2 / 6) / 2)


def test_what_is_not_the_benchmark_is_refused():
    with pytest.raises(UnknownName, match="oceania"):
        countries_auc_pr(
            oracle(WORLD), KnowledgeGraph.from_splits("no", [("a", "r", "b")], [], [("a", "r", "b")])
        )
    odd = KnowledgeGraph.from_splits(
        "odd", [(r, "in", "world") for r in REGIONS], [], [("fiji", "in", "world")]
    )
    with pytest.raises(InputError, match="'world' is no region"):
        countries_auc_pr(oracle(odd), odd)
    with pytest.raises(InputError, match="empty"):
        countries_auc_pr(oracle(WORLD), WORLD, "valid")
    with pytest.raises(InputError, match="NaN"):
        countries_auc_pr(lambda h, _: torch.full((len(h), WORLD.num_entities), float("nan")), WORLD)
    with pytest.raises(InputError, match="one shape"):
        auc_pr(np.zeros((2, 5)), np.ones((2, 4)))
    with pytest.raises(InputError, match="nothing is positive"):
        auc_pr(np.zeros(3), np.zeros(3))


@pytest.mark.real_data
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_24_test_countries_are_asked_for_five_regions(number):
    graph = real(f"countries_s{number}")
    assert len(graph.test) == len(graph.valid) == 24
    assert countries_auc_pr(oracle(graph), graph) == countries_auc_pr(oracle(graph), graph, "test") == 1.0
    constant = countries_auc_pr(lambda h, _: torch.zeros(len(h), graph.num_entities), graph)
    assert constant == pytest.approx(1 / 5)  # one region of five is right


@pytest.mark.real_data
def test_the_regions_are_those_of_the_published_list():
    path = data_root() / "countries" / "regions.list"
    if not path.is_file():
        pytest.skip(f"no {path}")
    assert tuple(path.read_text().split()) == REGIONS
    assert DATASETS["countries_s1"].folder == "countries/countries_S1"
