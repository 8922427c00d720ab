"""Where the tasks of a graph stand on a page: columns by the longest way from a start, rows by their order."""

from __future__ import annotations

from collections.abc import Sequence


def layers(tasks: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, tuple[float, float]]:
    """Column and row of each task.

    Args:
        tasks: each after those that it reads from.
        edges: from and to.

    Returns:
        Task -> (x, y), from (0, 0) on; an arrow always goes to the right.
    """
    column = dict.fromkeys(tasks, 0)
    for task in tasks:
        for source, target in edges:
            if target == task:
                column[task] = max(column[task], column[source] + 1)
    rows: dict[int, int] = {}
    place = {}
    for task in tasks:
        row = rows.get(column[task], 0)
        rows[column[task]] = row + 1
        place[task] = float(column[task]), float(row)
    return place
