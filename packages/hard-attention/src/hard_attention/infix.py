"""The infix syntax: `H(!a | Y b)`, `a S (b & !c)`, `cl(a) - cl(b) <= 2`.

From the loosest to the tightest: `<->`, `->` (to the right), `|`, `&`, `S U Sn Un` (to the right), comparisons, `+ -`, `*`, and what
stands before one argument: `! Y X P O H Fs F G`. A small letter alone is that letter; any other is quoted: `'A'`. `at(len + 1 - pos, a)`
has a place and a formula.
"""

from __future__ import annotations

from dataclasses import dataclass

from offprints.errors import InputError

from hard_attention.formulas import (
    COUNTS,
    LOOKUPS,
    PLACES,
    TERM_PLACES,
    Formula,
    Node,
    Term,
    formula,
    integer,
    letter,
    term,
)
from hard_attention.tokens import FormulaError, Token, tokens

_BINDING = {
    "<->": 1, "->": 2, "|": 3, "||": 3, "or": 3, "&": 4, "&&": 4, "and": 4,
    "S": 5, "U": 5, "Sn": 5, "Un": 5,
    "<=": 6, "<": 6, ">=": 6, ">": 6, "==": 6, "=": 6, "!=": 6,
    "+": 7, "-": 7, "*": 8,
}  # fmt: skip
_TO_THE_RIGHT = {"->", "S", "U", "Sn", "Un"}
_BEFORE = {"!": "not", "~": "not", "not": "not"} | {
    op: op for op in ("Y", "X", "P", "O", "H", "Fs", "F", "G")
}
_TIGHTEST = 9


@dataclass(frozen=True)
class _Pending:
    """An operator or an open bracket that waits for what follows."""

    word: Token
    binding: int
    call: str | None = None


def parse_infix(text: str) -> Formula:
    """Read a formula of the infix syntax.

    Raises:
        FormulaError: it does not read.
    """
    reader = _Reader(text)
    return reader.formula()


