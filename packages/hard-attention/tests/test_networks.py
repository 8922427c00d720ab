"""Given hard networks: the exact run as recorded, and what softening promises."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from hard_attention.networks import GivenHead, GivenLayer, Network, exact_run, soft_run
from hard_attention.randomised import random_network
from hard_attention.softening import decided, error_recursion, soften


def recorded_network(recorded, meta) -> Network:
    layers = []
    for number in range(meta["layers"]):
        prefix = f"net{meta['id']}_L{number}"
        heads = tuple(
            GivenHead(*(recorded[f"{prefix}H{h}_{w}"] for w in ("Wq", "Wk", "Wv")), meta["masks"][number][h])
            for h in range(meta["heads"])
        )
        layers.append(GivenLayer(heads, *(recorded[f"{prefix}_{w}"] for w in ("W1", "b1", "W2", "b2"))))
    ties = {"left": "leftmost", "right": "rightmost"}.get(meta["style"], "average")
    return Network(tuple(layers), ties)


def embedded(recorded, meta, string) -> list[list[Fraction]]:
    n = len(string)
    rows = []
    for i, token in enumerate(string, 1):
        row = [Fraction(float(v)) for v in recorded[f"net{meta['id']}_E"][token]]
        if meta["pe"] == "i/n":
            row[-1] += Fraction(i, n)
        elif meta["pe"] in ("i", "i,1/i"):
            row[-1] += i
            if meta["pe"] == "i,1/i":
                row[-2] += Fraction(1, i)
        rows.append(row)
    return rows


def cases(recorded):
    for meta in json.loads(str(recorded["meta_json"])):
        network = recorded_network(recorded, meta)
        s = 0
        while f"net{meta['id']}_s{s}_string" in recorded:
            key = f"net{meta['id']}_s{s}"
            yield meta, key, network, embedded(recorded, meta, recorded[f"{key}_string"])
            s += 1


def test_exact_runs_as_recorded(parity):
    recorded = parity("nets.npz")
    compared = 0
    for _, key, network, x in cases(recorded):
        run = exact_run(network, x)
        expected = recorded[f"{key}_hard_out"]
        assert np.abs(run.output - expected).max() <= 1e-12 * max(1.0, np.abs(expected).max())
        assert np.allclose(run.weights, recorded[f"{key}_hard_attn"], atol=1e-15)
        assert np.allclose(run.gap, recorded[f"{key}_gap"], rtol=1e-12)
        assert (run.tied == recorded[f"{key}_has_tie"].astype(bool)).all()
        compared += 1
    assert compared >= 10


def test_soft_runs_as_recorded_and_within_the_bound(parity):
    recorded = parity("nets.npz")
    compared = 0
    for meta, key, network, x in cases(recorded):
        if meta["style"] not in ("avg", "uniform-tieless"):
            continue
        run = exact_run(network, x)
        floats = np.array([[float(v) for v in row] for row in x])
        for k, beta in enumerate(recorded[f"{key}_inv_temps"]):
            soft = soft_run(network, floats, float(beta))
            expected = recorded[f"{key}_soft_out"][k]
            assert np.abs(soft - expected).max() <= 1e-9 * max(1.0, np.abs(expected).max())
            error = np.abs(soft - run.output).max()
            assert error == pytest.approx(recorded[f"{key}_err"][k], rel=1e-6, abs=1e-9)
            bound = error_recursion(network, run, float(beta), len(x))
            assert error <= bound + 1e-9 * (1 + np.abs(run.output).max())
            compared += 1
    assert compared >= 20


@pytest.mark.parametrize("ties", ["average", "leftmost", "rightmost"])
def test_softened_networks_keep_their_promise(ties):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        network = random_network(rng, ties)
        inputs = [rng.integers(-1, 2, (n, 4)).astype(float) for n in (3, 5)]
        soft = soften(network, inputs, error=0.01)
        assert soft.error <= 0.01
        for x in inputs:
            assert np.abs(soft(x) - exact_run(network, x).output).max() <= soft.error


def test_without_a_tie_term_softmax_goes_to_the_average_and_not_to_the_left():
    rng = np.random.default_rng(0)
    network = random_network(rng, "leftmost", layers=1)
    x = np.repeat(rng.integers(-1, 2, (1, 4)).astype(float), 5, 0)  # all scores are equal
    x[:, 1] += np.arange(5)  # values are not
    flat = replace(
        network, layers=(replace(network.layers[0], heads=tuple(
            replace(head, query=np.zeros((2, 4))) for head in network.layers[0].heads
        )),)
    )  # fmt: skip
    hard = exact_run(flat, x).output
    assert np.abs(soft_run(flat, x, 1e6) - hard).max() > 0.1
    assert np.abs(soft_run(flat, x, 1e6) - exact_run(replace(flat, ties="average"), x).output).max() < 1e-9
    assert np.abs(soften(flat, [x], error=1e-3)(x) - hard).max() <= 1e-3


def test_uniform_tieless_networks_need_no_term_for_ties():
    """Ties of approximate scores cost a term that a network without them does not pay, and needs not pay."""
    network = random_network(np.random.default_rng(3), layers=2)
    x = np.array([[1.0, 0, 0, 3], [0, 1, 0, 5], [1, 1, 0, 11]])
    run = exact_run(network, x)
    assert not run.tied.any()
    soft = soften(network, [x], error=0.01)
    assert soft.uniform_tieless
    paid = error_recursion(network, replace(run, tied=np.ones_like(run.tied)), soft.inverse_temperature, 3)
    assert error_recursion(network, run, soft.inverse_temperature, 3) < paid
    assert np.abs(soft(x) - run.output).max() <= soft.error
    tied = exact_run(network, np.ones((3, 4)))
    assert tied.tied.all() and tied.uniform.all()
    assert np.isinf(tied.gap).all(), "all scores equal: there is no gap to keep"
    assert error_recursion(network, tied, 1.0, 3) == 0.0


def test_with_ties_the_error_still_vanishes():
    """Average-hard networks with ties in both layers: the shift among equal maxima is beaten by the exponential."""
    found = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        network = random_network(rng)
        x = rng.integers(-1, 2, (5, 4)).astype(float)
        run = exact_run(network, x)
        if not (run.tied & ~run.uniform).any(1).all():
            continue
        least = float(run.gap.min())
        errors = [float(np.abs(soft_run(network, x, s / least) - run.output).max()) for s in (2, 8, 32)]
        bounds = [error_recursion(network, run, s / least, 5) for s in (8, 32, 128)]
        assert errors[2] <= 1e-6 and errors[2] <= errors[0]
        assert bounds[2] < 1e-6 < bounds[0]
        found += 1
    assert found >= 5


def test_outputs_near_a_rounding_boundary_are_undecided():
    assert decided(1.0, 0.4)
    assert not decided(1.45, 0.1)
    assert not decided(0.5, 1e-12)
    assert decided(0.25, 0.1, step=0.5) is False
    assert decided(0.5, 0.1, step=0.5)


def test_bad_networks_are_refused():
    network = random_network(np.random.default_rng(0))
    layer = network.layers[0]
    with pytest.raises(ValueError, match="ties"):
        Network((layer,), "middle")
    with pytest.raises(ValueError, match="not finite"):
        Network((replace(layer, w1=np.full((3, 4), np.nan)),))
    with pytest.raises(ValueError, match="shape"):
        Network((replace(layer, w2=np.ones((4, 2))),))
    with pytest.raises(ValueError, match="mask"):
        Network((replace(layer, heads=(replace(layer.heads[0], mask="sideways"),)),))
    with pytest.raises(ValueError, match="width 4"):
        exact_run(network, np.ones((3, 5)))
    with pytest.raises(ValueError, match="not finite"):
        exact_run(network, np.full((3, 4), np.inf))
    with pytest.raises(ValueError, match="positive"):
        soften(network, [np.ones((3, 4))], error=0)
    with pytest.raises(ValueError, match="no input"):
        soften(network, [])
