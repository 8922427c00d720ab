"""What the README shows runs as it stands there."""

from __future__ import annotations

from pathlib import Path

from offprints.readmes import check_command_lines, run_python, unexplained

from ke_gcn.cli import main

README = Path(__file__).parents[1] / "README.md"


def test_the_api_can_be_pasted(tmp_path):
    shown = run_python(README, tmp_path)
    assert shown["entities"].shape == (4, 8)
    assert 0 < shown["report"].share < 1
    assert (tmp_path / "aligner.ckpt").is_file()


def test_every_command_line_is_read():
    assert check_command_lines(README, main) >= 7


def test_every_line_of_the_help_says_something():
    assert unexplained(main) == []
