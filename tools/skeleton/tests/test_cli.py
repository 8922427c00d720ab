"""The command line, from a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from offprints import cldr
from offprints.results import read_result
from offprints.testing import presets

from __import_name__ import graph_statistics


def run(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "__import_name__", f"hydra.run.dir='{directory}'", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_main_job_writes_what_the_api_returns(tmp_path: Path) -> None:
    assert run(tmp_path).returncode == 0
    found = read_result(tmp_path / "results.json")
    expected = graph_statistics(cldr.knowledge_graph().all_triples)
    assert found.metrics["all/entities"] == expected.entities
    assert found.metrics["all/mean_degree"] == expected.mean_degree
    assert (tmp_path / "figures/degrees.png").read_bytes()[1:4] == b"PNG"


def test_an_experiment_changes_the_options(tmp_path: Path) -> None:
    assert run(tmp_path, "experiment=smoke").returncode == 0
    found = read_result(tmp_path / "results.json")
    assert found.experiment == "smoke"
    assert 0 < found.metrics["all/triples"] < len(cldr.knowledge_graph().all_triples)


def test_every_preset_is_one_that_the_command_reads() -> None:
    from __import_name__.config import Config

    assert presets("__import_name__", Config)


def test_an_unknown_relation_ends_with_status_2_and_near_names(tmp_path: Path) -> None:
    ended = run(tmp_path, "relation=uses_langage")
    assert ended.returncode == 2
    assert "uses_language" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_misspelt_option_ends_with_status_2(tmp_path: Path) -> None:
    ended = run(tmp_path, "relatoin=uses_language")
    assert ended.returncode == 2
    assert "relatoin" in ended.stderr
