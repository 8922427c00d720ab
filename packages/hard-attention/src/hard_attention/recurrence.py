"""The truth of a formula by recurrences along the string, for many strings at once.

S, for example, is `S at i+1 = g at i, or f at i and S at i`: one pass, whatever the distance that the formula looks over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

from hard_attention.alphabet import Alphabet, Ids, Truth
from hard_attention.definition import Predicate
from hard_attention.formulas import Formula, Node, letters, nodes, predicates

_Array = NDArray[Any]


def evaluate(
    root: Formula,
    ids: Ids,
    alphabet: Alphabet,
    predicates_: Mapping[str, Predicate] | None = None,
) -> Truth:
    """The truth of a formula at every position of strings of one length.

    Args:
        root: the formula.
        ids: (B, n) letters by number.
        alphabet: what the numbers mean.
        predicates_: name -> meaning, of the user's own predicates.

    Returns:
        (B, n) bool.

    Raises:
        InputError: a letter or a predicate of the formula is unknown, or the strings are empty.
    """
    if ids.ndim != 2 or ids.shape[1] == 0:
        raise InputError(
            f"strings of shape {ids.shape}: (strings, length) with one position or more is needed"
        )
    alphabet.check(letters(root))
    known = predicates_ or {}
    missing = sorted(predicates(root) - set(known))
    if missing:
        raise InputError(f"no meaning was given for the predicates {', '.join(missing)}")
    columns = np.ascontiguousarray(ids.T)  # (n, B): a recurrence then walks over rows
    value: dict[int, _Array] = {}
    uses: dict[int, int] = {}
    order = nodes(root)
    for node in order:
        for child in node.args:
            uses[id(child)] = uses.get(id(child), 0) + 1
    for node in order:
        value[id(node)] = _node(node, [value[id(child)] for child in node.args], columns, alphabet, known)
        for child in node.args:  # a large formula is never held whole
            uses[id(child)] -= 1
            if not uses[id(child)]:
                value.pop(id(child), None)
    return np.ascontiguousarray(np.broadcast_to(value[id(root)], columns.shape).T).astype(bool)


def _node(
    node: Node, args: list[_Array], ids: Ids, alphabet: Alphabet, known: Mapping[str, Predicate]
) -> _Array:
    """(n, B) values of a node, or what broadcasts to it."""
    n, op, value = len(ids), node.op, node.value
    place = np.arange(1, n + 1)[:, None]
    if op == "Q":
        return np.equal(ids, alphabet.letters.index(str(value)))
    if op == "mod":
        assert isinstance(value, tuple)
        return np.equal(place % value[1], value[0])
    if op == "pred":
        return np.array([bool(known[str(value)](i, n)) for i in range(1, n + 1)])[:, None]
    if op in ("S", "U", "Sn", "Un"):
        f, g = (np.broadcast_to(argument, ids.shape) for argument in args)
        return _flipped(op in ("U", "Un"), _since, f, g, op in ("Sn", "Un"))
    if op in ("Y", "P", "X", "Fs"):
        f = np.broadcast_to(args[0], ids.shape)
        return _flipped(op in ("X", "Fs"), _before, f, op in ("P", "Fs"))
    if op in ("O", "F"):
        return _flipped(op == "F", np.logical_or.accumulate, np.broadcast_to(args[0], ids.shape))
    if op in ("H", "G"):
        return _flipped(op == "G", np.logical_and.accumulate, np.broadcast_to(args[0], ids.shape))
    if op == "at":
        wanted = np.broadcast_to(args[0], (n, 1))[:, 0]
        there = (wanted >= 1) & (wanted <= n)
        f = np.broadcast_to(args[1], ids.shape)
        found: _Array = f[np.clip(wanted, 1, n) - 1] & there[:, None]
        return found
    if op in ("cl", "cr", "call"):
        f = np.broadcast_to(args[0], ids.shape)
        if op == "call":
            return _counted(f)[-1:]
        return _flipped(op == "cr", _counted, f)
    simple: dict[str, Callable[[], _Array]] = {
        "top": lambda: np.ones((1, 1), bool),
        "bot": lambda: np.zeros((1, 1), bool),
        "first": lambda: place == 1,
        "last": lambda: place == n,
        "pos": lambda: place,
        "len": lambda: np.full((1, 1), n),
        "int": lambda: np.full((1, 1), value),
        "not": lambda: ~args[0].astype(bool),
        "and": lambda: _folded(np.logical_and, args),
        "or": lambda: _folded(np.logical_or, args),
        "+": lambda: _folded(np.add, args),
        "*": lambda: np.multiply(args[0], value),  # type: ignore[arg-type]
        "le": lambda: np.less_equal(*args),
        "lt": lambda: np.less(*args),
        "eq": lambda: np.equal(*args),
    }
    return simple[op]()


def _since(f: _Array, g: _Array, includes_now: bool) -> _Array:
    """S of (n, B) values; with `includes_now` the non-strict one."""
    found = np.empty(f.shape, bool)
    held = np.zeros(f.shape[1], bool)
    for i in range(len(f)):
        if includes_now:
            held = g[i] | (f[i] & held)
            found[i] = held
        else:
            found[i] = held
            held = g[i] | (f[i] & held)
    return found


def _counted(f: _Array) -> _Array:
    """How often f has held so far."""
    found: _Array = np.cumsum(f, 0)
    return found


def _before(f: _Array, ever: bool) -> _Array:
    """Y of (n, B) values; with `ever` P."""
    found = np.zeros(f.shape, bool)
    found[1:] = np.logical_or.accumulate(f[:-1]) if ever else f[:-1]
    return found


def _flipped(future: bool, walk: Callable[..., _Array], *args: object) -> _Array:
    """A walk from the first position to the last, or, for the future, from the last to the first."""
    if not future:
        return walk(*args)
    turned = [a[::-1] if isinstance(a, np.ndarray) else a for a in args]
    return walk(*turned)[::-1]


def _folded(join: np.ufunc, args: list[_Array]) -> _Array:
    found = args[0]
    for argument in args[1:]:
        found = join(found, argument)
    return found
