"""B-RASP, the Boolean language between temporal logic and hard attention: formulas into it, and its programs into formulas.

A program is a line for each Boolean vector; the last one is the program's output.

    P1(i) = rightmost j [ j < i, !Q_a(j) | Q_b(j) ] Q_b(j) : 0
    P2(i) = P1(i) & !Q_a(i)

`Q_a` says that the letter is a; `first`, `last`, `mod_r_m` and `pred_name` are there as in formulas. An attention line takes the value of
the rightmost or leftmost j that the mask (`j < i`, `j <= i`, `j > i`, `j >= i` or `1`) and the score let through, and the default where
there is none. Score and value may speak of i and of j. The language is that of Yang, Chiang and Angluin 2024 (arXiv 2310.13897);
how it is written here is this package's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from offprints.errors import InputError

from hard_attention.formulas import BOT, TOP, Formula, Node, formula, letter, nodes
from hard_attention.simplification import to_core

MOST_OF_I = 6
"""Vectors of i that a score and a value may use: each doubles the formula."""
_LINE = re.compile(r"\s*([A-Za-z_]\w*)\s*\(\s*i\s*\)\s*=\s*(.+?)\s*$")
_ATTENTION = re.compile(r"(leftmost|rightmost)\s+j\s*\[([^,\]]*),(.*?)\](.*?):(.*)$")
_TOKEN = re.compile(r"\s*(?:(Q_.|[A-Za-z_]\w*)\s*\(\s*([ij])\s*\)|([01!&|()]))")
_MASKS = {"j<i": "<", "j<=i": "<=", "j>i": ">", "j>=i": ">=", "1": "all"}


def to_brasp(root: Formula) -> str:
    """A formula as a program.

    Args:
        root: without counting and lookups, which B-RASP has not.

    Raises:
        InputError: the formula counts, or looks up a place.
    """
    core = to_core(root)
    lines: list[str] = []
    name: dict[int, str] = {}

    def of(node: Node, at: str) -> str:
        if node.op in ("top", "bot"):
            return "1" if node.op == "top" else "0"
        if node.op == "not":
            return f"!{of(node.args[0], at)}"
        return f"{name[id(node)]}({at})"

    order = nodes(core)
    if any(node.op == "at" for node in order):
        raise InputError("B-RASP names no places: (at ...) has no program")
    for node in order:
        if node.op in ("le", "lt", "eq", "int", "cl", "cr", "call", "pos", "len", "+", "*"):
            raise InputError(f"B-RASP does not count: ({node.op} ...) has no program")
        if node.op in ("Q", "first", "last", "mod", "pred"):
            name[id(node)] = _vector(node)
            continue
        if node.op in ("top", "bot", "not"):
            continue
        if node.op in ("and", "or"):
            text = (" & " if node.op == "and" else " | ").join(of(child, "i") for child in node.args)
        else:
            f, g = node.args
            side, mask = ("rightmost", "j < i") if node.op == "S" else ("leftmost", "j > i")
            waits = "1" if f is BOT else of(g, "j") if f is TOP else f"!{of(f, 'j')} | {of(g, 'j')}"
            text = f"{side} j [ {mask}, {waits.replace('!!', '')} ] {of(g, 'j')} : 0"
        name[id(node)] = f"P{len(lines) + 1}"
        lines.append(f"{name[id(node)]}(i) = {text}")
    if id(core) not in name or core.op in ("Q", "first", "last", "mod", "pred"):
        lines.append(f"P{len(lines) + 1}(i) = {of(core, 'i')}")
    return "\n".join(lines) + "\n"


def from_brasp(program: str) -> Formula:
    """The formula of a program's last line.

    Args:
        program: lines as this module's description has them; empty ones and those that begin with # are skipped.

    Raises:
        InputError: a line does not read, a vector has no line before it, or a line uses more than six vectors of i in score and value.
    """
    known: dict[str, Formula] = {}
    found: Formula | None = None
    for number, line in enumerate(program.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise InputError(f"line {number}: not `name(i) = ...`: {line.strip()[:80]}")
        attention = _ATTENTION.match(match[2])
        if attention is None:
            found = _at(_Expression(match[2], number), known, {}, "i")
        else:
            found = _attention(attention, known, number)
        known[match[1]] = found
    if found is None:
        raise InputError("the program has no line")
    return found


@dataclass(frozen=True)
class _Atom:
    name: str
    place: str


class _Expression:
    """A Boolean expression in atoms name(i) and name(j); postfix."""

    def __init__(self, text: str, line: int) -> None:
        self.line = line
        self.postfix: list[_Atom | str] = []
        self._words = list(self._tokens(text))
        self._disjunction()
        if self._words:
            raise InputError(f"line {line}: {self._words[0]!r} where the expression should end")

    def atoms(self, place: str) -> list[str]:
        """Names that occur with this place."""
        return list(dict.fromkeys(a.name for a in self.postfix if isinstance(a, _Atom) and a.place == place))

    def _tokens(self, text: str) -> Iterator[_Atom | str]:
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise InputError(
                    f"line {self.line}: {text[at:].strip()[:40]!r} is no name(i), name(j), 0, 1, !, &, | or bracket"
                )
            yield _Atom(match[1], match[2]) if match[1] else match[3]
            at = match.end()

    def _joined(self, sign: str, part: Callable[[], None]) -> None:
        part()
        while self._words and self._words[0] == sign:
            self._words.pop(0)
            part()
            self.postfix.append(sign)

    def _disjunction(self) -> None:
        self._joined("|", lambda: self._joined("&", self._literal))

    def _literal(self) -> None:
        if not self._words:
            raise InputError(f"line {self.line}: the expression ends where a value should stand")
        word = self._words.pop(0)
        if word == "!":
            self._literal()
            self.postfix.append("!")
        elif word == "(":
            self._disjunction()
            if not self._words or self._words.pop(0) != ")":
                raise InputError(f"line {self.line}: a bracket is not closed")
        elif isinstance(word, _Atom) or word in ("0", "1"):
            self.postfix.append(word)
        else:
            raise InputError(f"line {self.line}: {word!r} where a value should stand")


def _at(expression: _Expression, known: dict[str, Formula], fixed: dict[str, bool], place: str) -> Formula:
    """An expression as a formula at `place`, the atoms of the other place having given values."""
    stack: list[Formula] = []
    for word in expression.postfix:
        if isinstance(word, _Atom):
            if word.place == place:
                stack.append(_known(word.name, known, expression.line))
            elif word.name in fixed:
                stack.append(TOP if fixed[word.name] else BOT)
            else:
                raise InputError(f"line {expression.line}: {word.name}({word.place}) has no meaning here")
        elif word in ("0", "1"):
            stack.append(TOP if word == "1" else BOT)
        elif word == "!":
            stack.append(~stack.pop())
        else:
            right, left = stack.pop(), stack.pop()
            stack.append(left & right if word == "&" else left | right)
    return stack[0]


def _attention(match: re.Match[str], known: dict[str, Formula], line: int) -> Formula:
    side = match[1]
    mask = _MASKS.get(match[2].replace(" ", ""))
    if mask is None:
        raise InputError(
            f"line {line}: the mask {match[2].strip()!r} is none of j < i, j <= i, j > i, j >= i, 1"
        )
    score, value, default = (_Expression(text, line) for text in match.groups()[2:])
    asked = list(dict.fromkeys([*score.atoms("i"), *value.atoms("i")]))
    if len(asked) > MOST_OF_I:
        raise InputError(f"line {line}: score and value use {len(asked)} vectors of i: {MOST_OF_I} at most")
    otherwise = _at(default, known, {}, "i")
    cases = []
    # A score of i and j is a score of j alone for each of the values that the vectors of i may have.
    for values in product((False, True), repeat=len(asked)):
        fixed = dict(zip(asked, values, strict=True))
        here = [
            _known(name, known, line) if holds else ~_known(name, known, line)
            for name, holds in fixed.items()
        ]
        looked_up = _lookup(
            side, mask, _at(score, known, fixed, "j"), _at(value, known, fixed, "j"), otherwise
        )
        cases.append(formula("and", *here, looked_up) if here else looked_up)
    return cases[0] if len(cases) == 1 else formula("or", *cases)


def _lookup(side: str, mask: str, score: Formula, value: Formula, default: Formula) -> Formula:
    """The value at the rightmost or leftmost j that mask and score let through."""
    past, future = mask in ("<", "<="), mask in (">", ">=")
    now = mask in ("<=", ">=")
    if mask == "all":  # the first one of all is the one that none comes before
        border = score & ~formula("P" if side == "leftmost" else "Fs", score)
        there = border & value
        found = formula("or", formula("O", there), formula("Fs", there))
        some = formula("or", formula("O", score), formula("Fs", score))
        return found | (~some & default)
    if (side == "rightmost") == past:  # the nearest one
        operator = ("Sn" if now else "S") if past else ("Un" if now else "U")
        found = formula(operator, ~score, score & value)
    else:  # the farthest one
        border = score & ~formula("P" if past else "Fs", score)
        operator = ("O" if now else "P") if past else ("F" if now else "Fs")
        found = formula(operator, border & value)
    seen = ("O" if now else "P") if past or not future else ("F" if now else "Fs")
    return found | (~formula(seen, score) & default)


def _vector(node: Node) -> str:
    if node.op == "mod":
        assert isinstance(node.value, tuple)
        return f"mod_{node.value[0]}_{node.value[1]}"
    return {"Q": f"Q_{node.value}", "pred": f"pred_{node.value}"}.get(node.op, node.op)


def _known(name: str, known: dict[str, Formula], line: int) -> Formula:
    if name in known:
        return known[name]
    if name.startswith("Q_"):
        return letter(name[2:])
    if name in ("first", "last"):
        return formula(name)
    if name.startswith("pred_"):
        return formula("pred", value=name[5:])
    match = re.fullmatch(r"mod_(\d+)_(\d+)", name)
    if match is None:
        raise InputError(f"line {line}: {name} has no line before this one")
    return formula("mod", value=(int(match[1]), int(match[2])))
