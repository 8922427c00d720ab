"""The slowest steps of a run of .ci/run, for the page that tells where CI's time goes.

bash .ci/run; python tools/slowest.py          puts them into docs/contributing.md, with the date of the run
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from marks import between

MOST = 10
LINE = re.compile(r"^(\S+) +(\d+) s  (ok|failed)$")


def main(root: Path) -> None:
    """Write the table into the page."""
    parts = root / ".ci" / "log" / "parts"
    if not parts.is_file():
        raise SystemExit(f"{parts} does not exist: bash .ci/run writes it")
    day = datetime.fromtimestamp(parts.stat().st_mtime, timezone.utc).date().isoformat()
    path = root / "docs" / "contributing.md"
    found = table(read(parts.read_text(encoding="utf-8")), day)
    path.write_text(between(path.read_text(encoding="utf-8"), "slowest", found), encoding="utf-8")


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


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1])
