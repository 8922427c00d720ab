"""One HTML page that shows a formula's transformer at work: no script, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import torch
from numpy.typing import NDArray

from offprints.errors import InputError

from hard_attention.certificate import certify
from hard_attention.fragments import fragment
from hard_attention.maps import attention_maps
from hard_attention.precision import PRECISIONS
from hard_attention.printing import infix
from hard_attention.transformer import FormulaTransformer

LONGEST = 60
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: .5rem 0 }
td, th { padding: .15rem .5rem; border-bottom: 1px solid #ddd; text-align: right; font-variant-numeric: tabular-nums }
td:first-child, th:first-child { text-align: left }
.yes { background: #cfe3f3 } svg text { font: 10px monospace } code { background: #f3f3f3 }
.maps { display: flex; gap: 2rem; flex-wrap: wrap }
"""


def explain_page(model: FormulaTransformer, string: str) -> str:
    """The page.

    Args:
        model: compiled, untrained.
        string: 1 to 60 letters.

    Returns:
        HTML.

    Raises:
        InputError: the string is empty or too long to draw, or has a letter that the alphabet lacks.
    """
    ids = torch.from_numpy(model.program.alphabet.encode(string))[None]
    if len(string) > LONGEST:
        raise InputError(f"a string of {len(string)} letters is too long to draw: {LONGEST} at most")
    formula = model.program.formula
    kind = fragment(formula)
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>{escape(str(formula)[:60])}</title><style>{_STYLE}</style>",
        f"<h1><code>{escape(infix(formula))}</code></h1>",
        f"<p>on <code>{escape(string)}</code>, {model.mode} mode, {model.precision.name}. Fragment {escape(kind.name)}: "
        f"{escape(kind.languages)} ({escape(kind.source)}).</p>",
        "<h2>Truth at every position</h2>",
        _truth(model, ids, string),
        f"<h2>The transformer</h2><p>{len(model.layers)} layers, {len(model.heads)} heads, "
        f"residual width {len(model.program.columns)}.</p>",
        _layers(model),
        "<h2>Attention, soft beside hard</h2>",
        _maps(model, string),
        "<h2>Certificates</h2>",
        _certificates(model),
    ]
    return "\n".join(parts) + "\n"


@torch.no_grad()
def _truth(model: FormulaTransformer, ids: torch.Tensor, string: str) -> str:
    holds = model(ids)[0].tolist()
    rows = [
        _row("th", ["position", *range(1, len(string) + 1)]),
        _row("td", ["letter", *string]),
        "<tr><td>holds</td>"
        + "".join(f"<td class='{'yes' if t else ''}'>{'yes' if t else 'no'}</td>" for t in holds)
        + "</tr>",
    ]
    for head, values in zip(model.heads, model.raw(ids).values(), strict=True):
        name = f"raw {head.kind}: {head.formula}"[:70]
        rows.append(_row("td", [name, *(f"{v:.3f}" for v in values[0].tolist())]))
    return f"<table>{''.join(rows)}</table>"


def _layers(model: FormulaTransformer) -> str:
    rows = [_row("th", ["layer", "heads", "rounded", "gates", "reads and computes"])]
    for number, layer in enumerate(model.program.layers, 1):
        what = "; ".join(f"{head.kind} ({head.mask}): {head.formula}" for head in layer.heads)[:300]
        rows.append(
            _row(
                "td", [number, len(layer.heads), len(layer.roundings), len(layer.gates), what or "gates only"]
            )
        )
    return f"<table>{''.join(rows)}</table>"


def _maps(model: FormulaTransformer, string: str) -> str:
    if not model.heads:
        return "<p>There is no head: the formula looks at the position itself.</p>"
    drawn = []
    soft, hard = (attention_maps(model, string, kernel) for kernel in ("dense", "average"))
    for head, a, b in zip(model.heads, soft, hard, strict=True):
        drawn.append(
            f"<h3><code>{escape(str(head.formula)[:120])}</code>, {head.kind}</h3><div class='maps'>"
            f"<div>softmax{_grid(a, string)}</div><div>hard{_grid(b, string)}</div>"
            f"<p>largest difference of a weight: {float(np.abs(a - b).max()):.4f}</p></div>"
        )
    return "".join(drawn)


def _grid(weights: NDArray[np.float64], string: str) -> str:
    letters = ["^", *string]
    size, cell = len(letters), 14
    boxes = [
        f"<rect x='{(j + 1) * cell}' y='{(i + 1) * cell}' width='{cell}' height='{cell}' fill='#2f6f9f' "
        f"fill-opacity='{w:.3f}'><title>query {i}, key {j}: {w:.5f}</title></rect>"
        for i, row in enumerate(weights)
        for j, w in enumerate(row)
        if w > 5e-4
    ]
    names = [
        f"<text x='{(k + 1) * cell + 4}' y='{cell - 3}'>{escape(a)}</text><text x='3' y='{(k + 2) * cell - 3}'>{escape(a)}</text>"
        for k, a in enumerate(letters)
    ]
    side = (size + 1) * cell + 1
    frame = f"<rect x='{cell}' y='{cell}' width='{size * cell}' height='{size * cell}' fill='none' stroke='#bbb'/>"
    return f"<br><svg width='{side}' height='{side}'>{frame}{''.join(boxes + names)}</svg>"


def _certificates(model: FormulaTransformer) -> str:
    tables = []
    for name in PRECISIONS:
        found = certify(model, name)
        rows = [_row("th", ["head", "kind", "length", "error", "ends where"])]
        rows += [
            _row("td", [r.head, r.kind, f"{r.length:,}", f"{r.error:.4g}", r.limit]) for r in found.reasons
        ]
        tables.append(f"<h3>{name}: right up to length {found.length:,}</h3><table>{''.join(rows)}</table>")
    return "".join(tables)


def _row(tag: str, cells: Sequence[object]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"
