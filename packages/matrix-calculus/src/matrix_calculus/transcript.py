"""A derivation's steps as a text, a LaTeX document or a page of HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable

from matrix_calculus.derive import Derivation
from matrix_calculus.explain import Step
from matrix_calculus.inference import as_term
from matrix_calculus.printing import latex, latex_words, mathml, text

_OPENED = ' open=""'
_TITLES = {
    "introduce": "Introduce intermediate variables",
    "differentiate": "Differentiate each",
    "combine": "Combine by the chain rules",
    "substitute": "Substitute back and simplify",
    "cases": "By cases",
    "again": "Differentiate once more",
    "conclude": "In the end",
    "structure": "Keep the structure",
}


def as_text(found: Derivation) -> str:
    """The steps as lines of text: statement, shape, rule, reason, and how far autograd was off."""
    lines = [f"f = {text(as_term(found.reading.term))}", f"by {found.wrt}, {found.layout} layout"]
    for title, steps in titled(found.steps):
        lines += ["", title]
        for step in steps:
            statement = step.statement.replace("\n", "\n    ")
            lines.append(f"  {statement}    ({step.shape})")
            lines.append(f"      {step.rule}: {step.reason}; {_proved(step)}")
    lines += ["", *(f"note: {note}" for note in found.notes)]
    return "\n".join(lines).rstrip() + "\n"


def titled(steps: Iterable[Step]) -> list[tuple[str, list[Step]]]:
    """Steps in the parts that they are told in, each with its title.

    Args:
        steps: in their order.
    """
    parts: list[tuple[str, list[Step]]] = []
    for step in steps:
        title = _TITLES[step.kind]
        if not parts or parts[-1][0] != title:
            parts.append((title, []))
        parts[-1][1].append(step)
    return parts


def _proved(step: Step) -> str:
    return f"checked, off by {step.error:.0e}" if step.holds else f"FAILS its check by {step.error:.0e}"


def as_latex(found: Derivation) -> str:
    """The steps as a LaTeX document that amsmath alone can set."""
    lines = [r"\documentclass{article}", r"\usepackage{amsmath,amssymb}", r"\begin{document}"]
    lines.append(rf"\[ f = {latex(as_term(found.reading.term), found.kinds)} \]")
    for title, steps in titled(found.steps):
        lines.append(rf"\subsection*{{{title}}}")
        for step in steps:
            lines.append(rf"\[ {step.latex} \]")
            shape = step.shape.replace("×", r" \times ")
            lines.append(rf"\noindent {latex_words(step.rule)} (${shape}$): {latex_words(step.reason)}.")
    lines.append(r"\end{document}")
    return "\n".join(lines) + "\n"


def as_html(found: Derivation) -> str:
    """The steps as a page of its own; each unfolds, and shows its shape where the pointer rests."""
    parts = []
    for title, steps in titled(found.steps):
        rows = "".join(
            f"<li><details{_OPENED if step.kind not in ('introduce', 'differentiate', 'combine') else ''}>"
            f'<summary title="{html.escape(step.shape)}">{step.mathml} <small>{html.escape(step.shape)}</small></summary>'
            f"<p><b>{html.escape(step.rule)}</b>: {html.escape(step.reason)}. <i>{_proved(step)}</i></p></details></li>"
            for step in steps
        )
        parts.append(f"<h2>{title}</h2><ol>{rows}</ol>")
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in found.notes)
    whole = mathml(as_term(found.reading.term), found.kinds)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(found.name)}</title><style>{STYLE}</style><main><h1>{html.escape(found.name)}</h1>"
        f"<p>f = {whole}</p>{''.join(parts)}<h2>Notes</h2><ul>{notes}</ul></main></html>\n"
    )


STYLE = (
    "body{font:17px/1.5 system-ui,sans-serif;color:#22303c;margin:0}main{max-width:46rem;margin:auto;padding:1rem}"
    "math{font-size:1.15em;math-style:normal}small{color:#667}summary{cursor:pointer;overflow:auto hidden;padding:.35rem 0}h2{font-size:1.15rem}h3{font-size:1rem}"
)
"""Of the pages."""
