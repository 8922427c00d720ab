"""One HTML file for a plan: the graph with places and dollars, the timeline, the run, alternatives, the front, and why. No script, no network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from sky_broker.layout import datasets_of, graph_of, layers
from sky_broker.pareto import Front
from sky_broker.plan import Plan
from sky_broker.plots_plan import GREY, RED, colour
from sky_broker.state import Attempt

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: .6rem 0 1.4rem; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } th { border-bottom: 1px solid #bbb; font-weight: 600; }
svg { max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; } .note { color: #666; }
@media (prefers-color-scheme: dark) { body { background: #1b1d1f; color: #ddd; } svg text { fill: #ddd; } rect.box { fill: #26292c; } }
"""


def page(
    plan: Plan,
    why: str = "",
    alternatives: Mapping[str, float] | None = None,
    front: Front | None = None,
    attempts: Sequence[Attempt] = (),
) -> str:
    """The HTML of a plan.

    Args:
        plan: to show.
        why: the explanation, a line for each task.
        alternatives: other ways to choose -> their $; infinite where there is none.
        front: to choose from.
        attempts: of a run that carried it out.

    Returns:
        A whole document.
    """
    makespan = (
        f"{plan.makespan:,.1f} h" if math.isfinite(plan.makespan) else "unknown: a rate was not measured"
    )
    dates = ", ".join(f"{cloud} {day}" for cloud, day in plan.sky.catalog.report.as_of.items() if day)
    parts = [
        f"<h1>{escape(plan.job.name)}</h1>",
        f"<p>${plan.cost:,.2f}, of which machines ${plan.compute:,.2f} and egress ${plan.egress:,.2f}; makespan {makespan}.<br>"
        f"{escape(str(plan.certificate))}.</p>",
        _graph(plan),
        "<h2>Timeline</h2>",
        _timeline(plan),
        *(("<h2>The run</h2>", _run(attempts)) if attempts else ()),
        "<h2>Tasks</h2>",
        _tasks(plan),
        "<h2>Data</h2>",
        _data(plan),
    ]
    if alternatives:
        rows = [(name, _dollars(usd), _more(usd, plan.cost)) for name, usd in alternatives.items()]
        parts += ["<h2>Other ways to choose</h2>", _table(("", "$", "more than the plan"), rows)]
    if front is not None:
        parts += ["<h2>Plans to choose from</h2>", _front(front, plan)]
    if why:
        parts += ["<h2>Why</h2>", *(f"<p>{escape(line)}</p>" for line in why.splitlines())]
    note = f"List prices as of {escape(dates)}. " if dates else ""
    parts.append(
        f'<p class="note">{note}GB are 10^9 bytes; transfers do not share bandwidth in the model.</p>'
    )
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(plan.job.name)}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head><body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _graph(plan: Plan) -> str:
    place = layers(*graph_of(plan))
    wide, high, box = 250, 120, (190, 84)
    centre = {
        task: (x * wide + box[0] / 2 + 10, y * high + box[1] / 2 + 10) for task, (x, y) in place.items()
    }
    width = max(x for x, _ in centre.values()) + box[0] / 2 + 10
    height = max(y for _, y in centre.values()) + box[1] / 2 + 10
    drawn = [
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" aria-label="tasks, places and egress">',
        f'<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{GREY}"/></marker></defs>',
    ]
    for move in plan.movements:
        (x1, y1), (x2, y2) = centre[move.what], centre[move.task]
        x1, x2 = x1 + box[0] / 2, x2 - box[0] / 2
        shade = RED if move.usd else GREY
        drawn.append(
            f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" stroke="{shade}" fill="none" marker-end="url(#a)"/>'
        )
        drawn.append(
            f'<text x="{(x1 + x2) / 2:g}" y="{(y1 + y2) / 2 - 6:g}" text-anchor="middle">${move.usd:,.2f}</text>'
        )
    for name, location in datasets_of(plan).items():
        x, y = centre[name]
        drawn.append(
            f'<rect class="box" x="{x - box[0] / 2:g}" y="{y - 30:g}" width="{box[0]}" height="60" rx="8" fill="white" '
            f'stroke="{colour(location)}" stroke-dasharray="4 3"/>'
        )
        drawn.append(f'<text x="{x:g}" y="{y - 4:g}" text-anchor="middle">{escape(name)}</text>')
        drawn.append(f'<text x="{x:g}" y="{y + 16:g}" text-anchor="middle">{escape(location)}</text>')
    for one in plan.placements:
        x, y = centre[one.task]
        left, top = x - box[0] / 2, y - box[1] / 2
        drawn.append(
            f'<rect class="box" x="{left:g}" y="{top:g}" width="{box[0]}" height="{box[1]}" rx="8" fill="white" '
            f'stroke="{colour(one.offer.location)}" stroke-width="2"/>'
        )
        kind = (
            f"{one.offer.accelerator}:{one.offer.count:g}"
            if one.offer.accelerator
            else one.offer.instance_type
        )
        lines = (one.task, one.offer.location, f"{one.nodes} x {kind}", f"${one.usd:,.2f}, {one.hours:g} h")
        for number, text in enumerate(lines):
            weight = ' font-weight="600"' if number == 0 else ""
            drawn.append(
                f'<text x="{x:g}" y="{top + 19 + 18 * number:g}" text-anchor="middle"{weight}>{escape(text)}</text>'
            )
    return "\n".join([*drawn, "</svg>"])


def _timeline(plan: Plan) -> str:
    if not math.isfinite(plan.makespan):
        return '<p class="note">A rate is unknown, so that the tasks cannot be put on a line of time.</p>'
    left, width, row = 130, 700, 26
    scale = width / max(plan.makespan, 1e-9)
    drawn = [
        f'<svg viewBox="0 0 {left + width + 90} {row * len(plan.placements) + 10}" role="img" aria-label="timeline">'
    ]
    for number, one in enumerate(plan.placements):
        top = 5 + row * number
        drawn.append(f'<text x="{left - 8}" y="{top + 15}" text-anchor="end">{escape(one.task)}</text>')
        drawn.append(
            f'<rect x="{left + one.start * scale:.1f}" y="{top}" width="{max(one.hours * scale, 1):.1f}" height="18" '
            f'fill="{colour(one.offer.location)}"/>'
        )
        drawn.append(
            f'<text x="{left + one.finish * scale + 4:.1f}" y="{top + 14}">{one.finish:,.1f} h</text>'
        )
    return "\n".join([*drawn, "</svg>"])


def _run(attempts: Sequence[Attempt]) -> str:
    """When each attempt began and ended, in seconds of the run; those that came to nothing are hollow."""
    tasks = list(dict.fromkeys(one.task for one in attempts))
    begin = min(one.began for one in attempts)
    last = max(max(one.began, one.ended or 0.0) for one in attempts)
    left, width, row = 130, 700, 26
    scale = width / max(last - begin, 1e-9)
    drawn = [
        f'<svg viewBox="0 0 {left + width + 90} {row * (len(tasks) + 1) + 10}" role="img" aria-label="timeline of the run">'
    ]
    for number, task in enumerate(tasks):
        drawn.append(f'<text x="{left - 8}" y="{row * number + 20}" text-anchor="end">{escape(task)}</text>')
    for one in attempts:
        end = one.ended or last
        shade = colour(one.location)
        fill = shade if one.status in ("done", "begun") else "none"
        words = f"{one.key}: {one.status} in {one.location}, {end - one.began:.2f} s"
        drawn.append(
            f'<rect x="{left + (one.began - begin) * scale:.1f}" y="{5 + row * tasks.index(one.task)}" '
            f'width="{max((end - one.began) * scale, 2):.1f}" height="18" fill="{fill}" stroke="{shade}">'
            f"<title>{escape(words)}</title></rect>"
        )
    drawn.append(f'<text x="{left}" y="{row * len(tasks) + 20}">0</text>')
    drawn.append(f'<text x="{left + width}" y="{row * len(tasks) + 20}">{last - begin:,.2f} s</text>')
    rows = [
        (
            one.key,
            one.location,
            one.status,
            f"{one.began - begin:,.2f}",
            f"{one.ended - begin:,.2f}" if one.ended else "",
            one.error,
        )
        for one in attempts
    ]
    return "\n".join([*drawn, "</svg>"]) + _table(("attempt", "place", "", "from, s", "to, s", "why"), rows)


def _tasks(plan: Plan) -> str:
    rows = [
        (
            one.task,
            one.offer.location,
            f"{one.nodes} x {one.offer.instance_type}",
            f"{one.offer.accelerator}:{one.offer.count:g}" if one.offer.accelerator else "-",
            "spot" if one.offer.spot else "on demand",
            f"{one.offer.usd_per_hour:,.4f}",
            f"{one.hours:,.1f}",
            f"{one.usd:,.2f}",
        )
        for one in plan.placements
    ]
    return _table(("task", "place", "machines", "accelerators", "", "$/h", "hours", "$"), rows)


def _data(plan: Plan) -> str:
    rows = [
        (
            one.what,
            one.task,
            one.source,
            one.target,
            f"{one.gb:,.1f}",
            f"{one.hours:,.2f}" if math.isfinite(one.hours) else "unknown",
            f"{one.usd:,.2f}",
        )
        for one in plan.movements
    ]
    return (
        _table(("data of", "for", "from", "to", "GB", "hours", "$"), rows) if rows else "<p>None moves.</p>"
    )


def _front(front: Front, chosen: Plan) -> str:
    rows = []
    for plan, point in zip(front.plans, front.points, strict=True):
        mark = (
            "chosen"
            if math.isclose(plan.cost, chosen.cost) and math.isclose(plan.makespan, chosen.makespan)
            else ""
        )
        places = ", ".join(dict.fromkeys(one.offer.location for one in plan.placements))
        rows.append((*(f"{value:,.2f}" for value in point), places, mark))
    return _table((*front.objectives, "places", ""), rows)


def _dollars(usd: float) -> str:
    return f"{usd:,.2f}" if math.isfinite(usd) else "no plan"


def _more(usd: float, least: float) -> str:
    return f"{usd / least - 1:+.1%}" if math.isfinite(usd) and least else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    number = [
        all(row[column].replace(",", "").replace(".", "").lstrip("+-").rstrip("%").isdigit() for row in rows)
        for column in range(len(header))
    ]
    cells = [' class="n"' if numeric else "" for numeric in number]
    top = "".join(f"<th{cell}>{escape(name)}</th>" for name, cell in zip(header, cells, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{cell}>{escape(text)}</td>" for text, cell in zip(row, cells, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"
