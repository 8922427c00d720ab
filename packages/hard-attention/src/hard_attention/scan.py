"""The same softmax in time linear in the length: what each head's weights allow to be summed along the string.

A nearest head's score is `rung_j` or `rung_j - rung_i`, by whether the key is to be looked past: two running sums, whose terms only
grow. A lookup's digits name the one key whose weight is not below exp(-64) of the largest, which no sum in float64 notices. A count's or a sign's keys are zero but for the sink's: one running sum. A comparison's scores are an arithmetic progression.
The columns, the linear layers and the numbers are those of the module; only the order of the sums is another, and what depends on the
position alone is taken once for each length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from offprints.errors import InputError

from hard_attention.blocks import AttentionBlock, FeedForwardBlock
from hard_attention.places import APART, DIGITS, digits, read_digits
from hard_attention.program import MASKS
from hard_attention.scan_kernels import evaluate

if TYPE_CHECKING:
    from hard_attention.transformer import FormulaTransformer

_KINDS = ("nearest", "count", "sign", "compare", "lookup")
_DIMS = 5
TABLE = 2**20
"""Entries of a position column, over all lengths of a batch, that are held at once."""
Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Scanned:
    """What a scan found.

    Attributes:
        values: (B, n) of the readout.
        raw: (B, heads, n + 1) what heads wrote before it was rounded; (0, heads, n + 1) if it was not asked for.
    """

    values: torch.Tensor
    raw: torch.Tensor


@dataclass(frozen=True)
class Weights:
    """The module's weights without their zeros.

    Attributes:
        start: forms of (column, factor): form f is the entries start[f]..start[f + 1]-1.
        column: of each entry.
        factor: of each entry.
        heads: (heads, 4): kind, mask, column written, and of lookups the number among them.
        lookups: for each lookup its rows of query and key weights, (5, positions) each, over the position columns.
        head_forms: (heads, 11): queries, keys and value as forms; -1 for none.
        layer_heads: (layers + 1,) where the heads of a layer begin.
        units: (units,) form of each hidden unit.
        bias: (units,).
        layer_units: (layers + 1,) where the units of a layer begin.
        outputs: (outputs, 2): form over the layer's units, and the column that it is added to.
        layer_outputs: (layers + 1,) where the outputs of a layer begin.
        readout: the form of the readout.
        width: of the residual stream.
    """

    start: Ints
    column: Ints
    factor: Floats
    heads: Ints
    lookups: tuple[tuple[Floats, Floats], ...]
    head_forms: Ints
    layer_heads: Ints
    units: Ints
    bias: Floats
    layer_units: Ints
    outputs: Ints
    layer_outputs: Ints
    readout: int
    width: int


def scan(model: FormulaTransformer, ids: torch.Tensor, lengths: torch.Tensor, raw: bool = False) -> Scanned:
    """Evaluate a transformer by scans.

    Args:
        model: with weights in float32 or float64, on the CPU; trained weights are used as they are.
        ids: (B, n) int64.
        lengths: (B,) int64; strings of one length are evaluated side by side.
        raw: keep what heads wrote, too.

    Raises:
        InputError: the weights are of 16 bits or on a GPU, there is a layer norm, or training has moved them where the sums no longer apply.
    """
    dtype = model.letters.weight.dtype
    if dtype not in (torch.float32, torch.float64) or model.letters.weight.device.type != "cpu":
        raise InputError("kernel=scan works in float32 and float64 on the CPU; use dense, chunked or sdpa")
    if model.program.normed:
        raise InputError("kernel=scan knows no layer norm; use dense, chunked or sdpa")
    weights = gather(model)
    letters = model.letters.weight.detach().numpy()
    longest = ids.shape[1]
    values = np.zeros(ids.shape, weights.factor.dtype)
    kept = np.zeros((len(ids) if raw else 0, len(weights.heads), longest + 1), weights.factor.dtype)
    sizes, which = np.unique(lengths.numpy(), return_inverse=True)
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(len(sizes) + 1))
    at_once = max(1, TABLE // (longest + 1))
    for first in range(0, len(sizes), at_once):
        some = sizes[first : first + at_once]
        table, beta = model.positions.table(torch.from_numpy(some), longest, model.precision)
        table = table.to(dtype)
        targets = _looked_up(model, weights, table, beta.to(dtype), torch.from_numpy(some))
        refused = evaluate(
            ids.numpy(),
            order[ends[first] : ends[first + len(some)]],
            lengths.numpy(),
            which - first,
            letters,
            np.ascontiguousarray(table.numpy().transpose(0, 2, 1)),  # (lengths, columns, n + 1)
            beta.to(dtype).numpy(),
            weights.start,
            weights.column,
            weights.factor,
            weights.heads,
            targets,
            weights.head_forms,
            weights.layer_heads,
            weights.units,
            weights.bias,
            weights.layer_units,
            weights.outputs,
            weights.layer_outputs,
            weights.readout,
            weights.width,
            values,
            kept,
        )
        if refused:
            raise InputError(
                "kernel=scan: these weights or truth values are no longer those of a compiled formula; use dense"
            )
    return Scanned(torch.from_numpy(values), torch.from_numpy(kept))


def gather(model: FormulaTransformer) -> Weights:
    """Collect a module's weights."""
    forms = _Forms()
    heads: list[list[int]] = []
    head_forms: list[list[int]] = []
    units: list[int] = []
    bias: list[float] = []
    outputs: list[list[int]] = []
    lookups: list[tuple[Floats, Floats]] = []
    layer_heads, layer_units, layer_outputs = [0], [0], [0]
    alphabet = len(model.program.alphabet)
    fixed = range(alphabet, alphabet + len(model.program.positions))
    for layer in model.layers:
        for block in layer.attention:  # type: ignore[union-attr]
            assert isinstance(block, AttentionBlock)
            read = block.read.tolist()
            query, key, value = (_numpy(weight) for weight in block.weights)
            for h, (kind, mask) in enumerate(zip(block.kinds, block.masks, strict=True)):
                heads.append([_KINDS.index(kind), MASKS.index(mask), block.start + h, len(lookups)])
                rows = range(h * block.dims, (h + 1) * block.dims)
                none = [-1] * (_DIMS - block.dims)
                own = query[rows.start : rows.stop], key[rows.start : rows.stop]
                _require_fixed(kind, *own, read, fixed)
                if kind == "lookup":
                    lookups.append((_of_positions(own[0], read, fixed), _of_positions(own[1], read, fixed)))
                head_forms.append(
                    [forms.add(query[r], read) for r in rows]
                    + none
                    + [forms.add(key[r], read) for r in rows]
                    + none
                    + [forms.add(value[h], read)]
                )
        first_unit = len(units)
        for block in layer.feed_forward:  # type: ignore[union-attr]
            assert isinstance(block, FeedForwardBlock)
            here = len(units) - first_unit
            first, second = _numpy(block.hidden.weight), _numpy(block.output.weight)
            units += [forms.add(row, block.read.tolist()) for row in first]
            bias += _numpy(block.hidden.bias).tolist()
            unit = list(range(here, here + len(first)))
            outputs += [[forms.add(row, unit), block.start + o] for o, row in enumerate(second)]
        layer_heads.append(len(heads))
        layer_units.append(len(units))
        layer_outputs.append(len(outputs))
    readout = forms.add(_numpy(model.readout.weight)[0], list(range(len(model.program.columns))))
    dtype = _numpy(model.letters.weight).dtype
    return Weights(
        start=np.array(forms.start, np.int64),
        column=np.array(forms.column, np.int64),
        factor=np.array(forms.factor, dtype),
        heads=np.array(heads, np.int64).reshape(-1, 4),
        lookups=tuple(lookups),
        head_forms=np.array(head_forms, np.int64).reshape(-1, 2 * _DIMS + 1),
        layer_heads=np.array(layer_heads, np.int64),
        units=np.array(units, np.int64),
        bias=np.array(bias, dtype),
        layer_units=np.array(layer_units, np.int64),
        outputs=np.array(outputs, np.int64).reshape(-1, 2),
        layer_outputs=np.array(layer_outputs, np.int64),
        readout=readout,
        width=len(model.program.columns),
    )


