"""Back from Einstein form to matrix notation: indices become products, transposes, diag and sums; where no matrix form exists, they stay.

What comes out is a term of the language again, so that every formula can be read back, evaluated and differentiated once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from matrix_calculus.expression import (
    Elementwise,
    Identity,
    Node,
    Pairing,
    Product,
    SizeOf,
    Sum,
    Symbol,
    Whole,
    is_number,
    order,
)
from matrix_calculus.forms import (
    Form,
    filled,
    hadamard,
    kind_of_rank,
    negated,
    number,
    over,
    scaled,
    size_form,
    times,
    turned,
)
from matrix_calculus.products import product, symmetric

_MOST_TERMS = 2_000  # of a formula


def matrix_form(node: Node, row: bool = False) -> Form | None:
    """A tensor of up to two axes in matrix notation; None where it has none.

    Args:
        node: the tensor.
        row: write a vector as a row.
    """
    forms = forms_of(node)
    found = forms.get(node.key)
    if found is None:
        return None
    return turned(found) if row else found


def forms_of(root: Node) -> dict[bytes, Form]:
    """The matrix forms of a node and of all that it is made of; vectors are columns.

    What has no form is left out, and so is what would be too long to read: nodes share their parts, a text repeats them.
    """
    forms: dict[bytes, Form] = {}
    for node in order([root]):
        made = _form(node, forms) if node.rank <= 2 else None
        if made is not None and made.size <= _MOST_TERMS:
            forms[node.key] = made
    return forms


def _form(node: Node, forms: dict[bytes, Form]) -> Form | None:
    kind = kind_of_rank(node.rank)
    match node:
        case Symbol():
            if node.row:
                return turned(Form("name", (), node.name, "row"))
            return Form("name", (), node.name, kind, symmetric(node))
        case SizeOf():
            return Form("name", (), str(node.size))
        case Identity():
            return Form("call", (size_form(node.size),), "eye", "matrix", True)
        case Sum():
            return _sum(node, forms)
        case Product():
            if any(isinstance(one, Pairing) for one, _ in node.factors):
                return _paired(node)
            return _Network(node, forms).form() if all(one.key in forms for one, _ in node.factors) else None
        case Elementwise():
            inner = forms.get(node.argument.key)
            return None if inner is None else _elementwise(node, inner, forms)
    assert isinstance(node, Whole)
    inner = forms.get(node.argument.key)
    if inner is None:
        return None
    args = (inner, number(2)) if node.function == "logsumexp" and inner.kind == "matrix" else (inner,)
    return Form("call", args, node.function, kind, symmetric(node))


def _elementwise(node: Elementwise, inner: Form, forms: dict[bytes, Form]) -> Form:
    if node.function != "pow":
        return Form("call", (inner,), node.function, inner.kind, inner.symmetric)
    power = node.power
    assert power is not None
    base = node.argument
    if abs(power) == Fraction(1, 2):
        root = _norm(base, forms) or Form("call", (inner,), "sqrt", inner.kind, inner.symmetric)
        return root if power > 0 else over(number(1), root)
    if power == -1:
        return over(number(1), inner)
    op = "^" if inner.kind == "scalar" else ".^"
    raised = Form(op, (inner, number(abs(power))), None, inner.kind, inner.symmetric)
    return raised if power > 0 else over(number(1), raised)


def _norm(base: Node, forms: dict[bytes, Form]) -> Form | None:
    """The root of a sum of squares has a name."""
    if not isinstance(base, Product) or base.coefficient != 1 or len(base.factors) != 1 or base.rank:
        return None
    squares, indices = base.factors[0]
    if not (isinstance(squares, Elementwise) and squares.power == 2) or len(set(indices)) != len(indices):
        return None
    name = {1: "norm2", 2: "frobenius"}.get(len(indices))
    return Form("call", (forms[squares.argument.key],), name) if name else None


def _sum(node: Sum, forms: dict[bytes, Form]) -> Form | None:
    parts: list[tuple[Fraction, Form]] = []
    for scale, inner in node.terms:
        value = is_number(inner)
        form = number(1) if value is not None and node.rank else _narrow(inner, forms) or forms.get(inner.key)
        if value is not None and node.rank:
            scale = scale * value
        if form is None:
            return None
        parts.append((scale, form))
    if all(form.kind == "scalar" for _, form in parts) and node.rank:
        parts[0] = parts[0][0], times(parts[0][1], filled(node.shape))
    terms = [scaled(abs(scale), form) for scale, form in parts]
    signed = [
        Form("neg", (one,), None, one.kind) if scale < 0 else one
        for (scale, _), one in zip(parts, terms, strict=True)
    ]
    flat = [one for part in signed for one in (part.args if part.op == "add" else (part,))]
    return Form("add", tuple(flat), None, kind_of_rank(node.rank), symmetric(node))


def _narrow(node: Node, forms: dict[bytes, Form]) -> Form | None:
    """In a sum a scalar is expanded by itself."""
    if not isinstance(node, Product) or not node.rank or any(indices for _, indices in node.factors):
        return None
    return _Network(Product(node.coefficient, node.factors, (), (), node.key), forms).form()


def _paired(node: Product) -> Form | None:
    """Two factors whose axes are paired, each by itself in matrix notation: kron of both; None where it is more than that.

    Args:
        node: a product with pairings among its factors.
    """
    pairs = {indices[0]: indices[1:] for one, indices in node.factors if isinstance(one, Pairing)}
    if node.rank not in (1, 2) or sorted(pairs) != list(range(node.rank)):
        return None
    rest = [one for one in node.factors if not isinstance(one[0], Pairing)]
    scalars, tensors = [one for one in rest if not one[1]], [one for one in rest if one[1]]
    weight = matrix_form(product(scalars, (), {}, abs(node.coefficient)))
    sides, seen = [], 0
    for side in (0, 1):
        axes = [pairs[axis][side] for axis in range(node.rank)]
        within: set[int] = set()
        touching = set(axes)
        while touching != within:  # what is summed over with one of a side's factors is of that side
            within = touching
            touching = within.union(*(indices for _, indices in tensors if within & set(indices)))
        its = [one for one in tensors if within & set(one[1])]
        seen += len(its)
        sides.append(matrix_form(product(its, axes, {index: node.sizes[index] for index in within})))
    p, q = sides
    if p is None or q is None or weight is None or seen != len(tensors):
        return None
    made = times(
        weight,
        Form("call", (p, q), "kron", ("column" if node.rank == 1 else "matrix"), p.symmetric and q.symmetric),
    )
    return negated(made) if node.coefficient < 0 else made


# Products


@dataclass
class _Item:
    form: Form
    indices: tuple[int, ...]


class _Network:
    """The factors of a product, contracted until only axes of the result are left."""

    def __init__(self, node: Product, forms: dict[bytes, Form]) -> None:
        self.node = node
        self.scalars: list[Form] = []
        self.deltas: list[tuple[int, ...]] = []
        self.items: list[_Item] = []
        for one, indices in node.factors:
            if isinstance(one, Identity):
                self.deltas.append(indices)
            elif not indices:
                self.scalars.append(forms[one.key])
            elif len(set(indices)) < len(indices):
                self.items.append(_Item(Form("call", (forms[one.key],), "diag", "column"), indices[:1]))
            else:
                self.items.append(_Item(forms[one.key], indices))

    def form(self) -> Form | None:
        """The whole product; None where it has no matrix form."""
        more = True
        while more:
            more = self._step()
        free = set(range(self.node.rank)) - {late for _, late in self.deltas}
        if any(not set(one.indices) <= free for one in self.items):
            return None
        body = self._body(free)
        if body is None or body.value == "zeros":
            return body
        weight = number(abs(self.node.coefficient.numerator))
        for one in self.scalars:
            weight = times(weight, one)
        made = times(weight, body) if body.op != "number" else weight
        if self.node.coefficient.denominator != 1:
            made = over(made, number(self.node.coefficient.denominator))
        return negated(made) if self.node.coefficient < 0 else made

    def _body(self, free: set[int]) -> Form | None:
        shape = self.node.shape
        if self.deltas:
            if self.node.rank != 2 or len(self.items) > 1:
                return None
            if not self.items:
                return Form("call", (size_form(shape[0]),), "eye", "matrix", True)
            return Form("call", (self.items[0].form,), "diag", "matrix", True)
        if self.node.rank == 0:
            return number(1)
        if self.node.coefficient == 0:
            return filled(shape, "zeros")
        if len(self.items) > 2:
            return None
        if self.node.rank == 1:
            return self.items[0].form if self.items else filled(shape)
        by_axis = {one.indices: one.form for one in self.items}
        for indices in ((0, 1), (1, 0)):
            if indices in by_axis:
                return by_axis[indices] if indices == (0, 1) else turned(by_axis[indices])
        if not self.items:
            return filled(shape)
        left = by_axis.get((0,), filled(shape[:1]))
        right = by_axis.get((1,), filled(shape[1:]))
        return times(left, turned(right))

    def _step(self) -> bool:
        uses: dict[int, list[_Item]] = {}
        for item in self.items:
            for index in item.indices:
                uses.setdefault(index, []).append(item)
        summed = {index: items for index, items in uses.items() if index >= self.node.rank}
        pairs = [(index, items) for index, items in summed.items() if len(items) == 2]
        for index, (one, other) in sorted(pairs, key=lambda pair: sum(len(item.indices) for item in pair[1])):
            if len(one.indices) == 2 and set(one.indices) == set(other.indices):
                continue  # a trace or a sum over both: element by element first
            return self._contract(index, one, other)
        for index, items in summed.items():
            if len(items) == 1:
                return self._reduce(index, items[0])
        for at, one in enumerate(self.items):
            for other in self.items[at + 1 :]:
                if set(one.indices) == set(other.indices):
                    form = other.form if one.indices == other.indices else turned(other.form)
                    if (
                        len(one.indices) == 2
                        and set(one.indices) <= set(summed)
                        and all(len(uses[index]) == 2 for index in one.indices)
                    ):
                        # Σ A[i, j] B[i, j] is a trace, as the differential reads it.
                        product = times(turned(one.form), form)
                        return self._replace(one, other, Form("call", (product,), "tr"), ())
                    return self._replace(one, other, hadamard(one.form, form), one.indices)
        return self._scale_rows()

    def _replace(self, one: _Item, other: _Item, form: Form, indices: tuple[int, ...]) -> bool:
        place = next(at for at, item in enumerate(self.items) if item is one)
        left = [item for item in self.items if item is not one and item is not other]
        if indices:
            left.insert(place, _Item(form, indices))
        else:
            self.scalars.append(form)
        self.items = left
        return True

    def _contract(self, index: int, one: _Item, other: _Item) -> bool:
        if len(one.indices) == 1 and len(other.indices) == 1:
            return self._replace(one, other, times(turned(one.form), other.form), ())
        if len(one.indices) == 1 or len(other.indices) == 1:
            vector, matrix = (one, other) if len(one.indices) == 1 else (other, one)
            rest = next(i for i in matrix.indices if i != index)
            left = matrix.form if matrix.indices[1] == index else turned(matrix.form)
            return self._replace(one, other, times(left, vector.form), (rest,))
        before, after = (
            next(i for i in one.indices if i != index),
            next(i for i in other.indices if i != index),
        )
        if before >= after >= 0 and after < self.node.rank:
            one, other, before, after = other, one, after, before
        left = one.form if one.indices[1] == index else turned(one.form)
        right = other.form if other.indices[0] == index else turned(other.form)
        return self._replace(one, other, times(left, right), (before, after))

    def _reduce(self, index: int, item: _Item) -> bool:
        if len(item.indices) == 1:
            return self._replace(item, item, Form("call", (item.form,), "sum"), ())
        rest = next(i for i in item.indices if i != index)
        lone = rest >= self.node.rank and sum(rest in one.indices for one in self.items) == 1
        if lone:
            return self._replace(item, item, Form("call", (item.form,), "sum"), ())
        first = item.indices[0] == index
        made = Form("call", (item.form, number(1 if first else 2)), "sum", "row" if first else "column")
        return self._replace(item, item, turned(made) if first else made, (rest,))

    def _scale_rows(self) -> bool:
        for vector in self.items:
            for matrix in self.items:
                if (
                    len(vector.indices) == 1
                    and len(matrix.indices) == 2
                    and vector.indices[0] in matrix.indices
                ):
                    scale = Form("call", (vector.form,), "diag", "matrix", True)
                    first = matrix.indices[0] == vector.indices[0]
                    form = times(scale, matrix.form) if first else times(matrix.form, scale)
                    return self._replace(matrix, vector, form, matrix.indices)
        return False
