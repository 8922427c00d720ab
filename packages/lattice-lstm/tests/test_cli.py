"""The command line end to end, and what it answers to wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offprints.testing import Ended, call


def lattice_lstm(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from lattice_lstm.cli import main

    return call(main, "lattice-lstm", folder, *options)


def metrics_of(run: Path) -> dict[str, float]:
    return json.loads((run / "results.json").read_text())["metrics"]


def test_a_file_of_ones_own_is_described(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("南 B-LOC\n京 I-LOC\n\n我 O\n\n你 B-PER\n", encoding="utf-8")
    done = lattice_lstm(
        tmp_path, "task=describe", "dataset=file", "dataset.train=train.txt", "hydra.run.dir=run"
    )
    assert done.code == 0, done.err
    metrics = metrics_of(tmp_path / "run")
    assert metrics["train/sentences"] == 2 and metrics["valid/sentences"] == 1
    assert metrics["train/entities/LOC"] == 1 and metrics["train/entities_in_lexicon"] == 1.0
    assert metrics["train/words_per_character"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["dataset.name=resum"], "resume"),
        (["dataset.nam=resume"], "name"),
        (["dataset=file", "dataset.train=nowhere.txt"], "nowhere.txt"),
        (["lexicon.source=nowhere.txt"], "nowhere.txt"),
        (["lexicon.share=2"], "between 0 and 1"),
        (["dataset.sentences=1"], "10 or more"),
        (["task=trian"], "describe"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(tmp_path: Path, options: list[str], message: str) -> None:
    done = lattice_lstm(tmp_path, "dataset.sentences=20", *options)
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_wrong_line_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("南 B-LOC\n京 I-PER\n", encoding="utf-8")
    done = lattice_lstm(tmp_path, "dataset=file", "dataset.train=train.txt")
    assert done.code == 2
    assert "train.txt, line 2" in done.err
