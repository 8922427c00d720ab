"""Alignment: it learns from structure, its control does not, it survives a kill, and its splits do not leak."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from offprints.checkpoint import CheckpointError
from offprints.errors import InputError
from offprints.training import CLOCKS, DivergedError

from ke_gcn import Aligner, AlignmentData, MarginOptions, Split, TrainingOptions, split_pairs


def noisy_copies(entities: int = 120, relations: int = 4, edges: int = 600, seed: int = 0) -> AlignmentData:
    """A random graph twice: nine tenths of the edges in each, entities and relations numbered anew."""
    rng = np.random.default_rng(seed)
    triples = rng.integers(0, [entities, relations, entities], (edges, 3))
    other = rng.permutation(entities) + entities
    copies = [triples[rng.random(edges) < 0.9] for _ in range(2)]
    head, relation, tail = copies[1].T
    copies[1] = np.stack([other[head], relation + relations, other[tail]], 1)
    pairs = np.stack([np.arange(entities), other], 1)
    relation_pairs = np.stack([np.arange(relations), np.arange(relations) + relations], 1)
    left = np.arange(2 * entities) < entities
    return AlignmentData(
        "copies", np.concatenate(copies), 2 * entities, 2 * relations, left, pairs, relation_pairs, False
    )


def options(**changed: object) -> TrainingOptions:
    return TrainingOptions(**{"epochs": 60, "evaluate_every": 0} | changed)


DATA = noisy_copies()
SPLIT = split_pairs(DATA.pairs, 0.3)


@pytest.mark.parametrize("mode", ["None", "TransE", "TransH", "TransD", "DistMult", "RotatE", "QuatE"])
def test_structure_finds_entities_that_no_seed_names(mode: str) -> None:
    aligner = Aligner(mode, 32, 1, training=options())
    aligner.fit(DATA, SPLIT)
    assert aligner.evaluate(SPLIT.test).metrics()["hits@1"] > 0.3  # chance is 1 in 84


def test_relations_are_found_without_any_known_pair_of_relations() -> None:
    aligner = Aligner("TransE", 32, 1, training=options())
    aligner.fit(DATA, SPLIT)
    assert aligner.evaluate_relations().metrics()["hits@1"] >= 0.75  # chance is 1 in 4
    found = aligner.predict_relations(1)
    assert sorted(found["left"]) == [f"relation {i}" for i in range(4)]


def test_seeds_with_wrong_partners_fall_to_chance() -> None:
    wrong = SPLIT.train.copy()
    wrong[:, 1] = np.roll(wrong[:, 1], 1)
    aligner = Aligner("TransE", 32, 1, training=options())
    aligner.fit(DATA, replace(SPLIT, train=wrong))
    assert aligner.evaluate(SPLIT.test).metrics()["hits@1"] < 0.06


def test_known_pairs_of_relations_are_learnt() -> None:
    pairs = DATA.relation_pairs
    aligner = Aligner("TransE", 32, 1, loss=MarginOptions(relation_weight=0.9), training=options(epochs=80))
    aligner.fit(DATA, SPLIT, relation_seeds=pairs)
    assert aligner.evaluate_relations().metrics()["hits@1"] == 1
    _, relations = aligner.embed()
    with_seeds = float((relations[pairs[:, 0]] - relations[pairs[:, 1]]).abs().sum(1).mean())
    aligner = Aligner("TransE", 32, 1, training=options(epochs=80))
    aligner.fit(DATA, SPLIT)
    _, relations = aligner.embed()
    assert with_seeds < 0.5 * float((relations[pairs[:, 0]] - relations[pairs[:, 1]]).abs().sum(1).mean())


def test_the_same_seed_gives_the_same_numbers() -> None:
    entities = []
    for seed in (1, 1, 2):
        aligner = Aligner("QuatE", 16, 0, training=options(epochs=5), seed=seed)
        aligner.fit(DATA, SPLIT)
        entities.append(aligner.embed()[0])
    assert torch.equal(entities[0], entities[1])
    assert not torch.equal(entities[0], entities[2])


def test_an_interrupted_run_ends_with_the_numbers_of_an_unbroken_one(tmp_path: Path) -> None:
    split = split_pairs(DATA.pairs, 0.3, 0.2)
    training = options(epochs=26, evaluate_every=3)
    unbroken = Aligner("TransE", 16, 0, training=training)
    expected = unbroken.fit(DATA, split)
    epochs = 0

    class Guard(nullcontext):
        def __exit__(self, *error: object) -> None:
            nonlocal epochs
            epochs += 1
            if epochs in (7, 15):  # between two draws of negatives
                raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            Aligner("TransE", 16, 0, training=training).fit(
                DATA, split, directory=tmp_path, uninterrupted=Guard
            )
    resumed = Aligner("TransE", 16, 0, training=training)
    found = resumed.fit(DATA, split, directory=tmp_path)
    for ours, theirs in zip(found.history, expected.history, strict=True):
        assert {k: v for k, v in ours.items() if k not in CLOCKS} == {
            k: v for k, v in theirs.items() if k not in CLOCKS
        }
    assert found.best_epoch == expected.best_epoch
    assert torch.equal(resumed.embed()[0], unbroken.embed()[0])


def test_the_checkpoint_of_other_seeds_is_refused(tmp_path: Path) -> None:
    Aligner("TransE", 16, 0, training=options(epochs=1)).fit(DATA, SPLIT, directory=tmp_path)
    other = split_pairs(DATA.pairs, 0.3, kind="shuffle", seed=1)
    with pytest.raises(CheckpointError, match="other data"):
        Aligner("TransE", 16, 0, training=options(epochs=2)).fit(DATA, other, directory=tmp_path)


def test_a_diverging_run_says_so() -> None:
    aligner = Aligner("DistMultDot", 16, 4, alpha=1e12, training=options(epochs=3))
    with pytest.raises(DivergedError, match="epoch 1"):
        aligner.fit(DATA, SPLIT)


def test_splits_are_disjoint_and_the_jape_split_takes_the_last_pairs() -> None:
    split = split_pairs(DATA.pairs, 0.3, 0.25)
    assert [len(part) for part in (split.train, split.valid, split.test)] == [27, 9, 84]
    np.testing.assert_array_equal(split.test, DATA.pairs[:84])
    shuffled = [split_pairs(DATA.pairs, 0.3, kind="shuffle", seed=seed).test for seed in (0, 0, 1)]
    np.testing.assert_array_equal(shuffled[0], shuffled[1])
    assert not np.array_equal(shuffled[0], shuffled[2])
    assert {tuple(p) for p in shuffled[2]} != {tuple(p) for p in DATA.pairs[:84]}


def test_pairs_that_leak_or_contradict_are_refused() -> None:
    with pytest.raises(InputError, match="leak"):
        Split(DATA.pairs[:5], DATA.pairs[:0], DATA.pairs[4:9])
    for pairs, message in (
        (DATA.pairs[:3, ::-1].copy(), "not of the left graph"),
        (np.array([[0, 121], [0, 122]]), "partners"),
        (np.array([[0, 999]]), "not one of the 240"),
        (np.array([[0.0, 121.0]]), "integers"),
    ):
        with pytest.raises(InputError, match=message):
            replace(DATA, pairs=pairs)


def test_shared_relations_are_no_relation_alignment() -> None:
    aligner = Aligner("TransE", 16, 0, training=options(epochs=1))
    aligner.fit(replace(DATA, relations_shared=True), SPLIT)
    with pytest.raises(InputError, match="given, not found"):
        aligner.evaluate_relations()
    with pytest.raises(InputError, match="given, not found"):
        aligner.predict_relations()
