"""The truth of a formula on all strings of a length, 64 strings to a machine word.

A truth value is a row of bits, one for each string; a count is a row of bits for each binary digit, and is added and compared as a
circuit would. Nothing is shared with the other two evaluators but the formula.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

from hard_attention.alphabet import Alphabet, Truth, all_strings
from hard_attention.formulas import Formula, Node, letters, nodes, predicates

Words = NDArray[np.uint64]
_Number = list[Words]
"""Binary digits, the lowest first, in two's complement; each (words,)."""


def evaluate_all(root: Formula, alphabet: Alphabet, n: int) -> Truth:
    """The truth of a formula at every position of every string of length n.

    Args:
        root: the formula; without predicates of the user.
        alphabet: the letters.
        n: the length.

    Returns:
        (len(alphabet)**n, n) bool, strings in lexicographic order, as `all_strings` has them.

    Raises:
        InputError: there are more than 2**26 strings, a letter is unknown, or the formula has a predicate of the user.
    """
    alphabet.check(letters(root))
    if predicates(root):
        raise InputError("predicates of the user's own are evaluated by `evaluate`")
    strings = all_strings(len(alphabet), n)
    circuit = _Circuit(alphabet, strings)
    truth: dict[int, list[Words]] = {}
    number: dict[int, list[_Number]] = {}
    for node in nodes(root):
        if isinstance(node, Formula):
            truth[id(node)] = circuit.truth(node, truth, number)
        else:
            number[id(node)] = circuit.number(node, truth, number)
    bits = np.stack([row.view(np.uint8) for row in truth[id(root)]])
    return np.unpackbits(bits, axis=1, count=len(strings), bitorder="little").astype(bool).T


class _Circuit:
    def __init__(self, alphabet: Alphabet, strings: NDArray[np.int64]) -> None:
        self.n = strings.shape[1]
        self.words = -(-len(strings) // 64)
        self.none = np.zeros(self.words, np.uint64)
        self.all = ~self.none
        self.letter = {
            name: [self._packed(strings[:, i] == number) for i in range(self.n)]
            for number, name in enumerate(alphabet.letters)
        }

    def truth(
        self, node: Node, truth: dict[int, list[Words]], number: dict[int, list[_Number]]
    ) -> list[Words]:
        """The n rows of a formula."""
        op, n = node.op, self.n
        if op in ("le", "lt", "eq"):
            t, u = (number[id(child)] for child in node.args)
            return [self._compare(op, t[i], u[i]) for i in range(n)]
        if op == "at":
            places = [self._everywhere(x) for x in number[id(node.args[0])]]
            rows = truth[id(node.args[1])]
            return [rows[j - 1] if 1 <= j <= n else self.none for j in places]
        args = [truth[id(child)] for child in node.args]
        constant: dict[str, Callable[[int], bool]] = {
            "top": lambda i: True,
            "bot": lambda i: False,
            "first": lambda i: i == 0,
            "last": lambda i: i == n - 1,
        }
        if op == "mod":
            assert isinstance(node.value, tuple)
            r, m = node.value
            constant["mod"] = lambda i: (i + 1) % m == r
        if op in constant:
            return [self.all if constant[op](i) else self.none for i in range(n)]
        if op == "Q":
            return self.letter[str(node.value)]
        if op == "not":
            return [~row for row in args[0]]
        if op in ("and", "or"):
            join = np.bitwise_and if op == "and" else np.bitwise_or
            return [join.reduce([argument[i] for argument in args]) for i in range(n)]
        return self._temporal(op, args)

    def _temporal(self, op: str, args: list[list[Words]]) -> list[Words]:
        future = op in ("U", "Un", "X", "Fs", "F", "G")
        g = args[-1][::-1] if future else args[-1]
        always = op in ("H", "G")
        if always:
            g = [~row for row in g]
        waits: list[Words] = [self.all] * self.n
        if op in ("S", "U", "Sn", "Un"):
            waits = args[0][::-1] if future else args[0]
        elif op in ("Y", "X"):
            waits = [self.none] * self.n
        now = op in ("Sn", "Un", "O", "F", "H", "G")
        rows, held = [], self.none
        for i in range(self.n):
            after = g[i] | (waits[i] & held)
            rows.append(after if now else held)
            held = after
        if always:
            rows = [~row for row in rows]
        return rows[::-1] if future else rows

    def number(
        self, node: Node, truth: dict[int, list[Words]], number: dict[int, list[_Number]]
    ) -> list[_Number]:
        """The n numbers of a term."""
        op, n = node.op, self.n
        if op in ("cl", "cr", "call"):
            rows = truth[id(node.args[0])]
            sums, total = [], [self.none]
            for row in rows[::-1] if op == "cr" else rows:
                total = self._add(total, [row, self.none])
                sums.append(total)
            return {"cl": sums, "cr": sums[::-1], "call": [total] * n}[op]
        if op == "pos":
            return [self._whole(i + 1) for i in range(n)]
        if op in ("len", "int"):
            value = n if op == "len" else node.value
            assert isinstance(value, int)
            return [self._whole(value)] * n
        args = [number[id(child)] for child in node.args]
        if op == "*":
            assert isinstance(node.value, int)
            return [self._times(node.value, row) for row in args[0]]
        found = args[0]
        for argument in args[1:]:
            found = [self._add(x, y) for x, y in zip(found, argument, strict=True)]
        return found

    def _packed(self, bits: NDArray[np.bool_]) -> Words:
        padded = np.zeros(self.words * 64, bool)
        padded[: len(bits)] = bits
        return np.packbits(padded, bitorder="little").view(np.uint64)

    def _whole(self, value: int) -> _Number:
        width = value.bit_length() + 1
        return [self.all if value >> digit & 1 else self.none for digit in range(width)]

    def _everywhere(self, x: _Number) -> int:
        """A number that is the same on all strings."""
        bits = [int(digit[0] & np.uint64(1)) for digit in x]
        return sum(bit << k for k, bit in enumerate(bits)) - (bits[-1] << len(bits))

    def _add(self, x: _Number, y: _Number, carry: Words | None = None) -> _Number:
        width = max(len(x), len(y)) + 1
        x, y = x + [x[-1]] * (width - len(x)), y + [y[-1]] * (width - len(y))
        carry = self.none if carry is None else carry
        found = []
        for a, b in zip(x, y, strict=True):
            found.append(a ^ b ^ carry)
            carry = (a & b) | (carry & (a ^ b))
        while len(found) > 1 and found[-1] is not found[-2] and np.array_equal(found[-1], found[-2]):
            found.pop()  # a digit that repeats the sign
        return found

    def _negative(self, x: _Number) -> _Number:
        x = [*x, x[-1]]  # the lowest number has no positive of the same width
        return self._add([~digit for digit in x], [self.none], self.all)

    def _times(self, factor: int, x: _Number) -> _Number:
        found: _Number = [self.none]
        for digit in range(abs(factor).bit_length()):
            if abs(factor) >> digit & 1:
                found = self._add(found, [self.none] * digit + x)
        return self._negative(found) if factor < 0 else found

    def _compare(self, op: str, t: _Number, u: _Number) -> Words:
        if op == "eq":
            return self._compare("le", t, u) & self._compare("le", u, t)
        if op == "lt":
            return ~self._compare("le", u, t)
        return ~self._add(u, self._negative(t))[-1]  # u - t is not negative
