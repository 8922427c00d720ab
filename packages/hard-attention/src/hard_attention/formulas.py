"""Formulas of temporal logic with counting, as a graph in which equal formulas are one object.

A formula holds or does not hold at each position i = 1..n of a string. Equal formulas are the same object ("hash-consing"), so that a
subformula that occurs a thousand times is evaluated, compiled and stored once, and comparing two formulas costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias
from weakref import WeakValueDictionary

from offprints.errors import InputError

Value: TypeAlias = "str | int | tuple[int, int] | None"

CONSTANTS = ("top", "bot")
PLACES = ("first", "last")
UNARY = ("not", "Y", "X", "P", "O", "H", "Fs", "F", "G")
BINARY = ("S", "U", "Sn", "Un")
JUNCTIONS = ("and", "or")
COMPARISONS = ("le", "lt", "eq")
COUNTS = ("cl", "cr", "call")
LOOKUPS = ("at",)

TERM_PLACES = ("pos", "len")
LARGEST_INTEGER = 10**6


class Node:
    """A formula or a term. Equal ones are identical: compare with `is` or `==`, both take no time.

    Attributes:
        op: the operator, by its name in the prefix syntax; "Q" is a letter, "int" a number.
        args: what it is applied to.
        value: letter of "Q", (r, m) of "mod", number of "int", factor of "*", name of "pred"; else None.
    """

    __slots__ = ("__weakref__", "args", "op", "value")

    op: str
    args: tuple[Node, ...]
    value: Value

    def __init__(self, op: str, args: tuple[Node, ...], value: Value) -> None:
        self.op, self.args, self.value = op, args, value

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: object) -> Node:
        return self

    def __str__(self) -> str:
        from hard_attention.printing import prefix

        return prefix(self)

    def __repr__(self) -> str:
        text = str(self)
        return f"<{text if len(text) <= 200 else text[:197] + '...'}>"


class Formula(Node):
    """Holds or does not hold at each position; `~f`, `f & g` and `f | g` are not, and, or."""

    __slots__ = ()

    def __invert__(self) -> Formula:
        return formula("not", self)

    def __and__(self, other: Formula) -> Formula:
        return formula("and", self, other)

    def __or__(self, other: Formula) -> Formula:
        return formula("or", self, other)


class Term(Node):
    """An integer at each position; `t + u`, `k * t`."""

    __slots__ = ()

    def __add__(self, other: Term) -> Term:
        return term("+", self, other)

    def __mul__(self, factor: int) -> Term:
        return term("*", self, value=factor)

    __rmul__ = __mul__

    def __sub__(self, other: Term) -> Term:
        return self + (-1) * other


# The one table of all living nodes: what makes equal formulas identical across parsers, tests and saved models.
_FORMULAS: WeakValueDictionary[tuple[object, ...], Formula] = WeakValueDictionary()
_TERMS: WeakValueDictionary[tuple[object, ...], Term] = WeakValueDictionary()


def formula(op: str, *args: Node, value: Value = None) -> Formula:
    """The formula `(op args...)`.

    Args:
        op: a name of the prefix syntax.
        args: formulas; of a comparison two terms; of "at" a term of places and a formula.
        value: letter of "Q", (r, m) of "mod", name of "pred".

    Raises:
        InputError: there is no such operator, or it does not take these arguments.
    """
    _check_formula(op, args, value)
    if op == "mod":
        assert isinstance(value, tuple)
        value = (value[0] % value[1], value[1])
    key = (op, value, *map(id, args))
    found = _FORMULAS.get(key)
    # setdefault, and not an assignment: two threads that build the same formula must get the same one.
    return found if found is not None else _FORMULAS.setdefault(key, Formula(op, args, value))


def term(op: str, *args: Node, value: Value = None) -> Term:
    """The term `(op args...)`.

    Args:
        op: int, cl, cr, call, pos, len, + or *.
        args: a formula of a count; terms of + and *.
        value: the number of "int", the factor of "*".

    Raises:
        InputError: there is no such operator, or it does not take these arguments.
    """
    _check_term(op, args, value)
    key = (op, value, *map(id, args))
    found = _TERMS.get(key)
    return found if found is not None else _TERMS.setdefault(key, Term(op, args, value))


def letter(name: str) -> Formula:
    """The position holds this letter."""
    return formula("Q", value=name)


def integer(number: int) -> Term:
    """The number, at every position."""
    return term("int", value=number)


def nodes(root: Node) -> list[Node]:
    """Every node of the graph once, arguments before what they are arguments of; the root is the last.

    It keeps its own stack: a formula may be deeper than Python's.
    """
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[tuple[Node, Iterator[Node]]] = [(root, iter(root.args))]
    seen.add(id(root))
    while stack:
        node, rest = stack[-1]
        for child in rest:
            if id(child) not in seen:
                seen.add(id(child))
                stack.append((child, iter(child.args)))
                break
        else:
            order.append(node)
            stack.pop()
    return order


def letters(root: Node) -> set[str]:
    """The letters that occur in it."""
    return {str(node.value) for node in nodes(root) if node.op == "Q"}


def predicates(root: Node) -> set[str]:
    """Names of the user's own predicates that occur in it."""
    return {str(node.value) for node in nodes(root) if node.op == "pred"}


