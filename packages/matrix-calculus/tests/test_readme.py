"""What the README shows runs as it stands there."""

from __future__ import annotations

from pathlib import Path

from offprints.readmes import alternatives, command_lines, run_python, unexplained

from matrix_calculus.cli import as_typed, script

README = Path(__file__).parents[1] / "README.md"


def test_the_api_can_be_pasted(tmp_path):
    shown = run_python(README, tmp_path)
    assert shown["found"].formula == "-2*((y' - relu(X*w + b)') .* step(X*w + b)')*X/N"
    assert shown["found"].shape == "1×n"


def test_every_command_line_is_read():
    lines = command_lines(README, script)
    assert len(lines) >= 9
    for words in lines:
        for options in alternatives(words):
            script.compose(as_typed(options))


def test_every_line_of_the_help_says_something():
    assert unexplained(script) == []
