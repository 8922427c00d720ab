"""Comparisons of counts in one form: D > 0, where D is an odd whole number.

`t <= u` is `2 (u - t) + 1 > 0`. Made odd, D is never 0, and a softmax that has to tell its sign never meets a tie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hard_attention.formulas import Formula, Term, nodes, term

Atom: TypeAlias = "tuple[str, Formula | None]"
"""("cl", f), ("cr", f), ("call", f), ("pos", None) or ("len", None)."""


@dataclass(frozen=True)
class Linear:
    """constant + sum of coefficient times atom.

    Attributes:
        constant: the number.
        atoms: atom -> coefficient, none of them 0, in the order in which they occur.
    """

    constant: int
    atoms: Mapping[Atom, int]

    @property
    def always(self) -> bool | None:
        """Whether D > 0 at every position of every string, at none, or (None) here and there, as far as signs tell."""
        if not self.atoms:
            return self.constant > 0
        # pos and len are at least 1, counts at least 0.
        floor = sum(k for (name, _), k in self.atoms.items() if name in ("pos", "len"))
        signs = {k > 0 for k in self.atoms.values()}
        if signs == {True} and self.constant + floor > 0:
            return True
        if signs == {False} and self.constant + floor < 0:
            return False
        return None

    @property
    def names(self) -> set[str]:
        """Which kinds of atom occur."""
        return {name for name, _ in self.atoms}


def linear(root: Term) -> Linear:
    """A term as a sum; counts of `top` become positions, of `bot` nothing.

    Args:
        root: of any shape and depth.
    """
    forms: dict[int, Linear] = {}
    for node in nodes(root):
        if not isinstance(node, Term):
            continue
        if node.op == "int":
            assert isinstance(node.value, int)
            forms[id(node)] = Linear(node.value, {})
        elif node.op in ("pos", "len"):
            forms[id(node)] = Linear(0, {(node.op, None): 1})
        elif node.op == "*":
            assert isinstance(node.value, int)
            forms[id(node)] = _sum([(node.value, forms[id(node.args[0])])])
        elif node.op == "+":
            forms[id(node)] = _sum([(1, forms[id(child)]) for child in node.args])
        else:
            counted = node.args[0]
            assert isinstance(counted, Formula)
            forms[id(node)] = _count(node.op, counted)
    return forms[id(root)]


def comparisons(op: str, t: Term, u: Term) -> list[Linear]:
    """The D's that must all be positive for `(op t u)`: one for le and lt, two for eq."""
    below = _sum([(2, linear(u)), (-2, linear(t)), (1, Linear(1, {}))])
    if op == "le":
        return [below]
    if op == "lt":  # t + 1 <= u
        return [_sum([(1, below), (1, Linear(-2, {}))])]
    above = _sum([(2, linear(t)), (-2, linear(u)), (1, Linear(1, {}))])
    return [below, above]


def place_of(root: Term) -> tuple[int, int, int]:
    """c, k and m of a place c + k (pos) + m (len), the term of a lookup."""
    form = linear(root)
    return form.constant, form.atoms.get(("pos", None), 0), form.atoms.get(("len", None), 0)


def as_term(form: Linear) -> Term:
    """The sum as a term."""
    parts = [term("int", value=form.constant)] if form.constant or not form.atoms else []
    for (name, counted), k in form.atoms.items():
        atom = term(name) if counted is None else term(name, counted)
        parts.append(atom if k == 1 else term("*", atom, value=k))
    return parts[0] if len(parts) == 1 else term("+", *parts)


def _count(op: str, counted: Formula) -> Linear:
    if counted.op == "bot":
        return Linear(0, {})
    if counted.op != "top":
        return Linear(0, {(op, counted): 1})
    if op == "cl":
        return Linear(0, {("pos", None): 1})
    if op == "call":
        return Linear(0, {("len", None): 1})
    return Linear(1, {("len", None): 1, ("pos", None): -1})


def _sum(parts: list[tuple[int, Linear]]) -> Linear:
    total: dict[Atom, int] = {}
    constant = 0
    for factor, form in parts:
        constant += factor * form.constant
        for atom, k in form.atoms.items():
            total[atom] = total.get(atom, 0) + factor * k
    return Linear(constant, {atom: k for atom, k in total.items() if k})
