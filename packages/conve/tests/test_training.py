"""Training: it learns, repeats, survives a kill, takes every query, and stops where it must."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from offprints.checkpoint import CheckpointError
from offprints.errors import InputError
from offprints.training import CLOCKS, DivergedError
from offprints.triples import KnowledgeGraph

from conve import ConvE, DistMult, Trainer, TrainingOptions, evaluate, paired_bootstrap
from conve.batches import Batches


def small(graph: KnowledgeGraph, dropout: float = 0.1, seed: int = 0) -> ConvE:
    torch.manual_seed(seed)
    sizes = (graph.num_entities, 2 * graph.num_relations, 24, (6, 4), 8)
    return ConvE(*sizes, input_dropout=dropout, feature_dropout=dropout, hidden_dropout=dropout)


def options(**changed: object) -> TrainingOptions:
    return TrainingOptions(
        **{"epochs": 6, "batch_size": 16, "evaluate_every": 2, "learning_rate": 0.01} | changed
    )


def test_it_memorises_a_small_graph(family: KnowledgeGraph) -> None:
    model = small(family, 0.0)
    Trainer(model, family, options(epochs=120, label_smoothing=0.0, evaluate_every=0)).fit()
    assert evaluate(model, family, "train").metrics()["mrr"] > 0.98


def test_it_learns_the_inverse_that_no_prior_knows(family: KnowledgeGraph) -> None:
    untrained = evaluate(small(family), family).metrics()["mrr"]
    model = small(family)
    Trainer(model, family, options(epochs=120, label_smoothing=0.0, evaluate_every=20)).fit()
    assert evaluate(model, family).metrics()["mrr"] > max(0.5, 2 * untrained)


@pytest.mark.parametrize("changed", [{"loss": "softmax"}, {"entity_share": 0.5}, {"smoothing": "standard"}])
def test_every_loss_learns(family: KnowledgeGraph, changed: dict[str, object]) -> None:
    model = small(family)
    outcome = Trainer(model, family, options(epochs=60, evaluate_every=0, **changed)).fit()
    assert outcome.history[-1]["train/loss"] < 0.8 * outcome.history[0]["train/loss"]
    assert evaluate(model, family, "train").metrics()["mrr"] > 0.6


def test_the_same_seed_gives_the_same_numbers(family: KnowledgeGraph) -> None:
    outcomes, states = [], []
    for seed in (1, 1, 2):
        model = small(family, seed=seed)
        outcomes.append(Trainer(model, family, options(), seed=seed).fit())
        states.append(model.entity.detach())
    losses = [[row["train/loss"] for row in outcome.history] for outcome in outcomes]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(states[0], states[1])


def test_an_interrupted_run_ends_with_the_numbers_of_an_unbroken_one(
    family: KnowledgeGraph, tmp_path: Path
) -> None:
    unbroken = small(family)
    expected = Trainer(unbroken, family, options(), seed=3).fit()
    steps = 0

    class Guard(nullcontext):
        def __exit__(self, *error: object) -> None:
            nonlocal steps
            steps += 1
            if steps in (5, 9):  # in the middle of an epoch, twice
                raise KeyboardInterrupt

    broken = small(family)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            Trainer(broken, family, options(), seed=3, directory=tmp_path, uninterrupted=Guard).fit()
        broken = small(family, seed=99)  # a new process knows nothing
    found = Trainer(broken, family, options(), seed=3, directory=tmp_path).fit()
    for ours, theirs in zip(found.history, expected.history, strict=True):
        assert {k: v for k, v in ours.items() if k not in CLOCKS} == {
            k: v for k, v in theirs.items() if k not in CLOCKS
        }
    for name, value in broken.state_dict().items():
        assert torch.equal(value, unbroken.state_dict()[name]), name


def test_the_checkpoint_of_other_data_is_refused(family: KnowledgeGraph, tmp_path: Path) -> None:
    Trainer(small(family), family, options(epochs=1), directory=tmp_path).fit()
    other = KnowledgeGraph.from_splits(
        "other", [("a", "next_to", "b"), ("b", "behind", "a"), ("a", "lives_in", "c")]
    )
    with pytest.raises(CheckpointError, match="other data"):
        Trainer(small(other), other, options(epochs=1, batch_size=2), directory=tmp_path).fit()


def test_a_diverging_run_names_the_step_and_the_last_good_checkpoint(
    family: KnowledgeGraph, tmp_path: Path
) -> None:
    model = small(family)
    Trainer(model, family, options(epochs=2), directory=tmp_path).fit()
    model.entity.data[3] = float("nan")
    trainer = Trainer(model, family, options(epochs=4), directory=tmp_path)
    trainer.resume()
    model.entity.data[3] = float("nan")
    with pytest.raises(DivergedError, match=r"step \d+ .*last\.ckpt"):
        trainer.fit()


def test_the_best_epoch_is_kept_and_patience_stops(family: KnowledgeGraph) -> None:
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.2, 0.1])
    states: list[torch.Tensor] = []
    model = small(family)

    def validate() -> dict[str, float]:
        states.append(model.entity.detach().clone())
        return {"mrr": next(scores)}

    trained = options(epochs=30, evaluate_every=1, patience=3)
    outcome = Trainer(model, family, trained, validate=validate).fit()
    assert (outcome.best_epoch, outcome.epochs) == (2, 5)
    assert torch.equal(model.entity, states[1])


def test_an_epoch_visits_every_query_once_with_training_answers_only(family: KnowledgeGraph) -> None:
    batches = Batches(family, 7, seed=0)
    known = {(h, r): set() for h, r in zip(batches.queries.head, batches.queries.relation, strict=True)}
    for batch in batches.of(batches.order()):
        for row, answer in zip(batch.row.tolist(), batch.answer.tolist(), strict=True):
            known[batch.head[row].item(), batch.relation[row].item()].add(answer)
    train = family.train.with_reciprocals(family.num_relations)
    expected: dict[tuple[int, int], set[int]] = {}
    for head, relation, tail in zip(train.head, train.relation, train.tail, strict=True):
        expected.setdefault((head, relation), set()).add(tail)
    assert known == expected


@pytest.mark.parametrize("size", [2, 5, 9, 10_000])
def test_no_batch_is_dropped_or_too_small_to_normalise(family: KnowledgeGraph, size: int) -> None:
    batches = Batches(family, size, seed=0)
    sizes = [len(batch.head) for batch in batches.of(batches.order())]
    assert sum(sizes) == len(batches.queries)
    assert min(sizes) >= 2
    with pytest.raises(InputError, match="two queries"):
        Batches(family, 1, seed=0)


def test_processes_share_a_batch_without_overlap(family: KnowledgeGraph) -> None:
    shares = [Batches(family, 10, 0, rank=rank, world=3) for rank in range(3)]
    parts = [list(share.of(share.order())) for share in shares]
    for batch in zip(*parts, strict=True):
        assert sum(len(part.head) for part in batch) == batch[0].size
    pairs = [
        (h, r)
        for part in parts
        for b in part
        for h, r in zip(b.head.tolist(), b.relation.tolist(), strict=True)
    ]
    assert len(pairs) == len(set(pairs)) == len(shares[0].queries)


def test_learning_rate_schedules() -> None:
    assert TrainingOptions(schedule="exponential", decay=0.5, learning_rate=1).rate(2.5) == 0.25
    assert TrainingOptions(schedule="cosine", epochs=10, learning_rate=1).rate(5) == pytest.approx(0.5)
    assert TrainingOptions(schedule="constant", warmup_epochs=2, learning_rate=1).rate(1) == 0.5
    with pytest.raises(InputError, match="schedule='linear' is not valid"):
        TrainingOptions(schedule="linear")


def test_a_model_of_another_size_is_not_evaluated(family: KnowledgeGraph) -> None:
    with pytest.raises(InputError, match="do not belong together"):
        evaluate(DistMult(3, 2, 4), family)


def test_bootstrap_intervals_cover_the_difference_and_see_none_where_there_is_none() -> None:
    random = np.random.default_rng(0)
    ranks = random.integers(1, 50, 400).astype(float)
    same = paired_bootstrap(ranks, ranks)
    assert (same.low, same.high, same.share_better) == (0, 0, 0)
    better = paired_bootstrap(np.maximum(1, ranks // 2), ranks)
    assert 0 < better.low < better.first - better.second < better.high
    with pytest.raises(InputError, match="same triples"):
        paired_bootstrap(ranks, ranks[:-2])


def trained_on_a_ring() -> dict[str, np.ndarray]:
    """The weights after three epochs, on this process alone or on its share of every batch."""
    train = [(f"p{i}", "next_to", f"p{(i * 7 + 3) % 31}") for i in range(31)]
    train += [(f"p{i}", "in", f"h{i % 3}") for i in range(31)]
    graph = KnowledgeGraph.from_splits("ring", train[:-6], train[-6:-3], train[-3:])
    torch.manual_seed(0)
    # No dropout: two processes draw other masks than one.
    model = ConvE(
        graph.num_entities, 4, 12, (4, 3), 4, input_dropout=0, feature_dropout=0, hidden_dropout=0
    ).double()
    Trainer(model, graph, options(epochs=3, evaluate_every=0), seed=1).fit()
    return {name: value.numpy() for name, value in model.state_dict().items()}


def one_of_two() -> dict[str, np.ndarray]:
    torch.set_num_threads(1)  # before anything computes: threads of OpenMP do not live on in a fork
    torch.distributed.init_process_group("gloo")
    try:
        return trained_on_a_ring()
    finally:
        torch.distributed.destroy_process_group()


def test_two_processes_train_what_one_does() -> None:
    """torchrun's own launcher; its processes are forks, so that neither has to import torch again."""
    two_here = LaunchConfig(
        1, 1, 2, rdzv_backend="c10d", rdzv_endpoint="localhost:0", start_method="fork", max_restarts=0
    )
    two = elastic_launch(two_here, one_of_two)()
    one = trained_on_a_ring()
    for rank in range(2):
        assert two[rank].keys() == one.keys()
        for name, values in one.items():
            np.testing.assert_allclose(two[rank][name], values, rtol=1e-6, atol=1e-9, err_msg=name)
