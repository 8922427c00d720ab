"""The slowest steps of a run of .ci/run, for the page that tells where CI's time goes.

bash .ci/run; python tools/slowest.py          puts them into docs/contributing.md, with the date of the run
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

MOST = 10
BEGIN, END = "<!-- slowest: begin -->", "<!-- slowest: end -->"
LINE = re.compile(r"^(\S+) +(\d+) s  (ok|failed)$")


def main(root: Path) -> None:
    """Write the table into the page."""
    parts = root / ".ci" / "log" / "parts"
    if not parts.is_file():
        raise SystemExit(f"{parts} does not exist: bash .ci/run writes it")
    day = datetime.fromtimestamp(parts.stat().st_mtime, timezone.utc).date().isoformat()
    path = root / "docs" / "contributing.md"
    found = table(read(parts.read_text(encoding="utf-8")), day)
    path.write_text(put(path.read_text(encoding="utf-8"), found), encoding="utf-8")


def read(text: str) -> list[tuple[str, int]]:
    """Steps and their seconds, the slowest first.

    Raises:
        SystemExit: a line is no step, or a step failed: its time says nothing.
    """
    steps = []
    for line in text.splitlines():
        match = LINE.match(line)
        if match is None or match.group(3) == "failed":
            raise SystemExit(f"{line!r} is not a step that passed")
        steps.append((match.group(1), int(match.group(2))))
    return sorted(steps, key=lambda step: -step[1])


def table(steps: Sequence[tuple[str, int]], day: str) -> str:
    """The slowest steps as a table, and the sum of all."""
    rows = "".join(f"| `{name}` | {seconds} |\n" for name, seconds in steps[:MOST])
    whole = sum(seconds for _, seconds in steps)
    return (
        f"Run of {day}, two steps at a time; all {len(steps)} steps take {whole} s one after the other.\n\n"
        f"| step | seconds |\n| --- | ---: |\n{rows}"
    )


def put(page: str, found: str) -> str:
    """The page with the table between its marks.

    Raises:
        SystemExit: the page has no place for it.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"the page lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n\n{found}\n{END}{after}"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1])
