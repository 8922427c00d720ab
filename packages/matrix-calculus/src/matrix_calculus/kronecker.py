"""Kronecker products in what is written: of two factors, and of derivatives of more than two axes, as the matrix of vec(f) by vec(X)'.

vec stacks the columns of a matrix, so that vec(A X B) = kron(B', A) vec(X). A term P[i,k] Q[j,l] of the derivative of f[i,j] by X[k,l] is
kron(Q, P); a term P[i,l] Q[j,k] is kron(Q, P) K, where the commutation matrix K of X turns vec(X) into vec(X'); a factor in i and j
alone scales the rows, one in k and l alone the columns. Of a vector, one of the axes is missing.

Source: Magnus and Neudecker, Matrix Differential Calculus, Chapters 2 and 3.
"""

from __future__ import annotations

from fractions import Fraction

from matrix_calculus.expression import Factor, Label, Node, Product, Sum
from matrix_calculus.forms import Form, negated, number, scaled, size_form, times, turned
from matrix_calculus.notation import matrix_form
from matrix_calculus.products import product
from matrix_calculus.shapes import Size

_Axes = tuple[int, ...]


def kronecker_form(node: Node, rank: int) -> Form | None:
    """d vec(f) / d vec(X)' of a tensor with the axes of f first and those of X behind them; None where a term is no such product.

    Args:
        node: a derivative, of three or four axes.
        rank: how many axes f has, 1 or 2.
    """
    parts = []
    for scale, one in node.terms if isinstance(node, Sum) else ((Fraction(1), node),):
        plain = one if isinstance(one, Product) else None
        factors = list(plain.factors) if plain else [(one, tuple(range(one.rank)))]
        form = _Term(factors, plain.sizes if plain else one.shape, rank, node.rank).form()
        if form is None:
            return None
        weight = scale * (plain.coefficient if plain else 1)
        made = scaled(abs(weight), form)
        parts.append(negated(made) if weight < 0 else made)
    return parts[0] if len(parts) == 1 else Form("add", tuple(parts), None, "matrix")


class _Term:
    """One product of factors."""

    def __init__(self, factors: list[Factor], sizes: tuple[Size, ...], rank: int, axes: int) -> None:
        self.sizes = sizes
        self.f, self.x = tuple(range(rank)), tuple(range(rank, axes))
        self.parts = _connected(factors, axes)

    def form(self) -> Form | None:
        """The first of the two ways to pair axes that every part fits into."""
        (i, *j), (k, *more) = self.f, self.x
        return self._paired((i, k), (*j, *more), ()) or self._paired(
            (i, *more), (*j, k), self.x if more else ()
        )

    def _paired(self, first: _Axes, second: _Axes, turns: _Axes) -> Form | None:
        groups: dict[_Axes, list[Factor]] = {(): [], first: [], second: [], self.f: [], self.x: []}
        for axes, factors in self.parts:
            home = next((group for group in groups if axes <= set(group)), None)
            if home is None:
                return None
            groups[home] += factors
        forms = {group: self._group(factors, group) for group, factors in groups.items()}
        found = [one for one in forms.values() if one is not None]
        if len(found) < len(forms):
            return None
        weight, p, q = forms[()], forms[first], forms[second]
        rows, columns = (None if not groups[one] else forms[one] for one in (self.f, self.x))
        assert weight is not None and p is not None and q is not None
        if not groups[first] and not groups[second] and len(self.f) + len(self.x) == 4:
            return times(
                weight, times(_call("vec", forms[self.f]), turned(_call("vec", forms[self.x], "column")))
            )
        core = _call("kron", q, "matrix", p)
        if turns:
            core = times(
                core,
                _call(
                    "commutation", size_form(self.sizes[turns[0]]), "matrix", size_form(self.sizes[turns[1]])
                ),
            )
        if p.value == q.value == "eye" and not turns and (rows or columns):
            core = number(1)
        for one, before in ((rows, True), (columns, False)):
            if one is not None:
                scale = _call("diag", _call("vec", one, "column"), "matrix")
                core = times(scale, core) if before else times(core, scale)
        return times(weight, core)

    def _group(self, factors: list[Factor], axes: _Axes) -> Form | None:
        """The product of some factors; along X alone it is a row."""
        used = {*axes, *(index for _, indices in factors for index in indices)}
        sizes: dict[Label, Size] = {index: self.sizes[index] for index in used}
        form = matrix_form(product(factors, axes, sizes))
        if form is None or len(axes) != 1:
            return form
        return turned(form) if axes[0] in self.x else form


def _connected(factors: list[Factor], axes: int) -> list[tuple[set[int], list[Factor]]]:
    """Factors that are summed over together, with the axes of the result that they have."""
    parts: list[tuple[set[int], list[Factor]]] = []
    for factor in factors:
        near = [part for part in parts if any(index >= axes and index in part[0] for index in factor[1])]
        merged = {*factor[1]}.union(*(part[0] for part in near))
        parts = [part for part in parts if part not in near]
        parts.append((merged, [*(one for part in near for one in part[1]), factor]))
    return [({index for index in indices if index < axes}, factors) for indices, factors in parts]


def _call(name: str, one: Form | None, kind: str = "column", other: Form | None = None) -> Form:
    assert one is not None
    return Form("call", (one,) if other is None else (one, other), name, kind)
