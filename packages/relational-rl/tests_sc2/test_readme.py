"""The README's example of StarCraft II runs as it stands there, on pysc2's specs and the stand-in for the game."""

from __future__ import annotations

from pathlib import Path

from offprints.readmes import run_python

README = Path(__file__).parents[1] / "README.md"


def test_the_example_can_be_pasted(tmp_path):
    shown = run_python(README, tmp_path, "sc2")
    assert shown["agent"] is not None
    assert len(shown["environments"]) == 2
