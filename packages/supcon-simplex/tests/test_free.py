"""The tasks without data: free points and batches of every composition."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offprints.testing import Ended, call


def supcon(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from supcon_simplex.cli import main

    return call(main, "supcon-simplex", folder, *options, "threads=1", "hydra.run.dir=run")


def metrics(folder: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / "run" / "results.json").read_text())["metrics"]
    return found


@pytest.mark.parametrize(("preset", "cosine"), [("sphere_circle", -1 / 2), ("sphere_ball", -1 / 3)])
def test_free_points_end_at_the_simplex(preset: str, cosine: float, tmp_path: Path) -> None:
    done = supcon(tmp_path, f"experiment={preset}")
    assert done.code == 0, done.err
    found = metrics(tmp_path)
    assert abs(found["free/gap"]) < 1e-4
    assert found["free/smallest_cosine"] == pytest.approx(cosine, abs=0.01)
    assert found["free/largest_cosine"] == pytest.approx(cosine, abs=0.01)
    assert found["free/simplex_distance"] < 0.01
    assert (tmp_path / "run" / "figures" / "points.png").is_file()


def test_four_classes_on_a_circle_do_not_reach_the_value_of_the_simplex(tmp_path: Path) -> None:
    done = supcon(tmp_path, "task=sphere", "free.classes=4", "free.features=2", "free.temperature=1")
    assert done.code == 0, done.err
    assert "out of reach" in done.err
    assert metrics(tmp_path)["free/gap"] > 0.01


def test_batches_of_unequal_counts_go_below_the_simplex(tmp_path: Path) -> None:
    done = supcon(tmp_path, "experiment=compositions", "free.steps=400", "free.restarts=2")
    assert done.code == 0, done.err
    found = metrics(tmp_path)
    assert found["all/batches"] == 24310
    # Best points of a single batch on the circle, measured by direct optimisation, beside the simplex's value.
    for name, least, simplex in (
        ("6_2_1", 1.32005, 1.36578),
        ("4_4_1", 1.20583, 1.25760),
        ("7_1_1", 1.42791, 1.44939),
    ):
        assert found[f"least/{name}"] == pytest.approx(least, abs=2e-3)
        assert found[f"simplex/{name}"] == pytest.approx(simplex, abs=1e-5)
    assert found["least/3_3_3"] == pytest.approx(found["simplex/3_3_3"], abs=1e-3)
    assert {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")} == {
        "minimisers",
        "compositions",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["task=sphere", "free.classes=1"], "2 or more"),
        (["task=sphere", "free.temperature=0"], "temperature"),
        (["task=compositions", "compositions.batch_size=1"], "2 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(options: list[str], message: str, tmp_path: Path) -> None:
    done = supcon(tmp_path, *options)
    assert done.code == 2, done.err
    assert message in done.err
