"""Terms as text that can be read back, as LaTeX, and as MathML."""

from __future__ import annotations

import html
from collections.abc import Mapping
from decimal import Context, Decimal
from fractions import Fraction

from matrix_calculus.forms import Form
from matrix_calculus.functions import ELEMENTWISE
from matrix_calculus.indices import IndexForm
from matrix_calculus.syntax import Term

# How tightly an operator holds; what holds less than its place asks for gets brackets.
_HOLDS = {
    ">": 1.0,
    "add": 2.0,
    "neg": 2.5,
    "*": 3.0,
    "/": 3.0,
    ".*": 3.0,
    "./": 3.0,
    "dot": 3.0,
    "^": 5.0,
    ".^": 5.0,
    "transpose": 6.0,
}
_ATOM = 7.0
_SIGN = {"*": "*", "/": "/", ".*": " .* ", "./": " ./ ", "dot": "·", ">": " > ", "^": "^", ".^": ".^"}


def text(term: Term) -> str:
    """In the language: `parse` reads the same term from it."""
    match term.op:
        case "number":
            return decimal(term.number)
        case "name":
            return term.name
        case "call":
            return f"{term.name}({', '.join(map(text, term.args))})"
        case "neg":
            inner = term.args[0]
            return f"-{_bracketed(inner, 3.0 if inner.op != 'neg' else _ATOM + 1)}"
        case "transpose":
            return f"{_bracketed(term.args[0], 6.0)}'"
        case "add":
            return _sum(term)
    holds = _HOLDS[term.op]
    left, right = term.args
    if term.op in ("^", ".^"):
        return f"{_bracketed(left, 6.0)}{_SIGN[term.op]}{_bracketed(right, 5.0)}"
    return f"{_bracketed(left, holds)}{_SIGN[term.op]}{_bracketed(right, holds + 0.1)}"


def _bracketed(term: Term, least: float) -> str:
    shown = text(term)
    return shown if _HOLDS.get(term.op, _ATOM) >= least else f"({shown})"


def _sum(term: Term) -> str:
    found = ""
    for at, one in enumerate(term.args):
        inner = one.args[0] if one.op == "neg" and at else one
        least = 2.5 if at == 0 else 3.0
        shown = _bracketed(inner, least)
        found += shown if at == 0 else f" {'-' if one.op == 'neg' else '+'} {shown}"
    return found


def decimal(value: Fraction) -> str:
    """An exact decimal where there is one, and else a quotient."""
    if value.denominator == 1:
        return str(value.numerator)
    context = Context(prec=400)
    found = context.divide(Decimal(value.numerator), Decimal(value.denominator))
    return f"{found:f}" if Fraction(found) == value else f"{value.numerator}/{value.denominator}"


_GREEK = frozenset(
    [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "pi",
        "rho",
        "sigma",
        "tau",
        "phi",
        "chi",
        "psi",
        "omega",
    ]
)


def latex(term: Term, kinds: Mapping[str, str]) -> str:
    """In the paper's notation: vectors bold, ⊗ and ⊘ element by element.

    Args:
        term: what to print.
        kinds: kind of each symbol, as of a `Shape`.
    """

    def inner(one: Term, least: float) -> str:
        shown = latex(one, kinds)
        return shown if _HOLDS.get(one.op, _ATOM) >= least else rf"\left({shown}\right)"

    match term.op:
        case "number":
            return decimal(term.number)
        case "name":
            return _latex_name(term.name, kinds.get(term.name, "scalar"))
        case "call":
            return _latex_call(term, kinds)
        case "neg":
            return f"-{inner(term.args[0], 3.0)}"
        case "transpose":
            return f"{{{inner(term.args[0], 6.0)}}}^{{T}}"
        case "add":
            shown = inner(term.args[0], 2.5)
            for one in term.args[1:]:
                negative = one.op == "neg"
                shown += f" {'-' if negative else '+'} {inner(one.args[0] if negative else one, 3.0)}"
            return shown
        case "/":
            return rf"\frac{{{latex(term.args[0], kinds)}}}{{{latex(term.args[1], kinds)}}}"
        case "^":
            return f"{{{inner(term.args[0], 6.0)}}}^{{{latex(term.args[1], kinds)}}}"
        case ".^":
            return rf"{{{inner(term.args[0], 6.0)}}}^{{\circ {latex(term.args[1], kinds)}}}"
    sign = {"*": r"\,", ".*": r" \otimes ", "./": r" \oslash ", "dot": r" \cdot ", ">": " > "}[term.op]
    holds = _HOLDS[term.op]
    return f"{inner(term.args[0], holds)}{sign}{inner(term.args[1], holds + 0.1)}"


