"""The command line end to end, and what it answers to wrong input."""

from __future__ import annotations

import json
from pathlib import Path

from offprints.testing import Ended, call


def supcon(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from supcon_simplex.cli import main

    return call(main, "supcon-simplex", folder, *options)


def test_fit_times_of_a_small_grid_are_written_run_by_run(tmp_path: Path) -> None:
    grid = ["grid.shares=[0.1,0.9]", "grid.seeds=2", "grid.slope_from=0.1", "ensemble.most_steps=100"]
    done = supcon(tmp_path, "task=timetofit", *grid, "dataset.per_class=10", "threads=1", "hydra.run.dir=run")
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert len(found["details"]["runs"]["steps"]) == 2 * 2 * 2
    assert (tmp_path / "run" / "figures" / "timetofit_flip.png").is_file()
