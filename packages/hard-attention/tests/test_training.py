"""Training on from compiled weights, and what random networks say about softening."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hard_attention.networks import exact_run
from hard_attention.softening import every_input, soften
from hard_attention.surveys import survey
from hard_attention.training import Trainer, TrainingOptions, drawn, moved, share_right, shares_by_length
from hard_attention.transformer import compile_formula

TEXT = "(S (Q a) (Q b))"


def trained(tmp_path: Path | None = None, **options: object) -> tuple[Trainer, dict[str, float]]:
    model = compile_formula(TEXT, "abc", dtype=torch.float64)
    chosen = TrainingOptions(steps=10, batch_size=32, length=12, tested=[12, 40], test_strings=64, **options)  # type: ignore[arg-type]
    trainer = Trainer(model, chosen, seed=1, directory=tmp_path)
    begun = shares_by_length(model, chosen, 1)
    trainer.fit()
    return trainer, begun


def test_gradient_descent_keeps_what_was_compiled():
    trainer, begun = trained(epochs=2)
    compiled = compile_formula(TEXT, "abc")
    assert begun == {"right@12": 1.0, "right@40": 1.0}
    assert moved(trainer.model, [w.detach() for w in compiled.parameters()]) > 1e-3, "it was trained"
    assert shares_by_length(trainer.model, trainer.options, 1) == {"right@12": 1.0, "right@40": 1.0}


def test_gradient_descent_mends_what_was_disturbed():
    trainer, begun = trained(epochs=6, start="disturbed", noise=0.5, learning_rate=0.01)
    assert begun["right@12"] < 0.97
    losses = [row["train/loss"] for row in trainer.outcome.history]
    assert losses[-1] < 0.7 * losses[0]
    assert shares_by_length(trainer.model, trainer.options, 1)["right@12"] > begun["right@12"]


def test_random_weights_begin_without_the_formula():
    trainer, begun = trained(epochs=1, start="random")
    ids = drawn(torch.Generator().manual_seed(5), 200, 12, 3)
    assert begun["right@12"] < 0.95 and share_right(trainer.model, ids) < 1


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path):
    whole, _ = trained(epochs=4, start="disturbed")
    half, _ = trained(tmp_path / "run", epochs=2, start="disturbed")
    assert half.outcome.epochs == 2
    rest, _ = trained(tmp_path / "run", epochs=4, start="disturbed")
    assert rest.outcome.epochs == 4
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, rest.model.state_dict()[name]), name
    strip = [json.dumps({k: v for k, v in row.items() if "seconds" not in k}) for row in rest.outcome.history]
    assert strip == [
        json.dumps({k: v for k, v in row.items() if "seconds" not in k}) for row in whole.outcome.history
    ]


def test_bad_options_are_refused():
    for name, value in (("start", "frozen"), ("noise", -1.0), ("length", 0), ("tested", []), ("steps", 0)):
        with pytest.raises(ValueError, match=name):
            TrainingOptions(**{name: value})


def test_errors_of_random_networks_are_within_their_bounds_and_fall_with_the_gap():
    found = survey(networks=12, n=5, seed=2)
    assert found.violations == 0
    assert found.measured.shape == (12, len(found.sharpness))
    informative = np.isfinite(found.bounds) & (found.bounds < 1)
    assert informative[:, -1].any(), "the bound says something where the temperature is low"
    tieless = found.measured[~found.tied]
    assert (tieless[:, -1] <= 1e-9).all() and (tieless[:, 0] > 1e-6).any()


def test_a_bound_for_every_string_of_a_length():
    rng = np.random.default_rng(4)
    from hard_attention.randomised import random_network

    network = random_network(rng, layers=1)
    letters, places = rng.integers(-2, 3, (2, 4)).astype(float), rng.integers(-2, 3, (3, 4)).astype(float)
    inputs = every_input(letters, places)
    assert len(inputs) == 8 and len({x.tobytes() for x in inputs}) == 8
    soft = soften(network, inputs, error=0.05)
    worst = max(float(np.abs(soft(x) - exact_run(network, x).output).max()) for x in inputs)
    assert worst <= soft.error <= 0.05
    assert soft.gap == min(float(exact_run(network, x).gap.min()) for x in inputs)
    with pytest.raises(ValueError, match="at most"):
        every_input(letters, np.zeros((13, 4)))
    with pytest.raises(ValueError, match="are needed"):
        every_input(letters, np.zeros((3, 5)))
