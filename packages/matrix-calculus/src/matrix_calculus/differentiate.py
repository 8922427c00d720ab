"""Derivatives on the DAG: forward, reverse, or in the order that costs least.

The derivative of y by x is a tensor with the axes of y first and those of x behind them: for vectors the paper's Jacobian, m×n.

    forward         carries dv/dx from x to y
    reverse         carries dy/dv from y to x: the pullback of C = A *_(s1,s2,s3) B to B is A *_(s1, s3 s4, s2 s4) C̄
    cross-country   eliminates what lies between, least in degree first

Source: the paper's chain rules, and Laue et al. 2020, Section 3. Elimination as in Griewank and Walther, Evaluating Derivatives, Chapter 9.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple, TypeAlias

from offprints.errors import InputError

from matrix_calculus.expression import (
    Elementwise,
    Identity,
    Label,
    Labelled,
    Node,
    Product,
    Sum,
    Symbol,
    Whole,
    depends,
    is_zero,
    order,
)
from matrix_calculus.functions import slope
from matrix_calculus.products import add, number, product, whole
from matrix_calculus.shapes import Size

Contribution: TypeAlias = "tuple[Node, Node]"
MODES = ("reverse", "forward", "cross-country")
_MOST_NODES = 20_000


def derivative(y: Node, x: Symbol, mode: str = "reverse") -> Node:
    """dy/dx, a tensor of shape y.shape + x.shape.

    A symmetric or diagonal x counts as general here: see `structured`.

    Args:
        y: what to differentiate.
        x: by what.
        mode: "reverse", "forward" or "cross-country"; they differ in the order of work, not in the result.

    Raises:
        InputError: there is no such mode, x is constant, or the expression has more than 20,000 nodes.
    """
    if mode not in MODES:
        raise InputError(f"mode={mode!r} is none of {', '.join(MODES)}")
    if x.structure == "constant":
        raise InputError(f"{x.name} is declared constant: nothing is differentiated by it")
    if not depends(y, x):
        return number(0, y.shape + x.shape)
    nodes = [node for node in order([y]) if depends(node, x)]
    if len(nodes) > _MOST_NODES:
        raise InputError(f"the expression has {len(nodes)} nodes, more than {_MOST_NODES}")
    return {"reverse": _reverse, "forward": _forward, "cross-country": _eliminated}[mode](y, x, nodes)


def structured(jacobian: Node, x: Symbol, convention: str = "projected") -> Node:
    """The derivative by a matrix that cannot move freely.

    Args:
        jacobian: dy/dx as if x were general; its last two axes are those of x.
        x: by what.
        convention: of a symmetric x: "projected" is (G + G')/2, the gradient within the symmetric matrices under the Frobenius product;
            "independent" is G + G' - G∘I, the derivative by each entry with its mirror image moving along. Of a diagonal x, the
            diagonal of G.

    Raises:
        InputError: there is no such convention.
    """
    if convention not in ("projected", "independent"):
        raise InputError(f"symmetric={convention!r} is neither projected nor independent")
    if x.structure not in ("symmetric", "diagonal"):
        return jacobian
    axes = tuple(range(jacobian.rank))
    *_, i, j = axes
    on_diagonal = product([(jacobian, (*axes[:-1], i))], (*axes[:-1], i))
    if x.structure == "diagonal":
        return on_diagonal
    turned = product([(jacobian, axes)], (*axes[:-2], j, i))
    both = add([(1, jacobian), (1, turned)], jacobian.shape)
    if convention == "projected":
        return product([(both, axes)], axes, None, _HALF)
    return add([(1, both), (-1, on_diagonal)], jacobian.shape)


_ONE, _HALF = Fraction(1), Fraction(1, 2)


def _axes(kind: str, shape: tuple[Size, ...]) -> tuple[Label, ...]:
    return tuple((kind, axis) for axis in range(len(shape)))


def unit(shape: tuple[Size, ...]) -> Node:
    """The derivative of a tensor by itself.

    Args:
        shape: of it.
    """
    ones, others = _axes("y", shape), _axes("x", shape)
    factors: list[Labelled] = [
        (Identity(size), (one, other)) for size, one, other in zip(shape, ones, others, strict=True)
    ]
    return product(factors, (*ones, *others))


def _reverse(y: Node, x: Symbol, nodes: list[Node]) -> Node:
    outer = _axes("y", y.shape)
    gathered: dict[bytes, list[Node]] = {y.key: [unit(y.shape)]}
    found = number(0, y.shape + x.shape)
    for node in reversed(nodes):
        parts = gathered.pop(node.key, [])
        adjoint = add([(1, part) for part in parts], y.shape + node.shape)
        if node.key == x.key:
            found = adjoint
        elif not is_zero(adjoint):
            for inner, part in _pullbacks(node, adjoint, outer, x):
                gathered.setdefault(inner.key, []).append(part)
    return found


def _pullbacks(node: Node, adjoint: Node, outer: tuple[Label, ...], x: Symbol) -> list[Contribution]:
    """What dy/dnode adds to dy/d(inner), for each inner node that depends on x."""
    if isinstance(node, Sum):
        axes = tuple(range(adjoint.rank))
        return [
            (inner, product([(adjoint, axes)], axes, None, scale))
            for scale, inner in node.terms
            if depends(inner, x)
        ]
    parts = _partials(node, x)
    return [
        (inner, product([(adjoint, (*outer, *axes)), *factors], (*outer, *inner_axes), sizes, scale))
        for inner, axes, inner_axes, factors, sizes, scale in parts
    ]


class Partial(NamedTuple):
    """∂node/∂inner, as factors of a product.

    Attributes:
        inner: what the node is made of.
        axes: labels of the node's axes.
        inner_axes: labels of the inner node's axes.
        factors: what stands between.
        sizes: of labels that no factor has.
        scale: an exact number.
    """

    inner: Node
    axes: tuple[Label, ...]
    inner_axes: tuple[Label, ...]
    factors: list[Labelled]
    sizes: dict[Label, Size]
    scale: Fraction


def _partials(node: Node, x: Symbol) -> list[Partial]:
    """∂node/∂inner as factors with labels: those of the node's axes, those of the inner node's, and what is between."""
    axes: tuple[Label, ...] = tuple(range(node.rank))
    if isinstance(node, Product):
        return _product_partials(node, x)
    if isinstance(node, Elementwise):
        factors: list[Labelled] = [(slope(node.function, node.argument, node.power), axes)]
        # The element-wise diagonal condition: element i of the result depends on element i of the argument alone.
        return [Partial(node.argument, axes, axes, factors, {}, _ONE)]
    assert isinstance(node, Whole)
    return _whole_partials(node)


def _product_partials(node: Product, x: Symbol) -> list[Partial]:
    sizes: dict[Label, Size] = dict(enumerate(node.sizes))
    found: list[Partial] = []
    for at, (inner, indices) in enumerate(node.factors):
        if not depends(inner, x):
            continue
        factors: list[Labelled] = [one for place, one in enumerate(node.factors) if place != at]
        theirs: list[Label] = list(indices)
        for place, index in enumerate(indices):
            if index in indices[:place]:  # a diagonal or a trace: both axes are read at one place
                theirs[place] = ("again", place)
                factors.append((Identity(node.sizes[index]), (index, theirs[place])))
        found.append(Partial(inner, tuple(range(node.rank)), tuple(theirs), factors, sizes, node.coefficient))
    return found


def _whole_partials(node: Whole) -> list[Partial]:
    inner = node.argument
    axes: tuple[Label, ...] = tuple(range(node.rank))
    match node.function:
        case "inv":  # d(A⁻¹) = -A⁻¹ dA A⁻¹
            return [Partial(inner, (0, 1), ("k", "l"), [(node, (0, "k")), (node, ("l", 1))], {}, -_ONE)]
        case "det":  # d(det A) = det A tr(A⁻¹ dA)
            return [Partial(inner, (), ("k", "l"), [(node, ()), (whole("inv", inner), ("l", "k"))], {}, _ONE)]
        case "logdet":
            return [Partial(inner, (), ("k", "l"), [(whole("inv", inner), ("l", "k"))], {}, _ONE)]
        case "logsumexp":
            return [Partial(inner, axes, (*axes, "l"), [(whole("softmax", inner), (*axes, "l"))], {}, _ONE)]
    assert node.function == "softmax"
    *rows, last = axes
    theirs = (*rows, "l")
    return [
        Partial(inner, axes, theirs, [(node, axes), (Identity(node.shape[-1]), (last, "l"))], {}, _ONE),
        Partial(inner, axes, theirs, [(node, axes), (node, theirs)], {}, -_ONE),
    ]


def _forward(y: Node, x: Symbol, nodes: list[Node]) -> Node:
    behind = _axes("x", x.shape)
    tangents: dict[bytes, Node] = {}
    for node in nodes:
        if node.key == x.key:
            tangents[node.key] = unit(x.shape)
            continue
        shape = node.shape + x.shape
        if isinstance(node, Sum):
            tangents[node.key] = add(
                [(scale, tangents[inner.key]) for scale, inner in node.terms if depends(inner, x)], shape
            )
            continue
        parts = [
            product([*factors, (tangents[inner.key], (*inner_axes, *behind))], (*axes, *behind), sizes, scale)
            for inner, axes, inner_axes, factors, sizes, scale in _partials(node, x)
        ]
        tangents[node.key] = add([(1, part) for part in parts], shape)
    return tangents[y.key]


def _eliminated(y: Node, x: Symbol, nodes: list[Node]) -> Node:
    into: dict[bytes, dict[bytes, Node]] = {node.key: {} for node in nodes}
    out_of: dict[bytes, set[bytes]] = {node.key: set() for node in nodes}
    known = {node.key: node for node in nodes}
    for node in nodes:
        for inner, edge in _edges(node, x):
            _join(into, out_of, inner.key, node.key, edge)
    between = {node.key for node in nodes} - {x.key, y.key}
    place = {node.key: at for at, node in enumerate(nodes)}
    while between:
        # Markowitz: what has the fewest paths through it goes first.
        key = min(between, key=lambda one: (len(into[one]) * len(out_of[one]), place[one]))
        between.remove(key)
        for after in out_of[key]:
            late = into[after].pop(key)
            for before, early in into[key].items():
                _join(into, out_of, before, after, chained(late, early, known[key].rank))
        for before in into[key]:
            out_of[before].discard(key)
        into[key] = {}
    return into[y.key].get(x.key, unit(x.shape)) if y.key != x.key else unit(x.shape)


def _join(
    into: dict[bytes, dict[bytes, Node]],
    out_of: dict[bytes, set[bytes]],
    before: bytes,
    after: bytes,
    edge: Node,
) -> None:
    old = into[after].get(before)
    into[after][before] = edge if old is None else add([(1, old), (1, edge)], edge.shape)
    out_of[before].add(after)


def _edges(node: Node, x: Symbol) -> list[Contribution]:
    if isinstance(node, Symbol):
        return []
    return _pullbacks(node, unit(node.shape), _axes("y", node.shape), x)


def chained(late: Node, early: Node, between: int) -> Node:
    """The vector chain rule, ∂f/∂g ∂g/∂x, summed over all axes of g.

    Args:
        late: ∂f/∂g.
        early: ∂g/∂x.
        between: rank of g.
    """
    middle = _axes("g", late.shape[late.rank - between :])
    outer = _axes("f", late.shape[: late.rank - between])
    behind = _axes("x", early.shape[between:])
    return product([(late, (*outer, *middle)), (early, (*middle, *behind))], (*outer, *behind))
