"""The neuron of the paper's last section, trained by the derived gradient."""

from __future__ import annotations

import pytest
import torch

from offprints.errors import InputError

from matrix_calculus.neuron import (
    Neuron,
    Trainer,
    TrainingOptions,
    baselines,
    diabetes,
    loss_gradients,
    measure,
)


@pytest.fixture(scope="module")
def gradients():
    return loss_gradients()


def trained(gradients, data, **options):
    model = Neuron(10, float(data.train.progress.mean()))
    trainer = Trainer(model, data.train, TrainingOptions(evaluate_every=5, **options), gradients,
                      validate=lambda: measure(model, data.valid, data.unit))  # fmt: skip
    return model, trainer.fit()


def test_a_step_of_generated_code_is_a_step_of_autograd(gradients):
    data = diabetes(0)
    for bias in (1.5, 0.3, -0.2):
        ours, theirs = Neuron(10, bias), Neuron(10, bias)
        with torch.no_grad():
            ours.w += torch.linspace(-0.5, 0.5, 10, dtype=torch.float64)
            theirs.w += torch.linspace(-0.5, 0.5, 10, dtype=torch.float64)
        trainer = Trainer(ours, data.train, TrainingOptions(learning_rate=0.1), gradients)
        rows = torch.arange(len(data.train.progress))
        loss = trainer.step(rows)
        reference = ((data.train.progress - theirs(data.train.inputs)) ** 2).mean()
        reference.backward()
        assert float(loss) == pytest.approx(float(reference), rel=1e-12)
        assert torch.allclose(ours.w.grad, theirs.w.grad, rtol=1e-10, atol=1e-12)
        assert torch.allclose(ours.b.grad, theirs.b.grad, rtol=1e-10, atol=1e-12)
        assert torch.allclose(ours.w, (theirs.w - 0.1 * theirs.w.grad), rtol=1e-10, atol=1e-12)


def test_the_neuron_learns_what_the_mean_cannot(gradients):
    data = diabetes(0)
    model, outcome = trained(gradients, data, epochs=100)
    found, simple = measure(model, data.test, data.unit), baselines(data)
    assert found["rmse"] < 0.85 * simple["mean"]["rmse"]
    assert found["r2"] > 0.3
    assert outcome.history[-1]["train/loss"] < outcome.history[0]["train/loss"]


def test_the_splits_are_apart_and_scaled_by_train_alone():
    data = diabetes(3)
    parts = [data.train, data.valid, data.test]
    assert sum(len(one.progress) for one in parts) == 442
    rows = {tuple(row.tolist()) for one in parts for row in one.inputs}
    assert len(rows) == 442
    assert torch.allclose(data.train.inputs.mean(0), torch.zeros(10, dtype=torch.float64), atol=1e-12)
    assert not torch.allclose(data.test.inputs.mean(0), torch.zeros(10, dtype=torch.float64), atol=1e-3)


def test_the_baselines_repeat_to_the_bit():
    data = diabetes(0)
    held, found = [], set()
    for size in range(400):  # memory is not twice the same
        held.append(bytearray(97 * size))
        found.add(repr(baselines(data)))
    assert len(found) == 1


def test_equal_seeds_give_equal_weights_and_resume_the_same_bits(gradients, tmp_path):
    data = diabetes(0)
    options = {"batch_size": 32, "learning_rate": 0.02}

    def fit(epochs, directory):
        model = Neuron(10, 2.0)
        Trainer(model, data.train, TrainingOptions(epochs=epochs, evaluate_every=1, **options), gradients, seed=1, directory=directory,
                validate=lambda: measure(model, data.valid, data.unit)).fit()  # fmt: skip
        return model.w.detach().clone()

    whole = fit(8, tmp_path / "whole")
    assert torch.equal(whole, fit(8, None))
    fit(3, tmp_path / "parts")
    assert torch.equal(whole, fit(8, tmp_path / "parts"))


def test_a_dead_neuron_stays_dead_as_the_convention_says(gradients):
    """At z = 0 the slope is 0: from w = 0, b = 0 nothing moves."""
    data = diabetes(0)
    model = Neuron(10, 0.0)
    Trainer(model, data.train, TrainingOptions(epochs=3), gradients).fit()
    assert float(model.w.abs().sum()) == 0 and float(model.b) == 0


def test_wrong_options_are_refused():
    with pytest.raises(InputError, match="batch_size"):
        TrainingOptions(batch_size=-1)
