"""What a formula means, word by word: each operator as its quantifiers say it. Slow, and the measure of all that is fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hard_attention.formulas import Node, nodes

Predicate = Callable[[int, int], bool]
"""(position i = 1..n, length n) -> whether the user's own predicate holds."""


def by_definition(root: Node, string: str, predicates: Mapping[str, Predicate] | None = None) -> list[bool]:
    """The truth of a formula at positions 1..n of one string.

    Args:
        root: a formula.
        string: n letters.
        predicates: name -> meaning, of the user's own predicates.

    Returns:
        n truth values.
    """
    n = len(string)
    places = range(1, n + 1)
    value: dict[int, list[int]] = {}
    for node in nodes(root):
        a = [value[id(child)] for child in node.args]
        value[id(node)] = [_at(node, a, i, n, string, predicates or {}) for i in places]
    return [bool(v) for v in value[id(root)]]


def _at(
    node: Node, args: list[list[int]], i: int, n: int, string: str, predicates: Mapping[str, Predicate]
) -> int:
    """The value of a node at position i; args hold the values of its arguments at 1..n."""

    def arg(which: int, j: int) -> int:
        return args[which][j - 1]

    def f(j: int) -> bool:
        return bool(arg(0, j))

    def g(j: int) -> bool:
        return bool(arg(1, j))

    before, after = range(1, i), range(i + 1, n + 1)
    up_to, since, everywhere = range(1, i + 1), range(i, n + 1), range(1, n + 1)
    op, value = node.op, node.value
    match op:
        case "top":
            return True
        case "bot":
            return False
        case "Q":
            return string[i - 1] == value
        case "first":
            return i == 1
        case "last":
            return i == n
        case "mod":
            assert isinstance(value, tuple)
            return i % value[1] == value[0]
        case "pred":
            return bool(predicates[str(value)](i, n))
        case "not":
            return not f(i)
        case "and":
            return all(arg(k, i) for k in range(len(args)))
        case "or":
            return any(arg(k, i) for k in range(len(args)))
        case "S":
            return any(g(j) and all(f(k) for k in range(j + 1, i)) for j in before)
        case "U":
            return any(g(j) and all(f(k) for k in range(i + 1, j)) for j in after)
        case "Sn":
            return any(g(j) and all(f(k) for k in range(j + 1, i + 1)) for j in up_to)
        case "Un":
            return any(g(j) and all(f(k) for k in range(i, j)) for j in since)
        case "Y":
            return i > 1 and f(i - 1)
        case "X":
            return i < n and f(i + 1)
        case "P":
            return any(f(j) for j in before)
        case "O":
            return any(f(j) for j in up_to)
        case "H":
            return all(f(j) for j in up_to)
        case "Fs":
            return any(f(j) for j in after)
        case "F":
            return any(f(j) for j in since)
        case "G":
            return all(f(j) for j in since)
        case "at":
            return 1 <= arg(0, i) <= n and g(arg(0, i))
        case "le":
            return arg(0, i) <= arg(1, i)
        case "lt":
            return arg(0, i) < arg(1, i)
        case "eq":
            return arg(0, i) == arg(1, i)
        case "int":
            assert isinstance(value, int)
            return value
        case "cl":
            return sum(f(j) for j in up_to)
        case "cr":
            return sum(f(j) for j in since)
        case "call":
            return sum(f(j) for j in everywhere)
        case "pos":
            return i
        case "len":
            return n
        case "+":
            return sum(arg(k, i) for k in range(len(args)))
        case "*":
            assert isinstance(value, int)
            return value * arg(0, i)
        case _:
            raise AssertionError(op)
