"""A run is read back with its own options and its best weights, or refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from offprints.checkpoint import CheckpointError, Checkpoints
from offprints.errors import InputError
from offprints.trained import MissingRun, options_of_run, weights_of_run


@dataclass
class Model:
    dim: int = 8

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ValueError(f"dim={self.dim} must be 1 or more")


@dataclass
class Options:
    task: str = "train"
    model: Model = field(default_factory=Model)


def test_options_come_back_as_their_class_and_defaults_fill_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model:\n  dim: 3\n")
    assert options_of_run(tmp_path, Options) == Options("train", Model(3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model:\n  width: 3\n", "model.width"),
        ("model:\n  dim: many\n", "model.dim"),
        ("model:\n  dim: 0\n", "dim=0 must be 1 or more"),
        ("- a list\n", "config.yaml"),
    ],
)
def test_options_of_something_else_are_refused_with_their_place(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        options_of_run(tmp_path, Options)


def test_a_directory_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingRun, match=r"no config\.yaml"):
        options_of_run(tmp_path / "nowhere", Options)
    with pytest.raises(MissingRun, match="train first"):
        weights_of_run(Checkpoints(tmp_path, "toy", "of these data"))


def test_the_best_weights_go_before_the_last_and_those_of_other_data_are_refused(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "toy", "of these data")
    kept.save_last({"model": {"weight": torch.tensor([2.0])}}, step=2)
    assert weights_of_run(kept)["weight"].tolist() == [2.0]
    kept.save_best({"model": {"weight": torch.tensor([1.0])}}, step=1, metric=0.5)
    assert weights_of_run(kept)["weight"].tolist() == [1.0]
    with pytest.raises(CheckpointError, match="other data"):
        weights_of_run(Checkpoints(tmp_path, "toy", "of others"))
