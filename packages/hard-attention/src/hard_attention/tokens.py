"""The words of a formula's text, with where each stands, and the error that points at one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from offprints.errors import InputError

LONGEST_TEXT = 10_000_000
_TOKEN = re.compile(
    r"""\s+|(?P<quote>'(?:\\.|[^\\'])')|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>\d+)"""
    r"""|(?P<sign><->|->|<=|>=|==|!=|&&|\|\||[-+*<>=!~&|(),])|(?P<other>.)""",
    re.DOTALL,
)


class FormulaError(InputError):
    """A formula's text does not read as it should; the message shows the line and points at the place.

    Attributes:
        position: of the character, from 0.
    """

    def __init__(self, text: str, position: int, reason: str) -> None:
        super().__init__(text, position, reason)
        self.text, self.position, self.reason = text, position, reason

    def __str__(self) -> str:
        line = self.text.count("\n", 0, self.position) + 1
        start = self.text.rfind("\n", 0, self.position) + 1
        end = self.text.find("\n", self.position)
        shown = self.text[start : end if end >= 0 else len(self.text)]
        column = self.position - start
        cut = max(0, column - 60)
        window = shown[cut : column + 40]
        return f"line {line}, column {column + 1}: {self.reason}\n    {window}\n    {' ' * (column - cut)}^"


@dataclass(frozen=True)
class Token:
    """A word of the text.

    Attributes:
        kind: quote, word, number, sign, other or end.
        text: the word; of a quote the letter in it.
        position: of its first character.
    """

    kind: str
    text: str
    position: int


def tokens(text: str) -> list[Token]:
    """Split a text; the last token has the kind "end".

    Raises:
        FormulaError: it is longer than 10 million characters.
    """
    if len(text) > LONGEST_TEXT:
        raise FormulaError(text[:80], 0, f"the text is longer than {LONGEST_TEXT:,} characters")
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind is None:
            continue
        word = match.group()
        if kind == "quote":
            word = word[1:-1][-1]
        found.append(Token(kind, word, match.start()))
    found.append(Token("end", "", len(text)))
    return found
