"""The last position of long strings, in time linear in the length: one row of each matrix of scores.

A formula whose heads compare letters, and not what other heads found, needs no other row. That is enough to look for mistakes at the end
of a certificate, where the whole matrix would have hundreds of millions of entries.
"""

from __future__ import annotations

import torch
from torch import Tensor

from offprints.errors import InputError

from hard_attention.attention import Masks, last
from hard_attention.blocks import AttentionBlock
from hard_attention.program import Program
from hard_attention.transformer import FormulaTransformer, Layer


@torch.no_grad()
def last_position(model: FormulaTransformer, ids: Tensor) -> tuple[Tensor, Tensor]:
    """What the dense kernel computes at the last position.

    Args:
        model: the transformer; keys and values of its heads depend on letters and positions alone.
        ids: (B, n) int64.

    Returns:
        The readout, (B,), and what heads wrote before it was rounded, (B, heads).

    Raises:
        InputError: a head looks at what another one found.
    """
    require_independent_heads(model.program)
    lengths = torch.tensor([ids.shape[1]], device=ids.device)
    x, beta = model.embed(ids, lengths)
    end = x[:, -1:].clone()
    for layer in model.layers:
        assert isinstance(layer, Layer)
        blocks = [block for block in layer.attention if isinstance(block, AttentionBlock)]
        found = [block(x, beta, Masks(block.masks, lengths, ids.shape[1]), last, end) for block in blocks]
        for block, written in zip(blocks, found, strict=True):
            end[..., block.start : block.stop] += written
        for rows in (
            x,
            end,
        ):  # gates of letters are keys later on; gates of heads are right in `end` alone, and asked there alone
            gates = [(block.start, block.stop, block(rows)) for block in layer.feed_forward]
            for start, stop, written in gates:
                rows[..., start:stop] += written
    read: Tensor = model.readout(end)
    return read[:, 0, 0], end[:, 0, [head.column for head in model.heads]]


def require_independent_heads(program: Program) -> None:
    """Refuse a program in which a head's keys or values depend on what a head found.

    Raises:
        InputError: names the head.
    """
    found: set[int] = set()
    for layer in program.layers:
        for head in layer.heads:
            looked_at = {column for form in (*head.key, head.value) for column, _ in form}
            if looked_at & found:
                raise InputError(
                    f"the head of {head.formula} looks at what other heads found: the last position needs all others"
                )
        found |= {head.column for head in layer.heads}
        found |= {rounding.column for rounding in layer.roundings if rounding.raw in found}
        found |= {gate.column for gate in layer.gates if any(x.column in found for x in gate.inputs)}