class _Reader:
    """Operator precedence with explicit stacks of operands and of pending operators."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = tokens(text)
        self.operands: list[Node] = []
        self.pending: list[_Pending] = []

    def formula(self) -> Formula:
        at, operand_next = 0, True
        while True:
            word = self.words[at]
            if operand_next:
                at, operand_next = self._operand(at)
            elif word.text == ")" and word.kind == "sign":
                self._close(word)
                at += 1
            elif word.text == "," and word.kind == "sign":
                self._comma(word)
                at, operand_next = at + 1, True
            elif word.kind != "quote" and word.text in _BINDING:
                binding = _BINDING[word.text]
                self._reduce(binding + (word.text in _TO_THE_RIGHT))
                self.pending.append(_Pending(word, binding))
                at, operand_next = at + 1, True
            elif word.kind == "end":
                break
            else:
                raise FormulaError(self.text, word.position, f"{word.text!r} stands where an operator should")
        self._reduce(0)
        if self.pending:
            raise FormulaError(self.text, self.pending[-1].word.position, "this bracket is not closed")
        return self._as_formula(self.operands.pop(), self.words[0])

    def _operand(self, at: int) -> tuple[int, bool]:
        """Read what begins an operand; whether one more is needed after it."""
        word, following = self.words[at], self.words[at + 1 : at + 2]
        opens = bool(following) and following[0].kind == "sign" and following[0].text == "("
        if word.kind == "quote":
            self.operands.append(letter(word.text))
        elif word.text in _BEFORE:
            self.pending.append(_Pending(word, _TIGHTEST))
            return at + 1, True
        elif word.text == "-":
            self.pending.append(_Pending(Token("sign", "negative", word.position), _TIGHTEST))
            return at + 1, True
        elif word.text == "(" and word.kind == "sign":
            self.pending.append(_Pending(word, -1))
            return at + 1, True
        elif word.text in (*COUNTS, *LOOKUPS) and opens:
            self.pending.append(_Pending(word, -1, call=word.text))
            return at + 2, True
        elif word.text in ("mod", "pred") and opens:
            return self._literal(at), False
        elif word.kind == "number":
            self.operands.append(self._made(word, lambda: integer(self._whole(word))))
        elif word.text in ("true", "false", "top", "bot"):
            self.operands.append(formula("top" if word.text in ("true", "top") else "bot"))
        elif word.text in PLACES:
            self.operands.append(formula(word.text))
        elif word.text in TERM_PLACES:
            self.operands.append(term(word.text))
        elif word.kind == "word" and len(word.text) == 1 and word.text.islower():
            self.operands.append(letter(word.text))
        elif word.kind == "end":
            raise FormulaError(self.text, word.position, "the formula ends where an operand should stand")
        else:
            hint = "; a letter that is not a-z is quoted" if len(word.text) == 1 else ""
            raise FormulaError(
                self.text, word.position, f"{word.text!r} stands where an operand should{hint}"
            )
        return at + 1, False

    def _literal(self, at: int) -> int:
        """mod(r, m) and pred(name): the index behind it."""
        head = self.words[at]
        end = at + 2
        while self.words[end].text != ")" and self.words[end].kind != "end":
            end += 1
        inside = self.words[at + 2 : end]
        if self.words[end].kind == "end":
            raise FormulaError(self.text, head.position, f"{head.text}( is not closed")
        if head.text == "pred":
            if len(inside) != 1 or inside[0].kind != "word":
                raise FormulaError(self.text, head.position, "pred(name) needs one name")
            self.operands.append(formula("pred", value=inside[0].text))
            return end + 1
        if [word.kind for word in inside] != ["number", "sign", "number"] or inside[1].text != ",":
            raise FormulaError(self.text, head.position, "mod(r, m) needs two numbers")
        r, m = self._whole(inside[0]), self._whole(inside[2])
        self.operands.append(self._made(head, lambda: formula("mod", value=(r, m))))
        return end + 1

    def _close(self, word: Token) -> None:
        self._reduce(0)
        if not self.pending:
            raise FormulaError(self.text, word.position, "this bracket closes nothing")
        opened = self.pending.pop()
        if opened.call == "at":
            raise FormulaError(self.text, opened.word.position, "at(place, formula) needs both")
        if opened.call == "at,":
            looked_at = self._as_formula(self.operands.pop(), opened.word)
            place = self._as_term(self.operands.pop(), opened.word)
            self.operands.append(self._made(opened.word, lambda: formula("at", place, looked_at)))
        elif opened.call is not None:
            inside = self._as_formula(self.operands.pop(), opened.word)
            self.operands.append(term(opened.call, inside))

    def _comma(self, word: Token) -> None:
        """The end of a lookup's place; what is open then waits for its formula."""
        self._reduce(0)
        if not self.pending or self.pending[-1].call != "at":
            raise FormulaError(self.text, word.position, "',' stands where an operator should")
        self.pending[-1] = _Pending(self.pending[-1].word, -1, call="at,")

    def _reduce(self, binding: int) -> None:
        """Apply what is pending and binds at least as tightly."""
        while self.pending and self.pending[-1].binding >= max(binding, 0):
            self._apply(self.pending.pop().word)

    def _apply(self, word: Token) -> None:
        op = word.text
        right = self.operands.pop()
        if op in _BEFORE:
            self.operands.append(formula(_BEFORE[op], self._as_formula(right, word)))
            return
        if op == "negative":
            number = right.value if right.op == "int" else None
            negative = integer(-number) if isinstance(number, int) else -1 * self._as_term(right, word)
            self.operands.append(negative)
            return
        left = self.operands.pop()
        self.operands.append(self._made(word, lambda: self._joined(word, left, right)))

    def _joined(self, word: Token, left: Node, right: Node) -> Node:
        op = word.text
        if op in ("+", "-", "*", "<=", "<", ">=", ">", "==", "=", "!="):
            if op in ("==", "=", "!=") and isinstance(left, Formula) and isinstance(right, Formula):
                raise FormulaError(
                    self.text, word.position, f"{op} compares terms; formulas are joined by <->"
                )
            return self._of_terms(word, self._as_term(left, word), self._as_term(right, word))
        f, g = self._as_formula(left, word), self._as_formula(right, word)
        if op in ("&", "&&", "and"):
            return f & g
        if op in ("|", "||", "or"):
            return f | g
        if op == "->":
            return ~f | g
        if op == "<->":
            return (f & g) | (~f & ~g)
        return formula(op, f, g)

    def _of_terms(self, word: Token, t: Term, u: Term) -> Node:
        op = word.text
        if op == "+":
            return t + u
        if op == "-":
            return t - u
        if op == "*":
            for factor, other in ((t, u), (u, t)):
                if isinstance(factor.value, int) and factor.op == "int":
                    return factor.value * other
            raise FormulaError(self.text, word.position, "one side of * must be a number")
        if op in (">=", ">"):
            t, u = u, t
        if op == "!=":
            return ~formula("eq", t, u)
        return formula({"<": "lt", ">": "lt", "==": "eq", "=": "eq"}.get(op, "le"), t, u)

    def _as_formula(self, node: Node, word: Token) -> Formula:
        if not isinstance(node, Formula):
            raise FormulaError(self.text, word.position, "this needs a formula, and gets a term")
        return node

    def _as_term(self, node: Node, word: Token) -> Term:
        if not isinstance(node, Term):
            raise FormulaError(self.text, word.position, "this needs a term, and gets a formula")
        return node

    def _whole(self, word: Token) -> int:
        if len(word.text) > 12:
            raise FormulaError(self.text, word.position, "this number is too large")
        return int(word.text)

    def _made(self, word: Token, make: object) -> Node:
        """What `make` returns, its error pointing at the word."""
        assert callable(make)
        try:
            node: Node = make()
        except FormulaError:
            raise
        except InputError as error:
            raise FormulaError(self.text, word.position, str(error)) from None
        return node
