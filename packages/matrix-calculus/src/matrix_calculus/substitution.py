"""Expressions made again of other parts; what comes out is simplified, as all that `products` makes."""

from __future__ import annotations

from collections.abc import Mapping

from matrix_calculus.expression import Elementwise, Node, Product, Sum, Symbol, Whole, order
from matrix_calculus.products import add, elementwise, product, whole


def rebuilt(node: Node, parts: Mapping[bytes, Node]) -> Node:
    """A node made again of other parts.

    Args:
        node: a sum, a function or a product.
        parts: key of each of its parts -> what stands in its place.
    """
    if isinstance(node, Sum):
        return add([(scale, parts[one.key]) for scale, one in node.terms], node.shape)
    if isinstance(node, Elementwise):
        return elementwise(node.function, parts[node.argument.key], node.power)
    if isinstance(node, Whole):
        return whole(node.function, parts[node.argument.key])
    assert isinstance(node, Product)
    factors = [(parts[one.key], indices) for one, indices in node.factors]
    return product(factors, range(node.rank), dict(enumerate(node.sizes)), node.coefficient)


def substituted(root: Node, values: Mapping[str, Node]) -> Node:
    """An expression with other expressions in the place of symbols.

    Args:
        root: the expression.
        values: symbol -> a node of its shape.
    """
    done: dict[bytes, Node] = {}
    for node in order([root]):
        if not node.symbols & values.keys():
            done[node.key] = node
        else:
            done[node.key] = values[node.name] if isinstance(node, Symbol) else rebuilt(node, done)
    return done[root.key]


def replaced(root: Node, part: Node, value: Node) -> Node:
    """An expression with one of its scalar parts replaced.

    Args:
        root: the expression.
        part: what is in it.
        value: what stands there instead.
    """
    if root.key == part.key:
        return value
    if isinstance(root, Product):
        factors = [(replaced(one, part, value), indices) for one, indices in root.factors]
        return product(factors, range(root.rank), dict(enumerate(root.sizes)), root.coefficient)
    if isinstance(root, Sum):
        return add([(scale, replaced(one, part, value)) for scale, one in root.terms], root.shape)
    return root
