"""Formulas as text: the prefix syntax that files use, and an infix syntax for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from offprints.errors import InputError

from hard_attention.formulas import BINARY, Node

_SYMBOL = {"and": "&", "or": "|", "le": "<=", "lt": "<", "eq": "==", "+": "+"}
_CALLS = ("Y", "X", "P", "O", "H", "Fs", "F", "G", "cl", "cr", "call")
LONGEST_TEXT = 10_000_000


def prefix(root: Node) -> str:
    """The text that `parse` reads back to the same formula; shared subformulas are written out.

    Raises:
        InputError: written out it would be longer than 10 million characters.
    """
    return _written(root, _prefix)


def infix(root: Node) -> str:
    """The text with operators between their arguments; `parse` reads it back to an equal formula, up to brackets in `a & b & c`.

    Raises:
        InputError: written out it would be longer than 10 million characters.
    """
    return _written(root, _infix)


def _written(root: Node, form: Callable[[Node], list[str | Node]]) -> str:
    """Write from the left to the right with a stack of what is still to come."""
    written: list[str] = []
    length = 0
    stack: list[str | Node] = [root]
    while stack:
        part = stack.pop()
        if isinstance(part, str):
            written.append(part)
            length += len(part)
            if length > LONGEST_TEXT:
                raise InputError(f"the formula, written out, is longer than {LONGEST_TEXT:,} characters")
        else:
            stack.extend(reversed(form(part)))
    return "".join(written)


def _joined(args: Sequence[Node], between: str) -> list[str | Node]:
    parts: list[str | Node] = [args[0]]
    for argument in args[1:]:
        parts += [between, argument]
    return parts


def _prefix(node: Node) -> list[str | Node]:
    if node.op == "int":
        return [str(node.value)]
    if node.op in ("top", "bot"):
        return [node.op]
    if node.op == "Q":
        return [f"(Q {_quoted(str(node.value))})"]
    head = node.op
    if isinstance(node.value, tuple):
        head += f" {node.value[0]} {node.value[1]}"
    elif node.value is not None:
        head += f" {node.value}"
    return [f"({head} ", *_joined(node.args, " "), ")"] if node.args else [f"({head})"]


def _infix(node: Node) -> list[str | Node]:
    op, args = node.op, node.args
    if op == "Q":
        name = str(node.value)
        return [name if name.isascii() and name.islower() else f"'{_escaped(name)}'"]
    if op == "mod":
        assert isinstance(node.value, tuple)
        return [f"mod({node.value[0]}, {node.value[1]})"]
    if op == "not":
        return ["!", args[0]]
    if op in _CALLS:
        return [f"{op}(", args[0], ")"]
    if op == "at":
        return ["at(", args[0], ", ", args[1], ")"]
    if op == "*":
        return [f"{node.value} * ", args[0]]
    if op in _SYMBOL or op in BINARY:
        return ["(", *_joined(args, f" {_SYMBOL.get(op, op)} "), ")"]
    plain = {"int": str(node.value), "top": "true", "bot": "false", "pred": f"pred({node.value})"}
    return [plain.get(op, op)]  # first, last, pos, len


def _quoted(name: str) -> str:
    """As it stands where it cannot be mistaken for a bracket, a blank or a quote."""
    return name if name not in "()'\\" and not name.isspace() else f"'{_escaped(name)}'"


def _escaped(name: str) -> str:
    return f"\\{name}" if name in "'\\" else name
