"""Heads and gates as weights: ordinary linear layers that read some columns of the residual stream and write some.

A layer of a published transformer has square matrices, nearly all of whose entries would be 0 here. A block keeps the rows that are
not; a wide layer is several blocks, so that ten thousand gates do not make a matrix of a hundred million entries.
`attention_matrices` and `feed_forward_matrices` give the square ones.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from offprints.errors import InputError

from hard_attention.attention import Kernel, Masks
from hard_attention.norms import PairNorm, booleans
from hard_attention.program import Affine, Gate, Head, Program, Rounding

HEADS, UNITS = 64, 128


class AttentionBlock(nn.Module):
    """Heads with the same number of dimensions; each writes one column.

    Args:
        heads: 1 or more, whose columns follow one another.
        normed: columns of truth values that go through a layer norm; none without one.

    Attributes:
        project: linear, (read) -> (heads * d + heads * d + heads): queries, keys and values.
        read: (read,) the columns that it reads.
        norm: layer norm of the Boolean ones among them; None without.
        masks: the mask of each head.
        kinds: the kind of each head.
    """

    read: Tensor

    def __init__(self, heads: Sequence[Head], normed: Collection[int] = ()) -> None:
        super().__init__()
        self.masks = tuple(head.mask for head in heads)
        self.kinds = tuple(head.kind for head in heads)
        self.dims = len(heads[0].query)
        self.start, self.stop = heads[0].column, heads[-1].column + 1
        queries = [form for head in heads for form in head.query]
        keys = [form for head in heads for form in head.key]
        values = [head.value for head in heads]
        columns = _read(queries + keys + values)
        self.register_buffer("read", torch.tensor(columns), persistent=False)
        self.norm = _norm(columns, normed)
        self.project = _linear([*queries, *keys, *values], columns, norm=self.norm)
        self.sizes = (len(queries), len(keys), len(values))

    @property
    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of queries and keys (heads * d, read) and of values (heads, read): parts of the projection's weight."""
        query, key, value = self.project.weight.split(self.sizes)
        return query, key, value

    def forward(
        self, x: Tensor, beta: Tensor, masks: Masks, kernel: Kernel, asking: Tensor | None = None
    ) -> Tensor:
        """(B, n + 1, width) -> (B, n + 1, heads), to be added to columns start..stop-1.

        Args:
            x: the residual stream.
            beta: (B,) inverse temperatures.
            masks: of the heads.
            kernel: how attention is evaluated.
            asking: the rows that ask, (B, queries, width), for a kernel that takes fewer than all; None is `x`.
        """

        def split(flat: Tensor, dims: int) -> Tensor:
            return flat.view(*flat.shape[:2], len(self.masks), dims).transpose(1, 2)  # (B, heads, n + 1, d)

        query, key, value = self.project(_seen(x, self)).split(self.sizes, -1)
        if asking is not None:
            query, _, _ = self.project(_seen(asking, self)).split(self.sizes, -1)
        query = split(query, self.dims) * beta[:, None, None, None]
        mixed = kernel(query, split(key, self.dims), split(value, 1), masks)
        return mixed.squeeze(-1).transpose(1, 2)


