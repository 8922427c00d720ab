"""Where datasets and tasks stand on a page: columns by the longest way from a start, rows by their order."""

from __future__ import annotations

from collections.abc import Sequence

from sky_broker.plan import Plan


def datasets_of(plan: Plan) -> dict[str, str]:
    """The datasets that the tasks of a plan read, with the location of each."""
    return {one.what: one.source for one in plan.movements if one.what in plan.job.datasets}


def graph_of(plan: Plan) -> tuple[list[str], list[tuple[str, str]]]:
    """Datasets and tasks in an order to draw them in, and who reads whom."""
    names = [*datasets_of(plan), *(one.task for one in plan.placements)]
    return names, [(one.what, one.task) for one in plan.movements]


def layers(tasks: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, tuple[float, float]]:
    """Column and row of each task.

    Args:
        tasks: or datasets; each after those that it reads from.
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
