"""What the README shows runs as it stands there."""

from __future__ import annotations

from pathlib import Path

from offprints.readmes import check_command_lines, run_python, unexplained

from m3dm.cli import main

README = Path(__file__).parents[1] / "README.md"


def test_the_api_can_be_pasted(tmp_path):
    shown = run_python(README, tmp_path)
    assert shown["said"].map.shape == (224, 224)
    assert (tmp_path / "part.safetensors").is_file()


def test_every_command_line_is_read():
    assert check_command_lines(README, main) >= 8


def test_every_line_of_the_help_says_something():
    assert unexplained(main) == []
