"""Rules of soft logic, as people write them:

    competeswith(A, B) & competeswith(B, C) -> competeswith(A, C)
    0.5: "has official language"(T, L) & lies_in(T, 'area:Europe') -> uses_language(T, L)

A rule may begin with its weight and a colon, 1 without one. The body is one atom or several, joined by `&`; the head is one atom.
An atom is a relation with two arguments. Names of relations stand as they are, or in double quotes when they have blanks or
brackets; variables are words; an entity stands in single quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from offprints.errors import InputError

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<arrow>->|→|=>)
    | (?P<conjunction>&&?|∧)
    | (?P<negation>[!~¬])
    | (?P<bracket>[(),])
    | "(?P<quoted>[^"]*)"
    | '(?P<entity>[^']*)'
    | (?P<word>(?:[^\s()&,"'∧→¬!~=-]|-(?!>)|=(?!>))+)
    )""",
    re.VERBOSE,
)
_WEIGHT = re.compile(r"\s*(?P<weight>[^\s:]+)\s*:\s")
_VARIABLE = re.compile(r"[^\W\d]\w*")


class RuleError(InputError):
    """A rule does not read as one.

    Attributes:
        text: the rule.
        column: where it is wrong, counted from 1.
    """

    def __init__(self, text: str, column: int, reason: str) -> None:
        super().__init__(text, column, reason)
        self.text = text
        self.column = column
        self.reason = reason

    def __str__(self) -> str:
        return f"rule {self.text!r}, column {self.column}: {self.reason}"


@dataclass(frozen=True)
class Variable:
    """A place that any entity may take."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Constant:
    """One entity."""

    name: str

    def __str__(self) -> str:
        return f"'{self.name}'"


Term = Variable | Constant


@dataclass(frozen=True)
class Atom:
    """relation(head, tail)."""

    relation: str
    head: Term
    tail: Term

    def __str__(self) -> str:
        plain = _TOKEN.fullmatch(self.relation)
        name = self.relation if plain and plain["word"] == self.relation else f'"{self.relation}"'
        return f"{name}({self.head}, {self.tail})"

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of its variables, each once."""
        return tuple(
            dict.fromkeys(term.name for term in (self.head, self.tail) if isinstance(term, Variable))
        )


@dataclass(frozen=True)
class Rule:
    """body → head with a weight; `str` gives the text that `parse_rule` reads."""

    body: tuple[Atom, ...]
    head: Atom
    weight: float = 1.0

    def __str__(self) -> str:
        weight = "" if self.weight == 1 else f"{self.weight:g}: "
        return f"{weight}{' & '.join(map(str, self.body))} -> {self.head}"


def parse_rule(text: str) -> Rule:
    """Read a rule; see the module for how one is written.

    Raises:
        RuleError: with the column and what was expected there.
    """
    return _Parser(text).rule()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.weight, start = self._weight()
        self.tokens = list(self._tokens(start))
        self.place = 0

    def rule(self) -> Rule:
        body = [self._atom()]
        while self._take("conjunction"):
            body.append(self._atom())
        if not self._take("arrow"):
            raise self._error("expected '&' or '->'")
        column = self._column()
        head = self._atom()
        if self.place < len(self.tokens):
            raise self._error("expected the end: a head is one atom")
        bound = {name for atom in body for name in atom.variables}
        for name in head.variables:
            if name not in bound:
                raise RuleError(self.text, column, f"variable {name} of the head is not in the body")
        return Rule(tuple(body), head, self.weight)

    def _weight(self) -> tuple[float, int]:
        found = _WEIGHT.match(self.text)
        if not found:
            return 1.0, 0
        try:
            weight = float(found["weight"])
        except ValueError:
            weight = float("nan")
        if not 0 <= weight < float("inf"):
            raise RuleError(
                self.text,
                found.start("weight") + 1,
                f"weight {found['weight']!r} is not a number of 0 or more",
            )
        return weight, found.end()

    def _tokens(self, start: int) -> Iterator[tuple[str, str, int]]:
        end = len(self.text.rstrip())
        while start < end:
            found = _TOKEN.match(self.text, start)
            if found is None or found.lastgroup is None:
                start += len(self.text[start:]) - len(self.text[start:].lstrip())
                raise RuleError(self.text, start + 1, f"cannot read {self.text[start:].strip()[:10]!r}")
            kind = found.lastgroup
            yield kind, found[kind], found.start(kind)
            start = found.end()

    def _atom(self) -> Atom:
        if self._take("negation"):
            self.place -= 1
            raise self._error(
                "a negated atom cannot be grounded on what is observed; write the rule without it"
            )
        relation = self._take("word") or self._take("quoted")
        if not relation:
            raise self._error("expected the name of a relation")
        self._expect("(")
        head = self._term()
        self._expect(",")
        tail = self._term()
        self._expect(")")
        return Atom(relation, head, tail)

    def _term(self) -> Term:
        if entity := self._take("entity"):
            return Constant(entity)
        word = self._take("word")
        if word is None or not _VARIABLE.fullmatch(word):
            if word is not None:
                self.place -= 1
            raise self._error("expected a variable, or an entity in single quotes")
        return Variable(word)

    def _take(self, kind: str) -> str | None:
        if self.place < len(self.tokens) and self.tokens[self.place][0] == kind:
            self.place += 1
            return self.tokens[self.place - 1][1]
        return None

    def _expect(self, bracket: str) -> None:
        if self.place >= len(self.tokens) or self.tokens[self.place][:2] != ("bracket", bracket):
            raise self._error(f"expected {bracket!r}: an atom is relation(first, second)")
        self.place += 1

    def _column(self) -> int:
        if self.place < len(self.tokens):
            return self.tokens[self.place][2] + 1
        return len(self.text.rstrip()) + 1

    def _error(self, reason: str) -> RuleError:
        return RuleError(self.text, self._column(), reason)
