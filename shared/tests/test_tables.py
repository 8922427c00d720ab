"""Tables as files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from offprints.tables import write_table

TABLE = pd.DataFrame({"name": ["a,b", "c"], "share": [0.1, None]})


def test_the_ending_tells_what_stands_between_the_cells(tmp_path: Path) -> None:
    write_table(tmp_path / "new" / "a.csv", TABLE)
    write_table(str(tmp_path / "a.tsv"), TABLE)
    assert (tmp_path / "new" / "a.csv").read_bytes() == b'name,share\n"a,b",0.1\nc,\n'
    assert (tmp_path / "a.tsv").read_bytes() == b"name\tshare\na,b\t0.1\nc\t\n"


def test_a_table_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_table(path, TABLE)

    class Dies:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with path.open() as before:
        write_table(path, TABLE[:1])
        assert before.read().endswith("c,\n")  # who had it open goes on to read the old one
    with pytest.raises(KeyboardInterrupt):
        write_table(path, pd.DataFrame({"name": [1, Dies()]}))
    assert path.read_text().splitlines()[1:] == ['"a,b",0.1']
    assert [found.name for found in tmp_path.iterdir()] == ["a.csv"]