class FeedForwardBlock(nn.Module):
    """Roundings and gates: `W2 relu(W1 x + b1)`.

    Args:
        items: roundings and gates, whose columns follow one another.
        program: to read negated literals.

    Attributes:
        hidden: linear, (read) -> (hidden units).
        output: linear without bias, (hidden units) -> (columns written).
        read: (read,) the columns that it reads.
        norm: layer norm of the Boolean ones among them; None without.
    """

    read: Tensor

    def __init__(self, items: Sequence[Rounding | Gate], program: Program) -> None:
        super().__init__()
        self.start, self.stop = items[0].column, items[-1].column + 1
        units: list[Affine] = []
        bias: list[float] = []
        output: list[list[float]] = []
        for item in items:
            if isinstance(item, Rounding):
                units += [((item.raw, 2.0),)] * 2
                bias += [-0.5, -1.5]
                output.append([1.0, -1.0])
            else:
                sums: dict[int, float] = {}
                for literal in item.inputs:
                    for column, factor in program.literal(literal):
                        sums[column] = sums.get(column, 0.0) + factor
                units.append(tuple(sums.items()))
                bias.append(1.0 - len(item.inputs))
                output.append([1.0])
        columns = _read(units)
        self.register_buffer("read", torch.tensor(columns), persistent=False)
        self.norm = _norm(columns, booleans(program.columns) if program.normed else ())
        self.hidden = _linear(units, columns, bias, self.norm)
        factors = iter(range(len(units)))
        written = [tuple((next(factors), factor) for factor in row) for row in output]
        self.output = _linear(written, range(len(units)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, n + 1, width) -> (B, n + 1, columns), to be added to columns start..stop-1."""
        written: Tensor = self.output(torch.relu(self.hidden(_seen(x, self))))
        return written


def attention_blocks(heads: Sequence[Head], program: Program) -> list[AttentionBlock]:
    """Heads in blocks of 64 and of equal dimensions."""
    normed = booleans(program.columns) if program.normed else frozenset[int]()
    blocks: list[list[Head]] = []
    for head in heads:
        if not blocks or len(blocks[-1]) == HEADS or len(blocks[-1][0].query) != len(head.query):
            blocks.append([])
        blocks[-1].append(head)
    return [AttentionBlock(block, normed) for block in blocks]


def feed_forward_blocks(items: Sequence[Rounding | Gate], program: Program) -> list[FeedForwardBlock]:
    """Roundings and gates in blocks of 128."""
    return [FeedForwardBlock(items[at : at + UNITS], program) for at in range(0, len(items), UNITS)]


def attention_matrices(block: AttentionBlock, head: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Wq and Wk (d, width) and Wv (width, width) of a head, as papers write them.

    Args:
        block: where the head is.
        head: its number in the block.
        width: of the residual stream.

    Raises:
        InputError: there is a layer norm between the stream and the weights.
    """
    _require_plain(block)
    rows = slice(head * block.dims, (head + 1) * block.dims)
    of_query, of_key, of_value = block.weights
    query, key = (_widened(weight[rows], block.read, width) for weight in (of_query, of_key))
    value = torch.zeros(width, width, dtype=query.dtype)
    value[block.start + head] = _widened(of_value[head : head + 1], block.read, width)[0]
    return query, key, value


def feed_forward_matrices(block: FeedForwardBlock, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """W1 (units, width), b1 (units,) and W2 (width, units) of a block, as papers write them.

    Raises:
        InputError: there is a layer norm between the stream and the weights.
    """
    _require_plain(block)
    first = _widened(block.hidden.weight, block.read, width)
    second = torch.zeros(width, len(first), dtype=first.dtype)
    second[block.start : block.stop] = block.output.weight.detach()
    return first, block.hidden.bias.detach(), second


def _require_plain(block: AttentionBlock | FeedForwardBlock) -> None:
    if block.norm is not None:
        raise InputError(
            "these weights are on normalised pairs of truth values, and not on the residual stream"
        )


def _norm(columns: Sequence[int], normed: Collection[int]) -> PairNorm | None:
    return PairNorm(columns, normed) if any(column in normed for column in columns) else None


def _seen(x: Tensor, block: AttentionBlock | FeedForwardBlock) -> Tensor:
    """What a block's weights are on."""
    read = x.index_select(-1, block.read)
    if block.norm is None:
        return read
    normed: Tensor = block.norm(read)
    return normed


def _widened(weight: Tensor, read: Tensor, width: int) -> Tensor:
    wide = torch.zeros(len(weight), width, dtype=weight.dtype)
    wide[:, read] = weight.detach()
    return wide


def _read(forms: Sequence[Affine]) -> list[int]:
    return sorted({column for form in forms for column, _ in form}) or [0]


class _Written(nn.Linear):
    """A linear layer with given weights: to draw random ones first would be most of a compilation."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = weight.shape
        self.weight = nn.Parameter(weight)
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias))


def _linear(
    forms: Sequence[Affine],
    columns: Sequence[int],
    bias: list[float] | None = None,
    norm: PairNorm | None = None,
) -> nn.Linear:
    """A linear layer whose rows are the forms, on columns or on what a norm makes of them."""
    at = {column: number for number, column in enumerate(columns)}
    weight = np.zeros((len(forms), len(columns)))
    for row, form in enumerate(forms):
        for column, factor in form:
            weight[row, at[column]] = factor
    shift = None if bias is None else torch.tensor(bias, dtype=torch.float64)
    if norm is not None:
        return _Written(*norm.through(torch.from_numpy(weight), shift))
    return _Written(torch.from_numpy(weight), shift)