def temporal_depth(root: Formula) -> int:
    """How deep operators that look at other positions are nested; a comparison of counts is one."""
    depth: dict[int, int] = {}
    looking = {*UNARY[1:], *BINARY, *COMPARISONS, *LOOKUPS}
    for node in nodes(root):
        below = max((depth[id(child)] for child in node.args), default=0)
        depth[id(node)] = below + (node.op in looking)
    return depth[id(root)]


def _check_formula(op: str, args: tuple[Node, ...], value: Value) -> None:
    wanted: list[type[Node]] = [Term if op in COMPARISONS else Formula] * len(args)
    if op in (*CONSTANTS, *PLACES, "Q", "mod", "pred"):
        _count(op, args, 0)
    elif op in UNARY:
        _count(op, args, 1)
    elif op in BINARY or op in COMPARISONS or op in LOOKUPS:
        _count(op, args, 2)
    elif op in JUNCTIONS:
        if not args:
            raise InputError(f"({op} ...) needs one argument or more; (top) and (bot) are the empty ones")
    else:
        raise InputError(f"{op!r} is no operator of formulas")
    if op in LOOKUPS:
        wanted[0] = Term
    for argument, kind in zip(args, wanted, strict=True):
        if not isinstance(argument, kind):
            what = "terms such as 3, (cl f), (pos)" if kind is Term else "formulas"
            raise InputError(f"({op} ...) takes {what}, and not {argument!r}")
    if op in LOOKUPS and any(node.op in COUNTS for node in nodes(args[0])):
        raise InputError(f"({op} ...) takes a place made of (pos), (len) and numbers, and not {args[0]!r}")
    if op in ("Q", "pred"):
        if not isinstance(value, str) or not value or (op == "Q" and len(value) != 1):
            wants = "one character" if op == "Q" else "a name"
            raise InputError(f"({op} ...) needs {wants}, and not {value!r}")
    elif op == "mod":
        if not isinstance(value, tuple) or len(value) != 2:
            raise InputError(f"(mod r m) needs two numbers, and not {value!r}")
        if not 1 <= value[1] <= LARGEST_INTEGER:
            raise InputError(f"(mod {value[0]} {value[1]}): the modulus must be 1 or more")
    elif value is not None:
        raise InputError(f"({op} ...) has no value, but {value!r} was given")


def _check_term(op: str, args: tuple[Node, ...], value: Value) -> None:
    if op in COUNTS:
        _count(op, args, 1)
    elif op in (*TERM_PLACES, "int"):
        _count(op, args, 0)
    elif op == "*":
        _count(op, args, 1)
    elif op == "+":
        if not args:
            raise InputError("(+ ...) needs one term or more")
    else:
        raise InputError(f"{op!r} is no operator of terms")
    wanted: type[Node] = Formula if op in COUNTS else Term
    for argument in args:
        if not isinstance(argument, wanted):
            raise InputError(
                f"({op} ...) takes {'a formula' if wanted is Formula else 'terms'}, and not {argument!r}"
            )
    if op in ("int", "*"):
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError(f"({op} ...) needs a whole number, and not {value!r}")
        if abs(value) > LARGEST_INTEGER:
            raise InputError(f"{value} is too large: numbers go to {LARGEST_INTEGER:,}")
    elif value is not None:
        raise InputError(f"({op} ...) has no value, but {value!r} was given")


def _count(op: str, args: tuple[Node, ...], wanted: int) -> None:
    if len(args) != wanted:
        raise InputError(f"({op} ...) takes {wanted} argument{'s' * (wanted != 1)}, and not {len(args)}")


TOP, BOT = formula("top"), formula("bot")