def _latex_name(name: str, kind: str) -> str:
    stem, digits = _numbered(name)
    shown = (
        f"\\{stem}"
        if stem in _GREEK
        else stem
        if len(stem) == 1
        else rf"\mathrm{{{stem}}}".replace("_", r"\_")
    )
    if kind in ("column", "row"):
        shown = rf"\mathbf{{{shown}}}"
    return f"{shown}_{{{digits}}}" if digits else shown


def _numbered(name: str) -> tuple[str, str]:
    """Letters and number of a name such as u12; both are written apart."""
    stem = name.rstrip("0123456789")
    return (stem, name[len(stem) :]) if stem else (name, "")


def _latex_call(term: Term, kinds: Mapping[str, str]) -> str:
    args = [latex(one, kinds) for one in term.args]
    name = term.name
    if name in ELEMENTWISE:
        return ELEMENTWISE[name].latex.format(args[0])
    match name:
        case "sqrt":
            return rf"\sqrt{{{args[0]}}}"
        case "ones" | "zeros":
            digit = "1" if name == "ones" else "0"
            return r"\vec{" + digit + "}_{" + r" \times ".join(args) + "}"
        case "eye":
            return f"I_{{{args[0]}}}"
        case "inv":
            atom = term.args[0].op in ("name", "number")
            return f"{args[0]}^{{-1}}" if atom else rf"\left({args[0]}\right)^{{-1}}"
        case "norm2" | "norm1" | "frobenius":
            mark = {"norm2": "2", "norm1": "1", "frobenius": "F"}[name]
            return rf"\left\|{args[0]}\right\|_{{{mark}}}"
    if name in ("sum", "logsumexp") and len(args) == 2:
        return rf"\operatorname{{{name}}}_{{{args[1]}}}\left({args[0]}\right)"
    shown = {"det": r"\det", "logdet": r"\ln\det", "max": r"\max", "min": r"\min"}.get(
        name, rf"\operatorname{{{name}}}"
    )
    return rf"{shown}\left({', '.join(args)}\right)"


_WORDS = {
    "_": r"\_",
    "^": r"\^{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "²": "${}^2$",
    **{
        sign: rf"$\{name}$"
        for sign, name in {
            "⊗": "otimes",
            "⊘": "oslash",
            "∘": "circ",
            "·": "cdot",
            "∂": "partial",
            "Σ": "Sigma",
            "δ": "delta",
            "π": "pi",
        }.items()
    },
}


def latex_words(words: str) -> str:
    """A sentence, or index notation as text, for LaTeX's text mode."""
    return "".join(_WORDS.get(sign, sign) for sign in words)


def mathml(term: Term, kinds: Mapping[str, str]) -> str:
    """As MathML, which browsers draw by themselves.

    Args:
        term: what to print.
        kinds: kind of each symbol.
    """
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML">{_mathml(term, kinds)}</math>'


