"""What a transformer is compiled from: columns of the residual stream, and layers of heads, roundings and gates.

Every Boolean column holds exactly 0 or 1, and 0 at the beginning-of-string sign; a negated one is read as `here - column`, so that
negation costs nothing and is 0 there too. Numbers of a count stand in columns of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from hard_attention.alphabet import Alphabet
from hard_attention.formulas import Formula
from hard_attention.linear import Linear
from hard_attention.positions import HERE

Affine: TypeAlias = tuple[tuple[int, float], ...]
"""Sum of coefficient times column."""

MASKS = ("before", "after", "up to", "from", "all")
"""Which positions j a query i sees: j < i, j > i, j <= i, j >= i, all; and the sink, position 0, always."""


@dataclass(frozen=True)
class Literal:
    """A Boolean column, or its negation.

    Attributes:
        column: the column.
        positive: false for the negation.
    """

    column: int
    positive: bool = True

    def __invert__(self) -> Literal:
        return Literal(self.column, not self.positive)


@dataclass(frozen=True)
class Ready:
    """A truth value in the residual stream.

    Attributes:
        literal: where.
        layer: how many layers must have run.
    """

    literal: Literal
    layer: int


@dataclass(frozen=True)
class Head:
    """An attention head with one value.

    Attributes:
        kind: nearest (S and U), lookup (of a place), count (uniform), sign (of a count), compare (counts of several denominators).
        mask: one of `MASKS`.
        query: d forms over the columns at i.
        key: d forms over the columns at j.
        value: a form over the columns at j.
        column: where the output is written.
        formula: what it computes, for tables.
        linear: of count, sign and compare: the comparison.
        largest: of count, sign and compare: bounds of its numbers that certificates need.
    """

    kind: str
    mask: str
    query: tuple[Affine, ...]
    key: tuple[Affine, ...]
    value: Affine
    column: int
    formula: Formula
    linear: Linear | None = None
    largest: tuple[float, ...] = ()


@dataclass(frozen=True)
class Gate:
    """The conjunction of literals, written to a column: relu(sum - (k - 1))."""

    inputs: tuple[Literal, ...]
    column: int


@dataclass(frozen=True)
class Rounding:
    """A raw output of a head, rounded to exactly 0 or 1: relu(2x - 1/2) - relu(2x - 3/2)."""

    raw: int
    column: int


@dataclass
class LayerPlan:
    """One layer: heads side by side, then a feed-forward network of roundings and gates."""

    heads: list[Head] = field(default_factory=list)
    roundings: list[Rounding] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)


@dataclass(frozen=True)
class Program:
    """A formula, ready to be written into weights.

    Attributes:
        formula: as the user gave it.
        core: the equivalent formula that was compiled.
        alphabet: the letters.
        columns: a name for each column of the residual stream: letters, positions, then what the layers write.
        positions: names of the position columns; they follow the letters.
        layers: from the first to the last.
        readout: the literal of the whole formula.
        step: of the ladder.
        bounded: temperature mode.
        normed: layer norm before each block.
    """

    formula: Formula
    core: Formula
    alphabet: Alphabet
    columns: tuple[str, ...]
    positions: tuple[str, ...]
    layers: tuple[LayerPlan, ...]
    readout: Literal
    step: float
    bounded: bool
    normed: bool = False

    @property
    def heads(self) -> list[Head]:
        """All heads, from the first layer to the last."""
        return [head for layer in self.layers for head in layer.heads]

    def literal(self, literal: Literal) -> Affine:
        """A literal as a form: 0 at the beginning-of-string sign either way."""
        here = self.columns.index(HERE)
        return affine(literal, here)


def affine(literal: Literal, here: int) -> Affine:
    """`column`, or `here - column`: nothing, where the column is `here` itself."""
    if literal == Literal(here, False):
        return ()
    return ((literal.column, 1.0),) if literal.positive else ((here, 1.0), (literal.column, -1.0))
