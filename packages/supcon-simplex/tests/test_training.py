"""Training: what it learns, what it keeps, and that it repeats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from offprints.checkpoint import CheckpointError
from offprints.errors import InputError
from offprints.training import DivergedError

from supcon_simplex import SupConLoss, regular_simplex, sc_bound
from supcon_simplex.classifier import SupConClassifier
from supcon_simplex.datasets import load
from supcon_simplex.heads import build_head
from supcon_simplex.labelled import LabelledData, Standard
from supcon_simplex.monitor import Monitor
from supcon_simplex.networks import build_encoder
from supcon_simplex.training import PADDING, Trainer, TrainingOptions, classify, crop_and_flip, embed

SHORT = TrainingOptions(epochs=3, batches=5, batch_size=16, learning_rate=0.05)


def digits(classes: int = 10, per_class: int = 30) -> LabelledData:
    data = load("digits").train.subset(per_class)
    rows = data.labels < classes
    return LabelledData(data.inputs[rows], data.labels[rows], data.class_names[:classes])


def trainer(
    head: str = "sc", data: LabelledData | None = None, options: TrainingOptions = SHORT, **told: object
) -> Trainer:
    data = data or digits()
    torch.manual_seed(0)
    relu = bool(told.pop("final_relu", False))
    norm = bool(told.pop("batch_norm", False))
    temperature = float(told.pop("temperature", 0.1))  # type: ignore[arg-type]
    encoder = build_encoder(
        "mlp", data.inputs.shape[1:], features=16, widths=[32, 16], final_relu=relu, batch_norm=norm
    )
    made = build_head(head, encoder.loss_features, data.num_classes, temperature=temperature)
    return Trainer(encoder, made, *data.tensors(Standard.of(data)), options, **{"seed": 1, **told})  # type: ignore[arg-type]


def weights(made: Trainer) -> Tensor:
    return torch.cat([p.detach().flatten() for p in made.encoder.parameters()])


@pytest.mark.parametrize("head", ["sc", "ce_sphere"])
def test_training_closes_the_gap_and_fits_the_rows(head: str) -> None:
    options = TrainingOptions(epochs=3, batches=200, batch_size=64, learning_rate=0.1, power=1)
    made = trainer(head, options=options)
    before = made.measure()
    history = made.fit().history
    assert 0 < history[-1]["train/gap"] < before["train/gap"] / 20
    assert history[-1]["train/gap"] < history[0]["train/gap"]
    assert history[-1]["train/error"] == 0
    assert history[-1]["train/simplex_distance"] < before["train/simplex_distance"]


def test_without_a_final_relu_three_classes_reach_the_simplex_and_with_it_a_right_angle() -> None:
    options = TrainingOptions(epochs=2, batches=300, batch_size=64, learning_rate=0.1, power=1)
    free, behind = (
        trainer("sc", digits(3), options, final_relu=relu, temperature=0.5) for relu in (False, True)
    )
    assert free.fit().history[-1]["train/cosine_across_means"] == pytest.approx(-0.5, abs=0.02)
    row = behind.fit().history[-1]
    assert 0 <= row["train/cosine_across_means"] < 0.1
    assert abs(row["train/gap"]) < 0.1  # beside the bound of an orthogonal frame


@pytest.mark.parametrize("head", ["sc", "ce"])
def test_a_killed_training_goes_on_to_the_same_bits(head: str, tmp_path: Path) -> None:
    whole = trainer(head, batch_norm=True)
    expected = whole.fit()
    again = trainer(head, batch_norm=True)
    assert (
        again.fit().history[-1]["train/gap"] == expected.history[-1]["train/gap"]
    )  # the same seed, the same numbers
    assert torch.equal(weights(again), weights(whole))
    assert not torch.equal(weights(trainer(head, batch_norm=True, seed=2)), weights(whole))
    broken = trainer(head, batch_norm=True, directory=tmp_path, belongs_to="digits", uninterrupted=_whole)
    step, steps = broken.step, 0

    def stopping(batch: Tensor) -> Tensor:
        nonlocal steps
        steps += 1
        if steps == 8:
            raise KeyboardInterrupt
        return step(batch)

    broken.step = stopping  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        broken.fit()
    resumed = trainer(head, batch_norm=True, directory=tmp_path, belongs_to="digits")
    assert resumed.resume() == 1
    found = resumed.fit()
    assert torch.equal(weights(resumed), weights(whole))
    same = [{k: v for k, v in row.items() if "seconds" not in k} for row in found.history]
    assert same == [{k: v for k, v in row.items() if "seconds" not in k} for row in expected.history]
    with pytest.raises(CheckpointError, match="other data"):
        trainer(head, batch_norm=True, directory=tmp_path, belongs_to="others").fit()


class _whole:
    """A context for one step that lets everything through."""

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


def test_batches_are_drawn_from_all_rows_with_replacement() -> None:
    made = trainer(options=TrainingOptions(epochs=1, batches=50, batch_size=64))
    batches = torch.stack(list(made.batches(0)))
    assert batches.shape == (50, 64)
    assert (
        sum(len(batch.unique()) < 64 for batch in batches) > 45
    )  # of 300 rows, 64 without a repeat are rare
    assert len(batches.unique()) == 300


def test_the_rate_falls_as_in_the_published_program() -> None:
    options = TrainingOptions(epochs=4, batches=25, learning_rate=0.1)
    assert options.rate(0) == pytest.approx(0.1)
    assert options.rate(10 / 25) == pytest.approx(0.1 * (90 / 100) ** 5)
    assert options.rate(4) == 0
    assert TrainingOptions(power=0, learning_rate=0.1).rate(3) == pytest.approx(0.1)
    with pytest.raises(InputError, match="power"):
        TrainingOptions(power=-1)
    with pytest.raises(InputError, match="standard"):
        TrainingOptions(augment="flip")


def test_crops_and_flips_are_windows_of_the_padded_image() -> None:
    images = torch.arange(2 * 3 * 6 * 6, dtype=torch.float32).view(2, 3, 6, 6) + 1
    padded = functional.pad(images, (PADDING,) * 4)
    draw = torch.Generator().manual_seed(0)
    seen: list[set[tuple[int, int, bool]]] = [set(), set()]
    for _ in range(30):
        found = crop_and_flip(images, draw)
        for number in range(2):
            windows = {
                (top, left, flip): padded[number, :, top : top + 6, left : left + 6].flip(2 if flip else ())
                for top in range(9)
                for left in range(9)
                for flip in (False, True)
            }
            matches = [where for where, window in windows.items() if torch.equal(found[number], window)]
            assert len(matches) == 1
            seen[number].add(matches[0])
    assert seen[0] != seen[1]  # each image has its own window
    for places in seen:
        assert len({where[:2] for where in places}) > 15
        assert {flip for *_, flip in places} == {False, True}


def test_unbalanced_rows_have_no_gap_and_a_loss_that_explodes_says_so() -> None:
    data = digits()
    row = trainer("ce", data[np.arange(250)]).fit().history[-1]
    assert "train/gap" not in row
    assert "train/error" in row
    with pytest.raises(DivergedError, match="learning_rate"):
        trainer("ce", data, TrainingOptions(epochs=2, batches=30, batch_size=16, learning_rate=1e6)).fit()


def test_evaluation_does_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    made = trainer(batch_norm=True)
    made.fit()
    whole = embed(made.encoder, made.inputs)
    monkeypatch.setattr("supcon_simplex.training._BLOCK", 7)
    assert torch.allclose(embed(made.encoder, made.inputs), whole, atol=1e-6)
    features = regular_simplex(10, 16)[made.labels].float()
    assert torch.equal(classify(build_head("sc", 16, 10), features, made.labels), made.labels)


def test_a_classifier_of_your_own_arrays_predicts_their_labels() -> None:
    found = load("digits")
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    rows = []
    model = SupConClassifier(steps=400, widths=(64, 64), features=16, on_look=rows.append)
    model.fit(found.train.inputs, names[found.train.labels])
    assert model.score(found.test.inputs, names[found.test.labels]) > 0.88
    assert set(model.predict(found.test.inputs[:50])) <= set(names)
    z = model.transform(found.test.inputs[:5])
    assert np.linalg.norm(z, axis=1) == pytest.approx(1, abs=1e-5)
    assert 0 < model.gap_ < rows[0]["train/gap"]
    assert model.report_.simplex_distance < 1
    few, known = found.test.inputs[:3].astype(np.float32), names[found.test.labels[:3]]
    for call, message in (
        (lambda: model.predict(few[:, :10]), r"fit had \(64,\)"),
        (lambda: model.predict(np.where(few == 0, np.nan, few)), "not finite"),
        (lambda: model.score(few, known[:2]), "3 rows, but 2 labels"),
        (lambda: model.score(few, known[:, None]), r"labels of shape \(3, 1\)"),
        (lambda: model.score(few[:0], known[:0]), "no rows"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_a_classifier_of_images_takes_images_of_their_size_alone() -> None:
    images = np.random.default_rng(0).random((8, 1, 4, 6), np.float32)
    model = SupConClassifier("ce", steps=1, widths=(4,), features=4, batch_size=4).fit(images, [0, 1] * 4)
    assert len(model.predict(images)) == 8
    with pytest.raises(InputError, match=r"fit had \(1, 4, 6\)"):
        model.predict(images[..., :5])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((4, 2)), [1, 1, 1, 1], "two classes"),
        (np.full((4, 2), np.nan), [0, 1, 0, 1], "not finite"),
        (np.zeros((4, 2)), [0, 1, 0], "4 rows, but 3 labels"),
        (np.zeros((4, 2)), [[0], [1], [0], [1]], "labels of shape"),
        (np.zeros((4, 2, 2)), [0, 1, 0, 1], "vectors are"),
    ],
)
def test_arrays_that_no_classifier_can_be_fitted_on_are_refused(
    x: np.ndarray, y: list[Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        SupConClassifier(steps=1).fit(x, y)
    with pytest.raises(InputError, match="call fit first"):
        SupConClassifier().predict(x)
    with pytest.raises(InputError, match="steps=0"):
        SupConClassifier(steps=0).fit(x, y)


def test_a_monitor_gives_the_gap_of_ones_own_loop() -> None:
    y = torch.arange(64) % 4
    loss = SupConLoss(temperature=0.1)
    monitor = Monitor(4, temperature=0.1)
    z = 3 * regular_simplex(4, 8, dtype=torch.float32)[y]
    for _ in range(3):
        monitor.update(z, y, loss(z, y))
    found = monitor.log()
    assert found["gap"] == pytest.approx(0, abs=1e-5)
    assert found["simplex_distance"] == pytest.approx(0, abs=1e-4)
    assert found["nc1_quotient"] == pytest.approx(0, abs=1e-9)
    draw = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(400):  # labels drawn at random: the mean of the bounds is that of the theorem
        labels = torch.randint(4, (64,), generator=draw)
        noisy = torch.randn(64, 8, generator=draw)
        losses.append(float(loss(noisy, labels)))
        monitor.update(noisy, labels, losses[-1])
    found = monitor.log()
    assert found["bound"] == pytest.approx(sc_bound(4, 0.1, 64), rel=0.01)
    assert found["gap"] == pytest.approx(np.mean(losses) - found["bound"])
    with pytest.raises(InputError, match="call update first"):
        monitor.log()


def test_a_monitor_of_cross_entropy_takes_the_weights_and_warns_of_what_is_out_of_reach(
    caplog: pytest.LogCaptureFixture,
) -> None:
    y = torch.arange(60) % 4
    monitor = Monitor(4, temperature=None)
    z, w = regular_simplex(4, 3, 2.0), regular_simplex(4, 3, 1.5)
    monitor.update(z[y], y, functional.cross_entropy(z[y] @ w.T, y))
    assert monitor.log(w)["gap"] == pytest.approx(0, abs=1e-9)
    flat = Monitor(4, temperature=0.1)
    flat.update(torch.rand(60, 2), y, 1.0)
    flat.log()
    assert "cannot hold a simplex" in caplog.text
    assert "ReLU" in caplog.text
    with pytest.raises(InputError, match="two classes"):
        Monitor(1)
    with pytest.raises(InputError, match="temperature"):
        Monitor(4, temperature=0.0)
