"""Entity classification: it learns, its readings of WordNet are what they are said to be, and its metrics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from offprints.errors import InputError

from ke_gcn import (
    ClassificationData,
    EntityClassifier,
    EntitySplit,
    TrainingOptions,
    load_wordnet,
    precision_and_ndcg,
    split_entities,
)


def communities(entities: int = 150, classes: int = 3, edges: int = 900) -> ClassificationData:
    """Relation 0 joins entities of one class, relation 1 any two."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, classes, entities)
    triples = rng.integers(0, [entities, 2, entities], (edges, 3))
    within = triples[:, 1] == 0
    for row in np.flatnonzero(within):
        triples[row, 2] = rng.choice(np.flatnonzero(label == label[triples[row, 0]]))
    names = tuple(f"class {i}" for i in range(classes))
    return ClassificationData(
        "communities", triples, entities, 2, np.arange(entities), label, names, ("within", "any")
    )


DATA = communities()


@pytest.mark.parametrize("mode", ["None", "TransE", "TransD", "DistMult", "RotatE"])
def test_the_graph_tells_the_classes_of_entities_without_a_label(mode: str) -> None:
    split = split_entities(DATA, 0.2, 0.2)
    classifier = EntityClassifier(mode, 16, 0, training=TrainingOptions(epochs=40, evaluate_every=5))
    outcome = classifier.fit(DATA, split)
    assert classifier.accuracy(split.test) > 0.55  # a third by chance
    assert classifier.accuracy(split.valid) == outcome.best["accuracy"]
    probability = classifier.predict_proba()
    torch.testing.assert_close(probability.sum(1), torch.ones(150))


def test_labels_that_lie_are_no_help() -> None:
    shuffled = replace(DATA, labels=np.random.default_rng(1).permutation(DATA.labels))
    split = split_entities(shuffled, 0.2, 0.2)
    classifier = EntityClassifier("TransE", 16, 0, training=TrainingOptions(epochs=40, evaluate_every=5))
    classifier.fit(shuffled, split)
    assert classifier.accuracy(split.test) < 0.5


def test_labels_of_a_relation_agree_as_counted() -> None:
    assert DATA.agreement("within") == 1
    assert 0.25 < DATA.agreement("any") < 0.45


def test_splits_are_disjoint_and_whole() -> None:
    split = split_entities(DATA)
    assert [len(part) for part in (split.train, split.valid, split.test)] == [15, 15, 120]
    assert sorted(np.concatenate([split.train, split.valid, split.test])) == list(range(150))
    with pytest.raises(InputError, match="leak"):
        EntitySplit(np.arange(3), np.arange(0), np.arange(2, 5))
    with pytest.raises(InputError, match="empty"):
        split_entities(DATA, 0.5, 0.5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": DATA.labels + 1}, "not one of the 3 classes"),
        ({"labelled": DATA.labelled + 1}, "not one of the 150"),
        ({"labelled": DATA.labelled * 0}, "labelled twice"),
        ({"labels": DATA.labels[1:]}, "149 labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(changed: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(DATA, **changed)


@pytest.mark.real_data
def test_only_the_unified_reading_of_wordnet_has_neighbours_of_one_class(data_root: Path) -> None:
    if not (data_root / "wn_entity_classification").is_dir():
        pytest.skip(f"no wn_entity_classification in {data_root}")
    unified = load_wordnet("unified")
    assert (unified.num_entities, len(unified.triples), len(unified.labelled)) == (40943, 146442, 31943)
    assert unified.agreement("_hypernym") >= 0.95
    with pytest.warns(UserWarning, match="scrambled"):
        merged = load_wordnet("merged")
    assert merged.agreement("_hypernym") < 0.2
    bipartite = load_wordnet("bipartite")
    assert bipartite.num_entities == 40750 + 40752
    assert not set(bipartite.triples[:, 0]) & set(bipartite.triples[:, 2])
    split = split_entities(unified)
    assert [len(part) for part in (split.train, split.valid, split.test)] == [3194, 3194, 25555]
    with pytest.raises(InputError, match="unified"):
        load_wordnet("Unified")


@pytest.mark.parity
def test_precision_and_ndcg_are_those_of_the_published_program(parity) -> None:
    cases = parity("metrics.npz")
    rows = cases["idx"]
    found = [v for k in (1, 3, 5) for v in precision_and_ndcg(cases["logits"][rows], cases["multi"][rows], k)]
    np.testing.assert_allclose(found, cases["p1_ndcg1_p3_ndcg3_p5_ndcg5"], atol=1e-4)
    accuracy = (cases["logits"][rows].argmax(1) == cases["onehot"][rows].argmax(1)).mean()
    assert accuracy == pytest.approx(float(cases["accuracy"]))


def test_entities_without_labels_count_nothing_or_are_left_out() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    labels = np.array([[1, 0, 1], [0, 0, 0]])
    assert precision_and_ndcg(scores, labels, 2, "skip")[0] == 0.5
    assert precision_and_ndcg(scores, labels, 2, "zero")[0] == 0.25
    assert precision_and_ndcg(scores, labels[:, ::-1], 1, "skip") == (1.0, 1.0)
    with pytest.raises(InputError, match="zero or skip"):
        precision_and_ndcg(scores, labels, 2, "ignore")
