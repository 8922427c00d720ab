"""Calibration, intervals, answers with their evidence, and the server."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError
from offprints.testing import listening, request
from offprints.triples import UnknownName

from ukge import (
    UKGE,
    Calibration,
    Completion,
    Trainer,
    TrainingOptions,
    UncertainGraph,
    calibrate,
    parse_rule,
    reliability,
    seed_interval,
)
from ukge.serve import Bounds, server


@pytest.fixture
def completion(graph: UncertainGraph) -> Completion:
    model = UKGE(20, 3, 16, "logi", "complex", generator=torch.Generator().manual_seed(0))
    Trainer(
        model, graph.train, TrainingOptions(epochs=60, batch_size=45, learning_rate=0.03, negatives=3)
    ).fit()
    rules = (parse_rule("likes(A, B) & likes(B, C) -> likes(A, C)"), parse_rule("likes(A, B) -> knows(B, A)"))
    return Completion(model, graph, Calibration(), rules)


@given(st.integers(0, 10_000))
def test_calibration_rises_and_lowers_the_error_it_is_fitted_on(seed: int) -> None:
    draw = np.random.default_rng(seed)
    said = draw.random(80)
    truth = np.clip(said**3 + draw.normal(0, 0.1, 80), 0, 1)
    fitted = calibrate(said, truth)
    grid = fitted(np.linspace(-1, 2, 50))
    assert (np.diff(grid) >= 0).all() and grid.min() >= 0 and grid.max() <= 1
    assert np.square(fitted(said) - truth).mean() <= np.square(said - truth).mean() + 1e-12


def test_calibration_carries_over_to_new_facts() -> None:
    draw = np.random.default_rng(0)
    said = draw.random((2, 4000))
    truth = np.clip(said**2 + draw.normal(0, 0.1, said.shape), 0, 1)
    fitted = calibrate(said[0], truth[0])
    before, after = reliability(said[1], truth[1]), reliability(fitted(said[1]), truth[1])
    assert before.error > 0.1 > 0.02 > after.error
    with pytest.raises(InputError, match="validation"):
        calibrate(np.zeros(0), np.zeros(0))


def test_reliability_of_a_constant_is_its_bias() -> None:
    found = reliability(np.full(10, 0.3), np.linspace(0, 1, 10))
    assert found.predicted.tolist() == pytest.approx([0.3]) and found.error == pytest.approx(0.2)


def test_an_interval_holds_a_further_seed_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    said = np.clip(0.5 + 0.05 * draw.normal(size=(5, 4000)), 0, 1)
    mean, low, high = seed_interval(said[:4], level=0.8)
    assert (low <= mean).all() and (mean <= high).all()
    assert ((said[4] >= low) & (said[4] <= high)).mean() == pytest.approx(0.8, abs=0.03)
    with pytest.raises(InputError, match="two runs"):
        seed_interval(said[:1])
    with pytest.raises(InputError, match="level"):
        seed_interval(said, level=1.0)


def test_the_best_answers_are_those_of_every_fact_alone(completion: Completion) -> None:
    names = completion.graph.entities.names
    for side, place in (("head", 2), ("tail", 0)):
        table = completion.top("knows", **{side: "e3"}, k=20)
        assert table["confidence"].is_monotonic_decreasing and set(table["entity"]) == set(names)
        for row in table.head(5).itertuples():
            fact = ["e3", "knows", "e3"]
            fact[place] = row.entity
            assert completion.confidence([tuple(fact)])[0] == pytest.approx(row.confidence, abs=1e-6)


def test_known_facts_can_be_left_out(completion: Completion) -> None:
    train = completion.graph.train
    head, relation = int(train.head[0]), int(train.relation[0])
    ask = {"relation": completion.graph.relations.names[relation], "head": f"e{head}", "k": 20}
    everything, new = completion.top(**ask), completion.top(**ask, new_only=True)
    known = {f"e{t}" for t in train.tail[(train.head == head) & (train.relation == relation)]}
    assert set(everything["entity"]) - set(new["entity"]) == known
    assert set(everything["entity"][everything["train"].notna()]) == known


def test_wrong_questions_are_named(completion: Completion) -> None:
    with pytest.raises(UnknownName, match="e3"):
        completion.top("likes", head="E3")
    with pytest.raises(UnknownName, match="likes"):
        completion.confidence([("e1", "like", "e2")])
    for ask in ({"head": "e1", "tail": "e2"}, {}, {"head": "e1", "k": 0}):
        with pytest.raises(InputError):
            completion.top("likes", **ask)


def test_the_evidence_is_in_train(completion: Completion) -> None:
    train = completion.graph.train
    names, relations = completion.graph.entities.names, completion.graph.relations.names
    row = int(np.flatnonzero(train.relation == 0)[0])
    fact = names[train.head[row]], relations[0], names[train.tail[row]]
    table = completion.explain(*fact)
    own = table[table["evidence"] == "the fact itself"]
    assert own["fact"].tolist() == [" ".join(fact)] and own["confidence"].tolist() == [train.confidence[row]]
    # likes(A, B) -> knows(B, A) bears out the reverse under another relation.
    reason = completion.explain(fact[2], "knows", fact[0])
    rule = reason[reason["evidence"] == "rule"]
    assert rule["confidence"].tolist() == pytest.approx([train.confidence[row]])
    assert "other relation" in set(reason["evidence"])


@pytest.fixture
def port(completion: Completion) -> Iterator[int]:
    with listening(server(completion, port=0, bounds=Bounds(body=2000, facts=5, answers=7))) as port:
        yield port


def test_the_server_says_what_the_api_says(port: int, completion: Completion) -> None:
    assert request(port, "GET", "/health")[1] == {"graph": "small", "entities": 20, "relations": 3}
    facts = [["e1", "likes", "e2"], ["e3", "knows", "e4"]]
    status, content = request(port, "POST", "/confidence", {"facts": facts})
    assert status == 200
    assert content["confidence"] == pytest.approx(
        completion.confidence([tuple(fact) for fact in facts]).tolist()
    )
    status, content = request(port, "POST", "/complete", {"head": "e1", "relation": "likes", "k": 3})
    assert status == 200
    assert [one["entity"] for one in content["answers"]] == completion.top("likes", head="e1", k=3)[
        "entity"
    ].tolist()
    assert request(port, "POST", "/confidence", {"facts": []}) == (200, {"confidence": []})


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/confidence", {"facts": [["e1", "likes", "nobody"]]}, 400, "unknown entity"),
        ("/confidence", {"facts": [["e1", "likes"]]}, 400, "fact 0"),
        ("/confidence", {"facts": "all"}, 400, "facts"),
        ("/confidence", [1, 2], 400, "object"),
        ("/confidence", {"facts": [["e1", "likes", "e2"]] * 6}, 413, "more than 5"),
        ("/confidence", {"facts": [["e" * 3000, "likes", "e2"]]}, 413, "bytes"),
        ("/complete", {"head": "e1", "relation": "likes", "k": 8}, 413, "k=8"),
        ("/complete", {"head": "e1", "relation": "likes", "k": "many"}, 400, "whole number"),
        ("/complete", {"head": "e1"}, 400, "relation"),
        ("/complete", {"head": "e1", "tail": "e2", "relation": "likes"}, 400, "give a head"),
        ("/nothing", {}, 404, "/complete"),
    ],
)
def test_the_server_refuses_with_a_reason(
    port: int, path: str, body: object, status: int, message: str
) -> None:
    found, content = request(port, "POST", path, body)
    assert found == status and message in content["error"]


def test_the_server_stands_broken_json_and_goes_on(port: int) -> None:
    for raw in (b"{", b"\xff\xfe", b"[" * 1500):
        assert request(port, "POST", "/confidence", raw=raw)[0] == 400
    assert request(port, "GET", "/health")[0] == 200


def test_a_port_in_use_is_named(port: int, completion: Completion) -> None:
    with pytest.raises(InputError, match=str(port)):
        server(completion, port=port)
