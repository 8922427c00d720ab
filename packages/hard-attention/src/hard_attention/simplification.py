"""Equivalent formulas that are smaller, and formulas in the few operators that the compiler knows.

Every rule is an equivalence at every position of every non-empty string; the tests hold each to the evaluator by definition.
"""

from __future__ import annotations

from hard_attention.formulas import BOT, TOP, Formula, Node, Term, formula, nodes, term
from hard_attention.linear import as_term, comparisons, linear, place_of

FIRST, LAST = formula("first"), formula("last")


def simplify(root: Formula) -> Formula:
    """Fold constants, drop what repeats or contradicts, and write operators by their shortest name.

    Args:
        root: the formula.

    Returns:
        One with the same value at every position of every string, and no more nodes.
    """
    return _rebuilt(root, _simpler)


def to_core(root: Formula) -> Formula:
    """The same formula in letters, places, mod, pred, not, and, or, strict S and U, lookups, and comparisons `(lt 0 D)`.

    Y f is bot S f, P f is top S f, O f is f or P f, H f is not O not f, and the future alike.
    """
    return simplify_core(_rebuilt(simplify(root), _core))


def simplify_core(root: Formula) -> Formula:
    """`simplify` without renaming S and U to their short forms."""
    return _rebuilt(root, _logical)


def _rebuilt(root: Formula, rule: object) -> Formula:
    """Apply a rule to every node, from the leaves up."""
    assert callable(rule)
    made: dict[int, Node] = {}
    for node in nodes(root):
        args = tuple(made[id(child)] for child in node.args)
        if isinstance(node, Term):
            made[id(node)] = term(node.op, *args, value=node.value)
        else:
            made[id(node)] = rule(node.op, args, node.value)
    found = made[id(root)]
    assert isinstance(found, Formula)
    return found


def _simpler(op: str, args: tuple[Node, ...], value: object) -> Formula:
    """A formula of simplified arguments, simplified."""
    if op in ("Y", "P") and args[0] is TOP:
        return _negated(FIRST)
    if op in ("X", "Fs") and args[0] is TOP:
        return _negated(LAST)
    if op in ("Y", "X", "P", "Fs", "O", "F") and args[0] is BOT:
        return BOT
    if op in ("O", "F") and (args[0] is TOP or args[0].op == op):
        return _formula(args[0])
    if op in ("H", "G") and (args[0] in (TOP, BOT) or args[0].op == op):
        return _formula(args[0])
    if op in ("Sn", "Un"):
        f, g = args
        if f is BOT or g in (TOP, BOT) or f is g:
            return _formula(g)
        if f is TOP:
            return _simpler("O" if op == "Sn" else "F", (g,), None)
    if op in ("S", "U"):
        f, g = args
        if g is BOT:
            return BOT
        if g is TOP:  # the neighbour always serves
            return _negated(FIRST if op == "S" else LAST)
        if f is BOT or f is g:
            return _simpler("Y" if op == "S" else "X", (g,), None)
        if f is TOP:
            return formula("P" if op == "S" else "Fs", g)
    if op == "at" and place_of(args[0]) in ((-1, 1, 0), (1, 1, 0)):  # type: ignore[arg-type]
        return _simpler("Y" if place_of(args[0])[0] < 0 else "X", args[1:], None)  # type: ignore[arg-type]
    return _logical(op, args, value)


def _logical(op: str, args: tuple[Node, ...], value: object) -> Formula:
    """not, and, or, mod, lookups and comparisons, simplified; others as they are."""
    if op == "not":
        return _negated(_formula(args[0]))
    if op in ("and", "or"):
        return _junction(op, args)
    if op in ("le", "lt", "eq"):
        return _comparison(op, args)
    if op == "mod":
        assert isinstance(value, tuple)
        return TOP if value[1] == 1 else formula("mod", value=value)
    if op in ("S", "U") and args[1] is BOT:
        return BOT
    if op == "at":
        return _lookup(args)
    return formula(op, *args, value=value)  # type: ignore[arg-type]


def _negated(f: Formula) -> Formula:
    if f is TOP:
        return BOT
    if f is BOT:
        return TOP
    return _formula(f.args[0]) if f.op == "not" else ~f


def _junction(op: str, args: tuple[Node, ...]) -> Formula:
    neutral, final = (TOP, BOT) if op == "and" else (BOT, TOP)
    kept: dict[int, Node] = {}
    for argument in args:
        for part in argument.args if argument.op == op else (argument,):
            if part is final:
                return final
            if part is not neutral:
                kept[id(part)] = part
    if any(part.op == "not" and id(part.args[0]) in kept for part in kept.values()):
        return final
    if not kept:
        return neutral
    parts = tuple(kept.values())
    return _formula(parts[0]) if len(parts) == 1 else formula(op, *parts)


def _comparison(op: str, args: tuple[Node, ...]) -> Formula:
    t, u = args
    assert isinstance(t, Term)
    assert isinstance(u, Term)
    known = [form.always for form in comparisons(op, t, u)]
    if False in known:
        return BOT
    return TOP if all(known) else formula(op, t, u)


def _lookup(args: tuple[Node, ...]) -> Formula:
    """Of a lookup, with its place in one form; the position itself needs none."""
    place, f = args
    assert isinstance(place, Term)
    if f is BOT or place_of(place) == (0, 1, 0):
        return _formula(f)
    return formula("at", as_term(linear(place)), f)


def _core(op: str, args: tuple[Node, ...], value: object) -> Formula:
    if op in ("Y", "P"):
        return formula("S", BOT if op == "Y" else TOP, args[0])
    if op in ("X", "Fs"):
        return formula("U", BOT if op == "X" else TOP, args[0])
    if op in ("O", "F"):
        return _junction("or", (args[0], formula("S" if op == "O" else "U", TOP, args[0])))
    if op in ("H", "G"):
        outside = _negated(_formula(args[0]))
        return _negated(_core("O" if op == "H" else "F", (outside,), None))
    if op in ("Sn", "Un"):
        f, g = _formula(args[0]), _formula(args[1])
        strict = formula(op[0], f, g)
        return _junction("or", (g, _junction("and", (f, strict))))
    return _logical(op, args, value)


def _formula(node: Node) -> Formula:
    assert isinstance(node, Formula)
    return node
