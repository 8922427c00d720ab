"""The table of options in --help."""

from __future__ import annotations

import pytest
from rich.console import Console

from offprints.usage import table


def test_a_long_default_leaves_room_for_the_meanings(capsys: pytest.CaptureFixture[str]) -> None:
    rule = "a(X, Y) -> b(X, Y)"
    Console(width=100).print(table({f"rules={[rule] * 9}": "as text", "epochs=40": "passes over the data"}))
    lines = capsys.readouterr().out.splitlines()
    assert "epochs=40 passes over the data" in [" ".join(line.split()) for line in lines]
    assert max(map(len, lines)) <= 100
    names = "".join(line[:44] for line in lines)
    assert "".join(names.split()).count(rule.replace(" ", "")) == 9  # nothing of the default is cut