def _require_fixed(kind: str, query: Floats, key: Floats, read: list[int], fixed: range) -> None:
    """Refuse a head whose rungs or keys depend on more than the position, as training may make them."""
    rows = {"nearest": [query, key[:1]], "lookup": [query, key]}.get(kind, [key])
    used = {read[c] for row in rows for c in np.flatnonzero(row.any(0))}
    if not used <= set(fixed):
        raise InputError("kernel=scan: these weights are no longer those of a compiled formula; use dense")


def _of_positions(rows: Floats, read: list[int], fixed: range) -> Floats:
    """Weights over the position columns alone."""
    wide = np.zeros((len(rows), len(fixed)), rows.dtype)
    for at, column in enumerate(read):
        if column in fixed:
            wide[:, column - fixed.start] = rows[:, at]
    return wide


def _looked_up(
    model: FormulaTransformer, weights: Weights, table: torch.Tensor, beta: torch.Tensor, sizes: torch.Tensor
) -> Ints:
    """The key that each query of each lookup finds: (lengths, lookups, n + 1).

    Raises:
        InputError: queries and keys are no longer digits of places.
    """
    found = np.zeros((len(table), len(weights.lookups), table.shape[1]), np.int64)
    for number, (query, key) in enumerate(weights.lookups):
        asked = (table @ torch.from_numpy(query).T)[..., :DIGITS] * beta[:, None, None] / (2 * APART)
        own = digits(torch.arange(table.shape[1]).expand(len(table), -1), model.precision)
        given = table @ torch.from_numpy(key).T
        given[..., DIGITS] *= beta[:, None]
        expected = torch.cat([own, APART * own.square().sum(-1, keepdim=True)], -1)
        weighed = table @ torch.from_numpy(query).T[:, DIGITS]
        place = read_digits(asked.round().long(), model.precision)
        at = torch.arange(table.shape[1])
        keys, inside = at <= sizes[:, None], (at <= sizes[:, None]) & (at > 0)
        right = (asked == asked.round()).all(-1) & (place >= 0) & (place <= sizes[:, None]) & (weighed == -1)
        if not bool(right[inside].all()) or not bool((given == expected)[keys].all()):
            raise InputError(
                "kernel=scan: these weights are no longer those of a compiled formula; use dense"
            )
        found[:, number] = torch.where(inside, place, 0).numpy()
    return found


class _Forms:
    """Rows of weights, without zeros, one after the other."""

    def __init__(self) -> None:
        self.start: list[int] = [0]
        self.column: list[int] = []
        self.factor: list[float] = []

    def add(self, row: Floats, columns: list[int]) -> int:
        """The number of the form; -1 if all is zero."""
        present = np.flatnonzero(row)
        if not len(present):
            return -1
        self.column += [columns[c] for c in present]
        self.factor += row[present].tolist()
        self.start.append(len(self.column))
        return len(self.start) - 2


def _numpy(weight: torch.Tensor) -> Floats:
    found: Floats = weight.detach().numpy()
    return found
