"""What the README shows runs as it stands there, and gives what its comments say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from offprints.readmes import check_command_lines, run_python, unexplained

from hard_attention.cli import main

README = Path(__file__).parents[1] / "README.md"


def test_the_api_can_be_pasted(tmp_path):
    names = run_python(README, tmp_path)
    assert names["certificate"].length == 15_344
    assert names["model"].decide(["abb", "bab"]) == [[False, False, True], [False, True, True]]
    assert names["soft"].error <= 0.01
    assert (tmp_path / "model.ckpt").is_file()


def test_every_command_line_is_read():
    assert check_command_lines(README, main) >= 12


def test_every_line_of_the_help_says_something():
    assert unexplained(main) == []


def test_the_table_of_formulas_reads():
    from hard_attention import parse

    rows = re.findall(r"^\| (`[^|]*(?:\\\|[^|]*)*) \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    shown = [text.replace("\\|", "|") for row in rows for text in re.findall(r"`([^`]+)`", row)]
    assert len(shown) >= 20
    for text in shown:
        if text == "mod(r, m)":
            with pytest.raises(ValueError, match="two numbers"):
                parse(text)
        else:
            parse(text)
