"""What the README shows runs as it stands there."""

from __future__ import annotations

from pathlib import Path

from offprints.readmes import check_command_lines, run_python, unexplained

from supcon_simplex.cli import main

README = Path(__file__).parents[1] / "README.md"


def test_the_api_can_be_pasted(tmp_path):
    shown = run_python(README, tmp_path)
    assert abs(shown["least"] - shown["ce_bound"](classes=10, radius=1.0, weight_norm=5.0)) < 1e-12
    assert shown["model"].score(shown["x"][1000:], shown["labels"][1000:]) > 0.8


def test_every_command_line_is_read():
    assert check_command_lines(README, main) >= 8


def test_every_line_of_the_help_says_something():
    assert unexplained(main) == []
