"""The step against autograd and the published program; training, its checkpoints and its draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from offprints.checkpoint import CheckpointError
from offprints.errors import InputError
from offprints.training import DivergedError

from ukge import Facts, UncertainGraph
from ukge.atoms import Atoms
from ukge.batches import Batches
from ukge.config import ModelConfig
from ukge.loss import OBJECTIVES, Targets
from ukge.model import UKGE
from ukge.runs import training_facts
from ukge.scorers import SCORERS
from ukge.step import Batch, add_gradients, plain_loss
from ukge.synthetic import random_facts
from ukge.training import Trainer, TrainingOptions

N, M, DIM = 30, 4, 8


def some_atoms(count: int = 6, seed: int = 5) -> Atoms:
    return Atoms.of_facts(random_facts(count, N, M, seed))


def some_batch(shared: bool = False, filtered: bool = False, negatives: int = 3, atoms: int = 6) -> Batch:
    made = Batches(
        random_facts(16, N, M),
        some_atoms(atoms) if atoms else Atoms.empty(),
        N,
        M,
        size=16,
        negatives=negatives,
        shared=shared,
        filtered=filtered,
        psl_batch=5,
    )
    return made.batch(made.order())


def model(kind: str = "rect", scorer: str = "distmult", seed: int = 0, init: str = "unit") -> UKGE:
    return UKGE(N, M, DIM, kind, scorer, init, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", ["rect", "logi"])
def test_the_quick_step_has_the_gradients_of_autograd(scorer: str, objective: str, kind: str) -> None:
    for shared, filtered, negatives, atoms in (
        (False, False, 3, 6),
        (True, True, 7, 6),
        (False, True, 3, 0),
        (False, False, 0, 6),
    ):
        made, batch = model(kind, scorer), some_batch(shared, filtered, negatives, atoms)
        expected = plain_loss(made, batch, objective, 0.7, 0.3, 0.05)
        gradients = torch.autograd.grad(expected, list(made.parameters()))
        torch.testing.assert_close(add_gradients(made, batch, objective, 0.7, 0.3, 0.05), expected.detach())
        for parameter, gradient in zip(made.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = random_facts(300, 200, M)
    batch = Batches(facts, Atoms.empty(), 200, M, size=300, negatives=4).batch(torch.arange(300))
    found = []
    for threads in (1, 3):
        made = UKGE(200, M, DIM, "logi", generator=torch.Generator().manual_seed(0))
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        found.append(
            (add_gradients(made, batch, l2=0.1), *(parameter.grad for parameter in made.parameters()))
        )
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    assert all(part.abs().sum() > 0 for part in found[0])


def recorded_batch(case: dict[str, np.ndarray], step: int) -> Batch:
    def column(name: str) -> torch.Tensor:
        return torch.from_numpy(case[f"s{step}_{name}"])

    targets = Targets(column("c"), column("psl_w").float(), torch.ones(1))
    ids = (torch.cat([column(name), column(f"psl_{name}")]) for name in ("h", "r", "t"))
    return Batch(*ids, column("neg_h"), column("neg_t"), targets)


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["rect", "logi"])
def test_three_steps_are_those_of_the_published_program(parity, kind: str) -> None:
    case = parity(f"{kind}_small")
    made = UKGE(40, 5, 8, kind)
    with torch.no_grad():
        for parameter, name in zip(made.parameters(), ("E0", "R0", "w0", "b0"), strict=True):
            parameter.copy_(torch.from_numpy(case[name]))
    l2 = float(case["reg"].item()) if kind == "rect" else 0.0
    options = TrainingOptions(
        learning_rate=float(case["lr"].item()),
        epsilon="before",
        l2=l2,
        psl_weight=float(case["p_psl"].item()),
    )
    trainer = Trainer(made, Facts.of([0], [0], [1], [0.5]), options)
    first = recorded_batch(case, 0)
    fitted = made.fitted(made.logit(first.head, first.relation, first.tail)).detach()
    np.testing.assert_allclose(fitted[:16], case["s0_f_pos"], rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(fitted[16:], case["s0_f_psl"], rtol=2e-5, atol=1e-7)
    for step in range(3):
        loss = trainer.step(recorded_batch(case, step))
        np.testing.assert_allclose(loss, case[f"s{step}_total_loss"], rtol=2e-5)
        if step == 0:
            for parameter, name in zip(
                made.parameters(), ("grad_E", "grad_R", "grad_w", "grad_b"), strict=True
            ):
                np.testing.assert_allclose(parameter.grad, case[name], rtol=1e-4, atol=1e-6)
        if step in (0, 2):
            for parameter, name in zip(made.parameters(), "ERwb", strict=True):
                moved = np.abs(case[f"grad_{name}"]) > 1e-5
                np.testing.assert_allclose(
                    parameter.detach().numpy()[moved], case[f"s{step}_{name}"][moved], atol=2e-5, rtol=0
                )


def test_distmult_is_symmetric_and_complex_is_not() -> None:
    ids = torch.arange(10), torch.arange(10) % M, torch.arange(10, 20)
    back = ids[2], ids[1], ids[0]
    for name, made in SCORERS.items():
        one = model(scorer=name)
        same = torch.allclose(one.plausibility(*ids), one.plausibility(*back))
        assert same != made.asymmetric, name


@pytest.mark.parametrize("scorer", SCORERS)
def test_all_tails_and_all_heads_have_the_score_of_each(scorer: str) -> None:
    made = model(scorer=scorer)
    head, relation = torch.tensor([3, 5]), torch.tensor([1, 2])
    everyone = torch.arange(N)
    for i in range(2):
        alone = made.logit(head[i].expand(N), relation[i].expand(N), everyone)
        torch.testing.assert_close(made.tail_logits(head, relation)[i], alone)
        alone = made.logit(everyone, relation[i].expand(N), head[i].expand(N))
        torch.testing.assert_close(made.head_logits(relation, head)[i], alone)


def test_transe_is_a_squared_distance() -> None:
    made = model(scorer="transe")
    point = made.entity[2] + made.relation[1] - made.entity[7]
    found = made.plausibility(torch.tensor([2]), torch.tensor([1]), torch.tensor([7]))
    torch.testing.assert_close(found[0], -point.square().sum())


def test_transe_l1_is_a_distance_of_streets() -> None:
    made = model(scorer="transe_l1")
    point = made.entity[2] + made.relation[1] - made.entity[7]
    found = made.plausibility(torch.tensor([2]), torch.tensor([1]), torch.tensor([7]))
    torch.testing.assert_close(found[0], -point.abs().sum())


def test_rect_is_trained_without_its_bound_and_predicts_within_it() -> None:
    made = model("rect")
    with torch.no_grad():
        made.weight.fill_(40.0)
    batch = some_batch()
    logits = made.logit(batch.head, batch.relation, batch.tail)
    assert logits.max() > 1 and logits.min() < 0
    confidence = made(batch.head, batch.relation, batch.tail)
    assert confidence.min() == 0 and confidence.max() == 1
    add_gradients(made, batch)
    beyond = batch.head[:16][logits[:16] > 1]
    assert (made.entity.grad[beyond].abs().sum(1) > 0).all()


def test_a_satisfied_rule_has_no_gradient() -> None:
    made = model("logi")
    batch = some_batch(negatives=0)
    value = made(batch.head, batch.relation, batch.tail).detach()
    fits = Targets(value[:16], value[16:] - 0.01, torch.ones(5))
    quiet = Batch(batch.head, batch.relation, batch.tail, batch.heads, batch.tails, fits)
    assert add_gradients(made, quiet) < 1e-12
    assert made.entity.grad.abs().max() < 1e-7
    fits = Targets(value[:16], value[16:] + 0.01, torch.ones(5))
    add_gradients(made, Batch(batch.head, batch.relation, batch.tail, batch.heads, batch.tails, fits))
    assert made.entity.grad.abs().max() > 1e-5


def test_rules_weigh_inside_the_square_in_the_paper_and_outside_in_the_program() -> None:
    made = model("logi")
    batch = some_batch(negatives=0)

    def atoms_loss(weight: float, objective: str) -> float:
        value = made(batch.head, batch.relation, batch.tail).detach()
        targets = Targets(value[:16], torch.ones(5), torch.full((5,), weight), atoms_per_fact=1.0)
        made_batch = Batch(batch.head, batch.relation, batch.tail, batch.heads, batch.tails, targets)
        return float(add_gradients(made, made_batch, objective, psl_weight=1.0))

    assert atoms_loss(3.0, "paper") == pytest.approx(9 * atoms_loss(1.0, "paper"), rel=1e-4)
    assert atoms_loss(3.0, "published") == pytest.approx(3 * atoms_loss(1.0, "published"), rel=1e-4)


def test_shared_and_own_negatives_have_the_same_expectation() -> None:
    """The loss of either, averaged over many draws, is that of all entities as negatives."""
    made = model("logi")
    facts = random_facts(40, N, M)
    everyone = Batches(facts, Atoms.empty(), N, M, size=40, negatives=N, shared=True)
    whole = everyone.batch(torch.arange(40))
    whole = Batch(whole.head, whole.relation, whole.tail, torch.arange(N), torch.arange(N), whole.targets)
    expected = float(plain_loss(made, whole).detach())
    for shared in (False, True):
        draws = Batches(facts, Atoms.empty(), N, M, size=40, negatives=5, shared=shared, seed=3)
        losses = np.array(
            [float(plain_loss(made, draws.batch(torch.arange(40))).detach()) for _ in range(300)]
        )
        assert abs(losses.mean() - expected) < 4 * losses.std() / np.sqrt(300), shared


def test_a_filtered_negative_is_never_a_training_fact() -> None:
    facts = random_facts(900, N, 1, seed=2)
    draws = Batches(facts, Atoms.empty(), N, 1, size=100, negatives=20, filtered=True)
    batch = draws.batch(draws.order()[:100])
    assert batch.targets.tail_weight is not None
    known = set(facts.keys(N).tolist())
    for i in range(100):
        for j in range(20):
            key = int(batch.head[i]) * N + int(batch.tails[i, j])
            assert bool(batch.targets.tail_weight[i, j]) == (key not in known)


@pytest.mark.parametrize("shared", [False, True])
def test_negatives_are_drawn_uniformly_or_as_often_as_an_entity_stands_in_the_facts(shared: bool) -> None:
    facts = Facts.of([0, 0, 0, 1], [0, 1, 0, 0], [2, 2, 3, 4], np.ones(4))
    degree = np.array([3, 1, 2, 1, 1, 0]) / 8
    for draw, expected in (("uniform", np.full(6, 1 / 6)), ("degree", degree)):
        drawn = Batches(facts, Atoms.empty(), 6, 2, size=4, negatives=20_000, draw=draw, shared=shared)
        batch = drawn.batch(torch.arange(4))
        for side in (batch.heads, batch.tails):
            share = np.bincount(side.flatten().numpy(), minlength=6) / side.numel()
            assert (np.abs(share - expected) <= 4 * np.sqrt(expected * (1 - expected) / side.numel())).all()


def test_an_epoch_has_every_fact_once_and_the_published_one_drops_the_rest() -> None:
    facts = random_facts(100, N, M)
    for drop, count in ((False, 4), (True, 3)):
        made = Batches(facts, Atoms.empty(), N, M, size=32, drop_last=drop)
        batches = list(made.of(made.order()))
        assert len(batches) == count
        seen = torch.cat([(b.relation * N + b.head) * N + b.tail for b in batches])
        assert len(seen.unique()) == len(seen) == (96 if drop else 100)


def test_training_fits_a_small_graph(graph: UncertainGraph) -> None:
    for kind in ("rect", "logi"):
        made = UKGE(20, 3, 32, kind, "complex", generator=torch.Generator().manual_seed(0))
        options = TrainingOptions(
            epochs=100, batch_size=90, learning_rate=0.05, negatives=0, schedule="cosine"
        )
        Trainer(made, graph.train, options).fit()
        train = graph.train
        ids = [torch.from_numpy(column).long() for column in (train.head, train.relation, train.tail)]
        error = made(*ids).detach().numpy() - train.confidence
        assert (error**2).mean() < 1e-3 < train.confidence.var(), kind


def test_negatives_keep_unseen_facts_low(graph: UncertainGraph) -> None:
    means = {}
    for negatives in (0, 5):
        made = UKGE(20, 3, 16, "logi", generator=torch.Generator().manual_seed(0))
        Trainer(
            made,
            graph.train,
            TrainingOptions(epochs=40, batch_size=45, learning_rate=0.02, negatives=negatives),
        ).fit()
        everything = made.confidence(made.tail_logits(torch.arange(20), torch.zeros(20, dtype=torch.int64)))
        means[negatives] = float(everything.detach().mean())
    assert means[5] < means[0] - 0.1


def test_rules_raise_the_confidence_of_their_heads(graph: UncertainGraph) -> None:
    keys = set(graph.train.keys(20).tolist())
    facts = random_facts(1000, 20, 3, seed=9)
    unseen = facts[np.array([key not in keys for key in facts.keys(20)])][:30]
    atoms = Atoms.of_facts(Facts.of(unseen.head, unseen.relation, unseen.tail, np.full(30, 0.9)))
    means = {}
    for psl in (0, 32):
        made = UKGE(20, 3, 16, "logi", generator=torch.Generator().manual_seed(0))
        options = TrainingOptions(
            epochs=40, batch_size=45, learning_rate=0.02, negatives=5, psl_batch=psl, psl_weight=1.0
        )
        Trainer(made, graph.train, options, atoms=atoms).fit()
        ids = [torch.from_numpy(column).long() for column in (unseen.head, unseen.relation, unseen.tail)]
        means[psl] = float(made(*ids).detach().mean())
    assert means[32] > means[0] + 0.2


def test_a_deterministic_model_takes_the_strong_facts_for_true(graph: UncertainGraph) -> None:
    strong = graph.train[graph.train.confidence > graph.strong]
    facts = training_facts(ModelConfig(deterministic=True), graph)
    assert facts.head.tolist() == strong.head.tolist() and len(facts) < len(graph.train)
    assert set(facts.confidence) == {1.0}
    assert training_facts(ModelConfig(), graph) is graph.train


def trained(
    graph: UncertainGraph, directory: Path | None, stop_at: int | None, seed: int = 0
) -> dict[str, torch.Tensor]:
    made = UKGE(20, 3, 8, "logi", generator=torch.Generator().manual_seed(0))
    options = TrainingOptions(
        epochs=4, batch_size=20, learning_rate=0.02, evaluate_every=1, psl_batch=4, schedule="cosine"
    )
    done = 0

    class Interrupting:
        def __enter__(self) -> None:
            nonlocal done
            done += 1
            if done == stop_at:
                raise KeyboardInterrupt

        def __exit__(self, *error: object) -> None: ...

    def validate() -> dict[str, float]:
        return {"mse_pos_neg": -float(made.weight.detach())}

    trainer = Trainer(
        made, graph.train, options, atoms=Atoms.of_facts(graph.valid), seed=seed, directory=directory,
        validate=validate, uninterrupted=Interrupting, belongs_to=graph.fingerprint,
    )  # fmt: skip
    trainer.fit()
    return made.state_dict()


def test_a_killed_run_goes_on_to_the_same_bits(graph: UncertainGraph, tmp_path: Path) -> None:
    whole = trained(graph, None, None)
    for place, stop_at in enumerate((3, 6, 13)):  # in the first epoch, at the end of it, in the third
        with pytest.raises(KeyboardInterrupt):
            trained(graph, tmp_path / str(place), stop_at)
        again = trained(graph, tmp_path / str(place), None)
        assert all(torch.equal(whole[name], again[name]) for name in whole), stop_at


def test_the_same_seed_gives_the_same_model_and_another_seed_another(graph: UncertainGraph) -> None:
    first, second, other = (
        trained(graph, None, None),
        trained(graph, None, None),
        trained(graph, None, None, seed=7),
    )
    assert torch.equal(first["entity"], second["entity"])
    assert not torch.equal(first["entity"], other["entity"])


def test_a_checkpoint_of_another_graph_is_refused(graph: UncertainGraph, tmp_path: Path) -> None:
    trained(graph, tmp_path, None)
    made = UKGE(20, 3, 8, "logi")
    with pytest.raises(CheckpointError, match="other data"):
        Trainer(made, graph.train, directory=tmp_path, belongs_to="another").fit()
    with pytest.raises(CheckpointError, match="other data"):
        Trainer(UKGE(20, 3, 8, "rect"), graph.train, directory=tmp_path, belongs_to=graph.fingerprint).fit()


def test_divergence_is_an_error_that_says_what_to_try(graph: UncertainGraph) -> None:
    with pytest.raises(DivergedError, match="learning_rate"):
        Trainer(model("rect"), graph.train, TrainingOptions(epochs=60, learning_rate=1e18)).fit()


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"objective": "mse"},
        {"negatives": -1},
        {"draw": "never"},
        {"schedule": "linear"},
        {"l2": -1.0},
        {"optimizer": "sgd"},
    ],
)
def test_a_wrong_training_option_is_named(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        TrainingOptions(**wrong)


def test_a_wrong_model_option_is_named() -> None:
    for wrong in (
        {"kind": "relu"},
        {"scorer_name": "rotate"},
        {"init": "zero"},
        {"dim": 0},
        {"dim": 7, "scorer_name": "complex"},
    ):
        with pytest.raises(InputError):
            UKGE(5, 2, **{"dim": 8, **wrong})
