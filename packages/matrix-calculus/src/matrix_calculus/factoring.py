"""Common factors taken out of sums, before a program is written.

a ∘ b + a ∘ c costs a product more than a ∘ (b + c); and where a sum is multiplied on, its common factors become factors of that product,
whose order of contraction can then use them. The Hessian of a net of two layers is written with a fifth of the operations this way:
x ⊗ x and the part that depends on the classes are made apart, and one matrix product joins them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

from matrix_calculus.expression import Factor, Label, Node, Product, Sum, order
from matrix_calculus.products import add, product
from matrix_calculus.shapes import Size
from matrix_calculus.substitution import rebuilt


def factored(roots: Iterable[Node]) -> list[Node]:
    """The same tensors, every sum without factors that all its terms have.

    Args:
        roots: tensors that may share parts.
    """
    roots = list(roots)
    done: dict[bytes, Node] = {}
    for node in order(roots):
        if isinstance(node, Sum):
            done[node.key] = _taken_out([(scale, done[one.key]) for scale, one in node.terms], node)
        else:
            done[node.key] = node if all(done[one.key] is one for one in node.inner) else rebuilt(node, done)
    return [done[root.key] for root in roots]


def _taken_out(terms: list[tuple[Fraction, Node]], node: Sum) -> Node:
    """Σ scale · (common · rest) as common · Σ scale · rest; the rest has only the axes that it needs."""
    parts = [_factors(one) for _, one in terms]
    common = Counter(_free(parts[0], node.rank))
    for part in parts[1:]:
        common &= Counter(_free(part, node.rank))
    if not common:
        return add(terms, node.shape)
    rests = [_without(part, common) for part in parts]
    used = {axis for rest in rests for _, indices in rest for axis in indices if axis < node.rank}
    covered = {axis for _, indices in common for axis in indices}
    kept = [axis for axis in range(node.rank) if axis in used or axis not in covered]
    inner = []
    for (scale, term), rest in zip(terms, rests, strict=True):
        every = term.sizes if isinstance(term, Product) else node.shape
        weight = term.coefficient if isinstance(term, Product) else Fraction(1)
        needed = {*kept, *(axis for _, indices in rest for axis in indices)}
        sizes: dict[Label, Size] = {axis: size for axis, size in enumerate(every) if axis in needed}
        inner.append((scale, product(rest, kept, sizes, weight)))
    total = add(inner, [node.shape[axis] for axis in kept])
    return product([*common.elements(), (total, tuple(kept))], range(node.rank), dict(enumerate(node.shape)))


def _factors(node: Node) -> list[Factor]:
    return list(node.factors) if isinstance(node, Product) else [(node, tuple(range(node.rank)))]


def _free(factors: list[Factor], rank: int) -> list[Factor]:
    """Factors that nothing is summed over in."""
    return [one for one in factors if all(axis < rank for axis in one[1])]


def _without(factors: list[Factor], common: Counter[Factor]) -> list[Factor]:
    left, rest = Counter(common), []
    for one in factors:
        if left[one] > 0:
            left[one] -= 1
        else:
            rest.append(one)
    return rest
