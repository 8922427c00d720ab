"""What train tells of test, counted by hand and against what is known of the three data sets."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from offprints.triples import Vocabulary

from ukge import Facts, UncertainGraph
from ukge.audit import audit, clean_test


def leaky_graph() -> UncertainGraph:
    """Four test facts: one in train with its confidence, one with another, one reversed, one new."""
    train = Facts.of([0, 1, 2, 0, 3], [0, 0, 0, 1, 0], [1, 2, 3, 3, 3], [0.5, 0.6, 0.7, 0.8, 0.9])
    test = Facts.of([0, 1, 3, 4], [0, 0, 0, 0], [1, 2, 2, 0], [0.5, 0.9, 0.7, 0.2])
    negatives = Facts.of([0, 3, 1, 4], [1, 2, 0, 0], [3, 3, 4, 0], [0, 0, 0, 0])
    valid = Facts.of([3], [2], [3], [0.4])
    names = Vocabulary("entity", tuple("abcde")), Vocabulary("relation", ("r", "s", "u"))
    return UncertainGraph("leaky", *names, train, valid, test, strong=0.65, negatives=negatives)


def test_every_leak_is_counted() -> None:
    found = audit(leaky_graph()).measures
    assert found["in_train"] == 2 / 4
    assert found["in_train_same_confidence"] == 1 / 4
    assert found["reversed_in_train"] == 1 / 4
    assert found["reversed_in_train_same_confidence"] == 1 / 4
    assert found["pair_in_train"] == 3 / 4
    assert found["self_loops"] == 2
    assert found["relations_untrained"] == 1
    assert found["entities_untrained"] == 1
    assert found["false_negatives_train_valid"] == 2
    assert found["false_negatives_test"] == 1
    # A model that knows every fact is charged for (a s d) .8, (d u d) .4 and (e r a) .2 among eight.
    assert found["penalty_mse"] == pytest.approx((0.64 + 0.16 + 0.04) / 8)
    assert found["all_weak_accuracy"] == 6 / 8
    # (r, t) of the negatives are (s d), (u d), (r e) and (r a): train has the first. Degrees in train: a 2, b 2, c 2, d 4, e 0.
    assert found["negatives_questions_in_train"] == 1 / 4
    assert found["negatives_log_degree"] == pytest.approx(np.log([3, 5, 3, 1]).mean())
    assert found["ends_log_degree"] == pytest.approx((6 * np.log(3) + 4 * np.log(5)) / 10)
    assert found["entities_log_degree"] == pytest.approx((3 * np.log(3) + np.log(5)) / 5)


def test_shares_of_an_empty_test_split_are_undefined() -> None:
    graph = replace(leaky_graph(), test=Facts.empty(), negatives=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = audit(graph).measures
    assert all(np.isnan(found[name]) for name in ("in_train", "reversed_in_train_same_confidence", "strong"))
    assert found["train_rows"] == 5


def test_the_clean_test_set_has_no_leak_and_no_false_negative() -> None:
    graph = leaky_graph()
    facts, negatives = clean_test(graph)
    assert facts.head.tolist() == [4]
    assert negatives is not None and negatives.head.tolist() == [1]
    assert len(clean_test(graph, reverse=False)[0]) == 2


def test_relations_are_counted_by_split() -> None:
    table = audit(leaky_graph()).relations.set_index("relation")
    assert table.loc["r", ["train", "valid", "test"]].tolist() == [4, 0, 4]
    assert table.loc["s", "mean_confidence"] == 0.8
    assert np.isnan(table.loc["u", "mean_confidence"])


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "seen", "same", "reverse", "pair", "false", "penalty", "weak", "degrees"),
    [
        ("cn15k", 0.104, 0.046, 0.133, 0.349, (134, 19), 0.0012, 0.898, (3.98, 3.985, 2.85)),
        ("nl27k", 0.0, 0.0, 0.328, 0.933, (186, 15), 0.0057, 0.672, (4.04, 4.036, 1.75)),
        ("ppi5k", 0.137, None, 0.875, 0.955, (1671, 164), 0.0071, 0.939, (5.65, 5.67, 3.27)),
    ],
)
def test_the_benchmarks_leak_what_is_known(
    benchmark_graph, name, seen, same, reverse, pair, false, penalty, weak, degrees
) -> None:
    found = audit(benchmark_graph(name)).measures
    assert found["in_train"] == pytest.approx(seen, abs=6e-4)
    if same is not None:
        assert found["in_train_same_confidence"] == pytest.approx(same, abs=6e-4)
    assert found["reversed_in_train"] == pytest.approx(reverse, abs=6e-4)
    assert found["pair_in_train"] == pytest.approx(pair, abs=6e-4)
    assert (found["false_negatives_train_valid"], found["false_negatives_test"]) == false
    assert found["penalty_mse"] == pytest.approx(penalty, abs=6e-5)
    assert found["all_weak_accuracy"] == pytest.approx(weak, abs=6e-4)
    names = ("negatives_log_degree", "ends_log_degree", "entities_log_degree")
    assert [found[key] for key in names] == pytest.approx(degrees, abs=0.01)
