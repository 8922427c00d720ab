"""What the README shows runs as it stands there."""

from __future__ import annotations

from pathlib import Path

from offprints.readmes import check_command_lines, run_python, unexplained

from conve.cli import main

README = Path(__file__).parents[1] / "README.md"


def test_the_api_can_be_pasted(tmp_path):
    shown = run_python(README, tmp_path)
    assert 0 < shown["ranking"].metrics()["mrr"] <= 1
    assert (tmp_path / "runs/mine").is_dir()


def test_every_command_line_is_read():
    assert check_command_lines(README, main) >= 8


def test_every_line_of_the_help_says_something():
    assert unexplained(main) == []
