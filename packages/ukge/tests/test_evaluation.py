"""The three tasks: what their measures are by definition, against recorded numbers, and what they may not see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError
from offprints.triples import Vocabulary

from ukge import Facts, UncertainGraph
from ukge.baselines import Constant, Lookup, RelationMean
from ukge.classification import best_threshold, classification_scores, fit_logistic
from ukge.evaluation import Evaluation, errors
from ukge.model import UKGE
from ukge.ndcg import Places, Queries, ndcg, ndcg_metrics, places
from ukge.predictor import ModelPredictor
from ukge.synthetic import random_facts

N = 25


def some_queries(seed: int = 0) -> Queries:
    return Queries.of(random_facts(60, N, 2, seed))


def ranked(scores: np.ndarray, queries: Queries) -> Places:
    """Every question gets the same row of scores, or its own."""
    rows = np.broadcast_to(scores, (len(queries), N))
    start = {
        (h, r): i
        for i, (h, r) in enumerate(zip(queries.head.tolist(), queries.relation.tolist(), strict=True))
    }
    return places(
        lambda h, r: rows[[start[pair] for pair in zip(h.tolist(), r.tolist(), strict=True)]], queries
    )


def perfect(queries: Queries) -> np.ndarray:
    scores = np.full((len(queries), N), -1.0)
    for i in range(len(queries)):
        span = slice(queries.offsets[i], queries.offsets[i + 1])
        scores[i, queries.tail[span]] = queries.confidence[span]
    return scores


@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_a_perfect_order_has_ndcg_one_and_any_other_less(gain: str) -> None:
    queries = some_queries()
    best = ndcg(ranked(perfect(queries), queries), queries, N, gain)
    assert best == pytest.approx(1.0)
    worst = ndcg(ranked(-perfect(queries), queries), queries, N, gain)
    assert (worst < 0.9).all() and (worst > 0).all()


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_expected_ties_lie_in_0_1_and_between_the_best_and_the_worst_order(seed: int, levels: int) -> None:
    queries = some_queries(seed % 7)
    scores = np.random.default_rng(seed).integers(0, levels, (len(queries), N)).astype(float)
    found = ranked(scores, queries)
    expected = ndcg(found, queries, N)
    assert (expected > 0).all() and (expected <= 1 + 1e-12).all()
    assert (ndcg(found, queries, N, ties="optimistic") >= expected - 1e-12).all()
    assert ndcg(ranked(np.exp(scores) * 3, queries), queries, N) == pytest.approx(expected)


def test_the_expected_ndcg_of_ties_is_the_mean_over_their_orders() -> None:
    queries = some_queries()
    draw = np.random.default_rng(3)
    scores = draw.integers(0, 3, (len(queries), N)).astype(float)
    orders = [ndcg(ranked(scores + 0.5 * draw.random(scores.shape), queries), queries, N) for _ in range(400)]
    sampled, deviation = np.mean(orders, axis=0), np.std(orders, axis=0) / 20
    assert (np.abs(ndcg(ranked(scores, queries), queries, N) - sampled) <= 4.5 * deviation + 1e-9).all()


def test_a_model_that_knows_nothing_exceeds_one_under_published_ties_only() -> None:
    queries = some_queries()
    metrics = ndcg_metrics(ranked(np.zeros(N), queries), queries, N)
    assert metrics["ndcg_linear_published_ties"] > 1 > metrics["ndcg_linear"]


def test_places_are_counted_over_all_entities() -> None:
    queries = Queries.of(Facts.of([0, 0, 0], [0, 0, 0], [1, 2, 3], [0.5, 0.6, 0.7]))
    scores = np.zeros(N)
    scores[[1, 2, 3, 7]] = [2.0, 1.0, 1.0, 1.0]
    found = ranked(scores, queries)
    assert found.better.tolist() == [0, 1, 1]
    assert found.tied.tolist() == [1, 3, 3]


def test_a_score_that_is_no_number_is_refused() -> None:
    scores = np.zeros(N)
    scores[4] = np.nan
    with pytest.raises(InputError, match="diverged"):
        ranked(scores, some_queries())
    with pytest.raises(InputError, match="ties"):
        ndcg(ranked(np.zeros(N), some_queries()), some_queries(), N, ties="random")
    with pytest.raises(InputError, match="question"):
        Queries.of(Facts.empty())


def test_the_last_confidence_of_a_repeated_tail_is_the_truth() -> None:
    truth = Facts.of([1, 1, 0, 1], [0, 0, 1, 0], [2, 3, 2, 2], [0.1, 0.2, 0.3, 0.9])
    queries = Queries.of(truth)
    assert queries.head.tolist() == [0, 1] and queries.offsets.tolist() == [0, 1, 3]
    assert queries.confidence.tolist() == [0.3, 0.9, 0.2]


def recorded_model(case: dict[str, np.ndarray], kind: str) -> UKGE:
    """The published program was evaluated with the parameters that its first step begins with."""
    made = UKGE(40, 5, 8, kind)
    with torch.no_grad():
        for parameter, name in zip(made.parameters(), ("E0", "R0", "w0", "b0"), strict=True):
            parameter.copy_(torch.from_numpy(case[name]))
    return made


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["rect", "logi"])
def test_scores_ranks_and_classes_are_those_of_the_published_program(parity, kind: str) -> None:
    case = parity(f"{kind}_small")
    predictor = ModelPredictor(recorded_model(case, kind), saturating=True)
    facts = Facts.of(*case["eval_triples"].T)
    raw = predictor.model.fitted(torch.from_numpy(predictor.scores(facts))).numpy()
    np.testing.assert_allclose(raw, case["eval_score_raw"], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(predictor.predict(facts), case["eval_score"], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(
        errors(predictor.predict(facts), facts.confidence), (case["eval_mse"], case["eval_mae"]), rtol=2e-5
    )

    truth = Facts.of(*case["ndcg_truth"].T)
    queries = Queries.of(truth)
    found = places(predictor.score_tails, queries)
    rank = dict(zip(truth.keys(40).tolist(), case["ndcg_truth_rank"].tolist(), strict=True))
    h, r = (
        np.repeat(queries.head, np.diff(queries.offsets)),
        np.repeat(queries.relation, np.diff(queries.offsets)),
    )
    keys = Facts.of(h, r, queries.tail, queries.confidence).keys(40).tolist()
    assert [rank[key] for key in keys] == (found.better + 1).tolist()
    recorded = {(int(h), int(r)): values for h, r, *values in case["ndcg_query"]}
    for column, gain in enumerate(("linear", "exponential")):
        ours = ndcg(found, queries, 40, gain, "optimistic")
        theirs = [
            recorded[pair][column]
            for pair in zip(queries.head.tolist(), queries.relation.tolist(), strict=True)
        ]
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
        np.testing.assert_allclose(ours.mean(), case["ndcg_mean"][column], atol=1e-6)

    strong = facts.confidence > float(case["cls_tau"].item())
    for i, threshold in enumerate(np.ravel(case["cls_thr"])):
        scores = classification_scores(case["eval_score_raw"] > threshold, strong)
        np.testing.assert_allclose(scores.precision, case["cls_P"][i], atol=1e-9)
        np.testing.assert_allclose(scores.recall, case["cls_R"][i], atol=1e-9)
        np.testing.assert_allclose(scores.f1, case["cls_F1"][i], atol=1e-9)
        np.testing.assert_allclose(scores.accuracy, case["cls_acc"][i], atol=1e-9)


@pytest.mark.parity
@pytest.mark.real_data
def test_the_whole_evaluation_of_ppi5k_is_the_recorded_one(parity, benchmark_graph) -> None:
    case = {name: value.item() for name, value in parity("dataset_oracle_ppi5k").items()}
    graph = benchmark_graph("ppi5k")

    def table(rows: int, c: float) -> torch.Tensor:
        i, k = np.arange(1, rows + 1)[:, None], np.arange(1, int(case["d"]) + 1)[None]
        return torch.from_numpy(0.5 * np.cos(c * i * k) + 0.25 * np.sin((c + 0.11) * i + k))

    mixed = Facts.concatenate([graph.test, graph.negatives])
    # The first half of the published file has its confidences rounded to three digits.
    mixed = replace(mixed, confidence=np.round(mixed.confidence, 3))
    for kind in ("rect", "logi"):
        model = UKGE(graph.num_entities, graph.num_relations, int(case["d"]), kind).double()
        with torch.no_grad():
            model.entity.copy_(table(graph.num_entities, case["c"]))
            model.relation.copy_(table(graph.num_relations, 1.7 * case["c"]))
            model.weight.fill_(case["w"])
            model.bias.fill_(case["b"])
        predictor = ModelPredictor(model)
        for name, facts in (("val", graph.valid), ("test", graph.test), ("test_with_neg", mixed)):
            mse, mae = errors(predictor.predict(facts), facts.confidence)
            assert mse == pytest.approx(case[f"{kind}_{name}_mse"], abs=1e-9)
            assert mae == pytest.approx(case[f"{kind}_{name}_mae"], abs=1e-9)
    # Ranked by plausibility: the sign of w would turn the order round.
    with torch.no_grad():
        model.weight.fill_(1.0)
        model.bias.fill_(0.0)
    queries = Queries.of(graph.queries)
    metrics = ndcg_metrics(places(predictor.score_tails, queries), queries, graph.num_entities)
    assert metrics["ndcg_linear_published_ties"] == pytest.approx(case["ndcg_linear"], abs=1e-9)
    assert metrics["ndcg_exp_published_ties"] == pytest.approx(case["ndcg_exp"], abs=1e-9)


def test_classification_counts() -> None:
    called, strong = np.array([1, 1, 0, 0, 0], bool), np.array([1, 0, 1, 0, 0], bool)
    scores = classification_scores(called, strong)
    assert (scores.precision, scores.recall, scores.f1, scores.accuracy) == (0.5, 0.5, 0.5, 0.6)
    none = classification_scores(np.zeros(5, bool), strong)
    assert (none.precision, none.recall, none.f1, none.accuracy) == (0, 0, 0, 0.6)


@given(st.integers(0, 10_000))
def test_no_threshold_beats_the_best(seed: int) -> None:
    draw = np.random.default_rng(seed)
    score, strong = draw.integers(0, 8, 30) / 8, draw.random(30) < 0.4
    best = classification_scores(score > best_threshold(score, strong), strong).f1
    assert best == max(
        classification_scores(score > cut, strong).f1 for cut in np.append(np.unique(score), -1)
    )


def test_logistic_regression_of_one_class_calls_that_class() -> None:
    score = np.linspace(0, 1, 9)
    for all_strong in (True, False):
        slope, offset = fit_logistic(score, np.full(9, all_strong))
        assert ((slope * score + offset > 0) == all_strong).all()
    slope, offset = fit_logistic(1000 * score, score > 0.6)
    assert ((slope * 1000 * score + offset > 0) == (score > 0.6)).all()


def test_validation_looks_at_no_test_fact(graph: UncertainGraph) -> None:
    """Whatever the test split is, the validation report is the same."""
    other = replace(graph, test=random_facts(40, 20, 3, seed=77))
    predictor = ModelPredictor(UKGE(20, 3, 8))
    assert Evaluation(graph).report(predictor, "valid") == Evaluation(other).report(predictor, "valid")
    assert Evaluation(graph).report(predictor, "test") != Evaluation(other).report(predictor, "test")


def test_the_report_has_the_published_and_the_correct_figures(graph: UncertainGraph) -> None:
    report = Evaluation(graph).report(ModelPredictor(UKGE(20, 3, 8, "logi")))
    names = "mse_pos mse_pos_neg mae_pos_neg mse_pos_neg_clean ndcg_linear ndcg_exp ndcg_linear_published_ties f1 accuracy"
    assert set(names.split()) <= set(report)
    assert all(np.isfinite(value) for value in report.values())


def test_baselines_say_what_train_says() -> None:
    train = Facts.of([0, 1, 2, 0, 0], [0, 0, 1, 1, 1], [1, 0, 3, 1, 1], [0.2, 0.4, 0.9, 0.8, 0.6])
    asked = Facts.of([1, 3, 0, 2, 4], [0, 1, 2, 0, 1], [0, 2, 1, 4, 3], np.zeros(5))
    assert Constant.of(train, 5).predict(asked) == pytest.approx(0.58)
    assert RelationMean.of(train, 5, 3).predict(asked) == pytest.approx([0.3, 23 / 30, 0.58, 0.3, 23 / 30])
    lookup = Lookup.of(train, 5, 3)
    # (1, 0, 0) forwards and backwards; (3, 1, 2) backwards; (0, 2, 1) by its pair; nothing for the others.
    assert lookup.predict(asked) == pytest.approx([0.3, 0.9, 0.5, 0.3, 23 / 30])
    tuned = lookup.tuned(Facts.of([2, 4, 1], [0, 1, 0], [4, 3, 0], [0.0, 0.0, 1.0]))
    assert tuned.unseen == 0 and tuned.predict(asked) == pytest.approx([0.3, 0.9, 0.5, 0, 0])
    scores = lookup.score_tails(np.array([0], np.int32), np.array([1], np.int32))
    assert scores[0].tolist() == pytest.approx([0, 0.7, 0, 0, 0])


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "constant", "relation", "lookup", "symmetric"),
    [
        ("cn15k", (5.45, 19.01), (4.13, 16.90), (4.98, 17.36), 0.779),
        ("nl27k", (5.64, 21.48), (4.92, 19.18), (1.55, 5.45), 0.775),
        ("ppi5k", (4.48, 16.78), (3.65, 14.62), (0.51, 2.56), 0.986),
    ],
)
def test_the_baselines_of_the_benchmarks(
    benchmark_graph, name, constant, relation, lookup, symmetric
) -> None:
    graph = benchmark_graph(name)
    n, m = graph.num_entities, graph.num_relations
    known = {
        "constant": (Constant.of(graph.train, n), constant),
        "relation": (RelationMean.of(graph.train, n, m), relation),
        "lookup": (Lookup.of(graph.train, n, m), lookup),
    }
    for predictor, expected in known.values():
        found = errors(predictor.predict(graph.test), graph.test.confidence)
        assert [100 * value for value in found] == pytest.approx(expected, abs=0.01)
    ranking = Evaluation(graph).ranking(known["lookup"][0], "test")
    assert ranking["ndcg_linear"] == pytest.approx(symmetric, abs=0.002)
    assert ranking["ndcg_linear_published_ties"] > 1.1


def test_a_split_without_repeats_of_names_is_kept_small() -> None:
    names = Vocabulary("entity", ("a", "b")), Vocabulary("relation", ("r",))
    with pytest.raises(InputError, match="entity id 2"):
        UncertainGraph("x", *names, Facts.of([0], [0], [2], [0.5]), Facts.empty(), Facts.empty())
    with pytest.raises(InputError, match="no training facts"):
        UncertainGraph("x", *names, Facts.empty(), Facts.empty(), Facts.empty())
