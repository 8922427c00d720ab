"""Text to formula: the prefix syntax `(S (Q a) (Q b))` and the infix syntax `a S b`.

Both parsers keep their own stack, so that no text can exhaust Python's, and every error points at a character.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from offprints.errors import InputError

from hard_attention.formulas import (
    BINARY,
    COMPARISONS,
    CONSTANTS,
    COUNTS,
    JUNCTIONS,
    LOOKUPS,
    PLACES,
    TERM_PLACES,
    UNARY,
    Formula,
    Node,
    Term,
    formula,
    integer,
    letter,
    term,
)
from hard_attention.infix import parse_infix
from hard_attention.tokens import FormulaError, Token, tokens

__all__ = ["FormulaError", "parse", "parse_infix", "parse_prefix"]

_FORMULA_OPS = {
    *CONSTANTS,
    *PLACES,
    *UNARY,
    *BINARY,
    *JUNCTIONS,
    *COMPARISONS,
    *LOOKUPS,
    "Q",
    "mod",
    "pred",
}
_JOINING = {*BINARY, *JUNCTIONS, *COMPARISONS, "+", "*"}
_UNMISTAKABLE = {"Q", "mod", "pred"}
_TERM_OPS = {*COUNTS, *TERM_PLACES, "+", "*"}


def parse(text: str, syntax: str = "auto") -> Formula:
    """Read a formula.

    Args:
        text: of the formula.
        syntax: prefix, infix, or auto: the one that the text is in.

    Returns:
        The formula; `str` of it is the prefix form, which reads back to the same object.

    Raises:
        FormulaError: it does not read; says where and why.
        InputError: there is no such syntax.
    """
    if syntax not in ("auto", "prefix", "infix"):
        raise InputError(f"syntax={syntax!r} is unknown: auto, prefix or infix")
    if syntax == "infix":
        return parse_infix(text)
    if syntax == "prefix" or _is_prefix(tokens(text)):
        return parse_prefix(text)
    try:
        return parse_prefix(text)  # such as (first), which both syntaxes read
    except FormulaError:
        return parse_infix(text)


def _is_prefix(words: list[Token]) -> bool:
    """Whether a bracket is followed by what no infix text has there."""
    for bracket, op, behind in zip(words, words[1:], words[2:], strict=False):
        opens = bracket.kind == "sign" and bracket.text == "(" and op.kind in ("word", "sign")
        if opens and (op.text in _JOINING or (op.text in _UNMISTAKABLE and behind.text != "(")):
            return True
    return False


@dataclass
class _Open:
    """A bracket that is not closed yet."""

    op: Token
    args: list[Node] = field(default_factory=list)
    words: list[Token] = field(default_factory=list)
    sign: bool = False


def parse_prefix(text: str) -> Formula:
    """Read a formula of the form `(op args ...)`; the names of the operators stand in the package's README.

    Raises:
        FormulaError: it does not read.
    """
    words = tokens(text)
    stack: list[_Open] = []
    at = 0
    while True:
        word = words[at]
        node: Node | None = None
        if word.text == "(" and word.kind == "sign":
            op = words[at + 1]
            if op.text not in _FORMULA_OPS | _TERM_OPS:
                raise FormulaError(text, op.position, f"{op.text!r} is no operator of the prefix syntax")
            stack.append(_Open(op))
            at += 2
            continue
        if word.text == ")" and word.kind == "sign":
            if not stack:
                raise FormulaError(text, word.position, "this bracket closes nothing")
            node = _built(text, stack.pop())
        elif word.kind == "end":
            reason = f"({stack[-1].op.text} is not closed" if stack else "there is no formula"
            raise FormulaError(text, word.position, reason)
        elif stack and _takes_word(stack[-1]):
            stack[-1].words.append(word)
        elif word.text in CONSTANTS:
            node = formula(word.text)
        elif word.kind == "number" or (word.text == "-" and words[at + 1].kind == "number"):
            at += word.text == "-"
            node = _number(text, words[at], negative=word.text == "-")
        else:
            raise FormulaError(text, word.position, f"{word.text!r} stands where a formula should")
        at += 1
        if node is None:
            continue
        if stack:
            stack[-1].args.append(node)
            continue
        if words[at].kind != "end":
            raise FormulaError(text, words[at].position, "the formula has ended before this")
        if not isinstance(node, Formula):
            raise FormulaError(text, words[0].position, "this is a term; a formula compares terms")
        return node


def _takes_word(open_: _Open) -> bool:
    """Whether the next word is a value and not an argument."""
    wanted = {"Q": 1, "pred": 1, "mod": 2, "*": 1}.get(open_.op.text, 0)
    plain = [word for word in open_.words if word.text != "-"]
    return len(plain) < wanted


def _built(text: str, open_: _Open) -> Node:
    op, args, place = open_.op.text, tuple(open_.args), open_.op.position
    words = open_.words
    try:
        if op == "Q":
            if len(words) != 1:
                raise FormulaError(text, place, "(Q a) needs one letter")
            return letter(words[0].text)
        if op == "pred":
            if len(words) != 1:
                raise FormulaError(text, place, "(pred name) needs one name")
            return formula("pred", *args, value=words[0].text)
        if op == "mod":
            r, m = _numbers(text, words, 2, place)
            return formula("mod", *args, value=(r, m))
        if op == "*":
            (factor,) = _numbers(text, words, 1, place)
            return term("*", *args, value=factor)
        if op in _TERM_OPS:
            return term(op, *args)
        return formula(op, *args)
    except FormulaError:
        raise
    except InputError as error:
        raise FormulaError(text, place, str(error)) from None


def _numbers(text: str, words: list[Token], wanted: int, place: int) -> list[int]:
    found: list[int] = []
    negative = False
    for word in words:
        if word.text == "-":
            negative = True
            continue
        number = _number(text, word, negative)
        assert isinstance(number.value, int)
        found.append(number.value)
        negative = False
    if len(found) != wanted:
        raise FormulaError(text, place, f"{wanted} number{'s' * (wanted > 1)} needed here")
    return found


def _number(text: str, word: Token, negative: bool) -> Term:
    if word.kind != "number":
        raise FormulaError(text, word.position, f"{word.text!r} is not a whole number")
    if len(word.text) > 12:
        raise FormulaError(text, word.position, "this number is too large")
    try:
        return integer(-int(word.text) if negative else int(word.text))
    except InputError as error:
        raise FormulaError(text, word.position, str(error)) from None