def _mathml(term: Term, kinds: Mapping[str, str]) -> str:
    def inner(one: Term, least: float) -> str:
        shown = _mathml(one, kinds)
        if _HOLDS.get(one.op, _ATOM) >= least:
            return shown
        return f"<mrow><mo>(</mo>{shown}<mo>)</mo></mrow>"

    match term.op:
        case "number":
            return f"<mn>{decimal(term.number)}</mn>"
        case "name":
            bold = ' style="font-weight:bold"' if kinds.get(term.name) in ("column", "row") else ""
            stem, digits = _numbered(term.name)
            letters = f"<mi{bold}>{html.escape(stem)}</mi>"
            return f"<msub>{letters}<mn>{digits}</mn></msub>" if digits else letters
        case "neg":
            return f"<mrow><mo>-</mo>{inner(term.args[0], 3.0)}</mrow>"
        case "transpose":
            return f"<msup>{inner(term.args[0], 6.0)}<mi>T</mi></msup>"
        case "add":
            shown = inner(term.args[0], 2.5)
            for one in term.args[1:]:
                negative = one.op == "neg"
                shown += f"<mo>{'-' if negative else '+'}</mo>{inner(one.args[0] if negative else one, 3.0)}"
            return f"<mrow>{shown}</mrow>"
        case "/":
            return f"<mfrac>{_mathml(term.args[0], kinds)}{_mathml(term.args[1], kinds)}</mfrac>"
        case "^" | ".^":
            circle = "<mo>∘</mo>" if term.op == ".^" else ""
            return (
                f"<msup>{inner(term.args[0], 6.0)}<mrow>{circle}{_mathml(term.args[1], kinds)}</mrow></msup>"
            )
        case "call":
            return _mathml_call(term, kinds)
    sign = {
        "*": "<mspace width='0.17em'/>",
        ".*": "<mo>⊗</mo>",
        "./": "<mo>⊘</mo>",
        "dot": "<mo>·</mo>",
        ">": "<mo>&gt;</mo>",
    }
    holds = _HOLDS[term.op]
    return f"<mrow>{inner(term.args[0], holds)}{sign[term.op]}{inner(term.args[1], holds + 0.1)}</mrow>"


def _mathml_call(term: Term, kinds: Mapping[str, str]) -> str:
    args = [_mathml(one, kinds) for one in term.args]
    if term.name == "sqrt":
        return f"<msqrt>{args[0]}</msqrt>"
    if term.name == "inv":
        return f"<msup><mrow><mo>(</mo>{args[0]}<mo>)</mo></mrow><mn>-1</mn></msup>"
    if term.name == "eye":
        return f"<msub><mi>I</mi>{args[0]}</msub>"
    if term.name == "relu":
        return f"<mrow><mi>max</mi><mo>(</mo><mn>0</mn><mo>,</mo>{args[0]}<mo>)</mo></mrow>"
    return f"<mrow><mi>{term.name}</mi><mo>(</mo>{'<mo>,</mo>'.join(args)}<mo>)</mo></mrow>"


def index_text(name: str, form: IndexForm) -> str:
    """Index notation as a line of text.

    Args:
        name: of the tensor.
        form: see `indices.IndexForm`.
    """
    shown = ""
    for scale, summed, factors in form.terms:
        parts = [
            f"{_subject(one)}[{','.join(letters)}]" if letters else _subject(one) for one, letters in factors
        ]
        if abs(scale) != 1 or not parts:
            parts.insert(0, decimal(abs(scale)))
        over = f"Σ_{{{','.join(summed)}}} " if summed else ""
        sign = (" - " if shown else "-") if scale < 0 else (" + " if shown else "")
        shown += f"{sign}{over}{' · '.join(parts)}"
    axes = f"[{','.join(form.axes)}]" if form.axes else ""
    return f"{name}{axes} = {shown or '0'}"


def _subject(one: Form | str) -> str:
    if isinstance(one, str):
        return one
    term = one.term()
    return text(term) if term.op in ("name", "call") else f"({text(term)})"


def index_latex(name: str, form: IndexForm, kinds: Mapping[str, str]) -> str:
    """Index notation as LaTeX.

    Args:
        name: of the tensor, in LaTeX.
        form: see `indices.IndexForm`.
        kinds: kind of each symbol.
    """
    shown = ""
    for scale, summed, factors in form.terms:
        parts = []
        for one, letters in factors:
            subject = (
                {"δ": r"\delta", "π": r"\pi"}.get(one, rf"\mathrm{{{one}}}")
                if isinstance(one, str)
                else latex(one.term(), kinds)
            )
            bare = isinstance(one, str) or one.op == "name"
            subject = subject if bare or not letters else rf"\left[{subject}\right]"
            parts.append(f"{subject}_{{{''.join(letters)}}}" if letters else subject)
        if abs(scale) != 1 or not parts:
            parts.insert(0, decimal(abs(scale)))
        over = rf"\sum_{{{','.join(summed)}}} " if summed else ""
        sign = (" - " if shown else "-") if scale < 0 else (" + " if shown else "")
        shown += f"{sign}{over}" + r" \, ".join(parts)
    axes = f"_{{{''.join(form.axes)}}}" if form.axes else ""
    return f"{name}{axes} = {shown or '0'}"
