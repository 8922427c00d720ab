"""What README and --help show holds."""

from __future__ import annotations

from pathlib import Path

from offprints.readmes import check_command_lines, run_python, unexplained

from __import_name__.cli import main

README = Path(__file__).parents[1] / "README.md"


def test_the_example_can_be_pasted(tmp_path: Path) -> None:
    assert run_python(README, tmp_path)["graph_statistics"]


def test_every_command_line_is_read() -> None:
    assert check_command_lines(README, main) == 3


def test_every_line_of_the_help_says_something() -> None:
    assert unexplained(main) == []
