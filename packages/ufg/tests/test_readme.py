"""What the README shows runs as it stands there."""

from __future__ import annotations

from pathlib import Path

from offprints.readmes import check_command_lines, run_python, unexplained

from ufg.cli import main

README = Path(__file__).parents[1] / "README.md"


def test_the_api_can_be_pasted(tmp_path):
    shown = run_python(README, tmp_path)
    import torch

    torch.testing.assert_close(
        shown["transform"].synthesize(shown["op"], shown["blocks"]), shown["x"], atol=1e-5, rtol=1e-5
    )
    assert shown["y"].shape == (5, 8)


def test_every_command_line_is_read():
    assert check_command_lines(README, main) >= 14


def test_every_line_of_the_help_says_something():
    assert unexplained(main) == []
