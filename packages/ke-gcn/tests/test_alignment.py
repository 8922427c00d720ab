"""Alignment: it learns from structure, its control does not, it survives a kill, and its splits do not leak."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from offprints.checkpoint import CheckpointError
from offprints.errors import InputError
from offprints.training import CLOCKS, DivergedError

from ke_gcn import Aligner, AlignmentData, MarginOptions, TrainingOptions, split_pairs
from ke_gcn.alignment import AlignmentLoss
from ke_gcn.dangling import dangling_report


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


def test_shared_relations_are_no_relation_alignment() -> None:
    aligner = Aligner("TransE", 16, 0, training=options(epochs=1))
    aligner.fit(replace(DATA, relations_shared=True), SPLIT)
    with pytest.raises(InputError, match="given, not found"):
        aligner.evaluate_relations()
    with pytest.raises(InputError, match="given, not found"):
        aligner.predict_relations()


def test_hard_negatives_are_the_nearest_of_the_other_graph_and_never_the_partner() -> None:
    aligner = Aligner("TransE", 16, 0, training=options(epochs=3))
    aligner.fit(DATA, SPLIT)
    _, graph, model = aligner._needed()
    numbering = aligner._numbering
    seeds, left = numbering.place[SPLIT.train], DATA.left[numbering.order]
    hard = AlignmentLoss(model, graph, seeds, MarginOptions(negatives=3, hard_among=120), left=left)
    for_left, for_right = hard._draw()
    with torch.no_grad():
        e, _ = model(graph)
    sides = torch.from_numpy(left)
    assert sides[for_left].all()
    assert not sides[for_right].any()
    for (a, b), theirs in zip(hard.seeds.tolist(), for_right, strict=True):
        distance = (e[a] - e).abs().sum(1)
        distance[sides] = torch.inf
        distance[b] = torch.inf
        expected = distance.argsort()[:3]
        torch.testing.assert_close(distance[theirs], distance[expected])


def test_self_training_finds_pairs_that_are_mostly_right_and_survives_a_stop(tmp_path: Path) -> None:
    loss = MarginOptions(propose_every=20)
    split = split_pairs(DATA.pairs, 0.3)
    unbroken = Aligner("TransE", 32, 1, loss=loss, training=options(epochs=50))
    unbroken.fit(DATA, split)
    alone = Aligner("TransE", 32, 1, training=options(epochs=50))
    alone.fit(DATA, split)
    assert unbroken.evaluate(split.test).metrics()["mrr"] > alone.evaluate(split.test).metrics()["mrr"]

    _, graph, model = unbroken._needed()
    place = unbroken._numbering.place
    again = AlignmentLoss(model, graph, place[split.train], loss, left=DATA.left[unbroken._numbering.order])
    found = again._propose()
    true = {tuple(pair) for pair in place[DATA.pairs].tolist()}
    assert np.mean([tuple(pair) in true for pair in found.tolist()]) > 0.5  # of 84 candidates each
    assert not set(found.flatten().tolist()) & set(again.seeds.flatten().tolist())

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 27:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Aligner("TransE", 32, 1, loss=loss, training=options(epochs=50)).fit(
            DATA, split, directory=tmp_path, on_epoch=stop
        )
    resumed = Aligner("TransE", 32, 1, loss=loss, training=options(epochs=50))
    resumed.fit(DATA, split, directory=tmp_path)
    assert torch.equal(resumed.embed()[0], unbroken.embed()[0])


def test_an_aligner_is_saved_and_read_back(tmp_path: Path) -> None:
    aligner = Aligner("QuatE", 16, 1, alpha=0.2, loss=MarginOptions(margin=2.0), training=options(epochs=4))
    with pytest.raises(InputError, match="fit the aligner first"):
        aligner.save(tmp_path / "no.ckpt")
    aligner.fit(DATA, SPLIT)
    aligner.save(tmp_path / "aligner.ckpt")
    again = Aligner.load(tmp_path / "aligner.ckpt", DATA)
    assert (again.alpha, again.loss.margin, again.score.name) == (0.2, 2.0, "QuatE")
    assert torch.equal(again.embed()[0], aligner.embed()[0])
    pd.testing.assert_frame_equal(again.predict(2), aligner.predict(2))
    with pytest.raises(CheckpointError, match="other data"):
        Aligner.load(tmp_path / "aligner.ckpt", noisy_copies(seed=1))


def test_a_threshold_tells_entities_without_a_counterpart() -> None:
    near, far = np.linspace(0, 1, 50), np.linspace(0.8, 2, 30)
    report = dangling_report(near, far, near + 0.001, far + 0.001)
    assert 0.75 < report.threshold <= 1
    assert report.recall > 0.8
    assert report.f1 > 0.85 > 2 * report.share / (1 + report.share)  # what calling all of them so would give
    assert report.auc > 0.95
    nothing = dangling_report(near, near, near, near)
    assert nothing.auc == pytest.approx(0.5)
    with pytest.raises(InputError, match="finite"):
        dangling_report(near, far[:0], near, far)


def test_entities_that_one_graph_lacks_are_further_from_all_candidates() -> None:
    data = replace(DATA, pairs=DATA.pairs[:90])  # 30 entities of which no counterpart is known
    # ... and of which there is none: their partners' triples are taken away.
    gone = DATA.pairs[90:, 1]
    triples = data.triples[~np.isin(data.triples[:, [0, 2]], gone).any(1)]
    data = replace(data, triples=triples)
    split = split_pairs(data.pairs, 0.4)
    aligner = Aligner("TransE", 32, 1, training=options())
    aligner.fit(data, split)
    report = aligner.evaluate_dangling(split)
    assert report.auc > 0.6
    assert len(aligner.predict(1, threshold=report.threshold)) < len(aligner.predict(1))
    other = Aligner("TransE", 16, 0, training=options(epochs=1))
    other.fit(DATA, SPLIT)
    with pytest.raises(InputError, match="every entity"):
        other.evaluate_dangling(SPLIT)
