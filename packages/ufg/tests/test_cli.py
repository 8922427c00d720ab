"""The command line end to end, and what it answers to wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offprints.testing import Ended, call


def ufg(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from ufg.cli import main

    return call(main, "ufg", folder, *options)


def metrics_of(run: Path) -> dict[str, float]:
    return json.loads((run / "results.json").read_text())["metrics"]


def test_the_frame_of_the_published_setting_is_drawn_and_measured(tmp_path: Path) -> None:
    done = ufg(tmp_path, "task=frame", "transform.terms=2", "hydra.run.dir=run")
    assert done.code == 0, done.err
    metrics = metrics_of(tmp_path / "run")
    assert metrics["frame/upper"] == pytest.approx(1.568, abs=1e-3)
    assert metrics["frame/defect_n8"] < 1e-7
    assert {path.stem for path in (tmp_path / "run/figures").glob("*.png")} == {"frame_defect", "responses"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["transform.term=2"], "terms"),
        (["transform.terms=1"], "2 or more"),
        (["transform.filters=har"], "haar"),
        (["transform.scale=1"], "more than 1"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(tmp_path: Path, options: list[str], message: str) -> None:
    done = ufg(tmp_path, *options)
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err
