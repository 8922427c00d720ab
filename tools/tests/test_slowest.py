"""The page that tells where CI's time goes has the slowest steps of a run that passed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from marks import between
from slowest import main, read

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- slowest: begin -->", "<!-- slowest: end -->"
PARTS = "".join(f"{f'tests({name})':<18} {100 + at:4d} s  ok\n" for at, name in enumerate("abcdefghijk"))


def test_the_ten_slowest_stand_on_the_page_with_the_day_and_the_sum(tmp_path: Path) -> None:
    (tmp_path / ".ci" / "log").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / ".ci" / "log" / "parts").write_text(PARTS)
    os.utime(tmp_path / ".ci" / "log" / "parts", (0, 0))
    page = tmp_path / "docs" / "contributing.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    main(tmp_path)
    text = page.read_text()
    assert "Run of 1970-01-01" in text and "all 11 steps take 1155 s" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows[0] == "| `tests(k)` | 110 |" and len(rows) == 10 and "tests(a)" not in text
    assert "old" not in text and text.startswith("before\n") and text.endswith("\nafter\n")
    main(tmp_path)
    assert page.read_text() == text


@pytest.mark.parametrize("line", ["tests(conve)          93 s  failed", "tests(conve) 93"])
def test_what_is_no_step_that_passed_is_refused(line: str) -> None:
    with pytest.raises(SystemExit, match="not a step that passed"):
        read(f"{PARTS}{line}\n")


def test_without_a_run_or_a_place_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="bash .ci/run writes it"):
        main(tmp_path)
    with pytest.raises(SystemExit, match="lacks"):
        between(f"{END} {BEGIN}", "slowest", "")


def test_the_page_of_this_repository_has_a_place_for_it() -> None:
    assert (
        between((ROOT / "docs" / "contributing.md").read_text(encoding="utf-8"), "slowest", "").count(BEGIN)
        == 1
    )
