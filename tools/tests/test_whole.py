"""Half a file under its final name is found, whatever it holds; what is whole passes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from offprints.checkpoint import save

from whole import faults, kept_files, temporary

RECORD = {
    "package": "demo",
    "version": "1",
    "experiment": None,
    "task": "train",
    "dataset": None,
    "seed": 0,
    "metrics": {"test/mrr": 0.5},
    "config": {},
    "commit": None,
    "hardware": {"cpu": "x", "threads": 1, "gpu": None},
    "seconds": 1.0,
    "peak_memory_mb": 1.0,
    "command": "demo",
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A directory with a file of each kind, all whole."""
    directory = tmp_path / "run"
    (directory / "figures").mkdir(parents=True)
    (directory / "regions").mkdir()
    (directory / "results.json").write_text(json.dumps(RECORD))
    (directory / "plan.json").write_text('{"cost": 1}')
    (directory / "config.yaml").write_text("seed: 0\n")
    (directory / "overrides.yaml").write_text("- seed=0\n")
    (directory / "metrics.csv").write_text("step,seconds,loss,valid/mrr\n1,0.1,0.5,\n2,0.2,0.4,0.3\n")
    (directory / "table.csv").write_text('name,n\n"a,b",1\n')
    (directory / "table.tsv").write_text("name\tn\na\t1\n")
    (directory / "told.txt").write_text("It holds.\n")
    (directory / "page.html").write_text("<p>a page</p>\n</html>\n")
    np.savez(directory / "arrays.npz", a=np.arange(1000.0))
    save(directory / "checkpoints" / "last.ckpt", {"weight": torch.arange(1000.0)}, "demo", "f00d", 2)
    noise = np.random.default_rng(0).integers(0, 255, (2, 40, 40, 3), np.uint8)
    pictures = [Image.fromarray(pixels) for pixels in noise]
    pictures[0].save(directory / "figures" / "curve.png")
    pictures[0].save(directory / "figures" / "film.gif", save_all=True, append_images=pictures[1:])
    with closing(sqlite3.connect(directory / "run.sqlite")) as database:
        database.executescript("CREATE TABLE t (x); " + "INSERT INTO t VALUES (hex(randomblob(500)));" * 20)
    (directory / "run.log").write_text("a line without its e")
    (directory / "events.out.tfevents.1.vm").write_bytes(b"half a rec")
    (directory / "regions" / "output.dat").write_bytes(b"half")
    (directory / "stores").mkdir()
    (directory / "stores" / "raw").write_bytes(b"content")
    return directory


FILES = [
    "results.json",
    "plan.json",
    "config.yaml",
    "metrics.csv",
    "table.csv",
    "table.tsv",
    "told.txt",
    "page.html",
    "arrays.npz",
    "checkpoints/last.ckpt",
    "figures/curve.png",
    "figures/film.gif",
    "run.sqlite",
]


# Rows are appended, and a last one without its end is passed over by its reader; a database begins as an empty file.
PASSED_OVER = {("metrics.csv", 0.9), ("run.sqlite", 0.0)}


def test_a_database_that_was_killed_while_it_was_written_is_read_with_its_journal(
    run: Path, tmp_path: Path
) -> None:
    """A copy of both files in the middle of a transaction is what a kill leaves."""
    killed = tmp_path / "killed"
    with closing(sqlite3.connect(run / "run.sqlite", isolation_level=None)) as database:
        database.executescript("PRAGMA cache_size=1; BEGIN IMMEDIATE; UPDATE t SET x = hex(randomblob(500));")
        assert (run / "run.sqlite-journal").stat().st_size
        shutil.copytree(run, killed)
    assert (killed / "run.sqlite-journal").exists()
    assert faults(killed, unbroken=run) == []


def test_a_directory_of_whole_files_passes(run: Path) -> None:
    (run / ".results.json.tmp").write_text("{")
    assert faults(run) == []
    assert temporary(run) == [run / ".results.json.tmp"]
    left = {str(path) for path in kept_files(run)}
    assert {*FILES, "overrides.yaml", "run.log", "stores/raw"} == left
    assert faults(run.parent / "missing") == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.45, 0.9])
def test_half_a_file_is_found(run: Path, name: str, share: float) -> None:
    path = run / name
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    if (name, share) in PASSED_OVER:
        assert faults(run) == []
        return
    assert any(str(path) in told for told in faults(run)), f"{name} cut at {share} passed"


@pytest.mark.parametrize(
    "rows",
    ["1,0.1,0.5,\n1,0.2,0.4,0.3\n", "2,0.1,0.5,\n1,0.2,0.4,\n", "1,0.1,0.5\n", "1,x,0.5,\n", "1,0.1,y,\n"],
)
def test_rows_that_are_wrong_are_found(run: Path, rows: str) -> None:
    (run / "metrics.csv").write_text(f"step,seconds,loss,valid/mrr\n{rows}")
    assert len(faults(run)) == 1


def test_an_unknown_file_has_to_be_as_in_the_unbroken_run(run: Path, tmp_path: Path) -> None:
    unbroken = tmp_path / "unbroken"
    (unbroken / "stores").mkdir(parents=True)
    assert "stores/raw is not as" in faults(run, unbroken)[0]
    (unbroken / "stores" / "raw").write_bytes(b"content")
    assert faults(run, unbroken) == []
    (run / "stores" / "raw").write_bytes(b"cont")
    assert "stores/raw is not as" in faults(run, unbroken)[0]


def test_options_without_a_config_and_two_results_are_found(run: Path) -> None:
    (run / "config.yaml").unlink()
    (run / "results.json.tmp").mkdir()
    (run / "results.json.tmp" / "results.json").write_text(json.dumps(RECORD))
    assert [told.removeprefix(str(run)) for told in faults(run)] == [
        " has options but no config",
        " holds the results of several runs",
    ]
